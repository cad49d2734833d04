"""`cosession.asgi` under a prefix of another application, run by a plain uvicorn in a process of its own."""

import asyncio
import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import PATIENCE_SECONDS, ROOT, NodeClient, eventually, node_program
from pycrdt import Doc, Text
from starlette.applications import Starlette
from starlette.testclient import TestClient
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from cosession.asgi import Settings, cosession_app
from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import connect

pytestmark = pytest.mark.anyio

PREFIX = "/api/collab"

HOST = """
import time
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from cosession.asgi import Grant, cosession_app

async def authorize(connection):
    user = connection.cookies.get("login") or connection.query_params.get("login")
    if user == "down":
        raise OSError("the database of users")
    if user == "banned":
        raise HTTPException(403, "Banned until Monday.")
    if user:
        role = "viewer" if user == "vic" else "member"
        end = time.time() + 1 if user == "brief" else None
        return Grant(user, user.title(), role=role, sessions=("trip*",), expires_at=end)

async def ping(_):
    return PlainTextResponse("pong")

collab = cosession_app(authorize=authorize)
app = Starlette(routes=[Route("/ping", ping)], lifespan=collab.lifespan)
app.mount("/api/collab", collab)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Host:
    """A process of `uvicorn host:app`, on one port and one data folder."""

    def __init__(self, folder: Path, program: str, **settings: object) -> None:
        (folder / "host.py").write_text(program)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder = folder
        self.log = folder / "log"
        self.url = f"http://127.0.0.1:{self.port}{PREFIX}"
        self._settings = {f"COSESSION_{name.upper()}": str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, *arguments: str) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "uvicorn", "host:app", "--port", str(self.port), *arguments]
        environment = {**os.environ, "COSESSION_DATA": str(self.folder / "data"), **self._settings}
        self._run(command, environment)

        async def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            async with httpx.AsyncClient() as http:
                with contextlib.suppress(httpx.TransportError):
                    return (await http.get(f"{self.url}/healthz")).status_code == 200
            return False

        await eventually(answers, "uvicorn")

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=environment, stderr=log, stdout=log)

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.wait, PATIENCE_SECONDS)

    def kill(self) -> None:
        """End it, however it is."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def ws_url(self, session: str, query: str = "") -> str:
        """The socket's address of a session."""
        return f"ws{self.url[4:]}/sync/{session}{query}"


@contextlib.contextmanager
def hosted(folder: Path, program: str = HOST, **settings: object) -> Iterator[Host]:
    host = Host(folder, program, **settings)
    try:
        yield host
    finally:
        host.kill()


def token(**claims: object) -> str:
    return mint(good(**claims), secret_keys(SECRET)[0])


async def closed_with(url: str, frame: bytes | None = None) -> tuple[int, str]:
    """The code and the reason with which a socket is closed."""
    async with open_socket(url, max_size=None) as ws:
        with contextlib.suppress(ConnectionClosed):
            if frame is not None:
                await ws.send(frame)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await ws.recv()
        return ws.close_code or 0, ws.close_reason or ""


async def make_large_session(host: Host, http: httpx.AsyncClient) -> None:
    """Create a session of eight messages, 6.4 MB in all."""
    assert (await http.post(f"{host.url}/sessions", json={"id": "trip"})).status_code == 201
    parts = [{"type": "text", "text": "x" * 800_000}]
    for _ in range(8):
        assert (await http.post(f"{host.url}/sessions/trip/messages", json={"parts": parts})).status_code == 201


