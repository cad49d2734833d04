"""Identity over real sockets and HTTP: who gets in where, and how those who don't are told."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, Pair, good
from processes import Server
from wire import Wire

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import connect

pytestmark = pytest.mark.anyio

StartServer = Callable[..., Server]


def token(**claims: Any) -> str:
    return mint(good(**claims), secret_keys(SECRET)[0])


def bearer(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {token(**claims)}"}


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server that knows people by tokens."""
    return start_server(auth_secret=SECRET)


async def get(server: Server, path: str, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url) as http:
        return await http.get(path, **request)


async def refusal(server: Server, session: str = "trip", **query: object) -> tuple[int, str]:
    async with Wire.open(server, session, synced=False, **query) as wire:
        return await wire.wait_closed()


async def test_a_token_in_the_query_opens_a_session_to_any_client(server: Server):
    async with Wire.open(server, "trip", ext=1, token=token(name="Ada L."), user="eve", name="Eve") as wire:
        await wire.fence()
        assert wire.closed is None
    document = (await get(server, "/sessions/trip", headers=bearer())).json()["document"]
    assert {key: value["name"] for key, value in document["participants"].items()} == {"ada": "Ada L."}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "A token is needed"),
        ({"user": "ada", "role": "admin"}, "A token is needed"),
        ({"token": ""}, "A token is needed"),
        ({"token": "nonsense"}, "is none"),
        ({"token": token(exp=int(time.time()) - 60)}, "has expired"),
        ({"token": token()[:-4] + "AAAA"}, "can't be verified"),
        ({"token": token(aud="elsewhere")}, "audience"),
    ],
    ids=["none", "self-named", "empty", "nonsense", "expired", "forged", "audience"],
)
async def test_who_is_not_known_is_let_in_only_to_be_told(server: Server, query: dict[str, str], said: str):
    code, reason = await refusal(server, **query)
    assert code == 4401
    assert said in reason
    answer = await get(server, "/sessions/trip", params=query)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert said in answer.json()["detail"]


async def test_a_session_that_the_token_does_not_name_is_closed_to_it(server: Server):
    code, reason = await refusal(server, token=token(sessions=["other-*"]))
    assert (code, "doesn't include this session" in reason) == (4403, True)
    code, _ = await refusal(server, token=token(sessions=None))
    assert code == 4403
    code, reason = await refusal(server, token=token(role=None, capabilities=["prompt"]))
    assert (code, "'read'" in reason) == (4403, True)


async def test_a_session_is_made_only_by_those_who_may(server: Server):
    code, _ = await refusal(server, "new", token=token(role="viewer"))
    assert code == 4404
    async with Wire.open(server, "new", token=token(role="member")):
        pass
    async with Wire.open(server, "new", token=token(role="viewer")) as wire:
        assert wire.closed is None


async def test_each_route_wants_its_capability(server: Server):
    async with httpx.AsyncClient(base_url=server.url) as http:
        made = await http.post("/sessions", json={"id": "trip"}, headers=bearer())
        assert made.status_code == 201
        viewer, member = bearer(role="viewer"), bearer(sub="bo")

        async def status(method: str, path: str, headers: dict[str, str], **body: Any) -> int:
            answer = await http.request(method, path, headers=headers, **({"json": body} if body else {}))
            assert answer.is_success or answer.headers["content-type"] == "application/problem+json"
            return answer.status_code

        assert await status("GET", "/sessions/trip", viewer) == 200
        assert await status("GET", "/sessions/trip", bearer(sessions=["other"])) == 403
        assert await status("POST", "/sessions", viewer, id="new") == 403
        assert await status("POST", "/sessions", bearer(sessions=["trip"]), id="new") == 403
        assert await status("POST", "/sessions/trip/messages", viewer, text="hi") == 403
        assert await status("POST", "/sessions/trip/messages", bearer(role="agent"), text="hi") == 403
        assert await status("POST", "/sessions/trip/messages", member, text="hi") == 201
        assert await status("POST", "/sessions/trip/runs/none/cancel", viewer, reason="x") == 403
        assert await status("POST", "/sessions/trip/runs/none/steer", viewer, text="x") == 403
        assert await status("POST", "/sessions/trip/runs/none/steer", member, text="x") == 404
        assert await status("DELETE", "/sessions/trip", member) == 403
        assert await status("DELETE", "/sessions/trip", bearer(role="operator")) == 403
        assert await status("DELETE", "/sessions/trip", bearer(role="admin")) == 204
        for open_to_all in ("/healthz", "/readyz"):
            assert (await http.get(open_to_all)).status_code == 200


