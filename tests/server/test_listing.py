"""`GET /sessions`: pages, and the cursors between them."""

import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import httpx
from auth.conftest import SECRET, good
from processes import Server
from websockets.sync.client import connect

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint


def bearer(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(good(**claims), secret_keys(SECRET)[0])}"}


def follow(http: httpx.Client, **query: str | int) -> list[list[dict[str, Any]]]:
    """Read all pages."""
    pages: list[list[dict[str, Any]]] = []
    answer = http.get("/sessions", params=query).json()
    pages.append(answer["sessions"])
    while answer["next"] is not None:
        answer = http.get("/sessions", params={**query, "after": answer["next"]}).json()
        pages.append(answer["sessions"])
    return pages


def ids(sessions: list[dict[str, Any]]) -> list[str]:
    return [session["id"] for session in sessions]


def fill(server: Server, names: list[str]) -> None:
    """Write sessions into a server's database, all of one time but the first, which is the oldest."""
    with closing(sqlite3.connect(server.data / "cosession.sqlite3")) as db:
        row = "INSERT INTO sessions VALUES (?, '', ?, ?, 0, NULL)"
        times = ["2026-01-01T00:00:00.000Z", *["2026-01-02T00:00:00.000Z"] * (len(names) - 1)]
        db.executemany(row, [(name, at, at) for name, at in zip(names, times, strict=True)])
        db.commit()


def test_pages_of_sessions_joined_are_the_list_and_the_last_has_no_next(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/sessions").json() == {"sessions": [], "next": None}
        for name in ("é", "b/ü", "c d", "🧭" * 128, "e"):
            assert http.post("/sessions", json={"id": name}).status_code == 201
        [whole] = follow(http)
        assert len(whole) == 5
        pages = follow(http, limit=2)
        assert [len(page) for page in pages] == [2, 2, 1]
        assert [session for page in pages for session in page] == whole
        assert [len(page) for page in follow(http, limit=5)] == [5]


def test_a_cursor_outlives_the_server_and_what_is_written_meanwhile(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with httpx.Client(base_url=server.url) as http:
        for name in ("a", "b", "c", "d"):
            http.post("/sessions", json={"id": name})
        first = http.get("/sessions", params={"limit": 2}).json()
        assert ids(first["sessions"]) == ["d", "c"]
        http.post("/sessions/a/messages", json={"text": "now the newest"})
        http.delete("/sessions/c")
        http.post("/sessions", json={"id": "e"})
    server.kill()
    server.start()
    with httpx.Client(base_url=server.url) as http:
        rest = http.get("/sessions", params={"limit": 2, "after": first["next"]}).json()
        assert (ids(rest["sessions"]), rest["next"]) == (["b"], None)


def test_what_is_no_cursor_of_this_server_is_refused_with_a_sentence(start_server: Callable[..., Server]) -> None:
    server, other = start_server(), start_server()
    cursors: list[str] = []
    for one in (server, other):
        with httpx.Client(base_url=one.url) as http:
            for name in ("a", "b"):
                http.post("/sessions", json={"id": name})
            cursors.append(http.get("/sessions", params={"limit": 1}).json()["next"])
    mine, foreign = cursors
    bent = mine[:-3] + ("AAA" if mine[-3:] != "AAA" else "BBB")
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/sessions", params={"after": mine}).status_code == 200
        for wrong in ("", "b", "AAAA", "ü", "a b", "=", "\0", bent, mine[:-1], mine + "AAAA", foreign, "A" * 4000):
            answer = http.get("/sessions", params={"after": wrong})
            assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid"), wrong
            assert "`after` must be the `next` of an earlier page" in answer.json()["detail"]
            assert len(answer.json()["detail"]) < 200


def test_few_sessions_of_many_are_found_and_the_others_are_not_named(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(auth_secret=SECRET)
    fill(server, ["trip-1", *(f"hidden-{number}" for number in range(5000)), "trip-2", "trip-3"])
    viewer: dict[str, Any] = {"role": "viewer"}
    nothing: dict[str, Any] = {"capabilities": []}
    for grants in ({"trip-*": viewer}, {"trip-1": viewer, "trip-2": viewer, "trip-3": viewer}):
        with httpx.Client(base_url=server.url, headers=bearer(sub="ada", sessions=[], grants=grants)) as http:
            pages = [ids(page) for page in follow(http, limit=2)]
            assert pages == [["trip-2", "trip-3"], ["trip-1"]]
    hiding = {"*": viewer, "hidden-*": nothing}
    with httpx.Client(base_url=server.url, headers=bearer(sub="ada", sessions=[], grants=hiding)) as http:
        pages = [ids(page) for page in follow(http)]
        assert [name for page in pages for name in page] == ["trip-2", "trip-3", "trip-1"]
        assert len(pages) > 1
        cursor = http.get("/sessions").json()["next"]
        assert b"hidden" not in urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def test_occupied_sessions_are_listed_in_pages(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with httpx.Client(base_url=server.url) as http, ExitStack() as sockets:
        for name in ("a", "b", "c", "d"):
            http.post("/sessions", json={"id": name})
        for name in ("a", "c", "d"):
            sockets.enter_context(connect(server.ws_url(name))).recv()
        pages = follow(http, occupied=1, limit=2)
        assert [ids(page) for page in pages] == [["d", "c"], ["a"]]
        assert {session["connections"] for page in pages for session in page} == {1}
