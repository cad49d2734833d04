"""A socket whose other end is gone without a word: a laptop that sleeps, a cable that is pulled, a lost NAT entry."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import pytest
from processes import Server, eventually
from pycrdt import Map
from websockets.asyncio.client import connect
from wire import Wire

from cosession.protocol import Awareness, AwarenessEntry, decode_awareness, encode_awareness

pytestmark = pytest.mark.anyio

SECONDS = 60.0
"""The server asks for a sign of life every 20 s; a machine that is busy may take longer to notice that none came."""


class Network:
    """A way to a server that can go dead: bytes are swallowed, and neither end is told."""

    def __init__(self, port: int) -> None:
        self._port = port
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
        for source, target in ((near_in, far_out), (far_in, near_out)):
            self._tasks.add(asyncio.create_task(self._pump(source, target)))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(target):
            while data := await source.read(65536):
                if not self._dead:
                    target.write(data)


async def test_who_is_gone_without_a_word_leaves_the_room_and_costs_nothing(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(slow_reader_seconds=2)
    network = Network(server.port)
    async with Wire.open(server, "trip", ext=1, user="ann") as ann, network.open() as port:
        url = server.ws_url("trip", ext=1, user="bob").replace(f":{server.port}/", f":{port}/")
        async with connect(url, max_size=None, compression=None, ping_interval=None, close_timeout=0.1) as socket:
            bob = Wire(socket)
            await bob.sync()
            await bob.send(
                Awareness(encode_awareness([AwarenessEntry(bob.doc.client_id, 1, json.dumps({"here": 1}))]))
            )
            await eventually(lambda: _present(ann, bob.doc.client_id), "bob's presence")
            network.die()
            for number in range(50):
                await ann.edit(lambda doc, number=number: doc.get("state", type=Map).update({"n": number}))
            await ann.fence()
            await eventually(lambda: not _present(ann, bob.doc.client_id), "bob's leave", SECONDS)
    async with Wire.open(server, "trip") as late:
        assert late.doc.get("state", type=Map).to_py() == {"n": 49}


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
