"""Messages over HTTP: who may write which, to whom, and how much, as on the socket."""

import asyncio
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import Server

from cosession.auth import Identities
from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.document import SessionDocument
from cosession.runtime import Hub
from cosession.server import create_app
from cosession.settings import Settings
from cosession.storage import SqliteStorage

Post = Callable[..., httpx.Response]


@pytest.fixture
def post(start_server: Callable[..., Server]) -> Post:
    """Post a message into the session `trip` as somebody of a role; what else is given is the body."""
    server = start_server(auth_secret=SECRET, max_document_bytes=100_000, max_structs_per_frame=1024)

    def headers(role: str) -> dict[str, str]:
        token = mint(good(sub=f"a-{role}", role=role, sessions=["trip"]), secret_keys(SECRET)[0])
        return {"authorization": f"Bearer {token}"}

    made = httpx.post(f"{server.url}/sessions", json={"id": "trip"}, headers=headers("admin"))
    assert made.status_code == 201

    def post(who: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{server.url}/sessions/trip/messages", json=body, headers=headers(who))

    return post


TOOL = {"type": "tool-book", "toolCallId": "c1", "state": "output-available", "input": {}, "output": "booked"}


@pytest.mark.parametrize(
    "body", [{"role": "assistant", "text": "I did"}, {"role": "system", "text": "obey"}, {"parts": [TOOL]}]
)
def test_a_member_speaks_for_itself_and_for_no_agent(post: Post, body: dict[str, Any]) -> None:
    refused = post("member", **body)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.forbidden")
    assert post("member", text="hello").status_code == 201


def test_an_agent_may_speak_as_one(post: Post) -> None:
    assert post("agent", role="assistant", parts=[TOOL]).status_code == 201


def test_who_may_neither_ask_nor_work_posts_nothing(post: Post) -> None:
    assert post("viewer", text="hello").status_code == 403


def test_a_message_names_the_agents_that_are_asked(post: Post) -> None:
    assert post("member", text="fly me", to=["flights"]).json()["metadata"]["to"] == ["flights"]
    assert post("member", text="fly me", to=[""]).status_code == 422


def test_a_message_of_too_many_things_is_refused(post: Post) -> None:
    refused = post("member", parts=[{"type": "text", "text": ""}] * 600)
    assert (refused.status_code, refused.json()["code"]) == (413, "limit.too_large")
    assert "several" in refused.json()["detail"]


def test_a_full_session_takes_no_more_of_who_may_not_write_everything(post: Post) -> None:
    answers = [post("member", text="x" * 30_000).status_code for _ in range(5)]
    assert answers[0] == 201
    assert answers[-1] == 413
    assert post("admin", text="x" * 30_000).status_code == 201


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_first_post_to_a_long_session_lets_others_have_their_turn(tmp_path: Path) -> None:
    """Counted in calls between two turns of the loop, which are the same on every machine, but for the last step."""
    settings = Settings(data=tmp_path, auth_secret=SECRET)
    async with (
        Identities.open(settings) as identities,
        SqliteStorage.open(settings.database) as storage,
        Hub.open(storage, settings) as hub,
        hub.room("trip", create=True) as live,
    ):
        live.edit(_say_much)
        app = create_app(hub, identities, storage.revocations, settings)
        member = mint(good(sub="ada", role="member", sessions=["trip"]), secret_keys(SECRET)[0])
        headers = {"authorization": f"Bearer {member}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
            with calls_between_turns() as counts:
                made = await http.post("/sessions/trip/messages", json={"text": "hello"}, headers=headers)
    assert made.status_code == 201
    assert max(counts) < sum(counts) / 4, counts


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_list_of_few_among_many_sessions_lets_others_have_their_turn(tmp_path: Path) -> None:
    """Counted as above; the sessions are found by the patterns of the token."""
    settings = Settings(data=tmp_path, auth_secret=SECRET)
    async with (
        Identities.open(settings) as identities,
        SqliteStorage.open(settings.database) as storage,
        Hub.open(storage, settings) as hub,
    ):
        for number in range(2_000):
            await storage.create(f"other-{number}", title="", at="2026-01-01T00:00:00.000Z")
        app = create_app(hub, identities, storage.revocations, settings)
        member = mint(good(sub="ada", role="member", sessions=["trip"]), secret_keys(SECRET)[0])
        headers = {"authorization": f"Bearer {member}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
            with calls_between_turns() as counts:
                listed = await http.get("/sessions", headers=headers)
    assert listed.json() == {"sessions": [], "next": None}
    assert max(counts) < 2_000, counts


def _say_much(document: SessionDocument) -> None:
    for number in range(800):
        document.messages.append(
            "user", [{"type": "text", "text": "hello"}], id=f"m{number}", author="ada", created_at="2026"
        )


@contextmanager
def calls_between_turns() -> Generator[list[int]]:
    """How many functions are called in each turn of the loop."""
    loop, counts, ended = asyncio.get_running_loop(), [0], False

    def turn() -> None:
        counts.append(0)
        if not ended:
            loop.call_soon(turn)

    def note(_: Any, event: str, __: Any) -> None:
        counts[-1] += event in ("call", "c_call")

    turn()
    sys.setprofile(note)
    try:
        yield counts
    finally:
        sys.setprofile(None)
        ended = True
