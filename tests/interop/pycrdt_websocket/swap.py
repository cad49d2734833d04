"""A pytest plugin that runs pycrdt-websocket's own tests against our server.

Its tests make their server with `utils.create_yws_server`; here that starts a server process of ours. Their
clients open `/ROOM` where ours is at `/sync/ROOM`, so a small proxy on the port that they chose puts the prefix
before the path, and passes everything else on as it is. A server made with a `provider_factory` stays theirs: it
is a client of ours.
"""

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import utils
from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
    connect_tcp,
    create_task_group,
    create_tcp_listener,
    to_thread,
)
from anyio.abc import ByteStream
from processes import Server

_theirs = utils.create_yws_server


def create_yws_server(port: int, *options: object, **keywords: object) -> AbstractAsyncContextManager[object]:
    """What the tests call."""
    return _theirs(port, *options, **keywords) if "provider_factory" in keywords else _ours(port)


@asynccontextmanager
async def _ours(port: int) -> AsyncIterator[tuple[int, None]]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        await to_thread.run_sync(server.start)
        try:
            async with (
                await create_tcp_listener(local_host="127.0.0.1", local_port=port) as proxy,
                create_task_group() as tasks,
            ):

                async def pass_on(client: ByteStream) -> None:
                    async with (
                        client,
                        await connect_tcp("127.0.0.1", server.port) as behind,
                        create_task_group() as both,
                    ):
                        first = re.sub(rb"^GET /", b"GET /sync/", await client.receive())
                        await behind.send(first)
                        both.start_soon(_pump, client, behind)
                        await _pump(behind, client)
                        both.cancel_scope.cancel()

                tasks.start_soon(proxy.serve, pass_on)
                pytest.port = port
                yield port, None
                tasks.cancel_scope.cancel()
        finally:
            server.close()


async def _pump(source: ByteStream, target: ByteStream) -> None:
    try:
        async for data in source:
            await target.send(data)
    except (EndOfStream, BrokenResourceError, ClosedResourceError):
        pass


utils.create_yws_server = create_yws_server