async def test_a_list_shows_only_what_may_be_read(server: Server):
    async with httpx.AsyncClient(base_url=server.url) as http:
        for session in ("trip-1", "trip-2", "secret"):
            await http.post("/sessions", json={"id": session}, headers=bearer())

        async def listed(**claims: Any) -> list[str]:
            answer = await http.get("/sessions", headers=bearer(**claims), params={"limit": 2})
            return sorted(entry["id"] for entry in answer.json()["sessions"])

        assert await listed(sessions=["trip-*"]) == ["trip-1", "trip-2"]
        assert await listed(sessions=["trip-*"], grants={"trip-2": {"capabilities": ["presence"]}}) == ["trip-1"]
        assert await listed(sessions=["nothing"]) == []
        assert (await http.get("/sessions")).status_code == 401


async def test_a_member_stops_what_answers_them_and_nothing_else(server: Server):
    async with httpx.AsyncClient(base_url=server.url) as http:
        await http.post("/sessions", json={"id": "trip"}, headers=bearer())
        said = await http.post("/sessions/trip/messages", json={"text": "hi"}, headers=bearer())
        mine = said.json()["id"]
        agent = connect(
            server.url, session="trip", participant="bot", token=token(sub="bot", role="agent", kind="agent")
        )
        async with agent as session, session.run(reply_to=mine) as run:
            await session.wait_saved()
            path = f"/sessions/trip/runs/{run.id}/cancel"
            refused = await http.post(path, headers=bearer(sub="bo"))
            assert (refused.status_code, "'cancel-any'" in refused.json()["detail"]) == (403, True)
            assert (await http.post(path, headers=bearer(sub="bo", role="operator"))).status_code == 202
            assert (await http.post(path, headers=bearer())).status_code == 202


async def test_public_keys_from_a_file_verify_tokens(
    start_server: StartServer, pairs: dict[str, Pair], tmp_path: Path
):
    file = tmp_path / "keys.pem"
    file.write_text(pairs["ES256"].public + pairs["RS256"].public)
    server = start_server(auth_key_file=file, auth_issuer="https://issuer.example", auth_audience="cosession")
    claims = {"iss": "https://issuer.example", "aud": "cosession"}
    for algorithm in ("ES256", "RS256"):
        async with Wire.open(server, "trip", token=pairs[algorithm].sign(**claims)) as wire:
            assert wire.closed is None
    assert (await refusal(server, token=pairs["EdDSA"].sign(**claims)))[0] == 4401
    assert (await refusal(server, token=pairs["ES256"].sign(**{**claims, "iss": "x"})))[0] == 4401


async def test_in_development_participants_name_themselves_and_may_ask_for_less(start_server: StartServer):
    server = start_server(log_level="info")
    assert "auth.off" in server.tail()
    async with Wire.open(server, "trip", user="ada", token="whatever") as wire:
        assert wire.closed is None
    assert (await refusal(server, "other", user="ada", role="viewer"))[0] == 4404
    assert (await refusal(server, user="ada", role="owner"))[0] == 4401
    assert (await refusal(server, user="ada", capabilities="presence"))[0] == 4403
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/sessions/trip/messages?role=viewer", json={"text": "x"})
    assert answer.status_code == 403


async def test_no_token_and_no_secret_is_logged(start_server: StartServer):
    server = start_server(auth_secret=SECRET, log_level="debug")
    good_token, bad_token = token(), token(exp=1)
    async with Wire.open(server, "trip", token=good_token):
        pass
    await refusal(server, token=bad_token)
    await get(server, "/sessions/trip", params={"token": good_token})
    await get(server, "/sessions/trip", headers={"authorization": f"Bearer {bad_token}"})
    server.stop()
    log = server.log.read_text()
    for hidden in (SECRET, good_token.split(".")[2], bad_token.split(".")[2], good_token.split(".")[1]):
        assert hidden not in log


def limited(*capabilities: str) -> dict[str, str]:
    """What somebody shows who has these capabilities and no others."""
    return bearer(sub="eve", role=None, capabilities=list(capabilities))


async def test_what_is_sent_over_http_shows_nothing_to_who_may_not_read(server: Server):
    async with httpx.AsyncClient(base_url=server.url) as http:
        await http.post("/sessions", json={"id": "trip"}, headers=bearer())
        sent = {"id": "m1", "text": "secret"}
        assert (await http.post("/sessions/trip/messages", json=sent, headers=bearer())).status_code == 201
        for eve in (bearer(sub="eve"), limited("prompt")):
            answer = await http.post("/sessions/trip/messages", json={"id": "m1", "text": "x"}, headers=eve)
            assert (answer.status_code, answer.json()["code"]) == (409, "message.exists")
            assert "secret" not in answer.text
        assert (await http.post("/sessions/trip/messages", json=sent, headers=bearer())).status_code == 200
        path, vote = "/sessions/trip/approvals/a1", {"decision": "approved"}
        assert (await http.post(path, json=vote, headers=limited("approve"))).status_code == 403
        assert (await http.post(path, json=vote, headers=limited("approve", "read"))).status_code == 404
