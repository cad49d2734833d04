"""Presence with the server's authority: who somebody is, for whom it speaks, and when it is gone."""

import pytest
from conformance import codec
from conformance.codec import Presence
from conformance.peer import Endpoint, Peer, until

pytestmark = [pytest.mark.anyio, pytest.mark.extended]


async def state_of(peer: Peer, client: int, mood: str) -> dict[str, object]:
    """Wait until a peer sees a client in this mood; the whole state."""

    def seen() -> bool:
        entry = peer.present.get(client)
        return entry is not None and entry.state is not None and entry.state.get("mood") == mood

    await until(seen, f"client {client}, {mood}")
    return peer.present[client].state or {}


async def test_a_query_for_awareness_is_answered(endpoint: Endpoint, room: str) -> None:
    """The y-websocket server doesn't answer this question, though y-websocket's client asks it."""
    async with endpoint.join(room, user="ann") as ann, endpoint.join(room, user="ben") as ben:
        await ann.say({"mood": "calm"})
        await state_of(ben, ann.client, "calm")
        before = ben.count(codec.AWARENESS)
        await ben.send(codec.query())
        await until(
            lambda: any(
                entry.client == ann.client
                for body in ben.bodies(codec.AWARENESS)[before:]
                for entry in codec.read_awareness(body)
            ),
            "the answer",
        )


