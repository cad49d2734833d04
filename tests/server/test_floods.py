"""Frames that bring no message, and more than anybody takes: whoever sends them without end holds nobody up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from auth.conftest import make_pair
from people import SECRET, token
from processes import Server
from websockets.frames import Frame, Opcode
from wire import Wire

from cosession.protocol import Fence, encode_frame

pytestmark = pytest.mark.anyio

HANDSHAKE = (
    "GET /sync/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MEGABYTE = 2**20


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server that knows people by tokens."""
    return start_server(auth_secret=SECRET, flood_seconds=60)


def frame(opcode: Opcode, data: bytes = b"", *, last: bool = True) -> bytes:
    return Frame(opcode, data, fin=last).serialize(mask=True)


@contextlib.asynccontextmanager
async def raw(server: Server, path: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket after its handshake, in which every byte is the test's."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=MEGABYTE)
    try:
        writer.write(HANDSHAKE.format(path=path).encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()


async def pour(writer: asyncio.StreamWriter, frames: bytes, most: int) -> int:
    """Send frames again and again until nobody takes them any more; fails when so many bytes were taken."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(frames)
            sent += len(frames)
            assert sent < most, f"All of {most} bytes were taken."
            async with asyncio.timeout(60):
                await writer.drain()
    return sent


FLOODS = {
    "pings": (b"", frame(Opcode.PING, b"x" * 125)),
    "empty pings": (b"", frame(Opcode.PING)),
    "pongs": (b"", frame(Opcode.PONG)),
    "a message in slivers": (frame(Opcode.BINARY, last=False), frame(Opcode.CONT, last=False)),
}


@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("kind", FLOODS)
async def test_frames_that_bring_no_message_end_the_connection(server: Server, kind: str, reads: bool) -> None:
    before, flood = FLOODS[kind]
    async with raw(server, f"trip?token={token('eve', 'member')}") as (reader, writer):
        answers = asyncio.create_task(all_of(reader)) if reads else None
        writer.write(before)
        await pour(writer, flood * 1000, 64 * MEGABYTE)
        if answers is not None:
            assert b"\x11\xb1More than" in await answers  # 4529
    async with Wire.open(server, "trip", token=token("ada", "member"), ext=1) as wire:
        await wire.fence()


async def test_who_was_told_to_go_is_not_heard_for_ever(server: Server) -> None:
    floods = (frame(Opcode.PING) * 1000, frame(Opcode.BINARY, b"x") * 1000, frame(Opcode.BINARY, b"x" * MEGABYTE))
    for flood in floods:
        async with raw(server, "trip") as (reader, writer):
            answers = asyncio.create_task(all_of(reader))
            await pour(writer, flood, 64 * MEGABYTE)
            assert b"\x11\x31A token is needed" in await answers  # 4401


async def test_until_it_is_known_who_somebody_is_nothing_they_send_is_read(
    start_server: Callable[..., Server],
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await all_of(reader)
        writer.close()
        left.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1") as issuer:
        url = f"http://127.0.0.1:{issuer.sockets[0].getsockname()[1]}/keys"
        server = start_server(auth_jwks_url=url, auth_audience="cosession")
        path = f"trip?token={make_pair('ES256').sign(aud='cosession')}"
        async with raw(server, path) as (_, writer):
            await asyncio.wait_for(asked.wait(), 60)
            before = server.memory_bytes()
            writer.write(Frame(Opcode.BINARY, bytes(30 * MEGABYTE)).serialize(mask=True)[:-1])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2):
                    await writer.drain()
            assert server.memory_bytes() - before < 5 * MEGABYTE
        server.close()
        await asyncio.wait_for(left.wait(), 60)


async def test_a_message_in_many_parts_and_a_ping_now_and_then_are_no_flood(server: Server) -> None:
    fence = encode_frame(Fence(b"all of it"))
    async with raw(server, f"trip?token={token('eve', 'member')}&ext=1") as (reader, writer):
        writer.write(frame(Opcode.BINARY, last=False))
        for number in range(200):
            writer.write(frame(Opcode.PING) + frame(Opcode.PONG))
            writer.write(frame(Opcode.CONT, fence[number : number + 1], last=False))
        writer.write(frame(Opcode.CONT))
        heard = b""
        async with asyncio.timeout(60):
            while fence not in heard:
                heard += await reader.readexactly(1)
        assert heard.count(b"\x8a\x00") == 200


async def test_frames_that_wait_are_taken_in_their_order(server: Server) -> None:
    frames = [encode_frame(Fence(b"%04d" % number)) for number in range(1000)]
    async with raw(server, f"trip?token={token('eve', 'member')}&ext=1") as (reader, writer):
        writer.write(b"".join(frame(Opcode.BINARY, one) for one in frames))
        heard = b""
        async with asyncio.timeout(60):
            while frames[-1] not in heard:
                block = await reader.read(MEGABYTE)
                assert block, "closed"
                heard += block
    places = [heard.index(one) for one in frames]
    assert places == sorted(places)


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side hangs up."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while block := await reader.read(MEGABYTE):
            data += block
    return data
