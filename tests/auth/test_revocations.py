"""Access that is taken away stays away: over restarts and repairs, in every door, until it is given back."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, good
from hypothesis import given
from hypothesis import strategies as st
from processes import Server
from pycrdt import Map
from runtime.channels import MemoryChannel
from wire import Wire

from cosession.auth import Capabilities, Grant, Identities, Participant, Scope
from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.errors import NotAllowed
from cosession.runtime import Hub
from cosession.server.token_renewal import Renewals
from cosession.settings import Settings
from cosession.storage import Revocation, SqliteStorage
from cosession.storage.migrations import MIGRATIONS, migrate
from cosession.storage.repair import Mended, repair
from cosession.storage.revocations import Revocations

pytestmark = pytest.mark.anyio

AT = "2026-11-21T12:00:00.000Z"


def revocation(number: int = 1, **names: str) -> Revocation:
    known: dict[str, str | None] = {"participant": None, "token": None, "session": None, **names}
    return Revocation(f"r{number}", **known, reason="why", by="op", at=AT, by_admin=False)  # type: ignore[arg-type]


def participant(name: str, token: str | None = None, role: str = "member") -> Participant:
    return Participant(name, name, capabilities=Capabilities.of(role), token_id=token)


async def test_a_revocation_survives_a_restart_until_it_is_lifted(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path) as storage:
        await storage.revocations.add(revocation(participant="ada"))
        assert storage.revocations.is_revoked(participant("ada"), "trip")
    async with SqliteStorage.open(path) as storage:
        assert [one.participant for one in storage.revocations] == ["ada"]
        assert storage.revocations.is_revoked(participant("ada"), "trip")
        assert await storage.revocations.lift("r1")
        assert not await storage.revocations.lift("r1")
    async with SqliteStorage.open(path) as storage:
        assert not storage.revocations.is_revoked(participant("ada"), "trip")


NAMES = st.sampled_from([None, "a", "b"])


@given(st.lists(st.tuples(NAMES, NAMES, NAMES).filter(any), max_size=4), NAMES.filter(bool), NAMES, NAMES)
def test_it_holds_where_everything_that_it_names_meets(
    revoked: list[tuple[str | None, str | None, str | None]], who: str, token: str | None, session: str | None
):
    known = {
        str(number): Revocation(str(number), *names, "", "op", AT, by_admin=False)
        for number, names in enumerate(revoked)
    }
    asked = (who, token, session)
    expected = any(
        all(name is None or name == value for name, value in zip(names, asked, strict=True)) for names in revoked
    )
    assert Revocations(None, known).is_revoked(participant(who, token), session) == expected  # type: ignore[arg-type]


ROLES = st.sampled_from(["viewer", "member", "agent", "operator", "admin"])
SCOPES = st.dictionaries(st.sampled_from(["*", "a", "b"]), ROLES, min_size=1)


@given(SCOPES, NAMES, st.booleans(), NAMES)
def test_a_revocation_binds_admins_only_when_an_admin_made_it(
    scopes: dict[str, str], place: str | None, by_admin: bool, session: str | None
):
    one = Revocation("r1", "ada", None, place, "", "op", AT, by_admin=by_admin)
    revocations = Revocations(None, {"r1": one})  # type: ignore[arg-type]
    held = tuple(Scope(pattern, Capabilities.of(role)) for pattern, role in scopes.items())
    grant = Grant("ada", "Ada", "human", held)
    # What belongs to no session is open to an admin of any.
    admin = "admin" in (scopes.values() if session is None else {scopes.get(session, scopes.get("*"))})
    expected = place in (None, session) and (by_admin or not admin)
    assert revocations.is_revoked(grant, session) == expected
    if session is not None and grant.capabilities(session) is not None:
        assert revocations.is_revoked(grant.participant(session), session) == expected


@pytest.mark.parametrize("by_admin", [True, False])
async def test_it_stays_known_over_restarts_and_repairs_whether_an_admin_made_it(tmp_path: Path, by_admin: bool):
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=AT)
        await storage.revocations.add(replace(revocation(participant="ada"), by_admin=by_admin))
    for _ in range(2):
        async with SqliteStorage.open(path) as storage:
            assert storage.revocations.is_revoked(participant("ada", role="admin"), "trip") == by_admin
            assert storage.revocations.is_revoked(participant("ada", role="operator"), "trip")
        assert repair(path, lambda remains: Mended("", AT, (), None, ("emptied",)), "now" + str(_)) is not None


async def test_a_revocation_of_an_older_version_binds_everybody_as_it_did(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    old = sqlite3.connect(path, isolation_level=None)
    migrate(old, "db", MIGRATIONS[:5])
    old.execute("INSERT INTO revocations VALUES ('r1', 'ada', NULL, NULL, '', 'op', ?)", (AT,))
    old.close()
    async with SqliteStorage.open(path) as storage:
        assert storage.revocations.is_revoked(participant("ada", role="admin"), "trip")


async def test_observers_hear_of_a_revocation_once_it_is_kept(tmp_path: Path):
    heard: list[str] = []
    async with SqliteStorage.open(tmp_path / "cosession.sqlite3") as storage:
        with storage.revocations.observe(lambda one: heard.append(one.id)):
            await storage.revocations.add(revocation(1, session="trip"))
        await storage.revocations.add(revocation(2, session="trip"))
    assert heard == ["r1"]


async def test_a_repair_gives_nobody_access_back(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=AT)
        await storage.revocations.add(revocation(participant="ada"))
    repaired = repair(path, lambda remains: Mended("", AT, (), None, ("emptied",)), "now")
    assert repaired is not None
    async with SqliteStorage.open(path) as storage:
        assert storage.revocations.is_revoked(participant("ada"))


def bearer(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {token(**claims)}"}


def token(**claims: Any) -> str:
    return mint(good(**claims), secret_keys(SECRET)[0])


async def test_who_loses_access_while_the_session_is_loaded_does_not_come_in(tmp_path: Path):
    async with (
        Identities.open(Settings()) as identities,
        SqliteStorage.open(tmp_path / "cosession.sqlite3") as storage,
        Hub.open(storage, Settings()) as hub,
    ):
        grants, channel = Renewals(identities, storage.revocations), MemoryChannel("trip")
        await storage.revocations.add(revocation(participant="ada"))
        with pytest.raises(NotAllowed):
            async with asyncio.timeout(60):
                await hub.serve(channel, participant("ada"), grants=grants)
        assert channel.heard.empty()
        assert hub.connections("trip") == 0


async def test_an_operator_takes_access_away_and_gives_it_back(start_server: Callable[..., Server]):
    server = start_server(auth_secret=SECRET)
    operator = bearer(sub="op", role="operator", kind="operator")
    async with httpx.AsyncClient(base_url=server.url) as http:
        for session in ("trip", "other"):
            assert (await http.post("/sessions", json={"id": session}, headers=operator)).status_code == 201

        async def reads(session: str, **claims: Any) -> int:
            return (await http.get(f"/sessions/{session}", headers=bearer(**claims))).status_code

        async def revoke(**names: str) -> str:
            answer = await http.post("/revocations", json=names, headers=operator)
            assert answer.status_code == 201
            return answer.json()["id"]

        first = await revoke(participant="ada", session="trip", reason="left the project")
        assert [await reads("trip"), await reads("other"), await reads("trip", sub="bo")] == [403, 200, 200]
        listed = (await http.get("/sessions", headers=bearer())).json()["sessions"]
        assert [entry["id"] for entry in listed] == ["other"]
        async with Wire.open(server, "trip", synced=False, token=token()) as wire:
            code, reason = await wire.wait_closed()
        assert (code, "taken away" in reason) == (4403, True)

        await revoke(token="t-1")
        assert [await reads("other", jti="t-1"), await reads("other", jti="t-2")] == [403, 200]
        server.kill()
        server.start()
        assert [await reads("trip"), await reads("other", jti="t-1")] == [403, 403]

        known = (await http.get("/revocations", headers=operator)).json()["revocations"]
        assert [(one.get("participant"), one.get("token"), one["by"]) for one in known] == [
            ("ada", None, "op"),
            (None, "t-1", "op"),
        ]
        assert (await http.delete(f"/revocations/{first}", headers=operator)).status_code == 204
        assert (await http.delete(f"/revocations/{first}", headers=operator)).status_code == 404
        assert await reads("trip") == 200


async def test_nobody_else_revokes_and_nobody_lifts_their_own(start_server: Callable[..., Server]):
    server = start_server(auth_secret=SECRET)
    async with httpx.AsyncClient(base_url=server.url) as http:

        async def revoke(headers: dict[str, str], **names: Any) -> int:
            return (await http.post("/revocations", json=names, headers=headers)).status_code

        local = bearer(sub="op", sessions=["trip"], role="operator")
        assert await revoke(bearer(), participant="bo") == 403
        assert await revoke(local, participant="bo") == 403
        assert await revoke(local, participant="bo", session="other") == 403
        assert await revoke(local, participant="bo", session="trip") == 201
        assert await revoke(bearer(role="admin"), reason="nothing named") == 422
        assert (await http.get("/revocations")).status_code == 401
        assert (await http.get("/revocations", headers=bearer())).json() == {"revocations": []}

        assert await revoke(bearer(sub="boss", role="admin"), participant="op") == 201
        assert await revoke(local, participant="boss", session="trip") == 403
        assert (await http.get("/revocations", headers=local)).status_code == 403


async def test_an_operator_takes_nothing_from_an_admin(start_server: Callable[..., Server]):
    server = start_server(auth_secret=SECRET)
    root = {"sub": "root", "role": "admin", "jti": "t-root"}
    admin, operator = bearer(**root), bearer(sub="op", role="operator")
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.post("/sessions", json={"id": "trip"}, headers=admin)).status_code == 201

        async def revoke(headers: dict[str, str], **names: str) -> httpx.Response:
            return await http.post("/revocations", json=names, headers=headers)

        async def reads(headers: dict[str, str]) -> int:
            return (await http.get("/sessions/trip", headers=headers)).status_code

        targets = ({"participant": "root"}, {"token": "t-root"}, {"participant": "root", "session": "trip"})
        async with Wire.open(server, "trip", ext=1, token=token(**root)) as wire:
            for names in targets:
                answer = await revoke(operator, **names)
                assert (answer.status_code, "another admin" in answer.json()["detail"]) == (403, True)
            assert (await revoke(operator, session="trip")).status_code == 201, "it is closed to all but admins"
            assert [await reads(admin), await reads(operator)] == [200, 403]
            await wire.edit(lambda doc: doc.get("state", type=Map).update({"still": "here"}))
            await wire.fence()
            assert wire.closed is None
        for names in targets:  # an admin who isn't connected is known by the token only
            assert (await revoke(operator, **names)).status_code == 201
        assert await reads(admin) == 200
        assert (await http.get("/sessions", headers=admin)).status_code == 200
        assert await reads(bearer(sub="root", role="operator")) == 403
        async with Wire.open(server, "trip", ext=1, token=token(**root)) as wire:
            assert (await revoke(bearer(sub="boss", role="admin"), participant="root")).status_code == 201
            assert (await wire.wait_closed())[0] == 4401
        assert await reads(admin) == 403


async def test_an_operator_does_not_give_back_what_an_admin_took(start_server: Callable[..., Server]):
    server = start_server(auth_secret=SECRET)
    admin, operator = bearer(sub="root", role="admin"), bearer(sub="op", role="operator")
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/revocations", json={"participant": "deputy"}, headers=admin)
        path = f"/revocations/{answer.json()['id']}"
        assert (await http.get("/revocations", headers=operator)).json() == {"revocations": []}
        assert (await http.delete(path, headers=operator)).status_code == 404
        assert (await http.delete(path, headers=admin)).status_code == 204


async def test_an_operator_of_all_who_is_admin_of_one_loses_all_the_others(start_server: Callable[..., Server]):
    server = start_server(auth_secret=SECRET)
    mixed = bearer(sub="op", role="operator", grants={"mine": {"role": "admin"}})
    async with httpx.AsyncClient(base_url=server.url) as http:

        async def revoke(headers: dict[str, str], **names: str) -> int:
            return (await http.post("/revocations", json=names, headers=headers)).status_code

        assert await revoke(mixed, participant="bo") == 201
        assert await revoke(bearer(sub="chief", role="operator"), participant="op") == 201
        assert await revoke(mixed, participant="bo") == 403
        assert await revoke(mixed, participant="bo", session="trip") == 403
        assert await revoke(mixed, participant="bo", session="mine") == 201


async def test_who_lost_a_session_neither_gets_it_back_nor_takes_it_from_others(start_server: Callable[..., Server]):
    server = start_server(auth_secret=SECRET)
    chief, deputy = bearer(sub="chief", role="operator"), bearer(sub="deputy", role="operator")
    local = bearer(sub="op", sessions=["trip"], role="operator", jti="t-1")
    async with httpx.AsyncClient(base_url=server.url) as http:

        async def revoke(headers: dict[str, str], **names: Any) -> str:
            answer = await http.post("/revocations", json={**names, "session": "trip"}, headers=headers)
            return answer.json()["id"] if answer.status_code == 201 else str(answer.status_code)

        async def lift(headers: dict[str, str], revocation: str) -> int:
            return (await http.delete(f"/revocations/{revocation}", headers=headers)).status_code

        for names in ({"participant": "op"}, {"token": "t-1"}, {"participant": "op", "token": "t-1"}, {}):
            taken = await revoke(chief, **names)
            assert await lift(local, taken) == 404
            assert (await http.get("/revocations", headers=local)).json() == {"revocations": []}
            assert await revoke(local, participant="chief") == "403"
            assert await lift(chief, taken) == 204
            assert await lift(local, await revoke(local, participant="bo")) == 204

        own = await revoke(deputy, participant="chief")
        assert await lift(chief, own) == 404
        assert await lift(chief, await revoke(chief)) == 204, "a session is closed and opened again"
        assert await lift(deputy, own) == 204