async def test_words_acked_before_sigterm_are_there_after_it_and_the_sdk_comes_back(tmp_path: Path) -> None:
    with hosted(tmp_path, auth_secret=SECRET) as host:
        await host.start()
        agent = token(sub="planner", kind="agent", role="member", sessions=["*"])
        async with connect(host.url, session="trip", participant="planner", token=agent) as session:
            await session.send("before", id="m1")
            await asyncio.wait_for(session.wait_saved(), PATIENCE_SECONDS)
            async with open_socket(host.ws_url("trip", "?login=ann")) as stock:
                await host.stop()
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await stock.recv()
                assert stock.close_code == 1012  # every client comes back after it
            await host.start()
            await session.send("after", id="m2")
            await asyncio.wait_for(session.wait_saved(), PATIENCE_SECONDS)
        async with httpx.AsyncClient(cookies={"login": "ann"}) as http:
            answer = await http.get(f"{host.url}/sessions/trip")
        assert [message["id"] for message in answer.json()["document"]["messages"]] == ["m1", "m2"]
        said = host.log.read_text()
        assert said.count("slower") == 2, said  # once for each process
        assert "Traceback" not in said
        assert agent not in said


async def test_the_own_authentication_refuses_one_and_admits_another_with_less(tmp_path: Path) -> None:
    with hosted(tmp_path) as host:
        await host.start()
        async with httpx.AsyncClient() as http:

            async def ask(user: str, method: str = "GET", path: str = "/sessions/trip", **rest: object) -> int:
                cookies = {"cookie": f"login={user}"}
                return (await http.request(method, host.url + path, headers=cookies, **rest)).status_code  # type: ignore[arg-type]

            assert await ask("ann", "POST", "/sessions", json={"id": "trip"}) == 201
            assert await ask("ann") == 200
            assert await ask("vic") == 200
            assert await ask("ann", "POST", "/sessions/trip/messages", json={"text": "hello"}) == 201
            assert await ask("vic", "POST", "/sessions/trip/messages", json={"text": "hello"}) == 403
            assert await ask("ann", path="/sessions/other") == 403
            assert await ask("banned") == 403
            assert await ask("down") == 503
            assert (await http.get(f"{host.url}/sessions/trip?user=ann")).status_code == 401
        assert (await closed_with(host.ws_url("trip")))[0] == 4401
        assert (await closed_with(host.ws_url("other", "?login=ann")))[0] == 4403
        assert await closed_with(host.ws_url("trip", "?login=banned")) == (4403, "Banned until Monday.")
        assert (await closed_with(host.ws_url("trip", "?login=down")))[0] == 4503
        assert (await closed_with(host.ws_url("trip", "?login=brief")))[0] == 4401  # when its time is over


async def test_stock_clients_and_the_bundle_work_under_the_prefix(tmp_path: Path) -> None:
    with hosted(tmp_path) as host:
        await host.start()
        async with (
            NodeClient.open(host, "trip-1", login="ann") as ann,  # type: ignore[arg-type]
            NodeClient.open(host, "trip-1", login="ben") as ben,  # type: ignore[arg-type]
            httpx.AsyncClient(cookies={"login": "ann"}) as http,
        ):
            await ann.ask("set", root="state", key="city", value="Paris")

            async def arrived() -> bool:
                return (await ben.ask("digest", texts=[], maps=["state"], arrays=[]))["maps"] == [{"city": "Paris"}]

            await eventually(arrived)
            bundle = await http.get(f"{host.url}/client/cosession.js")
            assert bundle.status_code == 200
            assert "javascript" in bundle.headers["content-type"]
            missing = await http.get(f"{host.url}/nothing")
            assert missing.status_code == 404
            assert f"{PREFIX}/nothing" in missing.json()["detail"]
            assert (await http.get(f"{host.url}/sync/trip-1")).status_code == 426
            assert (await http.get(host.url.removesuffix(PREFIX) + "/ping")).text == "pong"


async def test_the_bundle_of_the_prefix_connects_under_the_prefix(tmp_path: Path) -> None:
    script = """
      const [bundle, url, token] = process.argv.slice(1);
      const { connect } = await import(bundle);
      const session = connect(url, "trip", { token: () => token });
      session.send("from a page");
      await session.waitSaved();
      process.exit(0);
    """
    with hosted(tmp_path, auth_secret=SECRET) as host:
        await host.start()
        async with httpx.AsyncClient(cookies={"login": "ann"}) as http:
            (tmp_path / "cosession.mjs").write_bytes((await http.get(f"{host.url}/client/cosession.js")).content)
            known = token(sub="bob", role="member", sessions=["*"])
            arguments = ["--input-type=module", "-e", script, str(tmp_path / "cosession.mjs"), host.url, known]
            page = await asyncio.create_subprocess_exec(node_program(), *arguments)
            try:
                assert await asyncio.wait_for(page.wait(), PATIENCE_SECONDS) == 0
            finally:
                with contextlib.suppress(ProcessLookupError):
                    page.kill()
            messages = (await http.get(f"{host.url}/sessions/trip")).json()["document"]["messages"]
            assert [message["parts"][0]["text"] for message in messages] == ["from a page"]


