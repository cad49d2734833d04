"""Which web pages may use the server: a browser lets any page try."""

import asyncio
import contextlib
import itertools
import re
from pathlib import Path

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import Server
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.server import create_app
from cosession.server.edge.origin_policy import is_loopback
from cosession.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def close_code(server: Server, **headers: str) -> int | None:
    """How a socket with these headers is closed; None when it is served."""
    async with connect(server.ws_url("room"), additional_headers=headers) as socket:
        with contextlib.suppress(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 60)
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


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80/", "http://app.example"),
        ("HTTPS://App.Example:8443", "https://app.example:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]"),
        ("capacitor://app.example", "capacitor://app.example"),
    ],
)
async def test_an_origin_is_named_as_people_write_it(start_server, named: str, sent: str) -> None:
    server = start_server(allowed_origins=named)
    assert await close_code(server, Origin=sent) is None
    assert await close_code(server, Origin=f"{sent}:81") == 4403


async def test_a_page_that_may_come_in_may_read_what_is_answered(start_server) -> None:
    server = start_server(allowed_origins="https://app.example")
    pages = ("https://app.example", "http://localhost:5173")
    paths = ("/sessions", "/sessions/none", "/client/cosession.js", "/nothing", "/healthz")
    async with httpx.AsyncClient(base_url=server.url) as http:
        for page, path in itertools.product(pages, paths):
            answer = await http.get(path, headers={"origin": page})
            assert answer.headers["access-control-allow-origin"] == page, path
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert "Origin" in answer.headers["vary"]
        plain = await http.get("/sessions")
        assert "access-control-allow-origin" not in plain.headers
        assert "Origin" in plain.headers["vary"]
        evil = await http.get("/sessions", headers={"origin": "https://evil.example"})
        assert evil.status_code == 403
        assert not [name for name in evil.headers if name.startswith("access-control")]


async def test_a_browser_that_asks_for_a_page_is_told_what_it_may_send_everywhere(start_server) -> None:
    server = start_server(allowed_origins="https://app.example")
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    routes = create_app(None, None, None, Settings()).routes  # type: ignore[arg-type]
    async with httpx.AsyncClient(base_url=server.url) as http:
        paths = [re.sub(r"{[^}]*}", "x", one.path) for one in routes if isinstance(one, Route)]
        for path in [*paths, "/client/cosession.js"]:
            answer = await http.options(path, headers={"origin": "https://app.example", **asks})
            assert answer.status_code == 204, path
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            assert answer.headers["access-control-allow-headers"] == asks["access-control-request-headers"]
            assert "DELETE" in answer.headers["access-control-allow-methods"]
            evil = await http.options(path, headers={"origin": "https://evil.example", **asks})
            assert evil.status_code == 403


async def test_the_first_subprotocol_is_accepted_and_no_token_is_sent_back(start_server) -> None:
    server = start_server(auth_secret=SECRET)
    token = f"cosession.token.{mint(good(), secret_keys(SECRET)[0])}"
    for offered, chosen in (
        (["cosession", token], "cosession"),
        ([token, "yjs", "other"], "yjs"),
        ([token], None),
    ):
        async with connect(server.ws_url("room"), subprotocols=offered) as socket:
            await asyncio.wait_for(socket.recv(), 60)
            assert socket.subprotocol == chosen
    async with connect(server.ws_url("room"), subprotocols=["yjs", "token.abc"]) as socket:
        assert socket.subprotocol == "yjs"
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 60)
        assert socket.close_code == 4401
    async with connect(f"ws{server.url[4:]}/work/ada", subprotocols=["yjs", token]) as socket:
        assert socket.subprotocol == "yjs"


async def test_messages_of_other_protocols_are_passed_over_and_garbage_is_not(server: Server) -> None:
    async with connect(server.ws_url("room")) as socket:
        for foreign in (b"\x2a\x01\x02", b"\x66\x01\x01", b"\x67\x01x", b"\x68", "ping", "", "é" * 1000):
            await socket.send(foreign)
        await socket.send(b"\x00\x00\x01\x00")
        while (await asyncio.wait_for(socket.recv(), 60))[:2] != b"\x00\x01":
            pass
        await socket.send(b"\xff" * 12)
        await asyncio.wait_for(socket.wait_closed(), 60)
        assert socket.close_code == 4400


async def test_a_folder_is_served_without_what_is_hidden_in_it_and_without_the_data(
    start_server, tmp_path: Path
) -> None:
    pages = tmp_path / "server-0"
    server = start_server(pages)
    (pages / "deep").mkdir()
    (pages / ".well-known").mkdir()
    files = ("index.html", "my page.html", "deep/index.html", ".env", ".well-known/x", "data/x")
    for name in files:
        (pages / name).write_text("<!doctype html>x")
    async with httpx.AsyncClient(base_url=server.url) as http:
        status = {name: (await http.get("/" + name)).status_code for name in files}
        assert status == dict.fromkeys(files, 200) | {".env": 404, "data/x": 404}
        assert (await http.get("/data/cosession.sqlite3")).status_code == 404
        assert (await http.get("/deep/%2e%2e/.env")).status_code == 404
        assert (await http.get("/deep?a=1")).headers["location"] == "./deep/?a=1"


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
