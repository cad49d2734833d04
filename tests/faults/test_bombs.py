"""Small frames that would cost everybody much: the process, its loop for seconds, or a session's room."""

from collections.abc import Callable

import httpx
import pytest
from processes import Server
from pycrdt import Map
from wire import Wire

from cosession.protocol import SyncStep1, SyncStep2, SyncUpdate, encode_frame
from cosession.protocol.lib0 import buffer, uint

pytestmark = pytest.mark.anyio

ROOT = uint(1) + b"\x05state"
CLIENT = 7


def nested_maps(first: int, last: int) -> bytes:
    """Maps in each other, from one level to another; each is a struct of its own."""
    structs = [
        b"\x27" + (uint(0) + uint(CLIENT) + uint(clock - 1) if clock else ROOT) + b"\x01k" + uint(1)
        for clock in range(first, last)
    ]
    return uint(1) + uint(last - first) + uint(CLIENT) + uint(first) + b"".join(structs) + uint(0)


DELETION = uint(0) + uint(1) + uint(CLIENT) + uint(1) + uint(0) + uint(1)
"""Of the outermost map, and so of all that is in it."""

MANY_VALUES = (
    uint(1) + uint(1) + uint(CLIENT) + uint(0) + b"\x08" + ROOT + uint(4_000_000) + b"\x7e" * 4_000_000 + b"\0"
)
MANY_STRUCTS = uint(1) + uint(2_000_000) + uint(CLIENT) + uint(0) + b"\x00\x01" * 2_000_000 + uint(0)
MANY_DELETIONS = uint(0) + uint(1) + uint(CLIENT) + uint(2_000_000) + b"\x01\x01" * 2_000_000
MANY_CLIENTS = uint(1_000_000) + b"".join(uint(client) + b"\x01" for client in range(1_000_000))
MANY_STATES = uint(500_000) + b"".join(uint(client) + b"\x01\x04null" for client in range(500_000))


@pytest.mark.parametrize("kind", [SyncUpdate, SyncStep2])
async def test_maps_in_each_other_without_end_harm_nobody_but_who_sends_them(
    server: Server, kind: Callable[[bytes], SyncUpdate | SyncStep2]
) -> None:
    """yrs deletes them on the stack: undone, this ends the process with all its sessions."""
    async with Wire.open(server, "trip", ext=1) as ann, Wire.open(server, "trip", ext=1) as eve:
        await eve.send(kind(nested_maps(0, 150_000)))
        await eve.send(SyncUpdate(DELETION))
        code, reason = await eve.wait_closed()
        assert code == 4400
        assert "nested" in reason
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"still": "here"}))
        await ann.fence()
        assert ann.doc.get("state", type=Map).to_py() == {"still": "here"}


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(encode_frame(SyncUpdate(MANY_VALUES)), id="values"),
        pytest.param(encode_frame(SyncStep2(MANY_STRUCTS)), id="structs"),
        pytest.param(encode_frame(SyncUpdate(MANY_DELETIONS)), id="deletions"),
        pytest.param(encode_frame(SyncStep1(MANY_CLIENTS)), id="a state vector"),
        pytest.param(b"\x01" + buffer(MANY_STATES), id="presence"),
    ],
)
async def test_a_frame_of_many_tiny_things_is_refused_for_good_and_says_what_to_do(
    server: Server, frame: bytes
) -> None:
    async with Wire.open(server, "trip", ext=1) as ann, Wire.open(server, "trip", ext=1) as eve:
        await eve.send(frame)
        code, reason = await eve.wait_closed()
        assert code == 4413
        assert "smaller" in reason
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"still": "here"}))
        await ann.fence()


async def test_a_session_that_is_nested_step_by_step_still_answers_over_http(server: Server) -> None:
    """Python gives up on nesting far before yrs does; asking for JSON must not end the room for who is in it."""
    async with Wire.open(server, "trip", ext=1) as ann, Wire.open(server, "trip", ext=1) as eve:
        for level in range(0, 2000, 50):
            await eve.send(SyncUpdate(nested_maps(level, level + 50)))
        await eve.fence()
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{server.url}/sessions/trip")
            whole = await http.get(f"{server.url}/sessions/trip", headers={"accept": "application/octet-stream"})
        assert answer.status_code == 200, answer.text
        assert whole.status_code == 200
        await ann.edit(lambda doc: doc.get("counters", type=Map).update({"n": 1}))
        await ann.fence()
        assert ann.closed is eve.closed is None
