"""The application inside another one, under a prefix, served by a program that knows nothing of it."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from auth.conftest import SECRET, good
from processes import eventually
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.asyncio.client import connect

from cosession.auth import Identities
from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.runtime import Hub
from cosession.server import create_app
from cosession.settings import Settings
from cosession.storage import SqliteStorage

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def token(**claims: object) -> str:
    return mint(good(**claims), secret_keys(SECRET)[0])


@contextlib.asynccontextmanager
async def mounted(folder: Path) -> AsyncIterator[str]:
    """Serve the application under a prefix, and give its address."""
    settings = Settings(data=folder / "data", auth_secret=SECRET)
    async with (
        Identities.open(settings) as identities,
        SqliteStorage.open(settings.database) as storage,
        Hub.open(storage, settings) as hub,
    ):
        app = create_app(hub, identities, storage.revocations, settings)
        config = uvicorn.Config(Starlette(routes=[Mount("/apps/chat", app)]), log_level="info")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve([listener]))
            await eventually(lambda: server.started)
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}/apps/chat"
            finally:
                server.should_exit = True
                await serving


async def test_under_a_foreign_server_revocations_close_sockets_and_tokens_are_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = {"authorization": f"Bearer {token(sub='root', role='admin')}"}
    stolen = token(sub="thief")
    async with mounted(tmp_path) as url, httpx.AsyncClient() as http:
        for name in ("uvicorn.access", "uvicorn.error"):
            logging.getLogger(name).addHandler(caplog.handler)
        assert (await http.post(f"{url}/sessions", json={"id": "org/doc"}, headers=root)).status_code == 201
        assert (await http.get(f"{url}/sessions/org%2Fdoc", params={"token": stolen})).status_code == 200
        assert (await http.options(f"{url}/sessions", headers={"origin": "http://localhost:1"})).status_code == 405
        async with connect(f"ws{url[4:]}/sync/org/doc?ext=1&token={stolen}") as thief:
            await asyncio.wait_for(thief.recv(), 60)
            await http.post(f"{url}/revocations", json={"participant": "thief"}, headers=root)
            await asyncio.wait_for(thief.wait_closed(), 60)
            assert thief.close_code == 4401
        said = " ".join(record.getMessage() for record in caplog.records)
    for name in ("uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).removeHandler(caplog.handler)
    assert "token=…" in said
    assert stolen not in said
