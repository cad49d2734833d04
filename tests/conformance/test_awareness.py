"""Presence among peers: what every y-websocket server does with awareness messages."""

import pytest
from conformance import codec
from conformance.codec import Presence
from conformance.peer import Endpoint, Peer, until

pytestmark = [pytest.mark.anyio, pytest.mark.stock]


async def sees(peer: Peer, client: int, **fields: object) -> None:
    """Wait until a peer sees a client with these fields."""

    def seen() -> bool:
        entry = peer.present.get(client)
        state = entry.state if entry else None
        return state is not None and {**state, **fields} == state

    await until(seen, f"{fields} of {client}")


async def test_a_state_reaches_all_other_clients(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.say({"mood": "🦊"})
        await sees(ben, ann.client, mood="🦊")


async def test_a_newer_state_replaces_an_older_one(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.say({"mood": "calm"})
        await ann.say({"mood": "merry"})
        await sees(ben, ann.client, mood="merry")
        assert ben.present[ann.client].state is not None


async def test_a_late_client_gets_all_states(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.say({"mood": "calm"})
        await ann.settle()
        async with endpoint.join(room) as ben:
            await sees(ben, ann.client, mood="calm")


async def test_an_empty_room_has_no_states(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.settle()
        assert ann.present == {}


async def test_an_older_clock_is_ignored(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.send(codec.awareness(Presence(ann.client, 5, {"mood": "new"})))
        await sees(ben, ann.client, mood="new")
        await ann.send(codec.awareness(Presence(ann.client, 4, {"mood": "old"})))
        await ann.send(codec.awareness(Presence(ann.client, 5, {"mood": "doubtful"})))
        await ann.send(codec.awareness(Presence(ann.client, 6, {"mood": "newest"})))
        await sees(ben, ann.client, mood="newest")
        said = [entry for body in ben.bodies(codec.AWARENESS) for entry in codec.read_awareness(body)]
        assert {str((entry.state or {}).get("mood")) for entry in said} <= {"new", "newest"}


async def test_a_null_state_removes_the_client(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.say({"mood": "calm"})
        await sees(ben, ann.client, mood="calm")
        await ann.say(None)
        await until(lambda: ann.client not in ben.present, "Ann, gone")


async def test_a_null_state_with_the_same_clock_removes_the_client(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.send(codec.awareness(Presence(ann.client, 3, {"mood": "calm"})))
        await sees(ben, ann.client, mood="calm")
        await ann.send(codec.awareness(Presence(ann.client, 3, None)))
        await until(lambda: ann.client not in ben.present, "Ann, gone")


async def test_a_removed_client_can_return_on_the_same_connection(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        for mood in ("first", "second"):
            await ann.say({"mood": mood})
            await sees(ben, ann.client, mood=mood)
            await ann.say(None)
            await until(lambda: ann.client not in ben.present, "Ann, gone")


async def test_a_state_goes_when_its_connection_is_closed(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ben:
        async with endpoint.join(room) as ann:
            await ann.say({"mood": "calm"})
            await sees(ben, ann.client, mood="calm")
        await until(lambda: ann.client not in ben.present, "Ann, gone")


async def test_a_state_goes_when_its_connection_breaks(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ben, endpoint.join(room) as ann:
        await ann.say({"mood": "calm"})
        await sees(ben, ann.client, mood="calm")
        ann.socket.transport.abort()
        await until(lambda: ann.client not in ben.present, "Ann, gone")
        async with endpoint.join(room) as eve:
            await eve.settle()
            assert ann.client not in eve.present


async def test_a_client_that_returns_with_a_higher_clock_is_shown(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ben:
        async with endpoint.join(room) as ann:
            await ann.send(codec.awareness(Presence(7, 1, {"mood": "before"})))
            await sees(ben, 7, mood="before")
        await until(lambda: 7 not in ben.present, "client 7, gone")
        async with endpoint.join(room) as ann:
            await ann.send(codec.awareness(Presence(7, 9, {"mood": "back"})))
            await sees(ben, 7, mood="back")


async def test_presence_leaves_the_document_alone(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        before = ben.doc.get_state()
        await ann.say({"mood": "calm"})
        await sees(ben, ann.client, mood="calm")
        await ben.settle()
        assert ben.doc.get_state() == before


async def test_an_empty_awareness_message_is_harmless(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.send(codec.awareness())
        await ann.say({"mood": "calm"})
        await sees(ben, ann.client, mood="calm")


async def test_presence_stays_in_its_room(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(f"{room}-other") as ben:
        await ann.say({"mood": "calm"})
        await ann.settle()
        await ben.settle()
        assert ben.present == {}
