"""What large frames on their way in may hold together, and which goes on."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from processes import eventually
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from cosession.runtime import Ticker
from cosession.server.edge.arrivals import SMALL_BYTES, Arrivals, Sender
from cosession.server.edge.websocket_protocol import EXTENSION, SyncProtocol

pytestmark = pytest.mark.anyio

LARGEST = 16 * SMALL_BYTES
HANDSHAKE = (
    b"GET /sync/trip HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
App = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    """asyncio: it is what the server runs on."""
    return "asyncio"


@dataclass(eq=False)
class Socket:
    """A sender; a real one would decide by itself when bytes come."""

    address: str
    said: list[str] = field(default_factory=list[str])
    size: int = 0

    def go_on(self) -> None:
        self.said.append("go on")

    def give_up(self) -> None:
        self.said.append("give up")
        self.size = 0


async def test_the_next_frame_is_of_the_address_with_the_fewest() -> None:
    arrivals = Arrivals(2 * LARGEST, lambda address: address)
    first = Socket("a")
    assert arrivals.grow(first, LARGEST)
    waiting = [Socket("a"), Socket("a"), Socket("b")]
    assert not any(arrivals.grow(socket, SMALL_BYTES + 1) for socket in waiting)
    second = Socket("a")
    arrivals.release(first)
    assert [socket.said for socket in waiting] == [["go on"]] * 3
    assert arrivals.grow(waiting[0], LARGEST)
    late = [second, Socket("c")]
    assert not any(arrivals.grow(socket, SMALL_BYTES + 1) for socket in late)
    arrivals.release(waiting[2])
    assert [socket.said for socket in late] == [[], []]
    arrivals.release(waiting[1])
    assert [socket.said for socket in late] == [[], []]
    arrivals.release(waiting[0])
    assert late[1].said == ["go on"]


async def test_the_slowest_of_the_address_that_holds_most_is_given_up() -> None:
    arrivals = Arrivals(2 * LARGEST, lambda address: address)
    small, large, honest = Socket("a"), Socket("a"), Socket("b")
    assert all(arrivals.grow(socket, 2 * SMALL_BYTES) for socket in (honest, small, large))
    assert arrivals.grow(large, LARGEST)
    assert arrivals.grow(honest, LARGEST - 2 * SMALL_BYTES)
    assert arrivals.grow(honest, LARGEST - SMALL_BYTES)
    assert (small.said, large.said, honest.said) == (["give up"], [], [])
    assert arrivals.grow(honest, LARGEST)
    arrivals.finish(large)
    assert not arrivals.grow(honest, LARGEST + SMALL_BYTES)
    assert honest.said == ["give up"]


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["grow", "finish", "release"]), st.integers(1, 20))))
async def test_frames_never_hold_more_than_the_bound(steps: list[tuple[int, str, int]]) -> None:
    arrivals = Arrivals(2 * LARGEST, lambda address: None if address == "1" else address)
    sockets = [Socket(str(number % 3)) for number in range(8)]
    waits, whole = set[Socket](), set[Socket]()
    for number, step, steps_more in steps:
        socket = sockets[number]
        if step == "grow" and socket not in waits | whole:
            grown = max(socket.size, SMALL_BYTES) + steps_more * SMALL_BYTES // 4
            if grown <= LARGEST:
                socket.size = grown
                if not arrivals.grow(socket, grown) and "give up" not in socket.said:
                    waits.add(socket)
        elif step == "finish" and socket.size and socket not in waits:
            arrivals.finish(socket)
            whole.add(socket)
        elif step == "release":
            arrivals.release(socket)
            whole.discard(socket)
            waits.discard(socket)
            socket.size = 0
        waits = {one for one in waits if not one.said}
        for one in sockets:
            one.said.clear()
        assert sum(one.size for one in sockets if one not in waits) <= 2 * LARGEST
    for socket in sockets:
        arrivals.release(socket)
    assert not any(one.said for one in sockets if one not in waits)
    assert arrivals.grow(Socket("new"), LARGEST)


class Noted(Arrivals):
    """What sockets say of their large frames, in order."""

    def __init__(self) -> None:
        super().__init__(2 * LARGEST, lambda address: address)
        self.said: list[str] = []

    def grow(self, sender: Sender, size: int) -> bool:
        if self.said[-1:] != ["grow"]:
            self.said.append("grow")
        return super().grow(sender, size)

    def finish(self, sender: Sender) -> None:
        self.said.append("finish")
        super().finish(sender)

    def release(self, sender: Sender) -> None:
        self.said.append("release")
        super().release(sender)


@contextlib.asynccontextmanager
async def connected(
    arrivals: Arrivals, app: App
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket of an application, behind its handshake; every byte is the test's."""
    config = uvicorn.Config(app, ws="none", ws_max_size=4 * LARGEST, ws_ping_interval=None, log_config=None)  # type: ignore[arg-type]
    config.load()
    state, pulse = ServerState(), Ticker(20)
    server = await asyncio.get_running_loop().create_server(
        lambda: SyncProtocol(config, state, {}, pulse=pulse, arrivals=arrivals), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        writer.write(HANDSHAKE)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()
        server.close()
        await server.wait_closed()


def message(size: int, opcode: Opcode = Opcode.BINARY) -> bytes:
    return Frame(opcode, bytes(size)).serialize(mask=True)


async def test_a_large_frame_that_comes_behind_the_servers_close_is_forgotten() -> None:
    async def turn_away(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4401})

    arrivals = Noted()
    async with connected(arrivals, turn_away) as (reader, writer):
        await reader.readexactly(4)
        writer.write(message(LARGEST + SMALL_BYTES) + message(0, Opcode.CLOSE))
        await reader.read()
    assert "grow" in arrivals.said
    assert arrivals.grow(Socket("another"), SMALL_BYTES + 1), "there is room again"


async def test_the_next_large_frame_of_a_socket_waits_until_the_last_is_taken() -> None:
    arrivals, sizes = Noted(), list[int]()
    done = asyncio.Event()

    async def take_two(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        transport = scope["extensions"][EXTENSION].transport
        for _ in range(2):
            sizes.append(len((await receive())["bytes"]))
            if len(sizes) == 1:
                await eventually(lambda: not transport.is_reading() or arrivals.said[-1] == "grow", "what comes next")
        done.set()
        await receive()

    async with connected(arrivals, take_two) as (_, writer):
        writer.write(message(LARGEST) + message(LARGEST - 1))
        await asyncio.wait_for(done.wait(), 60)
    assert sizes == [LARGEST, LARGEST - 1]
    assert arrivals.said[:5] == ["grow", "finish", "release", "grow", "finish"]


async def test_control_frames_are_no_large_frame_however_many_come() -> None:
    arrivals = Noted()
    came = asyncio.Event()

    async def take_one(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        came.set()
        await receive()

    async with connected(arrivals, take_one) as (_, writer):
        writer.write(message(125, Opcode.PONG) * 600 + message(1))
        await asyncio.wait_for(came.wait(), 60)
        assert arrivals.said == []
