"""A repair saves what is whole, keeps the damaged database, and is done whole or not at all."""

import os
import random
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from storage.databases import damage, execute, write, write_compacted
from storage.rows import at, by_tens, by_turns, update, updates

from cosession.errors import SessionDeleted, StorageError
from cosession.storage import LoggedUpdate, Snapshot, SqliteStorage, Thin
from cosession.storage.repair import Mended, Remains, inspect, repair

pytestmark = pytest.mark.anyio

AT = "20260101-000000"


def fill(remains: Remains) -> Mended:
    """The plainest way to make a log whole: nothing takes the place of what is lost."""
    there = {row.version: row for row in remains.updates}
    rows = [
        there.get(version) or LoggedUpdate(remains.id, version, at(1), "server", None, b"")
        for version in range(1, remains.version + 1)
    ]
    title, created_at = (remains.info.title, remains.info.created_at) if remains.info else ("?", at(1))
    return Mended(title, created_at, tuple(rows), remains.snapshot, remains.damage)


async def test_what_is_whole_is_not_touched(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    before = path.read_bytes()
    assert repair(path, fill, AT) is None
    assert path.read_bytes() == before
    assert {name for name in os.listdir(tmp_path) if "damaged" in name or "repairing" in name} == set()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM updates WHERE session = 'trip' AND version = 15",
        "UPDATE updates SET bytes = zeroblob(9) WHERE session = 'trip' AND version = 15",
        "DELETE FROM sessions WHERE id = 'trip'",
        "UPDATE sessions SET version = 25 WHERE id = 'trip'",
        "UPDATE snapshots SET bytes = zeroblob(300)",
        "UPDATE sessions SET deleted_at = 'x' WHERE id = 'trip'",
        "DROP TABLE snapshots",
    ],
)
async def test_the_rest_is_saved_and_the_damaged_database_is_kept(tmp_path: Path, statement: str):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, statement)
    found = damage(path)
    done = repair(path, fill, AT)
    assert done is not None
    assert damage(path) == {}
    assert damage(done.aside) == found, "as it was"
    async with SqliteStorage.open(path) as storage:
        note = await storage.load("note")
        assert note is not None
        assert note.updates == tuple(updates("note", 1, 3))
        assert note.info.title == "NOTE"
        rows = await storage.history("trip")
        assert [row.version for row in rows] == list(range(1, 21))
        assert sum(row.update != b"" for row in rows) >= 19
        with pytest.raises(SessionDeleted):
            await storage.load("gone")
        await storage.append([update("trip", 21)])


@pytest.mark.parametrize("thin", [by_tens, by_turns])
async def test_a_repair_keeps_ranges_as_they_are(tmp_path: Path, thin: Thin):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path, thin)
    execute(path, "DELETE FROM updates WHERE version = 102", "UPDATE snapshots SET bytes = zeroblob(5)")

    def fill_one(remains: Remains) -> Mended:
        lost = LoggedUpdate("trip", 102, at(1), "server", None, b"")
        rows = sorted((*remains.updates, lost), key=lambda row: row.version)
        return Mended("", at(1), tuple(rows), None, remains.damage)

    assert repair(path, fill_one, AT) is not None
    assert damage(path) == {}
    async with SqliteStorage.open(path) as storage:
        log = await storage.history("trip")
        assert log[:-5] == tuple(thin([], updates("trip", 1, 100)))
        assert [row.version for row in log[-5:]] == [101, 102, 103, 104, 105]
        await storage.append([update("trip", 106)])


