"""Invitations: who may invite makes a token for somebody else, never for more or longer than their own."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, good, make_pair
from hypothesis import given
from hypothesis import strategies as st
from processes import Server

from cosession.auth import CAPABILITIES, Capabilities
from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint

LEEWAY = 30.0


def bearer(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(good(**claims), secret_keys(SECRET)[0])}"}


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server that knows people by tokens."""
    return start_server(auth_secret=SECRET, auth_issuer="us", auth_audience="here", auth_leeway_seconds=LEEWAY)


@pytest.fixture
def ask(server: Server) -> Callable[..., httpx.Response]:
    """Ask for an invitation into the session `trip`, with these claims; the rest is the body."""

    def ask(by: dict[str, Any], **body: Any) -> httpx.Response:
        headers = bearer(iss="us", aud="here", **by)
        return httpx.post(f"{server.url}/sessions/trip/invitations", json=body, headers=headers)

    return ask


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_who_is_invited_comes_in_as_somebody_new_with_that_role_and_that_session_only(
    server: Server, ask: Callable[..., httpx.Response]
) -> None:
    answer = ask({"sub": "ada", "role": "admin", "sessions": ["trip"]}, role="member", name="Ben 🐙")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert made["role"] == "member"
    assert made["participant"] not in ("ada", "Ben 🐙")
    headers = {"authorization": f"Bearer {made['token']}"}
    sessions = f"{server.url}/sessions"
    assert httpx.post(sessions, json={"id": "trip"}, headers=headers).status_code == 201
    said = httpx.post(f"{sessions}/trip/messages", json={"text": "here I am"}, headers=headers)
    assert said.json()["metadata"]["author"] == made["participant"]
    assert httpx.get(f"{sessions}/other", headers=headers).status_code == 403
    assert httpx.delete(f"{sessions}/trip", headers=headers).status_code == 403
    again = httpx.post(f"{sessions}/trip/invitations", json={"role": "viewer"}, headers=headers)
    assert refusal(again) == (403, "auth.forbidden")


def test_two_invitations_are_two_people(ask: Callable[..., httpx.Response]) -> None:
    first, second = (ask({"role": "admin"}, role="viewer", name="Ben").json() for _ in range(2))
    assert first["participant"] != second["participant"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize("role", ["viewer", "member", "agent"])
def test_who_may_not_invite_gets_nothing(ask: Callable[..., httpx.Response], role: str) -> None:
    answer = ask({"role": role}, role="viewer")
    assert refusal(answer) == (403, "auth.forbidden")
    assert "'invite'" in answer.json()["detail"]


@pytest.mark.parametrize("role", ["admin", "agent"])
def test_nobody_is_invited_for_more_than_the_inviter_may(ask: Callable[..., httpx.Response], role: str) -> None:
    answer = ask({"role": "operator"}, role=role)
    assert refusal(answer) == (403, "auth.forbidden")
    assert "more than your own" in answer.json()["detail"]
    assert ask({"role": "operator"}, role="operator").status_code == 201


def test_a_path_of_the_state_is_not_the_whole_state(ask: Callable[..., httpx.Response]) -> None:
    narrow = [name for name in Capabilities.of("member").written() if not name.startswith("state:")]
    mine = {"role": None, "capabilities": [*narrow, "invite", "state:trip/flight"]}
    assert refusal(ask(mine, role="member")) == (403, "auth.forbidden")
    assert ask(mine, role="viewer").status_code == 201


def test_another_session_s_admin_invites_nobody_here(ask: Callable[..., httpx.Response]) -> None:
    assert refusal(ask({"role": "admin", "sessions": ["other"]}, role="viewer")) == (403, "auth.forbidden")
    mixed = {"role": "admin", "sessions": ["other"], "grants": {"trip": {"role": "member"}}}
    assert refusal(ask(mixed, role="viewer")) == (403, "auth.forbidden")


def test_an_invitation_never_outlasts_the_one_who_made_it(server: Server, ask: Callable[..., httpx.Response]) -> None:
    end = int(time.time()) + 600
    made = ask({"role": "admin", "exp": end}, role="admin", seconds=86400).json()
    assert made["expires_at"] == end
    child = {"authorization": f"Bearer {made['token']}"}
    again = httpx.post(f"{server.url}/sessions/trip/invitations", json={"role": "admin"}, headers=child).json()
    assert again["expires_at"] == end
    soon = ask({"role": "admin"}, role="viewer", seconds=60).json()
    assert soon["expires_at"] <= time.time() + 61
    month = 30 * 86400
    late = ask({"role": "admin", "exp": int(time.time()) + month}, role="viewer", seconds=month).json()
    assert late["expires_at"] <= time.time() + 7 * 86400


def test_in_its_last_moments_a_token_makes_none_that_lasts_longer(ask: Callable[..., httpx.Response]) -> None:
    end = int(time.time()) - 5
    assert ask({"role": "admin", "exp": end}, role="admin").json()["expires_at"] == end


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "owner"},
        {"role": "viewer", "seconds": 0},
        {"role": "viewer", "seconds": "1"},
        {"role": "viewer", "name": "x" * 129},
        {"role": "viewer", "sub": "ada"},
        {"role": "viewer", "sessions": ["*"]},
        {"role": ["admin"]},
    ],
)
def test_what_is_asked_wrongly_is_told(ask: Callable[..., httpx.Response], body: dict[str, Any]) -> None:
    assert refusal(ask({"role": "admin"}, **body)) == (422, "request.invalid")