async def test_frames_beyond_the_limit_are_refused_with_the_final_code(tmp_path: Path) -> None:
    with hosted(tmp_path, max_frame_bytes=2**16) as host:
        await host.start()
        doc = Doc()
        doc["text:note"] = Text("x" * 2**17)
        update = doc.get_update()
        length = bytes([len(update) & 127 | 128, len(update) >> 7 & 127 | 128, len(update) >> 14])
        code, _ = await closed_with(host.ws_url("trip", "?login=ann&ext=1"), b"\0\2" + length + update)
        assert code == 4413


async def test_more_than_a_usual_server_takes_at_once_is_sent_in_frames_that_it_takes(tmp_path: Path) -> None:
    with hosted(tmp_path, auth_secret=SECRET) as host:
        await host.start()
        agent = token(sub="planner", kind="agent", role="member", sessions=["*"])
        async with connect(host.url, session="trip", participant="planner", token=agent) as session:
            for number in range(5):
                await session.send(os.urandom(2_000_000).hex(), id=f"m{number}")
            await asyncio.wait_for(session.wait_saved(), PATIENCE_SECONDS)
        async with httpx.AsyncClient(cookies={"login": "ann"}, timeout=60) as http:
            answer = await http.get(f"{host.url}/sessions/trip")
        assert len(answer.json()["document"]["messages"]) == 5
        assert "1009" not in host.log.read_text()


async def test_a_reader_that_does_not_read_is_let_go_and_does_not_hold_the_end(tmp_path: Path) -> None:
    program = "import logging; logging.basicConfig(level='INFO')\n" + HOST
    with hosted(tmp_path, program, slow_reader_seconds=1) as host:
        await host.start("--timeout-graceful-shutdown", "1")
        async with httpx.AsyncClient(cookies={"login": "ann"}) as http:
            await make_large_session(host, http)
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            sock.connect(("127.0.0.1", host.port))
            sock.setblocking(False)
            slow = host.ws_url("trip", "?login=ben&ext=1")
            async with open_socket(slow, sock=sock, max_queue=1, ping_interval=None, compression=None) as reader:
                await reader.send(b"\0\0\1\0")  # it asks for everything, and reads nothing
                await http.post(f"{host.url}/sessions/trip/messages", json={"text": "the next frame, which waits"})
                await eventually(lambda: "connection.closed" in host.log.read_text())
                await host.stop()
                assert "timeout graceful shutdown exceeded" in host.log.read_text()
                reader.transport.abort()
            await host.start()
            messages = (await http.get(f"{host.url}/sessions/trip")).json()["document"]["messages"]
            assert len(messages) == 9


async def test_bodies_and_answers_have_their_time_and_connections_their_number(tmp_path: Path) -> None:
    with hosted(tmp_path, body_seconds=1, slow_reader_seconds=1, max_connections=2) as host:
        await host.start("--timeout-graceful-shutdown", "1")
        async with httpx.AsyncClient(cookies={"login": "ann"}) as http:
            await make_large_session(host, http)

            head = "Host: localhost\r\nCookie: login=ann\r\nContent-Type: application/json\r\nContent-Length: 9"
            incoming, outgoing = await asyncio.open_connection("127.0.0.1", host.port)
            outgoing.write(f"POST {PREFIX}/sessions HTTP/1.1\r\n{head}\r\n\r\n{{".encode())
            said = await asyncio.wait_for(incoming.readuntil(b"}"), PATIENCE_SECONDS)
            assert b" 408 " in said
            assert b"limit.too_slow" in said
            outgoing.close()

            with socket.socket() as reader:
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
                reader.connect(("127.0.0.1", host.port))
                reader.send(
                    f"GET {PREFIX}/sessions/trip HTTP/1.1\r\nHost: localhost\r\nCookie: login=ann\r\n\r\n".encode()
                )
                await eventually(lambda: "without completing response" in host.log.read_text())

            async with open_socket(host.ws_url("trip", "?login=ann")), open_socket(host.ws_url("trip", "?login=ann")):
                assert (await closed_with(host.ws_url("trip", "?login=ben")))[0] == 4503
                assert (await http.get(f"{host.url}/sessions")).status_code == 503


