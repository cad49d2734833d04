"""The work endpoint over a real socket: who gets in, what may be said there, and what is handed out."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import PATIENCE_SECONDS, Server
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import Session, connect

pytestmark = pytest.mark.anyio

StartServer = Callable[..., Server]


def token(**claims: Any) -> str:
    agent = {"sub": "flights", "kind": "agent", "role": "agent"}
    return mint(good(**{**agent, **claims}), secret_keys(SECRET)[0])


@asynccontextmanager
async def socket(server: Server, agent: str = "flights", **query: str) -> AsyncIterator[ClientConnection]:
    url = f"ws{server.url[4:]}/work/{agent}?{urlencode(query or {'user': agent, 'kind': 'agent'})}"
    async with asyncio.timeout(PATIENCE_SECONDS), open_socket(url) as opened:
        yield opened


async def closed(opened: ClientConnection) -> tuple[int, str]:
    """How the server closes a socket."""
    with suppress(ConnectionClosed):
        while True:
            await opened.recv()
    return opened.close_code or 0, opened.close_reason or ""


async def test_what_waits_is_handed_to_who_takes_more_with_all_that_it_needs(start_server: StartServer):
    server = start_server(agents='["flights"]')
    async with connect(server.url, session="trip", participant="ada", kind="human") as ada:
        prompt = await ada.send("to Oslo")
        await ada.wait_saved()
        async with socket(server) as worker:
            await worker.send(json.dumps({"more": 1}))
            take = json.loads(await worker.recv())["take"]
            assert (take["session"], take["message"], take["run"]) == ("trip", prompt.id, None)
            claim = ada.document.claims.get(f"prompt/{prompt.id}")
            assert claim is None or (claim["client"], claim["epoch"]) == (take["client"], take["epoch"])
            await worker.send(json.dumps({"back": {"session": "trip", "client": take["client"]}}))
            await worker.send(json.dumps({"more": 1}))
            again = json.loads(await worker.recv())["take"]
            assert again["message"] == prompt.id
            assert again["client"] != take["client"]


NONSENSE = [
    "[]",
    "{",
    "more",
    '{"more": 0}',
    '{"more": -1}',
    '{"more": 1025}',
    '{"more": "1"}',
    '{"back": {"session": 1, "client": 2}}',
    '{"drain": false}',
    '{"more": ' + "1" * 5000 + "}",
    "[" * 4000,
    b"\x00",
]


async def test_what_no_worker_says_ends_the_socket_with_a_reason(start_server: StartServer):
    server = start_server()
    for said in NONSENSE:
        async with socket(server) as worker:
            await worker.send(said)
            code, reason = await closed(worker)
            assert code == 4400, said
            assert "worker" in reason


async def test_a_worker_that_talks_without_pause_is_slowed_and_then_refused(start_server: StartServer):
    server = start_server(max_frames_per_second=50, flood_seconds=1)
    async with socket(server) as worker:

        async def talk() -> None:
            with suppress(ConnectionClosed):
                for _ in range(2000):
                    await worker.send('{"drain": true}')

        talking = asyncio.create_task(talk())
        assert (await closed(worker))[0] == 4529
        await talking


async def test_what_was_never_handed_out_cannot_be_given_back(start_server: StartServer):
    server = start_server(agents='["flights"]')
    async with connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("to Oslo")
        async with socket(server) as worker, socket(server) as other:
            await worker.send(json.dumps({"more": 1}))
            take = json.loads(await worker.recv())["take"]
            await other.send(json.dumps({"back": {"session": "trip", "client": take["client"]}}))
            await other.send(json.dumps({"more": 1}))
            await other.ping()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await other.recv()


async def test_only_the_agent_itself_gets_in(start_server: StartServer):
    server = start_server(auth_secret=SECRET)
    for query, code in (
        ({"token": token(sub="hotels")}, 4403),
        ({"token": token(kind="human")}, 4403),
        ({"token": token(exp=1)}, 4401),
        ({"name": "x"}, 4401),
    ):
        async with socket(server, **query) as worker:
            assert (await closed(worker))[0] == code


async def test_the_socket_ends_with_the_token(start_server: StartServer):
    server = start_server(auth_secret=SECRET, auth_leeway_seconds=0)
    async with socket(server, token=token(exp=int(time.time()) + 2)) as worker:
        code, reason = await closed(worker)
        assert code == 4401
        assert "fresh" in reason


async def test_the_socket_ends_when_the_access_is_taken_away(start_server: StartServer):
    server = start_server(auth_secret=SECRET)
    admin = {"authorization": f"Bearer {token(sub='root', kind='human', role='admin', sessions=['*'])}"}
    async with socket(server, token=token()) as worker, socket(server, "hotels", token=token(sub="hotels")) as other:
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{server.url}/revocations", headers=admin, json={"participant": "flights"})
            assert answer.status_code == 201, answer.text
        assert (await closed(worker))[0] == 4401
        await other.send('{"more": 1}')
        assert await asyncio.wait_for(await other.ping(), PATIENCE_SECONDS) is not None


async def handed_out_of(worker: ClientConnection, secret: Session, public: Session) -> str:
    """The session of which a worker is handed something, when somebody writes in the secret one first."""
    await worker.send(json.dumps({"more": 5}))
    await secret.send("psst")
    await secret.wait_saved()
    await public.send("hello")
    return json.loads(await worker.recv())["take"]["session"]


async def test_nothing_is_handed_out_of_sessions_that_the_token_does_not_name(start_server: StartServer):
    server = start_server(auth_secret=SECRET, agents='["flights"]')
    ada = token(sub="ada", kind="human", role="member")
    async with (
        connect(server.url, session="secret", participant="ada", kind="human", token=ada) as secret,
        connect(server.url, session="open", participant="ada", kind="human", token=ada) as public,
        socket(server, token=token(sessions=["open"])) as worker,
    ):
        assert await handed_out_of(worker, secret, public) == "open"


async def test_nothing_is_handed_out_of_a_session_in_which_the_access_was_taken_away(start_server: StartServer):
    server = start_server(auth_secret=SECRET, agents='["flights"]')
    ada = token(sub="ada", kind="human", role="operator")
    async with (
        connect(server.url, session="secret", participant="ada", kind="human", token=ada) as secret,
        connect(server.url, session="open", participant="ada", kind="human", token=ada) as public,
        socket(server, token=token()) as worker,
    ):
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {ada}"}) as http:
            taken = {"participant": "flights", "session": "secret"}
            assert (await http.post(f"{server.url}/revocations", json=taken)).status_code == 201
        assert await handed_out_of(worker, secret, public) == "open"


async def test_a_server_that_stops_tells_its_workers_to_come_back(start_server: StartServer):
    server = start_server()
    async with socket(server) as worker:
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        assert (await closed(worker))[0] == 4503
        await stopping
