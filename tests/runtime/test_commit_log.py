"""The log's writer: groups, order, a storage that fails, a session that is refused."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cosession.errors import CosessionError, StorageError
from cosession.runtime.commit_log import CommitLog
from cosession.storage import NO_WORK, LoggedUpdate, SqliteStorage

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00.000Z"


class Heard:
    def __init__(self) -> None:
        self.committed: list[tuple[str, int]] = []
        self.refused: list[str] = []

    def on_committed(self, session: str, version: int, size: int) -> None:
        self.committed.append((session, version))

    def on_refused(self, session: str, error: CosessionError) -> None:
        self.refused.append(session)


class Faulty:
    """A real storage behind a gate, which can be made to fail as a full disk does."""

    def __init__(self, storage: SqliteStorage) -> None:
        self.storage = storage
        self.full = False
        self.damaged = ""
        self.groups: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, rows: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
        await self.gate.wait()
        if self.full:
            raise StorageError("The disk is full.")
        if any(row.session == self.damaged for row in rows):
            raise StorageError("A page of this session is damaged.")
        self.groups.append(len(rows))
        await self.storage.append(rows, work)

    async def set_titles(self, titles: Mapping[str, str]) -> None:
        if self.full:
            raise StorageError("The disk is full.")
        await self.storage.set_titles(titles)


def row(session: str, version: int) -> LoggedUpdate:
    return LoggedUpdate(session, version, AT, "ada", 1, b"\x00\x00")


@asynccontextmanager
async def running(folder: Path, limit: int = 1000) -> AsyncIterator[tuple[CommitLog, Faulty, Heard]]:
    async with SqliteStorage.open(folder / "db.sqlite3") as storage, asyncio.TaskGroup() as group:
        for session in ("a", "b"):
            await storage.create(session, title="", at=AT)
        faulty, heard = Faulty(storage), Heard()
        log = CommitLog(faulty, heard, limit)  # type: ignore[arg-type]
        writer = group.create_task(log.run())
        yield log, faulty, heard
        writer.cancel()


async def test_what_waits_while_a_commit_runs_is_the_next_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as (log, faulty, heard):
        faulty.gate.clear()
        log.append(row("a", 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for version in range(2, 50):
            log.append(row("a", version))
        log.append(row("b", 1))
        faulty.gate.set()
        await log.flush("a")
        await log.flush("b")
        assert len(faulty.groups) <= 2
        assert heard.committed[-2:] == [("a", 49), ("b", 1)]


async def test_a_storage_that_fails_loses_nothing_and_is_tried_again(tmp_path: Path) -> None:
    async with running(tmp_path) as (log, faulty, heard):
        faulty.full = True
        for version in range(1, 4):
            log.append(row("a", version))
        with pytest.raises(StorageError):
            await log.flush("a")
        assert heard.committed == []
        faulty.full = False
        log.append(row("a", 4))
        await log.flush("a", patient=True)
        assert heard.committed[-1] == ("a", 4)
        assert [logged.version for logged in await faulty.storage.history("a")] == [1, 2, 3, 4]


async def test_a_session_that_fails_for_long_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosession.runtime.commit_log._FIRST_RETRY_SECONDS", 3600.0)
    async with running(tmp_path) as (log, faulty, heard):
        faulty.damaged = "a"
        log.append(row("a", 1))
        with pytest.raises(StorageError):
            await log.flush("a")
        assert log.failing
        async with asyncio.timeout(60):
            for version in range(1, 20):
                log.append(row("b", version))
                log.append(row("a", version + 1))
                await log.flush("b")
        assert heard.committed[-1] == ("b", 19)
        assert all(session == "b" for session, _ in heard.committed)


async def test_what_failed_is_tried_again_in_order_when_its_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosession.runtime.commit_log._FIRST_RETRY_SECONDS", 0.01)
    async with running(tmp_path) as (log, faulty, heard):
        faulty.damaged = "a"
        for version in range(1, 30):
            log.append(row("a", version))
            log.append(row("b", version))
            await log.flush("b")
        faulty.damaged = ""
        await log.flush("a", patient=True)
        assert heard.committed[-1] == ("a", 29)
        assert [logged.version for logged in await faulty.storage.history("a")] == list(range(1, 30))
        assert not log.failing


async def test_a_session_that_is_refused_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with running(tmp_path) as (log, _, heard):
        log.append(row("nobody made this", 1))
        log.append(row("a", 1))
        await log.flush("a")
        await log.flush("nobody made this")
        assert heard.refused == ["nobody made this"]
        assert ("a", 1) in heard.committed


async def test_who_brings_more_waits_while_too_much_is_uncommitted(tmp_path: Path) -> None:
    async with running(tmp_path, limit=3) as (log, faulty, _):
        faulty.gate.clear()
        log.append(row("a", 1))
        await log.wait_for_room("a")
        log.append(row("a", 2))
        waiting = asyncio.create_task(log.wait_for_room("a"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        faulty.gate.set()
        await waiting


async def test_the_last_title_is_written(tmp_path: Path) -> None:
    async with running(tmp_path) as (log, faulty, _):
        log.retitle("a", "First")
        log.retitle("a", "Last")
        await log.flush("a")
        assert [info.title for info in await faulty.storage.sessions() if info.id == "a"] == ["Last"]


async def test_a_session_that_can_not_be_saved_holds_back_itself_and_nobody_else(tmp_path: Path) -> None:
    async with running(tmp_path, limit=3) as (log, faulty, _):
        faulty.full = True
        for version in range(1, 5):
            log.append(row("a", version))
        with pytest.raises(StorageError):
            await log.flush("a")
        assert not log.has_room("a")
        assert log.has_room("b")
        faulty.full = False
        await log.flush("a", patient=True)
        assert log.has_room("a")


async def test_an_old_title_that_failed_does_not_come_back_over_a_new_one(tmp_path: Path) -> None:
    async with running(tmp_path) as (log, faulty, _):
        faulty.full = True
        log.append(row("b", 1))
        log.retitle("a", "Old")
        with pytest.raises(StorageError):
            await log.flush("a")
        faulty.full = False
        log.retitle("a", "New")
        await log.flush("a", patient=True)
        await log.flush("b", patient=True)
        assert [info.title for info in await faulty.storage.sessions() if info.id == "a"] == ["New"]


async def test_of_whom_something_is_unfinished_is_written_with_the_rows_of_that_moment(tmp_path: Path) -> None:
    async with running(tmp_path) as (log, faulty, heard):
        faulty.gate.clear()
        log.append(row("a", 1))
        log.note_work("a", frozenset({"planner"}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert log._committing == {"a"}
        log.append(row("a", 2))
        log.note_work("a", frozenset({"flights"}))
        assert await faulty.storage.work("planner") == ()
        faulty.gate.set()
        await log.flush("a")
        assert await faulty.storage.work("flights") == ("a",)
        assert await faulty.storage.work("planner") == ()
        log.note_work("b", frozenset({"flights"}))
        await log.flush("b")
        assert await faulty.storage.work("flights") == ("a", "b")
        assert [session for session, _ in heard.committed] == ["a", "a"]


async def test_what_was_noted_while_the_storage_failed_is_written_when_it_works_again(tmp_path: Path) -> None:
    async with running(tmp_path) as (log, faulty, _):
        faulty.damaged = "a"
        for session in ("a", "b"):
            log.append(row(session, 1))
            log.note_work(session, frozenset({"planner"}))
        with pytest.raises(StorageError):
            await log.flush("a")
        assert await faulty.storage.work("planner") == ("b",)
        log.note_work("a", frozenset({"flights"}))
        faulty.damaged = ""
        await log.flush("a", patient=True)
        assert await faulty.storage.work("planner") == ("b",)
        assert await faulty.storage.work("flights") == ("a",)
