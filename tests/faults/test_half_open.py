"""A socket whose other end is gone without a word: a laptop that sleeps, a cable that is pulled, a lost NAT entry."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable

import pytest
from processes import Server, eventually
from pycrdt import Map
from websockets.asyncio.client import connect
from wire import Wire

from cosession.protocol import Awareness, AwarenessEntry, decode_awareness, encode_awareness

pytestmark = pytest.mark.anyio

TIMEOUT_SECONDS, SECONDS = 5, 15.0
"""When the server takes who says nothing for gone, and how long that may take at most on a busy machine."""


class Network:
    """A way to a server that can go dead: bytes are swallowed, and neither end is told.

    Args:
        port: the server's.
        pace: how many bytes a second reach the client; None is no limit.
    """

    def __init__(self, port: int, pace: int | None = None) -> None:
        self._port = port
        self._pace = pace
        self._dead = False
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Listen; gives the port."""
        listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def die(self) -> None:
        """Carry nothing from now on."""
        self._dead = True

    async def _carry(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far_in, far_out = await asyncio.open_connection("127.0.0.1", self._port)
        self._tasks.add(asyncio.create_task(self._pump(near_in, far_out, None)))
        self._tasks.add(asyncio.create_task(self._pump(far_in, near_out, self._pace)))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, pace: int | None) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(target):
            while data := await source.read(65536 if pace is None else 8192):
                if not self._dead:
                    target.write(data)
                if pace is not None:
                    await asyncio.sleep(len(data) / pace)


@contextlib.asynccontextmanager
async def through(network: Network, server: Server, **query: object) -> AsyncIterator[Wire]:
    """A client that answers pings and does nothing else of its own accord."""
    async with network.open() as port:
        url = server.ws_url("trip", **query).replace(f":{server.port}/", f":{port}/")
        async with connect(url, max_size=None, compression=None, ping_interval=None, close_timeout=0.1) as socket:
            yield Wire(socket)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_who_is_gone_without_a_word_is_gone_for_the_others_within_the_time(
    start_server: Callable[..., Server], busy: bool
) -> None:
    server = start_server(presence_timeout_seconds=TIMEOUT_SECONDS)
    network = Network(server.port)
    async with (
        Wire.open(server, "trip", ext=1, user="ann") as ann,
        through(network, server, ext=1, user="bob") as bob,
    ):
        await bob.sync()
        client = bob.doc.client_id
        await bob.send(Awareness(encode_awareness([AwarenessEntry(client, 1, json.dumps({"here": 1}))])))
        await eventually(lambda: _present(ann, client), "bob's presence")
        network.die()
        died = time.monotonic()
        number = 0
        while _present(ann, client):
            number += 1
            if busy:
                await ann.edit(lambda doc, n=number: doc.get("state", type=Map).update({"n": n}))
            await ann.fence()
            await asyncio.sleep(0.05)
            assert time.monotonic() - died < SECONDS, "bob is still there"

        def offline() -> bool:
            bob_is = ann.doc.get("participants", type=Map)["bob"]
            return bob_is["online"] is False and bob_is["devices"] == 0 and bool(bob_is["last_seen"])

        await eventually(offline, "the document's word that bob is gone")


async def test_who_reads_slowly_but_reads_is_not_taken_for_gone(start_server: Callable[..., Server]) -> None:
    """It takes several times longer to read what there is than who is gone may be there."""
    server = start_server(presence_timeout_seconds=1, attendance_seconds=0.1)
    network = Network(server.port, pace=250_000)
    async with Wire.open(server, "trip", ext=1, user="ann") as ann:
        for number in range(8):
            await ann.edit(
                lambda doc, n=number: doc.get("state", type=Map).update({f"{n}": os.urandom(64_000).hex()})
            )
        await ann.fence()
        async with through(network, server, ext=1, user="bob") as bob:
            began = time.monotonic()
            await bob.sync()
            assert time.monotonic() - began > 3, "it was not slow"
            assert bob.closed is None
            assert len(bob.doc.get("state", type=Map)) == 8
            await bob.fence()


async def test_who_reads_and_says_nothing_stays(start_server: Callable[..., Server]) -> None:
    server = start_server(presence_timeout_seconds=1)
    async with Wire.open(server, "trip", ext=1, user="ann") as ann:
        until = time.monotonic() + 4
        await eventually(lambda: time.monotonic() > until or ann.closed, "some times what the silence may last")
        await ann.fence()
        assert ann.closed is None


def _present(viewer: Wire, client: int) -> bool:
    """Whether somebody is present, by the last word about them."""
    news = [
        entry
        for frame in viewer.frames
        if isinstance(frame, Awareness)
        for entry in decode_awareness(frame.payload)
        if entry.client == client
    ]
    return bool(news) and not news[-1].gone
