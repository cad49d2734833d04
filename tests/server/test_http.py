"""Sessions over HTTP, against a real process: what is answered, and what is refused with which sentence."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import Server
from pycrdt import Doc, Map
from starlette.routing import Route
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cosession.document import SessionDocument
from cosession.protocol import Fence, SyncUpdate, decode_frame, encode_frame
from cosession.server import create_app
from cosession.settings import Settings


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and code of a problem document; every refusal is one."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"]
    assert body["type"] == f"urn:cosession:{body['code']}"
    return answer.status_code, body["code"]


def test_a_session_is_created_once_and_read_as_json(http: httpx.Client) -> None:
    made = http.post("/sessions", json={"id": "trip", "title": "Porto 🇵🇹"})
    assert made.status_code == 201
    assert made.json()["document"]["meta"]["title"] == "Porto 🇵🇹"
    assert problem(http.post("/sessions", json={"id": "trip"})) == (409, "session.exists")
    read = http.get("/sessions/trip").json()
    assert (read["id"], read["title"], read["version"]) == ("trip", "Porto 🇵🇹", 1)


def test_a_parameter_that_is_none_of_its_values_is_refused_with_a_sentence(http: httpx.Client) -> None:
    wrong = {
        "occupied": ("AAA", "yes", "true", "", "2"),
        "limit": ("many", "", "0", "-1", "1001", "1e3", "１０", "1_0", " 1"),
    }
    for name, values in wrong.items():
        for value in values:
            answer = http.get("/sessions", params={name: value})
            assert problem(answer) == (422, "request.invalid"), (name, value)
            assert f"`{name}`" in answer.json()["detail"]
    for right in ({"occupied": "0"}, {"occupied": "1"}, {"limit": "1"}, {"limit": "1000"}):
        assert http.get("/sessions", params=right).status_code == 200


@pytest.mark.parametrize("query", [{"ext": "yes"}, {"ext": ""}, {"rollup": "soon"}, {"rollup": "1001"}])
def test_a_parameter_of_a_socket_that_is_none_of_its_values_ends_it(server: Server, query: dict[str, str]) -> None:
    with pytest.raises(ConnectionClosed) as closed, connect(server.ws_url("trip", **query)) as socket:
        socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400
    assert f"`{next(iter(query))}`" in closed.value.rcvd.reason


@pytest.mark.parametrize("serves_pages", [False, True])
def test_a_method_that_a_path_lacks_is_answered_with_those_that_it_has(
    start_server: Callable[..., Server], tmp_path: Path, serves_pages: bool
) -> None:
    server = start_server(tmp_path if serves_pages else None)
    with httpx.Client(base_url=server.url) as http:
        _check_methods(http)


def _check_methods(http: httpx.Client) -> None:
    for route in create_app(None, None, None, Settings()).routes:  # type: ignore[arg-type]
        if isinstance(route, Route):
            path = re.sub(r"{[^}]*}", "x", route.path)
            methods = route.methods or set()
            for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} - methods:
                assert http.request(method, path).headers["allow"] == ", ".join(sorted(methods)), (method, path)
            answer = http.request("PATCH", path)
            assert problem(answer)[0] == 405, path
            assert answer.headers["allow"] == ", ".join(sorted(route.methods or ())), path
    assert http.options("/sessions").headers["allow"] == "GET, HEAD, POST"
    assert http.post("/client/cosession.js").headers["allow"] == "GET, HEAD"


def test_an_answer_of_a_moment_is_kept_by_no_cache(http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip"})
    for path in ("/sessions", "/sessions/trip", "/sessions/none", "/revocations", "/healthz", "/nothing"):
        assert http.get(path).headers["cache-control"] == "no-store", path
    snapshot = http.get("/sessions/trip", headers={"accept": "application/octet-stream"})
    assert snapshot.headers["cache-control"] == "no-store"
    assert http.get("/client/cosession.js").headers["cache-control"] == "no-cache"


def test_a_request_without_an_upgrade_to_a_socket_is_told_what_is_missing(http: httpx.Client) -> None:
    for path in ("/sync/trip", "/sync/org/doc", "/work/guide"):
        answer = http.get(path)
        assert problem(answer) == (426, "http.426")
        assert answer.headers["upgrade"] == "websocket"
        assert "proxy" in answer.json()["detail"]


def test_a_session_without_an_id_gets_one(http: httpx.Client) -> None:
    first, second = (http.post("/sessions").json()["id"] for _ in range(2))
    assert first != second


def test_a_session_is_read_as_a_yjs_update(http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip", "title": "Porto"})
    answer = http.get("/sessions/trip", headers={"accept": "application/octet-stream"})
    doc: Doc[Any] = Doc()
    doc.apply_update(answer.content)
    assert doc.get("meta", type=Map)["title"] == "Porto"
    assert answer.headers["cosession-version"] == "1"


def test_sessions_are_listed_the_newest_first(http: httpx.Client) -> None:
    for session in ("one", "two", "three"):
        http.post("/sessions", json={"id": session})
    http.post("/sessions/one/messages", json={"text": "hello"})
    listed = http.get("/sessions").json()["sessions"]
    assert [entry["id"] for entry in listed] == ["one", "three", "two"]
    assert set(listed[0]) == {"id", "title", "created_at", "updated_at", "version", "connections"}
    assert len(http.get("/sessions", params={"limit": 2}).json()["sessions"]) == 2
    assert problem(http.get("/sessions", params={"limit": "many"})) == (422, "request.invalid")


def test_a_message_that_was_answered_survives_a_power_cut(server: Server, http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip"})
    sent = http.post("/sessions/trip/messages", params={"user": "ada"}, json={"text": "n̈ 👩‍🚀"})
    assert sent.status_code == 201
    server.kill()
    server.start()
    [message] = http.get("/sessions/trip").json()["document"]["messages"]
    assert message == sent.json()
    assert message["metadata"]["author"] == "ada"
    assert message["parts"] == [{"type": "text", "text": "n̈ 👩‍🚀", "state": "done"}]


def test_a_message_that_is_sent_again_is_answered_and_not_doubled(http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip"})
    first = http.post("/sessions/trip/messages", json={"id": "m1", "text": "once"})
    again = http.post("/sessions/trip/messages", json={"id": "m1", "text": "once"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(http.get("/sessions/trip").json()["document"]["messages"]) == 1


def test_a_message_may_be_made_of_parts(http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip"})
    parts = [
        {"type": "text", "text": "see"},
        {"type": "file", "url": "https://a.example/x.png", "mediaType": "image/png"},
    ]
    answer = http.post("/sessions/trip/messages", json={"parts": parts})
    assert [part["type"] for part in answer.json()["parts"]] == ["text", "file"]


@pytest.mark.parametrize(
    "body",
    [b"no json", b"[]", b"{}", b'{"text": "a", "parts": []}', b'{"text": 7}', b'{"text": "a", "colour": "red"}'],
)
def test_a_body_that_does_not_fit_is_a_problem_that_says_where(http: httpx.Client, body: bytes) -> None:
    http.post("/sessions", json={"id": "trip"})
    assert problem(http.post("/sessions/trip/messages", content=body)) == (422, "request.invalid")
    assert http.get("/sessions/trip").json()["document"]["messages"] == []


def test_a_policy_of_thousands_of_agents_is_refused(http: httpx.Client) -> None:
    agents = [f"agent-{number}" for number in range(1000)]
    assert problem(http.post("/sessions", json={"id": "trip", "policy": {"agents": agents}}))[0] == 422
    assert problem(http.get("/sessions/trip")) == (404, "session.unknown")


def test_parts_that_the_schema_does_not_have_are_refused_and_nothing_is_written(http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip"})
    answer = http.post("/sessions/trip/messages", json={"parts": [{"text": "of no type"}]})
    assert problem(answer)[0] == 422
    assert http.get("/sessions/trip").json()["version"] == 0


def test_what_is_not_there_is_said_to_be_unknown(http: httpx.Client) -> None:
    assert problem(http.get("/sessions/nothing")) == (404, "session.unknown")
    assert problem(http.delete("/sessions/nothing")) == (404, "session.unknown")
    assert problem(http.post("/sessions/nothing/messages", json={"text": "a"})) == (404, "session.unknown")
    assert problem(http.post("/sessions", json={"id": "a*"})) == (400, "session.bad_id")
    assert problem(http.get("/somewhere"))[0] == 404
    assert problem(http.put("/sessions"))[0] == 405


def test_a_deleted_session_is_gone_for_good(http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip"})
    assert http.delete("/sessions/trip").status_code == 204
    assert problem(http.get("/sessions/trip")) == (410, "session.deleted")
    assert problem(http.post("/sessions", json={"id": "trip"})) == (410, "session.deleted")
    assert http.get("/sessions").json()["sessions"] == []


def test_a_run_is_cancelled_and_steered_by_request(server: Server, http: httpx.Client) -> None:
    http.post("/sessions", json={"id": "trip"})
    assert problem(http.post("/sessions/trip/runs/r1/cancel")) == (404, "run.unknown")
    start_run(server, "trip", "r1")
    assert problem(http.post("/sessions/trip/runs/r1/cancel", json={"reason": "x" * 1001}))[0] == 422
    assert (
        http.post("/sessions/trip/runs/r1/steer", params={"user": "bo"}, json={"text": "shorter"}).status_code == 202
    )
    assert (
        http.post("/sessions/trip/runs/r1/cancel", params={"user": "bo"}, json={"reason": "enough"}).status_code
        == 202
    )
    document = http.get("/sessions/trip").json()["document"]
    run = document["runs"]["r1"]
    assert [(steer["by"], steer["text"]) for steer in run["steers"]] == [("bo", "shorter")]
    assert (run["cancel"]["by"], run["cancel"]["reason"]) == ("bo", "enough")
    assert document["requests"] == {}


def test_the_server_says_that_it_lives_and_that_it_can_write(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ready"}


def test_the_browser_client_is_served_and_asked_about_each_time(http: httpx.Client) -> None:
    answer = http.get("/client/cosession.js")
    assert answer.status_code == 200
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-cache"


def start_run(server: Server, session: str, run: str) -> None:
    """Start a run as an agent does: by an edit over a socket."""
    document = SessionDocument()
    document.runs.start(run, agent="bot", started_at="2026-01-01T00:00:00.000Z")
    with connect(server.ws_url(session, ext=1, user="bot", kind="agent")) as socket:
        socket.send(encode_frame(SyncUpdate(document.doc.get_update())))
        socket.send(encode_frame(Fence(b"1")))
        while not isinstance(decode_frame(bytes(socket.recv(10))), Fence):
            pass
