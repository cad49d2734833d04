"""Damage: said when it is met, never shown as an empty, a shorter or another session."""

import random
import sqlite3
from pathlib import Path

import pytest
from storage.databases import execute, write_compacted, write_one
from storage.rows import at, by_tens, update, updates

from cosession.errors import StorageError
from cosession.storage import LoadedSession, Snapshot, SqliteStorage, segments
from cosession.storage.repair import inspect
from cosession.storage.segments import Chapter

pytestmark = pytest.mark.anyio


async def load_or_refuse(path: Path) -> bool:
    """Whether the session is refused; else it is whole: a lost snapshot is made good by the log."""
    try:
        found = await load(path)
    except StorageError:
        return True
    assert found is not None
    if found.snapshot is None:
        assert found.updates == tuple(updates("trip", 1, 20))
    else:
        assert found.snapshot == Snapshot("trip", 10, b"ten" * 100)
        assert found.updates == tuple(updates("trip", 11, 20))
    return False


async def load(path: Path) -> LoadedSession | None:
    """Open the database and load its session."""
    async with SqliteStorage.open(path) as storage:
        return await storage.load("trip")


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM updates WHERE version = 15",
        "DELETE FROM updates WHERE version = 11",
        "DELETE FROM updates WHERE version >= 18",
        "DELETE FROM updates",
        "DELETE FROM sessions",
        "UPDATE updates SET bytes = zeroblob(9) WHERE version = 15",
        "UPDATE updates SET bytes = x'' WHERE version = 20",
        "UPDATE updates SET at = 'never' WHERE version = 12",
        "UPDATE updates SET participant = 'mallory' WHERE version = 12",
        "UPDATE updates SET client = NULL WHERE version = 12",
        "UPDATE updates SET version = 21 WHERE version = 20",
        "UPDATE sessions SET version = 19",
        "UPDATE sessions SET version = 5",
        "UPDATE sessions SET version = 0",
        "UPDATE sessions SET version = 25",
        "UPDATE snapshots SET version = 12",
        "UPDATE snapshots SET bytes = zeroblob(300)",
        "DROP TABLE snapshots",
        "DROP TABLE updates",
    ],
)
async def test_a_damaged_session_is_not_loaded(tmp_path: Path, damage: str):
    path = tmp_path / "cosession.sqlite3"
    await write_one(path)
    execute(path, damage)
    with pytest.raises(StorageError):
        await load(path)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM chapters",
        "UPDATE chapters SET bytes = zeroblob(90)",
        "UPDATE chapters SET first = 2",
        "UPDATE chapters SET version = 99",
        "UPDATE chapters SET codec = 0",
        "UPDATE chapters SET session = 'other'",
        "DROP TABLE chapters",
    ],
)
async def test_damaged_chapters_are_not_shown_and_do_not_hold_up_a_snapshot(tmp_path: Path, damage: str):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path)
    execute(path, damage, "DELETE FROM snapshots")
    async with SqliteStorage.open(path) as storage:
        with pytest.raises(StorageError):
            await storage.load("trip")
        with pytest.raises(StorageError):
            await storage.history("trip")
        if "DROP" not in damage:
            assert await storage.history("trip", after=100) == tuple(updates("trip", 101, 105))


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_log_of_several_chapters_is_not_shown_without_one_of_them(tmp_path: Path, lost: int):
    path = tmp_path / "cosession.sqlite3"
    rows = [update("trip", version, bytes(6000)) for version in range(1, 101)]
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=at(1))
        await storage.append(rows)
        await storage.save_snapshot(Snapshot("trip", 100, b"x"))
        await storage.compact("trip", by_tens)
        segments = await storage._reader.run(lambda db: db.execute("SELECT first, version FROM chapters").fetchall())
    assert len(segments) == 3
    first, last = segments[lost]
    execute(path, f"DELETE FROM chapters WHERE first = {first}", "DELETE FROM snapshots")
    async with SqliteStorage.open(path) as storage:
        with pytest.raises(StorageError):
            await storage.load("trip")
        with pytest.raises(StorageError):
            await storage.history("trip", after=first - 1, limit=1)
        after = await storage.history("trip", after=last)
        assert after == tuple(by_tens([], rows))[len(by_tens([], rows[:last])) :]