async def test_a_repair_forgets_nobody_whose_rows_were_thinned(tmp_path: Path):
    """Else whoever writes first under their client id after it would be taken for its owner."""
    path = tmp_path / "cosession.sqlite3"
    rows = [
        replace(row, client=row.version // 50, participant=f"p{row.version // 50}") for row in updates("t", 1, 110)
    ]
    async with SqliteStorage.open(path) as storage:
        await storage.create("t", title="", at=at(1))
        await storage.append(rows)
        await storage.save_snapshot(Snapshot("t", 100, b"x"))
        await storage.compact("t", by_tens)
        before = await storage.load("t")
    assert before is not None
    assert before.writers == {0: "p0", 1: "p1", 2: "p2"}
    execute(path, "UPDATE sessions SET version = 120 WHERE id = 't'")

    def keep_all(remains: Remains) -> Mended:
        return Mended("", at(1), remains.updates, remains.snapshot, remains.damage)

    assert repair(path, keep_all, AT) is not None
    async with SqliteStorage.open(path) as storage:
        after = await storage.load("t")
    assert after is not None
    assert after.writers == before.writers


async def test_broken_pages_cost_only_what_is_on_them(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    sessions = [f"s{number}" for number in range(20)]
    async with SqliteStorage.open(path) as storage:
        for session in sessions:
            await storage.create(session, title="", at=at(1))
            await storage.append([update(session, version, b"x" * 500) for version in range(1, 41)])
    whole = path.read_bytes()
    pages = len(whole) // 4096
    dice = random.Random(5)
    saved = 0
    for _ in range(10):
        broken = bytearray(whole)
        start = dice.randrange(6, pages) * 4096
        broken[start : start + 4096] = b"\xff" * 4096
        path.write_bytes(broken)
        done = repair(path, fill, AT)
        assert done is not None
        assert damage(path) == {}
        with inspect(path) as inspection:
            kept = sum(
                row.update != b"" for session in inspection.sessions for row in inspection.session(session).updates
            )
        saved += kept > 0.95 * 800
        done.aside.unlink()
    assert saved >= 8, "a page of the index itself costs more"


async def test_commits_that_were_not_in_the_file_yet_are_saved_and_kept_aside(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, "DELETE FROM updates WHERE session = 'trip' AND version = 15")
    copy = tmp_path / "killed.sqlite3"
    async with SqliteStorage.open(path) as storage:
        await storage.append([update("note", 4)])
        for ending in ("", "-wal"):
            shutil.copy(f"{path}{ending}", f"{copy}{ending}")
    done = repair(copy, fill, AT)
    assert done is not None
    for database in (copy, done.aside):
        with inspect(database) as inspection:
            assert inspection.session("note").version == 4


async def test_a_database_in_use_is_left_alone(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, "DELETE FROM updates WHERE session = 'trip' AND version = 15")
    async with SqliteStorage.open(path):
        with pytest.raises(StorageError, match="in use by another cosession server"):
            repair(path, fill, AT)
    assert damage(path)


@pytest.mark.parametrize("step", ["_set_aside", "_write", "_check", "_put_in_place"])
async def test_a_repair_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, "DELETE FROM updates WHERE session = 'trip' AND version = 15")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"cosession.storage.repair.rebuild.{step}", fail)
    with pytest.raises(StorageError, match=r"No space left .* as it was"):
        repair(path, fill, AT)
    assert path.read_bytes() == before
    assert not path.with_name(f"{path.name}.repairing").exists()


async def test_a_repair_that_is_killed_leaves_the_old_database_or_the_new_one(tmp_path: Path):
    """The last step is one transaction: cut off before its commit, all of the old is there."""
    path, new = tmp_path / "cosession.sqlite3", tmp_path / "new.sqlite3"
    await write(path)
    execute(path, "DELETE FROM updates WHERE session = 'trip' AND version = 15")
    await write(new)
    source, target = sqlite3.connect(new), sqlite3.connect(path)
    with pytest.raises(RuntimeError, match="killed"):
        source.backup(target, pages=3, progress=lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
    source.close()
    target.close()
    assert list(damage(path)) == ["trip"]


async def test_where_nothing_can_be_read_nothing_is_made_of_it(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, "DROP TABLE sessions", "DROP TABLE updates", "DROP TABLE snapshots")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="put back a backup"):
        repair(path, fill, AT)
    assert path.read_bytes() == before


async def test_a_snapshot_alone_is_kept(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, "DELETE FROM updates WHERE session = 'trip'")
    assert repair(path, fill, AT) is not None
    async with SqliteStorage.open(path) as storage:
        trip = await storage.load("trip")
    assert trip is not None
    assert trip.snapshot == Snapshot("trip", 10, b"ten" * 100)