async def test_the_application_of_the_guide_admits_those_whom_it_knows(tmp_path: Path) -> None:
    guide = (ROOT / "src/docs/pages/guides/fastapi.md").read_text()
    code = re.findall(r"```python[^\n]*\n(.*?)```", guide, re.DOTALL)[0]
    if importlib.util.find_spec("fastapi") is None:  # FastAPI is a Starlette, and the guide needs no more of it
        code = code.replace("from fastapi import FastAPI", "from starlette.applications import Starlette as FastAPI")
    with hosted(tmp_path, code) as host:
        await host.start("--timeout-graceful-shutdown", "10")

        async def create(**cookies: str) -> int:
            async with httpx.AsyncClient(cookies=cookies) as http:
                return (await http.post(f"{host.url}/sessions", json={"id": "trip-7"})).status_code

        assert await create(login="a1b2") == 201
        assert await create(login="c3d4") == 403
        assert await create() == 401
        await host.stop()
        assert "Traceback" not in host.log.read_text()


async def test_pages_of_other_origins_do_not_come_in_with_a_visitors_cookies(tmp_path: Path) -> None:
    with hosted(tmp_path) as host:
        await host.start()
        other = {"cookie": "login=ann", "origin": "https://evil.example"}
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{host.url}/sessions/trip", headers=other)).status_code == 403
        async with open_socket(host.ws_url("trip"), additional_headers=other) as ws:
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 4403


def test_without_its_lifespan_it_says_what_to_do(tmp_path: Path) -> None:
    app = Starlette()
    app.mount("/collab", cosession_app(Settings(data=tmp_path)))
    with TestClient(app) as http, pytest.raises(RuntimeError, match="lifespan=collab"):
        http.get("/collab/healthz")


@pytest.mark.parametrize("stripped", [False, True])
def test_names_with_slashes_are_found_behind_a_proxy_that_strips_its_prefix(tmp_path: Path, stripped: bool) -> None:
    collab = cosession_app(Settings(data=tmp_path))
    app = Starlette(lifespan=collab.lifespan)
    app.mount("/collab", collab)
    base = "http://127.0.0.1" if stripped else "http://127.0.0.1/proxy"
    with TestClient(app, base_url="http://127.0.0.1", root_path="/proxy") as http:
        assert http.post(f"{base}/collab/sessions", json={"id": "org/doc"}).status_code == 201
        assert http.get(f"{base}/collab/sessions/org%2Fdoc").status_code == 200
        with http.websocket_connect(f"ws{base[4:]}/collab/sync/org%2Fdoc") as ws:
            assert ws.receive_bytes()


def test_participants_who_name_themselves_come_from_this_machine_only(tmp_path: Path) -> None:
    collab = cosession_app(Settings(data=tmp_path))
    with TestClient(collab, base_url="http://192.0.2.7") as http:
        answer = http.get("/sessions", headers={"host": "localhost"})
        assert answer.status_code == 403
        assert "authorize" in answer.json()["detail"]


def test_it_can_be_started_again_and_not_twice_at_once(tmp_path: Path) -> None:
    collab = cosession_app(Settings(data=tmp_path))
    with TestClient(collab, base_url="http://127.0.0.1") as http:
        assert http.get("/readyz").status_code == 200
        with pytest.raises(RuntimeError, match="started already"), TestClient(collab):
            pass
    with TestClient(collab, base_url="http://127.0.0.1") as http:
        assert http.get("/readyz").status_code == 200
