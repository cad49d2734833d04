"""The SQLite storage keeps the contract of every storage, never blocks the loop, and finds all again later."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from blockbuster import BlockingError, blockbuster_ctx
from storage.acceptance import StorageAcceptance
from storage.rows import at, by_tens, update, updates

from cosession.errors import SessionDeleted, StorageError
from cosession.storage import LoadedSession, Place, Snapshot, SqliteStorage, StoredSession, transactions

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be: in a folder that doesn't exist yet."""
    return tmp_path / "data" / "cosession.sqlite3"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty storage, of which every blocking call on the loop is an error."""
    with blockbuster_ctx("cosession"):
        async with SqliteStorage.open(path) as storage:
            yield storage


class TestSqliteStorage(StorageAcceptance):
    """The acceptance suite."""


async def test_what_was_stored_is_there_after_reopening(path: Path):
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="To Oslo", at=at(1))
        await storage.append(updates("trip", 1, 5))
        await storage.save_snapshot(Snapshot("trip", 3, b"three"))
        await storage.create("gone", title="", at=at(1))
        await storage.delete("gone", at=at(2))
    async with SqliteStorage.open(path) as storage:
        info = StoredSession("trip", "To Oslo", at(1), at(5), 5)
        assert await storage.load("trip") == LoadedSession(
            info, Snapshot("trip", 3, b"three"), tuple(updates("trip", 4, 5)), writers={7: "ada"}
        )
        with pytest.raises(SessionDeleted):
            await storage.load("gone")


async def test_a_commit_is_on_the_disk_when_it_returns(storage: SqliteStorage):
    def settings(db: sqlite3.Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "fullfsync")
        return {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    assert await storage._writer.run(settings) == {"journal_mode": "wal", "synchronous": 2, "fullfsync": 1}


async def test_what_was_asked_for_before_closing_is_carried_out(path: Path):
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=at(1))
        calls = [asyncio.create_task(storage.append([update("trip", version)])) for version in range(1, 21)]
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    async with SqliteStorage.open(path) as storage:
        assert await storage.history("trip") == tuple(updates("trip", 1, 20))


async def test_a_closed_storage_says_so(path: Path):
    async with SqliteStorage.open(path) as storage:
        pass
    for call in (storage.ping, storage.sessions):
        with pytest.raises(StorageError, match="is closed"):
            await call()


async def test_the_reader_cannot_write(storage: SqliteStorage):
    with pytest.raises(StorageError, match="read-only"):
        await storage._reader.run(lambda db: db.execute("DELETE FROM sessions"))


async def test_it_is_backed_up_while_it_runs(path: Path, tmp_path: Path):
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 5))
        shell = sqlite3.connect(path)
        shell.execute("VACUUM INTO ?", (str(tmp_path / "backup.sqlite3"),))
        shell.close()
        await storage.append(updates("trip", 6, 7))
    async with SqliteStorage.open(tmp_path / "backup.sqlite3") as backup:
        assert await backup.history("trip") == tuple(updates("trip", 1, 5))


async def test_a_value_that_sqlite_cannot_hold_is_refused_in_a_sentence(storage: SqliteStorage):
    with pytest.raises(StorageError, match="can't hold this value"):
        await storage.create("trip", title="\ud800", at=at(1))
    assert await storage.create("trip", title="", at=at(1)) is True


async def test_the_guard_against_blocking_calls_sees_a_blocking_call(storage: SqliteStorage):
    with sqlite3.connect(":memory:") as db, pytest.raises(BlockingError):
        transactions.sessions(db, None, limit=1)
    db.close()


def steps_of(path: Path, call: Callable[[sqlite3.Connection], object]) -> int:
    """Count the steps that SQLite's machine takes for a call."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.set_progress_handler(count, 1)
        call(db)
    return steps


async def test_a_page_of_the_list_costs_the_same_of_many_sessions_as_of_few(path: Path):
    async with SqliteStorage.open(path):
        pass
    calls: list[Callable[[sqlite3.Connection], object]] = [
        lambda db: transactions.sessions(db, None, 20),
        lambda db: transactions.sessions(db, Place(at(30), "live-00100"), 20),
        lambda db: transactions.sessions(db, Place(at(40), ""), 20),
        lambda db: transactions.matching(db, ["live-*", "none-*"], 20),
        lambda db: transactions.matching(db, ["live-00003", "live-00004", "dead-*"], 20),
    ]
    steps: list[list[int]] = []
    for begin, end in ((0, 200), (200, 5000)):
        with closing(sqlite3.connect(path)) as db:
            for state, deleted in (("live", None), ("dead", at(2))):
                row = "INSERT INTO sessions VALUES (?, '', ?, ?, 0, ?)"
                rows = ((f"{state}-{number:05}", at(1), at(30), deleted) for number in range(begin, end))
                db.executemany(row, rows)
            db.commit()
        steps.append([steps_of(path, call) for call in calls])
    assert steps[0] == steps[1]


