"""What sessions may be called: any text, in every address, token and list."""

import json
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import NodeClient, Server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cosession.auth import MAX_SESSION_BYTES
from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import connect as join
from cosession.client import find_session

pytestmark = pytest.mark.anyio

NAMES = [
    "org/doc-1",
    "a//b",
    "my doc",
    " ",
    "doc:1",
    "_draft",
    ".hidden",
    "ünïcode",
    "漢字",
    "e\u0301",
    "نام\u200cه",
    "👩‍🚀",
    "a@b.c",
    "a+b",
    "a%2Fb",
    "100%",
    "a?b#c",
    "a\\b",
    "\"quoted\" & 'so'",
    "x;y=1,z",
    "x" * MAX_SESSION_BYTES,
]
NOT_NAMES = [
    "",
    "/a",
    "a/",
    "/",
    ".",
    "..",
    "a/../b",
    "./a",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a*",
    "*",
    "x" * (MAX_SESSION_BYTES + 1),
    "é" * (MAX_SESSION_BYTES // 2 + 1),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def bearer(**claims: object) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(good(**claims), secret_keys(SECRET)[0])}"}


def test_a_session_of_any_name_is_made_read_written_and_deleted(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        for name in NAMES:
            path = "/sessions/" + quote(name, safe="")
            assert http.post("/sessions", json={"id": name}).json()["id"] == name
            assert http.post(path + "/messages", json={"text": "hello"}).status_code == 201
            read = http.get(path).json()
            assert (read["id"], len(read["document"]["messages"])) == (name, 1)
            assert [one["id"] for one in http.get("/sessions").json()["sessions"]] == [name]
            with connect(server.ws_url(quote(name, safe=""))) as socket:
                socket.recv()
                assert http.get(path).json()["connections"] == 1, name
            assert http.delete(path).status_code == 204, name


def test_what_no_session_can_be_called_is_refused_with_a_sentence(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        for name in NOT_NAMES:
            made = http.post("/sessions", json={"id": name})
            assert (made.status_code, made.json()["code"]) == (400, "session.bad_id"), name
            if not name.strip("./"):  # clients take these out of an address
                continue
            read = http.get("/sessions/" + quote(name, safe=""))
            assert (read.status_code, read.json()["code"]) == (400, "session.bad_id"), name
            with pytest.raises(ConnectionClosed) as closed, connect(server.ws_url(quote(name, safe=""))) as socket:
                socket.recv()
            assert closed.value.rcvd.code == 4404, name
        assert http.get("/sessions").json()["sessions"] == []


def test_half_a_character_is_no_name(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/sessions/a%ff").json()["code"] == "session.bad_id"
        content = json.dumps({"id": "a\ud800"}).encode()
        made = http.post("/sessions", content=content, headers={"content-type": "application/json"})
        assert made.status_code in (400, 422)
    with pytest.raises(ConnectionClosed) as closed, connect(server.ws_url("a%ff")) as socket:
        socket.recv()
    assert closed.value.rcvd.code == 4404


@pytest.mark.parametrize("name", ["org/doc-1", "my doc", "doc:1", "_draft", "ünïcode", "漢字", "a@b.c", "a+b"])
async def test_a_stock_provider_and_the_sdk_meet_in_a_session_of_any_name(server: Server, name: str) -> None:
    async with (
        NodeClient.open(server, name),
        join(server.url, session=name, participant="ada") as session,
    ):
        await session.send("hello")
        await session.wait_saved()
        assert (await find_session(server.url, name)).connections == 2


def test_the_addresses_of_one_name_are_one_session(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        http.post("/sessions", json={"id": "org/a b"})
        for written in ("org/a b", "org%2Fa%20b", "org/a%20b", "%6Frg%2fa%20b"):
            with connect(server.ws_url(quote(written, safe="/%"))) as socket:
                socket.recv()
                assert http.get("/sessions/org%2Fa%20b").json()["connections"] == 1, written
        lost = http.get("/sessions/org/a b")
        assert (lost.status_code, "%2F" in lost.json()["detail"]) == (404, True)


def test_tokens_and_revocations_name_sessions_of_any_name(start_server: Callable[..., Server]) -> None:
    server = start_server(auth_secret=SECRET)
    root = bearer(sub="root", role="admin")
    ada = bearer(sub="ada", role="operator", sessions=["org/team:*", "漢字", "x" * 512])
    with httpx.Client(base_url=server.url) as http:
        for name in ("org/team:1", "org/team", "漢字", "漢", "x" * 512):
            http.post("/sessions", json={"id": name}, headers=root)
        reached = {
            name: http.get("/sessions/" + quote(name, safe=""), headers=ada).status_code
            for name in ("org/team:1", "org/team", "漢字", "漢", "x" * 512)
        }
        assert reached == {"org/team:1": 200, "org/team": 403, "漢字": 200, "漢": 403, "x" * 512: 200}
        invited = http.post("/sessions/org%2Fteam%3A1/invitations", json={"role": "viewer"}, headers=ada).json()
        guest = {"authorization": f"Bearer {invited['token']}"}
        assert http.get("/sessions/org%2Fteam%3A1", headers=guest).status_code == 200
        assert http.get("/sessions/org%2Fteam%3A2", headers=guest).status_code == 403
        http.post("/revocations", json={"participant": "ada", "session": "org/team:1"}, headers=root)
        assert http.get("/sessions/org%2Fteam%3A1", headers=ada).status_code == 403
        assert http.get("/sessions/" + quote("漢字"), headers=ada).status_code == 200
        pattern = http.post("/revocations", json={"session": "org/*"}, headers=root)
        assert pattern.json()["code"] == "session.bad_id", "it would take nothing away"