async def test_a_query_for_awareness_in_an_empty_room_is_answered(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        before = ann.count(codec.AWARENESS)
        await ann.send(codec.query())
        await until(lambda: ann.count(codec.AWARENESS) > before, "the answer")


async def test_a_state_carries_the_verified_participant(endpoint: Endpoint, room: str) -> None:
    async with (
        endpoint.join(room, user="ann", name="Ann 🦊", kind="agent") as ann,
        endpoint.join(room, user="ben") as ben,
    ):
        await ann.say({"mood": "sly", "user": {"id": "ben", "name": "Ben", "kind": "operator", "color": "#b3004b"}})
        state = await state_of(ben, ann.client, "sly")
        assert state["user"] == {"id": "ann", "name": "Ann 🦊", "kind": "agent", "color": "#b3004b"}


async def test_a_state_without_a_user_gets_one(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ann", name="Ann") as ann, endpoint.join(room) as ben:
        await ann.say({"mood": "shy"})
        state = await state_of(ben, ann.client, "shy")
        assert state["user"] == {"id": "ann", "name": "Ann", "kind": "human"}


async def test_no_connection_sets_the_state_of_another_connections_client(endpoint: Endpoint, room: str) -> None:
    async with (
        endpoint.join(room, user="ann") as ann,
        endpoint.join(room, user="ben") as ben,
        endpoint.join(room, user="eve") as eve,
    ):
        await ann.say({"mood": "calm"})
        await state_of(ben, ann.client, "calm")
        await eve.send(codec.awareness(Presence(ann.client, 99, {"mood": "forged"})))
        await eve.send(codec.awareness(Presence(ann.client, 99, None)))
        await eve.say({"mood": "evil"})
        await state_of(ben, eve.client, "evil")
        await ann.say({"mood": "calmer"})
        await state_of(ben, ann.client, "calmer")
        said = [entry for body in ben.bodies(codec.AWARENESS) for entry in codec.read_awareness(body)]
        assert [(entry.state or {}).get("mood") for entry in said if entry.client == ann.client] == ["calm", "calmer"]


async def test_a_bridge_brings_other_clients_under_its_own_participant(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ben", name="Ben") as ben:
        async with endpoint.join(room, user="ann", name="Ann") as ann:
            await ann.say({"mood": "calm"})
            await ann.send(codec.awareness(Presence(4711, 1, {"mood": "brought", "user": {"id": "ben"}})))
            state = await state_of(ben, 4711, "brought")
            assert state["user"] == {"id": "ann", "name": "Ann", "kind": "human"}
            assert set(ben.present) == {ann.client, 4711}
        await until(lambda: not ben.present, "Ann and whom she brought, gone")


async def test_a_bridge_brings_a_bounded_number_of_clients(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ann") as ann, endpoint.join(room, user="ben") as ben:
        await ann.say({"mood": "calm"})
        for client in range(1, 101):
            await ann.send(codec.awareness(Presence(client, 1, {})))
        await ann.say({"mood": "crowded"})
        await state_of(ben, ann.client, "crowded")
        assert set(ben.present) == {ann.client, *range(1, 64)}


async def test_a_bridged_client_gives_way_to_its_own_connection(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ben") as ben, endpoint.join(room, user="eve") as eve:
        async with endpoint.join(room, user="ann") as ann:
            await ann.say({"mood": "calm"})
            await ann.send(codec.awareness(Presence(eve.client, 0, {"mood": "brought"})))
            await state_of(ben, eve.client, "brought")
            await eve.say({"mood": "herself"})
            state = await state_of(ben, eve.client, "herself")
            assert isinstance(state["user"], dict)
            assert state["user"]["id"] == "eve"
            await ann.send(codec.awareness(Presence(eve.client, 9, {"mood": "brought again"})))
        await until(lambda: set(ben.present) == {eve.client}, "Ann alone, gone")
        assert (ben.present[eve.client].state or {})["mood"] == "herself"


async def test_a_client_that_relays_states_leaves_no_ghost(endpoint: Endpoint, room: str) -> None:
    """y-websocket's client sends on what it hears of others."""
    async with endpoint.join(room, user="ben") as ben, endpoint.join(room, user="eve") as eve:
        async with endpoint.join(room, user="ann") as ann:
            await ann.say({"mood": "calm"})
            state = await state_of(eve, ann.client, "calm")
            await eve.say({"mood": "loud"})
            heard = Presence(ann.client, eve.present[ann.client].clock, state)
            await eve.send(codec.awareness(heard))
        await until(lambda: heard.client not in ben.present, "Ann, gone")
        await eve.send(codec.awareness(heard))
        await eve.settle()
        async with endpoint.join(room) as late:
            await state_of(late, eve.client, "loud")
            assert set(late.present) == {eve.client}


async def test_a_departed_client_returns_only_under_the_participant_of_its_bridge(
    endpoint: Endpoint, room: str
) -> None:
    """A newer clock was never said here, so it is no relay: its client lives on behind another connection."""
    async with endpoint.join(room, user="ben") as ben:
        async with endpoint.join(room, user="eve", name="Eve") as eve:
            async with endpoint.join(room, user="ann") as ann:
                await ann.say({"mood": "calm"})
                state = await state_of(eve, ann.client, "calm")
                await eve.say({"mood": "loud"})
                heard = eve.present[ann.client].clock
            await until(lambda: ann.client not in ben.present, "Ann, gone")
            await eve.send(codec.awareness(Presence(ann.client, heard + 5, {**state, "mood": "brought"})))
            brought = await state_of(ben, ann.client, "brought")
            assert brought["user"] == {"id": "eve", "name": "Eve", "kind": "human"}
        await until(lambda: not ben.present, "Eve and whom she brought, gone")


async def test_a_client_that_relays_states_removes_only_itself(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ann") as ann, endpoint.join(room, user="ben") as ben:
        await ann.say({"mood": "calm"})
        async with endpoint.join(room, user="eve") as eve:
            state = await state_of(eve, ann.client, "calm")
            await eve.say({"mood": "loud"})
            await eve.send(codec.awareness(Presence(ann.client, eve.present[ann.client].clock, state)))
            await state_of(ben, eve.client, "loud")
        await until(lambda: eve.client not in ben.present, "Eve, gone")
        assert set(ben.present) == {ann.client}


async def test_a_client_that_returns_with_its_old_clock_is_told_to_renew(endpoint: Endpoint, room: str) -> None:
    """To a y-websocket server this clock is old, and whoever returns is missing for up to 15 s."""

    def told(peer: Peer) -> list[int]:
        entries = [entry for body in peer.bodies(codec.AWARENESS) for entry in codec.read_awareness(body)]
        return [entry.clock for entry in entries if entry.client == 7 and entry.state is None]

    async with endpoint.join(room, user="ben") as ben:
        async with endpoint.join(room, user="ann") as ann:
            await ann.send(codec.awareness(Presence(7, 3, {"mood": "first"})))
            await state_of(ben, 7, "first")
        await until(lambda: 7 not in ben.present, "Ann, gone")
        async with endpoint.join(room, user="ann") as ann:
            await ann.send(codec.awareness(Presence(7, 3, {"mood": "second"})))
            await until(lambda: told(ann), "word that client 7 is gone")
            await ann.send(codec.awareness(Presence(7, max(told(ann)) + 1, {"mood": "second"})))
            await state_of(ben, 7, "second")


async def test_a_client_that_returns_before_its_old_connection_ends_stays(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ben") as ben, endpoint.join(room, user="ann") as new:
        async with endpoint.join(room, user="ann") as old:
            await old.send(codec.awareness(Presence(7, 3, {"mood": "before"})))
            await state_of(ben, 7, "before")
            await new.send(codec.awareness(Presence(7, 4, {"mood": "after"})))
            await state_of(ben, 7, "after")
        await new.send(codec.awareness(Presence(7, 5, {"mood": "still"})))
        await state_of(ben, 7, "still")
        gone = [
            entry
            for body in ben.bodies(codec.AWARENESS)
            for entry in codec.read_awareness(body)
            if entry.state is None
        ]
        assert gone == []