@pytest.mark.parametrize("table", ["chapters", "snapshots"])
async def test_what_a_newer_version_compressed_is_said_and_not_guessed(tmp_path: Path, table: str):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"UPDATE {table} SET codec = 9")
    if table == "chapters":
        db.execute("DELETE FROM snapshots")
        (first, version, data) = db.execute("SELECT first, version, bytes FROM chapters").fetchone()
        checksum = segments._checksum(Chapter("trip", first, version, 9, data, 0))
        db.execute("UPDATE chapters SET checksum = ?", (checksum,))
    db.close()
    with pytest.raises(StorageError, match="codec 9, which this version of cosession doesn't know: use a newer one"):
        await load(path)
    with inspect(path) as inspection:
        assert any("codec 9" in what for what in inspection.session("trip").damage)


async def test_a_lost_snapshot_is_made_good_by_chapters_and_rows(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path)
    execute(path, "DELETE FROM snapshots")
    found = await load(path)
    assert found is not None
    assert found.updates == (*by_tens([], updates("trip", 1, 100)), *updates("trip", 101, 105))


async def test_flipped_bytes_of_a_compacted_session_are_never_passed_on(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path)
    whole = path.read_bytes()
    used = [position for position, byte in enumerate(whole) if byte]
    dice = random.Random(3)
    log = (*by_tens([], updates("trip", 1, 100)), *updates("trip", 101, 105))
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[dice.choice(used)] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            async with SqliteStorage.open(path) as storage:
                found = await storage.load("trip")
                history = await storage.history("trip")
        except StorageError:
            refused += 1
            continue
        assert found is not None
        assert found.snapshot in (None, Snapshot("trip", 100, b"hundred" * 100))
        assert found.updates == (log if found.snapshot is None else log[10:])
        assert history == log
    assert refused > 50


async def test_a_lost_snapshot_is_made_good_by_the_log(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write_one(path)
    execute(path, "DELETE FROM snapshots")
    found = await load(path)
    assert found is not None
    assert found.updates == tuple(updates("trip", 1, 20))


async def test_a_damaged_page_of_history_is_not_shown(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write_one(path)
    execute(path, "DELETE FROM updates WHERE version = 5")
    async with SqliteStorage.open(path) as storage:
        assert len(await storage.history("trip", limit=4)) == 4
        with pytest.raises(StorageError, match="update 5 of its log is missing"):
            await storage.history("trip", limit=5)
        assert len(await storage.history("trip", after=5)) == 15


async def test_other_sessions_go_on_beside_a_damaged_one(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write_one(path)
    execute(path, "DELETE FROM updates WHERE version = 15")
    async with SqliteStorage.open(path) as storage:
        await storage.create("other", title="", at=at(1))
        with pytest.raises(StorageError, match="trip is damaged"):
            await storage.load("trip")
        await storage.append([update("other", 1)])
        assert await storage.history("other") == (update("other", 1),)


@pytest.mark.parametrize("snapshot", [True, False])
async def test_flipped_bytes_are_never_passed_on(tmp_path: Path, snapshot: bool):
    path = tmp_path / "cosession.sqlite3"
    await write_one(path, snapshot=snapshot)
    whole = path.read_bytes()
    used = [position for position, byte in enumerate(whole) if byte]
    dice = random.Random(7)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[dice.choice(used)] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        refused += await load_or_refuse(path)
    assert refused > 50


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
async def test_a_file_that_was_cut_off_is_never_an_empty_session(tmp_path: Path, share: float):
    path = tmp_path / "cosession.sqlite3"
    await write_one(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert await load_or_refuse(path) or share >= 0.9  # the last page is the snapshot's
