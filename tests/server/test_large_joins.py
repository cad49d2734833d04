"""Many join a large session at once: each gets all of it, however slowly it reads, and nothing is kept for long."""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from processes import Server, eventually
from pycrdt import Map
from websockets.asyncio.client import connect
from wire import Wire

from cosession.room.sync_reply import SharedFrame
from cosession.server.edge.shared_frames import write_shared

pytestmark = pytest.mark.anyio

BLOCKS = {str(number): f"{number} " + chr(97 + number) * 300_000 for number in range(20)}
"""6 MB: more than a socket takes, in pieces of which none fits into a small one."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _shared(server: Server) -> int:
    """How many frames a server keeps for several."""
    kept = 0
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            kept += "cosession-frame" in str(link.readlink())
    return kept


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_many_join_a_large_session_while_somebody_writes(start_server: Callable[..., Server]) -> None:
    server = start_server(max_frame_bytes=2**24)
    async with Wire.open(server, "large", ext=1) as writer, AsyncExitStack() as sockets:
        state = writer.doc.get("state", type=Map)
        await writer.edit(lambda _: state.update(BLOCKS))
        await writer.fence()

        async def join(until: asyncio.Event | None = None) -> Wire:
            """Join; with an event, read nothing until it comes."""
            sock = server.small_socket() if until else None
            url = server.ws_url("large")
            wire = Wire(await sockets.enter_async_context(connect(url, sock=sock, max_size=None, compression=None)))
            if until:
                wire.socket.transport.pause_reading()
            syncing = asyncio.create_task(wire.sync())
            if until:
                await until.wait()
                wire.socket.transport.resume_reading()
            await syncing
            return wire

        joined: list[Wire] = []
        for number in range(3):  # at a version that stays, at one that changes, and at one that stays again
            late = asyncio.Event()
            slow = [asyncio.create_task(join(late)) for _ in range(3)]
            joined += await asyncio.gather(*(join() for _ in range(5)))
            if number == 0:
                await eventually(lambda: _shared(server) > len(BLOCKS) / 2, "the slow ones share what waits for them")
            late.set()
            joined += await asyncio.gather(*slow)
            await writer.edit(lambda _, number=number: state.update({"number": number}))
        for wire in joined:
            found = wire.doc.get("state", type=Map)
            await eventually(lambda found=found: found.to_py() == {**BLOCKS, "number": 2}, "all of it")
        await eventually(lambda: not _shared(server), "what was kept for others is let go")


async def test_who_leaves_in_the_middle_takes_nothing_from_the_others(start_server: Callable[..., Server]) -> None:
    server = start_server(max_frame_bytes=2**24)
    async with Wire.open(server, "large", ext=1) as writer:
        state = writer.doc.get("state", type=Map)
        await writer.edit(lambda _: state.update(BLOCKS))
        await writer.fence()

        async def leave_halfway() -> None:
            url = server.ws_url("large")
            async with connect(
                url, sock=server.small_socket(), max_size=None, compression=None, close_timeout=0.1
            ) as one:
                wire = Wire(one)
                asking = asyncio.create_task(wire.sync())
                await eventually(lambda: len(wire.frames) > 4, "some of it")
                one.transport.abort()
                await asking

        async def stay() -> None:
            async with Wire.open(server, "large") as wire:
                assert wire.doc.get("state", type=Map).to_py() == BLOCKS

        await asyncio.gather(*(leave_halfway() for _ in range(5)), *(stay() for _ in range(5)))
        await eventually(lambda: not _shared(server), "what was kept for others is let go")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection."""
    left, right = socket.socketpair()
    with left, right:
        yield left, right


async def test_when_too_many_frames_are_kept_the_others_are_copied(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop, (ours, theirs) = asyncio.get_running_loop(), pair
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    reader, other = await asyncio.open_connection(sock=theirs)
    before = _open_files()
    frames = [SharedFrame(b"%03d" % number * 50_000) for number in range(200)]
    for _, frame in itertools.product(range(3), frames):
        write_shared(transport, frame, b"".join)
        assert await reader.readexactly(len(frame)) == frame
    assert 100 < _open_files() - before < 150
    del frames, frame
    assert _open_files() == before
    transport.close()
    other.close()


async def test_a_python_without_such_files_copies(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    ours, theirs = pair
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    reader, other = await asyncio.open_connection(sock=theirs)
    frame = SharedFrame(b"frame" * 20_000)
    for _ in range(4):
        write_shared(transport, frame, b"".join)
        assert await reader.readexactly(len(frame)) == frame
    transport.close()
    other.close()


async def test_a_shared_frame_waits_behind_what_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    frame, sent, came = SharedFrame(b"frame" * 10_000), b"", b""
    for number in itertools.count():
        write_shared(transport, frame, b"".join)
        sent += frame
        if transport.get_write_buffer_size():
            transport.write(word := b"%d words before" % number)
            came += theirs.recv(200_000)  # now the socket takes more, but it isn't the frame's turn
            write_shared(transport, frame, b"".join)
            sent += word + frame
            break
    while len(came) < len(sent):
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            came += theirs.recv(200_000)
    assert came == sent
    transport.close()
