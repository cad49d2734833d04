"""Bodies of requests: what is wrong in them costs one look and a short answer, however often it is wrong."""

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import PATIENCE_SECONDS, Server
from starlette.routing import Route

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.server import create_app
from cosession.settings import Settings

MANY = 20_000
MEGABYTE = 2**20
SHORT = 1_000
"""Bytes of an answer to a body that can't be used."""

Post = Callable[[str, bytes], httpx.Response]


def bearer(**claims: object) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(good(**claims), secret_keys(SECRET)[0])}"}


@pytest.fixture
def post(start_server: Callable[..., Server]) -> Post:
    """Post a body to a path as somebody who may do everything there."""
    server = start_server(auth_secret=SECRET, max_structs_per_frame=3 * MANY)
    httpx.post(f"{server.url}/sessions", json={"id": "trip"}, headers=bearer(role="admin"))
    kind = {"content-type": "application/json"}

    def post(path: str, body: bytes) -> httpx.Response:
        return httpx.post(server.url + path, content=body, headers=kind | bearer(role="admin"))

    return post


def routes() -> list[str]:
    """The paths of all routes that take a body."""
    app = create_app(None, None, None, Settings())  # type: ignore[arg-type]
    found = [one.path for one in app.routes if isinstance(one, Route) and "POST" in (one.methods or ())]
    return [path.replace(":path}", "}").format(session="trip", run="r1", approval="a1") for path in found]


OPEN = ("/ai", "/ai/trip")
"""Routes whose bodies are another protocol's, to which applications add fields of their own."""


@pytest.mark.parametrize("route", [route for route in routes() if route not in OPEN])
def test_thousands_of_unknown_keys_are_one_short_answer(post: Post, route: str) -> None:
    refused = post(route, json.dumps({f"key-{number}": 1 for number in range(MANY)}).encode())
    assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid")
    assert "key-0" in refused.json()["detail"]
    assert len(refused.content) < SHORT


@pytest.mark.parametrize("route", routes())
def test_a_long_unknown_key_is_not_repeated_in_the_answer(post: Post, route: str) -> None:
    assert len(post(route, json.dumps({"k" * 10_000: 1}).encode()).content) < SHORT


@pytest.mark.parametrize("route", OPEN)
@pytest.mark.parametrize("wrong", [{}, {"messages": [1] * MANY}, {"messages": [{}], "to": [1] * MANY}])
def test_thousands_of_wrong_entries_of_a_chat_are_one_short_answer(
    post: Post, route: str, wrong: dict[str, object]
) -> None:
    refused = post(route, json.dumps({**dict.fromkeys(map(str, range(MANY)), 1), **wrong}).encode())
    assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid")
    assert len(refused.content) < SHORT


@pytest.mark.parametrize("wrong", [{"text": "a", "to": [1] * MANY}, {"parts": [1] * MANY}, {"parts": [[]] * MANY}])
def test_thousands_of_wrong_entries_are_one_short_answer(post: Post, wrong: object) -> None:
    refused = post("/sessions/trip/messages", json.dumps(wrong).encode())
    assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid")
    assert len(refused.content) < SHORT


@pytest.mark.parametrize("value", ["1", '""', "[]", "{}", '{"a":1}', '"a,b"', '"\\""', '"\\\\"', '"[,{"'])
@pytest.mark.parametrize("route", routes())
def test_more_values_than_an_update_may_have_are_refused_unread(post: Post, route: str, value: str) -> None:
    refused = post(route, ('{"value": [' + ",".join([value] * 4 * MANY) + "]}").encode())
    assert (refused.status_code, refused.json()["code"]) == (413, "limit.too_large")


@pytest.mark.parametrize("text", ["a,", "[{", '",', '\\",', '\\\\,"', "\\"])
def test_commas_and_brackets_in_a_text_are_no_values(post: Post, text: str) -> None:
    said = text * 4 * MANY
    sent = post("/sessions/trip/messages", json.dumps({"text": said}).encode())
    assert sent.status_code == 201, sent.text[:SHORT]
    assert sent.json()["parts"][0]["text"] == said


def test_an_agent_is_not_named_by_more_than_an_id_may_have(post: Post) -> None:
    assert post("/sessions/trip/messages", json.dumps({"text": "a", "to": ["x" * 129]}).encode()).status_code == 422


def test_large_bodies_that_do_not_end_share_one_bound(start_server: Callable[..., Server]) -> None:
    """Bodies that stand still are given up while others wait, so one that goes on comes through."""
    server = start_server(max_arriving_bytes=MEGABYTE, max_body_bytes=MEGABYTE)
    httpx.post(f"{server.url}/sessions", json={"id": "trip"})
    head = (
        "POST /sessions/trip/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {MEGABYTE}\r\n\r\n"
    ).encode()
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(8)]
        for one in slow:
            one.settimeout(PATIENCE_SECONDS)
            one.sendall(head + b'{"text":"' + b"x" * (MEGABYTE // 2))
        sent = httpx.post(f"{server.url}/sessions/trip/messages", json={"text": "y" * MANY * 10}, timeout=60)
        assert sent.status_code == 201
        slow[0].sendall(b"x")
        assert slow[0].recv(12) == b"HTTP/1.1 503"


def test_a_message_of_very_many_parts_is_refused_before_it_is_written(post: Post) -> None:
    """What many parts cost grows with their square."""
    refused = post("/sessions/trip/messages", json.dumps({"parts": [{"type": "text", "text": "a"}] * 3_000}).encode())
    assert (refused.status_code, refused.json()["code"]) == (413, "limit.too_large")
    taken = post("/sessions/trip/messages", json.dumps({"parts": [{"type": "text", "text": "a"}] * 1_000}).encode())
    assert taken.status_code == 201


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/sessions", {"id": "p", "policy": {f"k{number}": 1 for number in range(MANY)}}),
        ("/sessions/trip/messages", {"parts": [{"type": "text", "text": "a", "state": "x" * MANY}]}),
        ("/sessions/trip/invitations", {"role": "x" * MANY}),
    ],
)
def test_an_answer_quotes_no_more_of_a_body_than_helps(post: Post, route: str, body: object) -> None:
    refused = post(route, json.dumps(body).encode())
    assert 400 <= refused.status_code < 500
    assert len(refused.content) < 2 * SHORT