async def test_the_key_of_a_storage_is_kept_and_is_its_own(path: Path, tmp_path: Path):
    async with SqliteStorage.open(path) as storage:
        key = await storage.key()
    async with SqliteStorage.open(path) as storage, SqliteStorage.open(tmp_path / "other.sqlite3") as other:
        assert await storage.key() == key
        assert await other.key() != key


async def test_nothing_of_a_deleted_session_is_in_a_backup(storage: SqliteStorage, path: Path, tmp_path: Path):
    await storage.create("trip", title="secret title", at=at(1))
    await storage.append([update("trip", 1, b"secret update")])
    await storage.save_snapshot(Snapshot("trip", 1, b"secret snapshot"))
    await storage.delete("trip", at=at(2))
    shell = sqlite3.connect(path)
    shell.execute("VACUUM INTO ?", (str(tmp_path / "backup.sqlite3"),))
    shell.close()
    assert b"secret" not in (tmp_path / "backup.sqlite3").read_bytes()


async def fill_and_compact(storage: SqliteStorage) -> tuple[int, int]:
    """Write a session of 4,000 rows and compact it; the pages of the file before and after."""

    def pages(db: sqlite3.Connection) -> int:
        return db.execute("PRAGMA page_count").fetchone()[0]

    await storage.create("trip", title="", at=at(1))
    await storage.append(updates("trip", 1, 4000))
    await storage.save_snapshot(Snapshot("trip", 4000, b"x" * 5000))
    before = await storage._writer.run(pages)
    await storage.compact("trip", by_tens)
    return before, await storage._writer.run(pages)


async def test_what_a_compaction_frees_goes_back_to_the_file_system(path: Path):
    async with SqliteStorage.open(path) as storage:
        before, after = await fill_and_compact(storage)
        assert after < before / 3
    assert path.stat().st_size == after * 4096  # noqa: ASYNC240 - nothing else goes on


async def test_a_database_that_can_not_shrink_uses_its_free_pages_again(path: Path):
    path.parent.mkdir()
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("CREATE TABLE t (x)")
    old.execute("DROP TABLE t")  # it has pages, and so auto_vacuum is settled
    old.close()
    async with SqliteStorage.open(path) as storage:
        before, after = await fill_and_compact(storage)
        assert after >= before
        await storage.append(updates("trip", 4001, 6000))
        assert (await storage._writer.run(lambda db: db.execute("PRAGMA page_count").fetchone()))[0] == after


async def test_a_compacted_snapshot_is_stored_compressed_and_a_living_one_is_not(storage: SqliteStorage):
    def stored(db: sqlite3.Connection) -> int:
        return db.execute("SELECT length(bytes) FROM snapshots").fetchone()[0]

    await storage.create("trip", title="", at=at(1))
    await storage.append(updates("trip", 1, 2))
    await storage.save_snapshot(Snapshot("trip", 1, b"x" * 5000))
    assert await storage._writer.run(stored) == 5000
    await storage.compact("trip", by_tens)
    assert await storage._writer.run(stored) < 500
    await storage.save_snapshot(Snapshot("trip", 2, b"y" * 5000))
    assert await storage._writer.run(stored) == 5000


async def test_a_compaction_that_another_one_overtook_changes_nothing(storage: SqliteStorage):
    """What it thinned is in other chapters by now: its own beside them would be the same versions twice."""
    await storage.create("trip", title="", at=at(1))
    await storage.append(updates("trip", 1, 200))
    await storage.save_snapshot(Snapshot("trip", 100, b"x"))
    late = await storage._packer.run(lambda db: transactions.pack_log(db, "trip", by_tens))
    await storage.save_snapshot(Snapshot("trip", 200, b"y"))
    await storage.compact("trip", by_tens)
    log = await storage.history("trip")
    for chapter in late:
        with pytest.raises(StorageError, match="nothing was changed"):
            await storage._writer.run(partial(transactions.keep_chapter, chapter=chapter))
    assert await storage.history("trip") == log == tuple(by_tens([], updates("trip", 1, 200)))


async def test_a_snapshot_that_was_replaced_while_it_was_packed_stays_the_new_one(storage: SqliteStorage):
    await storage.create("trip", title="", at=at(1))
    await storage.append(updates("trip", 1, 2))
    await storage.save_snapshot(Snapshot("trip", 1, b"x" * 5000))
    late = await storage._packer.run(lambda db: transactions.pack_snapshot(db, "trip"))
    assert late is not None
    newest = Snapshot("trip", 2, b"y" * 5000)
    await storage.save_snapshot(newest)
    await storage._writer.run(lambda db: transactions.keep_packed(db, late))
    loaded = await storage.load("trip")
    assert loaded is not None
    assert loaded.snapshot == newest
