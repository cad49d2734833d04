"""Approvals and policies over HTTP, against a real process: who votes, what is refused, and what a kill leaves."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from processes import Server
from websockets.sync.client import connect

from cosession.document import SessionDocument
from cosession.protocol import Fence, SyncUpdate, decode_frame, encode_frame

AT = "2026-01-01T00:00:00.000Z"
LIMIT = {"type": "object", "properties": {"limit": {"type": "number", "maximum": 500}}}


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        client.post("/sessions", json={"id": "trip"})
        yield client


def write(server: Server, change: Callable[[SessionDocument], object]) -> None:
    """Write as an agent does, until it is stored."""
    document = SessionDocument()
    change(document)
    with connect(server.ws_url("trip", ext=1, user="bot", kind="agent")) as socket:
        socket.send(encode_frame(SyncUpdate(document.doc.get_update())))
        socket.send(encode_frame(Fence(b"1")))
        while not isinstance(decode_frame(bytes(socket.recv(10))), Fence):
            pass


def ask(server: Server, **fields: Any) -> None:
    def both(document: SessionDocument) -> None:
        document.runs.start("r1", agent="bot", started_at=AT)
        document.approvals.ask("r1/1", question="Book?", created_at=AT, run="r1", **fields)

    write(server, both)


def vote(http: httpx.Client, user: str, decision: str = "approved", **more: Any) -> httpx.Response:
    return http.post(f"/sessions/trip/approvals/r1%2F1?user={user}", json={"decision": decision, **more})


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_votes_are_counted_and_the_decision_is_answered(server: Server, http: httpx.Client) -> None:
    ask(server, value={"limit": 200}, quorum=2)

    unclear = vote(http, "ada")
    assert code(unclear) == (422, "request.invalid")
    assert "'value'" in unclear.json()["detail"]
    first = vote(http, "ada", value={"limit": 200}).json()
    assert (first["id"], first["votes"]["ada"]["value"], first.get("decision")) == ("r1/1", {"limit": 200}, None)
    second = vote(http, "bob", value={"limit": 200}).json()

    assert (second["decision"]["decision"], second["decision"]["by"]) == ("approved", ["ada", "bob"])
    assert code(vote(http, "eve", "rejected")) == (409, "approval.closed")


def test_a_vote_that_does_not_count_is_refused_with_the_reason(server: Server, http: httpx.Client) -> None:
    assert code(vote(http, "ada")) == (404, "approval.unknown")
    ask(server, value={"limit": 900}, schema=LIMIT, who=["ada"])

    assert code(vote(http, "bob")) == (403, "auth.forbidden")
    assert code(vote(http, "bot")) == (403, "auth.forbidden")
    assert code(vote(http, "ada", "perhaps")) == (422, "request.invalid")
    misfit = vote(http, "ada", value={"limit": 900})
    assert code(misfit) == (422, "request.invalid")
    assert "limit: 900 is greater than the maximum of 500" in misfit.json()["detail"]
    assert http.get("/sessions/trip").json()["document"]["approvals"]["r1/1"]["votes"] == {}


def test_what_was_voted_and_decided_survives_a_kill(server: Server, http: httpx.Client) -> None:
    ask(server, quorum=2)
    vote(http, "ada")
    server.kill()
    server.start()

    vote(http, "bob")
    server.kill()
    server.start()

    approval = http.get("/sessions/trip").json()["document"]["approvals"]["r1/1"]
    assert approval["decision"]["by"] == ["ada", "bob"]
    assert code(vote(http, "eve", "rejected")) == (409, "approval.closed")


def test_a_session_is_made_with_its_policy(server: Server, http: httpx.Client) -> None:
    made = http.post("/sessions", json={"id": "other", "policy": {"agents": ["bot"], "double_texting": "steer"}})

    assert made.json()["document"]["meta"]["policy"] == {"agents": ["bot"], "double_texting": "steer"}
    assert "policy" not in http.get("/sessions/trip").json()["document"]["meta"]
    for wrong in ({"double_texting": "shout"}, {"agents": "bot"}, {"agent": ["bot"]}):
        assert http.post("/sessions", json={"id": "none", "policy": wrong}).status_code == 422
    assert http.get("/sessions/none").status_code == 404


def test_every_new_session_has_the_agents_that_the_server_was_given(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(agents='["planner", "flights"]')
    with httpx.Client(base_url=server.url) as http:
        plain = http.post("/sessions", json={"id": "plain"}).json()["document"]["meta"]["policy"]
        steered = http.post("/sessions", json={"id": "steered", "policy": {"double_texting": "steer"}}).json()

    assert plain == {"agents": ["planner", "flights"], "double_texting": "queue"}
    assert steered["document"]["meta"]["policy"] == {"agents": ["planner", "flights"], "double_texting": "steer"}