def test_no_pattern_gets_in_by_the_name_of_a_session(server: Server) -> None:
    headers = bearer(iss="us", aud="here", role="admin")
    for session in ("*", "trip*", "%2A"):
        answer = httpx.post(f"{server.url}/sessions/{session}/invitations", json={"role": "viewer"}, headers=headers)
        assert refusal(answer) == (400, "session.bad_id")


def test_the_log_tells_who_invited_and_never_the_token(server: Server, ask: Callable[..., httpx.Response]) -> None:
    made = ask({"sub": "ada", "role": "admin"}, role="viewer", name="Ben").json()
    log = server.log.read_text()
    (line,) = [line for line in log.splitlines() if "session.invited" in line]
    for said in ("session=trip", "by=ada", made["id"], made["participant"], "role=viewer"):
        assert said in line
    assert made["token"] not in log


def test_an_invitation_can_be_revoked_by_its_id(server: Server, ask: Callable[..., httpx.Response]) -> None:
    made = ask({"role": "admin"}, role="viewer").json()
    guest = {"authorization": f"Bearer {made['token']}"}
    assert httpx.get(f"{server.url}/sessions", headers=guest).status_code == 200
    admin = bearer(iss="us", aud="here", role="admin")
    assert httpx.post(f"{server.url}/revocations", json={"token": made["id"]}, headers=admin).status_code == 201
    assert refusal(httpx.get(f"{server.url}/sessions/trip", headers=guest)) == (403, "auth.forbidden")


def test_who_was_revoked_invites_nobody(server: Server, ask: Callable[..., httpx.Response]) -> None:
    admin = bearer(iss="us", aud="here", role="admin", sub="op")
    assert httpx.post(f"{server.url}/revocations", json={"participant": "ada"}, headers=admin).status_code == 201
    assert refusal(ask({"sub": "ada", "role": "admin"}, role="viewer")) == (403, "auth.forbidden")


def test_a_server_without_a_secret_says_what_to_do(start_server: Callable[..., Server], tmp_path: Path) -> None:
    open_to_all = start_server()
    answer = httpx.post(f"{open_to_all.url}/sessions/trip/invitations", json={"role": "viewer"})
    assert refusal(answer) == (501, "auth.cannot_sign")
    assert "COSESSION_AUTH_SECRET" in answer.json()["detail"]
    pair = make_pair("EdDSA")
    (tmp_path / "public.pem").write_text(pair.public)
    guarded = start_server(auth_key_file=tmp_path / "public.pem")
    headers = {"authorization": f"Bearer {pair.sign(role='admin')}"}
    address = f"{guarded.url}/sessions/trip/invitations"
    for answer in (
        httpx.get(address, headers=headers),
        httpx.post(address, headers=headers, json={"role": "viewer"}),
    ):
        assert refusal(answer) == (501, "auth.cannot_sign")
        assert "issuer" in answer.json()["detail"]


def test_the_roles_that_one_may_invite_for_are_told(server: Server) -> None:
    def told(role: str) -> httpx.Response:
        headers = bearer(iss="us", aud="here", role=role)
        return httpx.get(f"{server.url}/sessions/trip/invitations", headers=headers)

    assert told("operator").json() == {"roles": ["viewer", "member", "operator"]}
    assert told("admin").json()["roles"] == ["viewer", "member", "agent", "operator", "admin"]
    assert refusal(told("member")) == (403, "auth.forbidden")


WRITTEN = st.lists(
    st.sampled_from([*CAPABILITIES, "state:*", "state:a", "state:a/b", "text:*", "text:notes"]), max_size=8
)


@given(WRITTEN, WRITTEN)
def test_what_includes_others_may_all_that_they_may(mine: list[str], theirs: list[str]) -> None:
    more, less = Capabilities.parse(mine), Capabilities.parse(theirs)
    paths = [(), ("a",), ("a", "b"), ("a", "c"), ("z",)]
    allowed = [
        {*filter(each.may, CAPABILITIES), *filter(each.may_state, paths), *filter(each.may_text, ("notes", "*"))}
        for each in (more, less)
    ]
    assert more.include(less) == (allowed[1] <= allowed[0])
