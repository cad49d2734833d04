"""Access that ends while a request is under way: nothing is done with it any more."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import PATIENCE_SECONDS, Server
from slow_requests import SlowRequest
from starlette.routing import Route

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.server import create_app
from cosession.settings import Settings

CHAT = {"id": "trip", "messages": [{"role": "user", "id": "late", "parts": [{"type": "text", "text": "late"}]}]}

SLOW = {
    "/sessions": {"id": "made-late"},
    "/sessions/{session}/messages": {"text": "after I was thrown out"},
    "/sessions/{session}/runs/{run}/cancel": {"reason": "late"},
    "/sessions/{session}/runs/{run}/steer": {"text": "late"},
    "/sessions/{session}/approvals/{approval:path}": {"decision": "approved"},
    "/sessions/{session}/invitations": {"role": "operator"},
    "/revocations": {"participant": "root"},
    "/ai": CHAT,
    "/ai/{session}": CHAT,
}
"""A body for each route that takes one."""

Post = Callable[[str], SlowRequest]


def token(**claims: object) -> str:
    return mint(good(**claims), secret_keys(SECRET)[0])


def bearer(**claims: object) -> dict[str, str]:
    return {"authorization": f"Bearer {token(**claims)}"}


ROOT = {"sub": "root", "role": "admin"}


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    server = start_server(auth_secret=SECRET, auth_leeway_seconds=0)
    httpx.post(f"{server.url}/sessions", json={"id": "trip"}, headers=bearer(**ROOT))
    return server


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def begin(server: Server, sockets: ExitStack, route: str, thief: str) -> SlowRequest:
    """Send a request without the last byte of its body."""
    path = route.replace(":path}", "}").format(session="trip", run="r1", approval="a1")
    body = json.dumps(SLOW[route]).encode()
    return sockets.enter_context(SlowRequest.open(server.port, "POST", path, body, thief))


def until_refused(server: Server, thief: str) -> None:
    """Wait until a token opens nothing any more."""
    end = time.monotonic() + PATIENCE_SECONDS
    headers = {"authorization": f"Bearer {thief}"}
    while httpx.get(f"{server.url}/sessions/trip", headers=headers).status_code == 200:
        assert time.monotonic() < end


def untouched(server: Server) -> None:
    """Check that nothing was done with the requests."""
    headers = bearer(**ROOT)
    read = httpx.get(f"{server.url}/sessions/trip", headers=headers).json()
    assert read["document"]["messages"] == []
    assert read["document"].get("requests", {}) == {}
    assert httpx.get(f"{server.url}/sessions/made-late", headers=headers).status_code == 404
    made = httpx.get(f"{server.url}/revocations", headers=headers).json()["revocations"]
    assert [one["participant"] for one in made if one["participant"] != "thief"] == []


def test_every_route_with_a_body_is_among_them() -> None:
    routes = create_app(None, None, None, Settings()).routes  # type: ignore[arg-type]
    with_body = {one.path for one in routes if isinstance(one, Route) and one.methods and "POST" in one.methods}
    assert with_body == set(SLOW)


def test_a_token_that_was_revoked_while_its_body_came_does_nothing(server: Server, sockets: ExitStack) -> None:
    thief = token(sub="thief", role="admin")
    late = {route: begin(server, sockets, route, thief) for route in SLOW}
    assert {route: one.waits() for route, one in late.items()} == dict.fromkeys(SLOW, True)
    httpx.post(f"{server.url}/revocations", json={"participant": "thief"}, headers=bearer(**ROOT))
    until_refused(server, thief)
    assert {route: one.finish() for route, one in late.items()} == dict.fromkeys(SLOW, 403)
    untouched(server)


def test_a_token_that_expired_while_its_body_came_does_nothing(server: Server, sockets: ExitStack) -> None:
    thief = token(sub="thief", role="admin", exp=int(time.time()) + 2)
    late = {route: begin(server, sockets, route, thief) for route in SLOW}
    assert {route: one.waits() for route, one in late.items()} == dict.fromkeys(SLOW, True)
    until_refused(server, thief)
    assert {route: one.finish() for route, one in late.items()} == dict.fromkeys(SLOW, 401)
    untouched(server)
