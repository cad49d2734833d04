"""Presence among stock clients: late joiners see it, the server says who somebody is, and nobody leaves a ghost."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from processes import NodeClient, Server, eventually

pytestmark = pytest.mark.anyio

ANN = {"user": {"id": "ann", "name": "Ann 🦊", "color": "#b3004b", "kind": "human"}, "typing": True, "mark": "ann"}


async def sees(client: NodeClient, mark: str) -> list[dict[str, Any]]:
    """The presence states with this mark, as a client sees them."""
    states = await client.ask("presence")
    return [state for state in states.values() if state.get("mark") == mark]


async def misses(client: NodeClient, mark: str) -> bool:
    """Whether a client sees no state with this mark."""
    return not await sees(client, mark)


@pytest.mark.parametrize("major", [1, 2, 3, 4])
async def test_a_late_joiner_sees_messages_and_presence(server: Server, major: int) -> None:
    async with NodeClient.open(server, "room", user="ann", name="Ann 🦊") as ann:
        await ann.ask("message", id="m1", role="user", text="Where do we go? 🗺️", author="ann")
        await ann.ask("setPresence", state=ANN)
        async with NodeClient.open(server, "room", provider=major, user="ben", name="Ben") as ben:
            (state,) = await eventually(lambda: sees(ben, "ann"), "Ann, present")
            assert state["typing"] is True
            if major < 4:
                (message,) = await ben.ask("array", root="messages")
                assert message["parts"] == [{"type": "text", "text": "Where do we go? 🗺️", "state": "done"}]
                assert message["id"] == "m1"


async def test_nobody_can_pretend_to_be_somebody_else(server: Server) -> None:
    async with (
        NodeClient.open(server, "room", user="ben", name="Ben") as ben,
        NodeClient.open(server, "room", user="eve", name="Eve", kind="agent") as eve,
    ):
        await eve.ask("setPresence", state={**ANN, "mark": "eve"})
        (state,) = await eventually(lambda: sees(ben, "eve"), "Eve, present")
        assert {key: state["user"][key] for key in ("id", "name", "kind")} == {
            "id": "eve",
            "name": "Eve",
            "kind": "agent",
        }


@pytest.mark.parametrize("major", [1, 3, 4])
async def test_whoever_dies_abruptly_leaves_no_ghost(start_server: Callable[..., Server], major: int) -> None:
    server = start_server(presence_timeout_seconds=3000)  # the end of the connection is what is waited for
    async with (
        NodeClient.open(server, "room", user="ben") as ben,
        NodeClient.open(server, "room", provider=major, user="ann") as ann,
    ):
        await ann.ask("setPresence", state=ANN)
        await eventually(lambda: sees(ben, "ann"), "Ann, present")
        await ann.kill()
        await eventually(lambda: misses(ben, "ann"), "Ann, gone")

        async with NodeClient.open(server, "room", user="carl") as carl:
            assert await misses(carl, "ann")


async def test_whoever_leaves_and_comes_back_is_there_once(server: Server) -> None:
    async with (
        NodeClient.open(server, "room", user="ben") as ben,
        NodeClient.open(server, "room", user="ann") as ann,
    ):
        for _ in range(3):
            await ann.ask("setPresence", state=ANN)
            await eventually(lambda: sees(ben, "ann"), "Ann, present")
            await ann.ask("disconnect")
            await eventually(lambda: misses(ben, "ann"), "Ann, gone")
            await ann.ask("connect")
            await ann.synced()
        await ann.ask("setPresence", state=ANN)
        assert len(await eventually(lambda: sees(ben, "ann"), "Ann, present")) == 1


async def test_after_a_restart_of_the_server_presence_is_as_before(server: Server) -> None:
    async with (
        NodeClient.open(server, "room", user="ben") as ben,
        NodeClient.open(server, "room", user="ann") as ann,
    ):
        await ann.ask("setPresence", state=ANN)
        await eventually(lambda: sees(ben, "ann"), "Ann, present")
        server.kill()
        await eventually(lambda: misses(ben, "ann"), "Ben, alone")
        await asyncio.to_thread(server.start)
        (state,) = await eventually(lambda: sees(ben, "ann"), "Ann, present again")
        assert state["typing"] is True
