"""Large frames, of which many sockets never send the end: memory has a bound, and a photo still arrives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from people import SECRET, token
from processes import Server, eventually
from pycrdt import Doc, Map, Text
from websockets.asyncio.client import ClientConnection, connect
from wire import Wire

from cosession.protocol import Awareness, Foreign, SyncUpdate, encode_frame

pytestmark = pytest.mark.anyio

MEGABYTE = 2**20
HEADER = b"\x82\xff"
"""What a masked binary message begins with of which the length takes eight bytes."""


def peak_bytes(server: Server) -> int:
    """The most memory that a server has had."""
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@contextlib.asynccontextmanager
async def stalled(server: Server, size: int, *, last: int = 1000) -> AsyncIterator[ClientConnection]:
    """A socket of another address that sends all but the last bytes of one large frame."""
    url = server.ws_url("trip", token=token("eve", "member"))
    async with connect(url, local_addr=("127.0.0.2", 0), max_size=None, compression=None) as socket:
        await socket.recv()
        socket.transport.write(HEADER + size.to_bytes(8, "big") + bytes(4) + bytes(size - last))
        yield socket
        socket.transport.abort()


async def test_unfinished_frames_of_many_sockets_have_bounded_memory(start_server: Callable[..., Server]) -> None:
    size = 4 * MEGABYTE
    server = start_server(auth_secret=SECRET, max_frame_bytes=size, max_arriving_bytes=16 * MEGABYTE)
    async with contextlib.AsyncExitStack() as stack:
        ada = await stack.enter_async_context(Wire.open(server, "trip", token=token("ada", "member"), ext=1))
        before = peak_bytes(server)
        eves = [await stack.enter_async_context(stalled(server, size)) for _ in range(50)]
        photo = "A" * (3 * MEGABYTE)
        await ada.edit(lambda doc: doc.get("state", type=Map).update({"photo": photo}))
        await ada.fence()
        assert peak_bytes(server) - before < 64 * MEGABYTE, "200 MB were sent"
        await asyncio.wait_for(eves[0].wait_closed(), 60)
        assert eves[0].close_code == 4503


async def test_a_large_frame_that_was_taken_in_is_not_kept(start_server: Callable[..., Server]) -> None:
    server = start_server()
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire.open(server, "trip", ext=1)) for _ in range(20)]
        for wire in wires:  # the first goes to the room from the socket, the second has to wait for its turn
            await wire.send(Foreign(100, bytes(7 * MEGABYTE)))
            await wire.send(Foreign(100, bytes(7 * MEGABYTE)))
            await wire.fence()
        await eventually(lambda: server.memory_bytes() < 160 * MEGABYTE, "the frames are gone")


async def test_large_presence_is_refused_before_it_is_read(server: Server) -> None:
    async with Wire.open(server, "trip", ext=1) as ann:
        await ann.send(Awareness(bytes(9 * MEGABYTE)))
        code, reason = await ann.wait_closed()
        assert (code, "8388608" in reason) == (4413, True)


async def test_twenty_megabytes_of_text_in_one_frame_arrive(server: Server) -> None:
    offline: Doc = Doc()
    offline.get("text:notes", type=Text).insert(0, "é🐙" * (20 * MEGABYTE // 6))
    frame = encode_frame(SyncUpdate(offline.get_update()))
    async with Wire.open(server, "trip", ext=1) as ann, Wire.open(server, "trip", ext=1) as ben:
        await ann.send(frame)
        await ann.fence()
        written = len(offline.get("text:notes", type=Text))
        await eventually(lambda: len(ben.doc.get("text:notes", type=Text)) == written, "all parts on the other side")
        same = str(ben.doc.get("text:notes", type=Text)) == str(offline.get("text:notes", type=Text))
        assert same, "compared apart: pytest would explain twenty megabytes letter by letter"
