"""What is damaged is said, session by session, and looking changes nothing."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from storage.databases import damage, execute, write, write_compacted
from storage.rows import at, by_tens, by_turns, update, updates

from cosession.errors import SessionDeleted, StorageError
from cosession.storage import Snapshot, SqliteStorage, Thin
from cosession.storage.reads import row_checksum
from cosession.storage.repair import inspect

pytestmark = pytest.mark.anyio


async def test_a_whole_database_has_no_damage_and_all_its_sessions(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    assert damage(path) == {}
    with inspect(path) as inspection:
        assert inspection.sessions == ["note", "trip"]
        assert [stone.id for stone in inspection.tombstones] == ["gone"]
        trip = inspection.session("trip")
    assert trip.updates == tuple(updates("trip", 1, 20))
    assert trip.snapshot == Snapshot("trip", 10, b"ten" * 100)
    assert (trip.version, trip.info and trip.info.title) == (20, "TRIP")


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM updates WHERE session = 'trip' AND version = 15", "update 15 of its log is missing"),
        (
            "DELETE FROM updates WHERE session = 'trip' AND version IN (3, 4, 5, 9)",
            "updates 3 to 5 and 9 of its log are missing",
        ),
        (
            "UPDATE updates SET at = 'never' WHERE session = 'trip' AND version = 12",
            "update 12 of its log is not what was saved",
        ),
        ("DELETE FROM updates WHERE session = 'trip' AND version > 17", "should end at version 20, and ends at 17"),
        ("UPDATE sessions SET version = 25 WHERE id = 'trip'", "should end at version 25, and ends at 20"),
        ("UPDATE sessions SET version = 5 WHERE id = 'trip'", "should end at version 5, and ends at 20"),
        ("UPDATE snapshots SET bytes = zeroblob(300)", "its snapshot is not what was saved"),
        ("DELETE FROM updates WHERE session = 'trip' AND version > 7", "its snapshot is of version 10"),
        ("DELETE FROM sessions WHERE id = 'trip'", "gone from the list of sessions"),
        ("UPDATE sessions SET deleted_at = 'x' WHERE id = 'trip'", "marked as deleted"),
    ],
)
async def test_damage_is_said_of_its_session_and_of_no_other(tmp_path: Path, statement: str, sentence: str):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, statement)
    found = damage(path)
    assert list(found) == ["trip"]
    assert any(sentence in what for what in found["trip"]), found


@pytest.mark.parametrize("thin", [by_tens, by_turns])
async def test_a_compacted_session_is_whole_and_read_in_ranges(tmp_path: Path, thin: Thin):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path, thin)
    assert damage(path) == {}
    with inspect(path) as inspection:
        trip = inspection.session("trip")
    assert trip.updates == (*thin([], updates("trip", 1, 100)), *updates("trip", 101, 105))
    assert trip.snapshot == Snapshot("trip", 100, b"hundred" * 100)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM chapters", "updates 1 to 100 of its log are missing"),
        ("UPDATE chapters SET bytes = zeroblob(50)", "updates 1 to 100 of its log are not what was saved"),
        ("DELETE FROM updates", "should end at version 105, and ends at 100"),
        (
            "INSERT INTO updates SELECT session, 50, at, participant, client, bytes, checksum FROM updates LIMIT 1",
            "update 50 of its log is not what was saved",
        ),
    ],
)
async def test_damage_to_a_compacted_session_is_said(tmp_path: Path, statement: str, sentence: str):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path)
    execute(path, statement)
    found = damage(path)
    assert any(sentence in what for what in found["trip"]), found


@pytest.mark.parametrize("version", [1, 55, 100])
async def test_a_row_that_is_in_a_chapter_already_is_said_and_read_once(tmp_path: Path, version: int):
    path = tmp_path / "cosession.sqlite3"
    await write_compacted(path)
    row = update("trip", version)
    db = sqlite3.connect(path, isolation_level=None)
    columns = ("trip", version, row.at, row.participant, row.client, row.update, row_checksum(row))
    db.execute("INSERT INTO updates VALUES (?, ?, ?, ?, ?, ?, ?)", columns)
    db.close()
    assert damage(path)["trip"] == (f"update {version} of its log is there twice",)
    with inspect(path) as inspection:
        assert inspection.session("trip").updates == (
            *by_tens([], updates("trip", 1, 100)),
            *updates("trip", 101, 105),
        )


async def test_every_second_row_lost_is_still_one_short_sentence(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 2000))
    execute(path, "DELETE FROM updates WHERE version % 2 = 1")
    (sentence,) = damage(path)["trip"]
    assert "992 more places" in sentence
    assert len(sentence) < 120


@pytest.mark.parametrize("table", ["sessions", "updates", "snapshots"])
async def test_a_lost_table_is_said(tmp_path: Path, table: str):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    execute(path, f"DROP TABLE {table}")
    assert any(f"no such table: {table}" in what for what in damage(path)["file"])


async def test_whatever_a_server_refuses_to_load_is_said_and_looking_changes_nothing(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    whole = path.read_bytes()
    used = [position for position, byte in enumerate(whole) if byte]
    dice = random.Random(11)
    said = 0
    for _ in range(150):
        changed = bytearray(whole)
        changed[dice.choice(used)] ^= 1 << dice.randrange(8)
        path.write_bytes(changed)
        try:
            found = damage(path)
        except StorageError:
            found = {"file": ("it can't be opened",)}
        assert path.read_bytes() == changed
        refused = False
        try:
            async with SqliteStorage.open(path) as storage:
                for session in ("trip", "note"):
                    await storage.load(session)
        except (StorageError, SessionDeleted):
            refused = True
        assert found or not refused
        said += bool(found)
    assert said > 50


async def test_a_server_goes_on_beside_it(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    async with SqliteStorage.open(path) as storage:
        with inspect(path) as inspection:
            await storage.append([update("trip", 21)])
            assert inspection.session("trip").version == 20, "it sees one moment"
        assert damage(path) == {}
        with inspect(path) as inspection:
            assert inspection.session("trip").version == 21


async def test_what_a_killed_server_had_not_moved_into_the_file_is_seen(tmp_path: Path):
    path, copy = tmp_path / "cosession.sqlite3", tmp_path / "copy.sqlite3"
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 20))
        for ending in ("", "-wal"):
            shutil.copy(f"{path}{ending}", f"{copy}{ending}")
    with inspect(copy) as inspection:
        assert inspection.session("trip").version == 20


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no database"), (b"Dear diary, " * 500, "not a SQLite database"), (b"", "is empty")],
)
def test_what_is_no_database_of_ours_is_said(tmp_path: Path, content: bytes | None, sentence: str):
    path = tmp_path / "cosession.sqlite3"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=sentence), inspect(path):
        pass
