"""Whoever asks without end and reads nothing, or writes without end, costs the server a bounded amount of memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from processes import Server, eventually
from pycrdt import Map
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from wire import Wire

from cosession.protocol import Awareness, Fence, QueryAwareness, SyncStep1, SyncUpdate, encode_frame

pytestmark = pytest.mark.anyio

MIB = 2**20


@contextlib.asynccontextmanager
async def deaf(server: Server, session: str) -> AsyncIterator[ClientConnection]:
    """A client that never reads, with small buffers."""
    url = server.ws_url(session, ext=1, user="deaf")
    async with connect(
        url, sock=server.small_socket(), max_size=None, max_queue=1, compression=None, close_timeout=0.1
    ) as client:
        client.transport.pause_reading()
        yield client


async def _send_until_refused(client: ClientConnection, frame: bytes, count: int) -> None:
    """Send a frame many times; stop where the server takes no more, as TCP tells."""
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        for _ in range(count):
            async with asyncio.timeout(2):
                await client.send(frame)


ASKED_FOR_ALL = pytest.param(
    SyncStep1(b"\x00"),
    id="what is missing?",
)
ASKED_FOR_PRESENCE = pytest.param(QueryAwareness(), id="who is here?")


@pytest.mark.parametrize("question", [ASKED_FOR_ALL, ASKED_FOR_PRESENCE])
async def test_questions_without_end_whose_answers_nobody_reads(
    start_server: Callable[..., Server], question: SyncStep1 | QueryAwareness
) -> None:
    server = start_server(slow_reader_seconds=5)
    async with Wire.open(server, "flood", ext=1, user="ann") as ann:
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"block": "x" * MIB}))
        await ann.send(Awareness(b"\x01\x07\x01" + _string('{"pad":"' + "x" * 8000 + '"}')))
        await ann.fence()
        before = server.memory_bytes()
        async with deaf(server, "flood") as client:
            await _send_until_refused(client, encode_frame(question), 300)
            await ann.edit(lambda doc: doc.get("state", type=Map).update({"served": True}))
            await ann.fence()
            growth = server.memory_bytes() - before
            assert growth < 60 * MIB, f"the server grew by {growth / MIB:.0f} MiB"


async def test_a_writer_without_pause_does_not_starve_the_others(server: Server) -> None:
    async with Wire.open(server, "flood", ext=1, user="ann") as ann, Wire.open(server, "other", ext=1) as ben:
        flooding = asyncio.create_task(_write_without_end(ann))
        before = server.memory_bytes()
        for number in range(20):
            await ben.edit(lambda doc, number=number: doc.get("state", type=Map).update({"n": number}))
            await ben.fence()
        flooding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flooding
        assert server.memory_bytes() - before < 150 * MIB


async def test_fences_without_end_are_refused_with_a_code_to_come_back(start_server: Callable[..., Server]) -> None:
    server = start_server(max_fences=4)
    async with Wire.open(server, "flood", ext=1) as ann:
        update = ann.doc.get_update()
        with contextlib.suppress(ConnectionClosed):
            for number in range(400):
                state = ann.doc.get_state()
                ann.doc.get("state", type=Map)["n"] = number
                update = ann.doc.get_update(state)
                await ann.socket.send(encode_frame(SyncUpdate(update)))
                await ann.socket.send(encode_frame(Fence(b"%d" % number)))
        code, reason = await eventually(lambda: ann.closed or (ann.count(Fence) == 400 and (0, "")), "an answer")
        assert code in (0, 4529), "each was answered, or it was told to slow down"
        if code:
            assert reason


async def _write_without_end(wire: Wire) -> None:
    state = wire.doc.get("state", type=Map)
    with contextlib.suppress(ConnectionClosed):
        while True:
            await wire.edit(lambda _doc: state.update({"block": "y" * 1000}))


def _string(text: str) -> bytes:
    data = text.encode()
    length = len(data)
    return bytes([(length & 0x7F) | 0x80, length >> 7]) + data
