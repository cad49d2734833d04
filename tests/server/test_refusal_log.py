"""Refusals and closes in the log: one event each, and of one address or participant only so many."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import Server, eventually
from wire import Wire

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.logs import Sparingly

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def token(**claims: object) -> str:
    return mint(good(**claims), secret_keys(SECRET)[0])


def events(server: Server, name: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == name]


async def provoke(server: Server, http: httpx.AsyncClient) -> None:
    """Be refused and closed in every way."""
    root = {"authorization": f"Bearer {token(sub='root', role='admin')}"}
    await http.post(f"{server.url}/sessions", json={"id": "org/trip"}, headers=root)
    closes = {4400: b"\x00\x03\x00", 4413: b"\x00" * 2000}
    for code, frame in closes.items():
        async with Wire.open(server, "org%2Ftrip", token=token(), synced=False) as ann:
            await ann.send(frame)
            assert (await ann.wait_closed())[0] == code
    refused = {
        4401: {"token": "none"},
        4403: {"token": token(sessions=["other"])},
        4404: {"token": token(sessions=["*"])},
    }
    for code, query in refused.items():
        async with Wire.open(server, "none" if code == 4404 else "org%2Ftrip", synced=False, **query) as ann:
            assert (await ann.wait_closed())[0] == code
    assert (await http.get(f"{server.url}/sessions/org%2Ftrip")).status_code == 401
    async with Wire.open(server, "org%2Ftrip", token=token(sub="eve"), synced=False) as ann:
        await http.post(f"{server.url}/revocations", json={"participant": "eve"}, headers=root)
        assert (await ann.wait_closed())[0] == 4401
    async with Wire.open(server, "org%2Ftrip", token=token(), synced=False) as ann:
        await http.delete(f"{server.url}/sessions/org%2Ftrip", headers=root)
        assert (await ann.wait_closed())[0] == 4410
    async with Wire.open(server, "org%2Ftrip", token=token(), synced=False) as ann:
        assert (await ann.wait_closed())[0] == 4410, "what was deleted stays so"
    assert (await http.get(f"{server.url}/sessions/org%2Ftrip", headers=root)).status_code == 410


async def test_each_refusal_and_each_close_is_one_event(start_server: Callable[..., Server]) -> None:
    server = start_server(auth_secret=SECRET, log_format="json", max_frame_bytes=1024, create_on_connect="false")
    async with httpx.AsyncClient() as http:
        await provoke(server, http)
    closed = await eventually(lambda: len(found := events(server, "connection.closed")) >= 4 and found)
    assert [(one["code"], one["size"], one["participant"]) for one in closed] == [
        (4400, 3, "ada"),
        (4413, 2000, "ada"),
        (4401, 0, "eve"),
        (4410, 0, "ada"),
    ]
    assert all(one["session"] == "org/trip" and one["connection"] for one in closed)
    turned_away = events(server, "connection.refused")
    assert [one["code"] for one in turned_away] == [4401, 4403, 4404, 401, 4410, 410]
    assert [one["session"] for one in turned_away[:3]] == ["org/trip", "org/trip", "none"]
    assert [one["participant"] for one in turned_away] == [None, "ada", "ada", None, "ada", "root"]
    assert SECRET not in server.log.read_text()


def test_of_one_key_a_burst_is_let_through_and_the_rest_is_counted() -> None:
    log = Sparingly(burst=3, most=2)
    assert [log.admit("a", 0) for _ in range(10)] == [0, 0, 0, *[None] * 7]
    assert log.admit("b", 0) == 0
    assert log.admit("a", 1) == 7
    assert log.admit("a", 1) is None
    for key in "cdefg":
        log.admit(key, 2)
    assert log.admit("a", 2) == 0, "it was forgotten"
