"""Migrations: forward only, whole or not at all, from every version there ever was."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage.rows import at, by_tens, updates

from cosession.errors import StorageError, StorageTooNew
from cosession.storage import LoadedSession, Snapshot, SqliteStorage, StoredSession
from cosession.storage.migrations import APPLICATION_ID, MIGRATIONS, Migration, migrate
from cosession.storage.reads import row_checksum, snapshot_checksum

pytestmark = pytest.mark.anyio

STEPS: tuple[Migration, ...] = (
    ("CREATE TABLE trips (id TEXT)", "INSERT INTO trips VALUES ('oslo')"),
    ("ALTER TABLE trips ADD COLUMN price INTEGER NOT NULL DEFAULT 7",),
    ("UPDATE trips SET price = price * 2", "CREATE INDEX cheapest ON trips (price)"),
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty database on the disk."""
    connection = sqlite3.connect(tmp_path / "steps.sqlite3", isolation_level=None)
    yield connection
    connection.close()


def content(db: sqlite3.Connection) -> tuple[list[str], int]:
    """All of a database, as SQL, and the number of its version."""
    return list(db.iterdump()), db.execute("PRAGMA user_version").fetchone()[0]


@pytest.mark.parametrize("version", range(len(STEPS) + 1))
def test_every_older_version_becomes_the_newest(db: sqlite3.Connection, version: int):
    if version:
        migrate(db, "db", STEPS[:version])
    migrate(db, "db", STEPS)
    assert db.execute("SELECT * FROM trips").fetchall() == [("oslo", 14)]
    assert content(db)[1] == 3


def test_a_database_of_the_newest_version_stays_as_it_is(db: sqlite3.Connection):
    migrate(db, "db", STEPS)
    before = content(db)
    migrate(db, "db", STEPS)
    assert content(db) == before


def test_a_step_that_fails_leaves_the_old_version_whole(db: sqlite3.Connection):
    migrate(db, "db", STEPS[:1])
    before = content(db)
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, "db", (*STEPS, ("CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)")))
    assert content(db) == before
    assert not db.in_transaction


def test_a_newer_database_is_left_alone(db: sqlite3.Connection):
    migrate(db, "db", STEPS)
    before = content(db)
    with pytest.raises(StorageTooNew, match="newer version of cosession"):
        migrate(db, "db", STEPS[:2])
    assert content(db) == before


@pytest.mark.parametrize("foreign", ["CREATE TABLE t (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 5"])
def test_the_database_of_another_program_is_left_alone(db: sqlite3.Connection, foreign: str):
    db.execute(foreign)
    before = content(db)
    with pytest.raises(StorageError, match="another program"):
        migrate(db, "db", STEPS)
    assert content(db) == before


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
@pytest.mark.parametrize("statement", range(1, 10))
def test_a_migration_killed_at_any_statement_leaves_the_old_version_whole(
    db: sqlite3.Connection, version: int, statement: int
):
    migrate(db, "db", MIGRATIONS[:version])
    db.execute("INSERT INTO sessions VALUES ('trip', 'To Oslo', 'x', 'x', 0, NULL)")
    before = content(db)
    killed = _Killed(db, statement)
    try:
        migrate(killed, "db")  # type: ignore[arg-type]
    except KeyboardInterrupt:
        assert content(db) == before
    migrate(db, "db")
    assert content(db)[1] == len(MIGRATIONS)
    assert db.execute("SELECT id, title FROM sessions").fetchall() == [("trip", "To Oslo")]


class _Killed:
    """A connection that is lost at its nth statement; what was not committed is gone."""

    def __init__(self, db: sqlite3.Connection, statement: int) -> None:
        self._db = db
        self._left = statement

    def execute(self, statement: str) -> sqlite3.Cursor:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return self._db.execute(statement)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction


async def test_what_the_first_version_stored_loads_and_is_compacted(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    old = sqlite3.connect(path, isolation_level=None)
    migrate(old, "db", MIGRATIONS[:1])
    rows = updates("trip", 1, 100)
    snapshot = Snapshot("trip", 90, b"ninety" * 100)
    old.execute("INSERT INTO sessions VALUES ('trip', 'To Oslo', ?, ?, 100, NULL)", (at(1), at(100)))
    old.executemany(
        "INSERT INTO updates VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (row.session, row.version, row.at, row.participant, row.client, row.update, row_checksum(row))
            for row in rows
        ],
    )
    stored = (snapshot.session, snapshot.version, snapshot.update, snapshot_checksum(snapshot))
    old.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?)", stored)
    old.close()
    async with SqliteStorage.open(path) as storage:
        info = StoredSession("trip", "To Oslo", at(1), at(100), 100)
        assert await storage.load("trip") == LoadedSession(info, snapshot, tuple(rows[90:]), writers={7: "ada"})
        await storage.compact("trip", by_tens)
        assert await storage.load("trip") == LoadedSession(info, snapshot, tuple(rows[90:]), 90, {7: "ada"})
        assert await storage.history("trip") == (*by_tens([], rows[:90]), *rows[90:])


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
async def test_sessions_of_every_released_version_can_be_used(tmp_path: Path, version: int):
    old = sqlite3.connect(tmp_path / "cosession.sqlite3", isolation_level=None)
    migrate(old, "db", MIGRATIONS[:version])
    old.execute("INSERT INTO sessions VALUES ('trip', 'To Oslo', ?, ?, 0, NULL)", (at(1), at(1)))
    old.close()
    async with SqliteStorage.open(tmp_path / "cosession.sqlite3") as storage:
        await storage.append(updates("trip", 1, 3))
        assert [(info.id, info.version) for info in await storage.sessions()] == [("trip", 3)]


async def test_a_storage_of_a_newer_version_is_not_opened_and_not_changed(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    newer = sqlite3.connect(path, isolation_level=None)
    migrate(newer, "db", (*MIGRATIONS, ("CREATE TABLE later (x)",)))
    newer.close()
    before = path.read_bytes()
    with pytest.raises(StorageTooNew, match="install that version"):
        async with SqliteStorage.open(path):
            pass
    assert path.read_bytes() == before


async def test_a_new_database_says_whose_it_is(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path):
        pass
    header = path.read_bytes()[:100]
    assert int.from_bytes(header[68:72]) == APPLICATION_ID
    assert int.from_bytes(header[60:64]) == len(MIGRATIONS)
