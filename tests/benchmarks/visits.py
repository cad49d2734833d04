"""A session that thousands visit one after the other: each comes, gets all of it, writes a little, and leaves.

    python tests/benchmarks/visits.py                          # 10,000 visits, a few minutes
    python tests/benchmarks/visits.py --visits 2000 --sdk      # by the Python SDK, which takes in each document
    python tests/benchmarks/visits.py --writes message         # a message each, instead of a key

A real server process; each visitor is another participant with a Yjs client id of its own. Prints a line for each
thousand visits, with the CPU that the server took for one. One more comes at the end, and must find all of it.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pycrdt import Doc
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket

from cosession import connect
from cosession.document import SessionDocument
from cosession.protocol import (
    EMPTY_VECTOR,
    Awareness,
    AwarenessEntry,
    Fence,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_frame,
    encode_awareness,
    encode_frame,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers import PEERS, Peer

AT = "2026-01-01T00:00:00.000Z"
SESSION = "visited"

Write = Callable[[SessionDocument, int], object]

WRITES: dict[str, Write] = {
    "state": lambda document, number: document.state.set(f"visit {number}", number),
    "message": lambda document, number: document.messages.append(
        "user",
        [{"type": "text", "text": f"Hello from {number}.", "state": "done"}],
        id=f"m{number}",
        author=f"p{number}",
        created_at=AT,
    ),
}


async def visit(server: Peer, number: int, write: Write) -> int:
    """Visit once with frames made by hand, as a page would send them; returns the bytes that came."""
    document = SessionDocument(Doc())
    with document.transaction():
        write(document, number)
    client, update = document.doc.client_id, document.doc.get_update()
    async with _socket(server, f"p{number}", client) as socket:
        await socket.send(encode_frame(SyncStep1(EMPTY_VECTOR)))
        came = sum([len(data) async for data in _frames_until(socket, SyncStep2)])
        await socket.send(encode_frame(SyncStep2(b"\x00\x00")))
        shown = AwarenessEntry(client, 1, '{"visible":true}')
        await socket.send(encode_frame(Awareness(encode_awareness([shown]))))
        await socket.send(encode_frame(SyncUpdate(update)))
        await socket.send(encode_frame(Fence(b"written")))
        return came + sum([len(data) async for data in _frames_until(socket, Fence)])


async def visit_by_sdk(server: Peer, number: int, write: Write) -> int:
    """Visit once with the Python SDK, which takes in the document."""
    url = f"http://127.0.0.1:{server.port}"
    async with connect(url, session=SESSION, participant=f"p{number}", name=f"Visitor {number}") as session:
        with session.document.transaction():
            write(session.document, number)
        await session.wait_saved()
    return 0


async def look(server: Peer) -> SessionDocument:
    """Come last, and take in the document."""
    document = SessionDocument(Doc())
    async with _socket(server, "last", document.doc.client_id) as socket:
        await socket.send(encode_frame(SyncStep1(EMPTY_VECTOR)))
        async for data in _frames_until(socket, SyncStep2):
            frame = decode_frame(data)
            if isinstance(frame, SyncStep2 | SyncUpdate):
                document.doc.apply_update(frame.update)
    return document


def _socket(server: Peer, participant: str, client: int) -> open_socket:
    query = f"ext=1&user={participant}&name=Visitor&kind=human&client={client}"
    return open_socket(server.url(SESSION, query), max_size=None, compression=None)


async def _frames_until(socket: ClientConnection, kind: type):
    async for data in socket:
        assert isinstance(data, bytes)
        yield data
        if isinstance(decode_frame(data), kind):
            return
    raise AssertionError(f"The server closed the connection: {socket.close_code} {socket.close_reason}")


async def run(
    server: Peer, visits: int, write: str, act: Callable[[Peer, int, Write], Awaitable[int]], each: int
) -> None:
    """Visit so often, and print a line for each so many visits."""
    heads = ("visits", "seconds", "CPU ms", "slowest ms", "MB sent", "MB held")
    print("".join(f"{head:>12}" for head in heads), flush=True)
    began, cpu, bytes_, slowest = time.monotonic(), server.cpu(), 0, 0.0
    for number in range(1, visits + 1):
        start = time.monotonic()
        bytes_ += await act(server, number, WRITES[write])
        slowest = max(slowest, time.monotonic() - start)
        if number % each == 0 or number == visits:
            of = number % each or each
            took, used = time.monotonic() - began, (server.cpu() - cpu) * 1000 / of
            print(
                f"{number:12,}{took:12.1f}{used:12.2f}{slowest * 1000:12.0f}{bytes_ / 1e6:12.0f}"
                f"{server.memory() / 1e6:12.0f}",
                flush=True,
            )
            began, cpu, bytes_, slowest = time.monotonic(), server.cpu(), 0, 0.0
    document = await look(server)
    found = len(document.state.to_json()) if write == "state" else len(document.messages)
    known = len(document.to_json()["participants"])
    print(f"The last one found {found:,} of {visits:,} things written, and {known:,} participants.")
    assert found == visits
    assert known >= visits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=1_000, help="how many visits a line is for")
    parser.add_argument("--writes", choices=list(WRITES), default="state")
    parser.add_argument("--sdk", action="store_true", help="visit by the Python SDK")
    options = parser.parse_args()
    server = PEERS["cosession"]
    server.start()
    try:
        act = visit_by_sdk if options.sdk else visit
        asyncio.run(run(server, options.visits, options.writes, act, options.each))
    finally:
        server.remove()


if __name__ == "__main__":
    main()
