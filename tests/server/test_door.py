"""Which web pages may use the server: a browser lets any page try."""

import asyncio
import contextlib

import httpx
import pytest
from processes import Server
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from cosession.server.door import is_loopback

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def close_code(server: Server, **headers: str) -> int | None:
    """How a socket with these headers is closed; None when it is served."""
    async with connect(server.ws_url("room"), additional_headers=headers) as socket:
        with contextlib.suppress(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)
        return socket.close_code


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null", "http://[", ""])
async def test_other_sites_pages_are_turned_away(server: Server, origin: str) -> None:
    assert await close_code(server, Origin=origin) == 4403
    async with httpx.AsyncClient(base_url=server.url, headers={"origin": origin}) as http:
        answer = await http.post("/sessions", json={"id": "room"})
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.forbidden")


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:8080"])
async def test_pages_of_this_machine_come_in(server: Server, origin: str) -> None:
    assert await close_code(server, Origin=origin) is None


async def test_an_origin_that_is_named_comes_in(start_server) -> None:
    server = start_server(allowed_origins="https://app.example,http://b.example")
    assert await close_code(server, Origin="https://app.example") is None
    assert await close_code(server, Origin="https://other.example") == 4403


async def test_a_name_that_points_at_this_machine_is_not_this_machines(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers={"host": "rebound.example"}) as http:
        assert (await http.get("/sessions")).status_code == 403


async def test_a_body_that_a_page_may_send_without_asking_is_not_taken(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/sessions", content=b'{"id": "room"}', headers={"content-type": "text/plain"})
        assert answer.status_code == 422


async def test_occupied_sessions_are_listed_however_old_they_are(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        for session in ("old", "new", "newer"):
            await http.post("/sessions", json={"id": session, "title": session.upper()})
        async with connect(server.ws_url("old")) as socket:
            await socket.recv()
            listed = (await http.get("/sessions", params={"occupied": 1, "limit": 1})).json()["sessions"]
            assert [(entry["id"], entry["title"], entry["connections"]) for entry in listed] == [("old", "OLD", 1)]
            assert set(listed[0]) == set((await http.get("/sessions")).json()["sessions"][0])


def test_what_this_machine_is_called() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1", "app.localhost")))
    assert not any(map(is_loopback, ("", "localhost.example", "10.0.0.1", "127.0.0.1.example")))
