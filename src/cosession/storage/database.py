"""The database file under `SqliteStorage`: ownership by one process, opening, migration, error messages.

Knows SQLite, and nothing of sessions. Nothing here blocks the loop: a connection has a thread of its own, from its
opening to its closing.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar, cast

import aiosqlite

from cosession.errors import StorageError

from .migrations import migrate

T = TypeVar("T")

BUSY_SECONDS: Final = 5.0
"""The time to wait while another program (a backup, a SQL shell) locks the database, before an error is raised:
with less, a short query of that program would fail the commit of every room."""

WAL_LIMIT_BYTES: Final = 64 * 2**20
"""The size to which a checkpoint truncates the write-ahead log, so that one burst doesn't fill the disk for ever."""

_SHARE_TO_KEEP: Final = 8
"""One free page per so many used ones is kept for later writes, because allocating it again takes time."""

_PAGES_AT_ONCE: Final = 256
"""Pages (1 MB) given back to the file system in one transaction; each may have to be moved first."""

_SENTENCES: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space; nothing of this was saved",
    sqlite3.SQLITE_READONLY: "it is read-only: give this user the right to write the file and its folder",
    sqlite3.SQLITE_BUSY: "another program has it locked: close that program, then try again",
    sqlite3.SQLITE_LOCKED: "another program has it locked: close that program, then try again",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: check that this user may write its folder, and for free space",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database: move the file away or choose another data folder",
    sqlite3.SQLITE_CORRUPT: "it is damaged: stop the server, then put back a backup or run `cosession repair`",
    sqlite3.SQLITE_IOERR: "the disk failed: look for the cause in the system's log",
    sqlite3.SQLITE_TOOBIG: "a value is larger than SQLite takes",
}


@contextmanager
def explained(name: str) -> Generator[None]:
    """Turn errors of SQLite into a `StorageError` whose message says what to do.

    Args:
        name: the name of the database in the message.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = cast("int", getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the low byte is the primary code
        sentence = _SENTENCES.get(code, "it failed")
        raise StorageError(f"The database {name} can't be used: {sentence} ({error}).") from error
    except (UnicodeError, OverflowError) as error:
        raise StorageError(f"The database {name} can't hold this value: {error}.") from error


class DatabaseConnection:
    """An aiosqlite connection that runs whole functions on its thread, in the order of the calls.

    A transaction is one function, and so one hop to the thread: a busy loop doesn't prolong it, no other call runs
    between its statements, and a cancelled caller can't leave it open, because a submitted function runs to its end.
    Use `start` to make one.

    Args:
        connector: opens the database; called on the thread.
        name: the name of the database in errors.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection], name: str) -> None:
        self._db = aiosqlite.Connection(connector, iter_chunk_size=1)
        self._name = name
        self._is_open = False

    @classmethod
    async def start(cls, connector: Callable[[], sqlite3.Connection], name: str) -> "DatabaseConnection":
        """Open a connection on a new thread.

        Args:
            connector: opens the database; called on the thread.
            name: the name of the database in errors.

        Raises:
            StorageError: the database can't be opened.
        """
        connection = cls(connector, name)
        opening = asyncio.ensure_future(connection._open())
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(StorageError):  # the thread opens it anyway: close it first
                await opening
                await connection.close()
            raise
        return connection

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the thread, after all calls that were submitted before.

        Args:
            work: gets the connection in autocommit mode, and leaves it without an open transaction.

        Raises:
            StorageError: SQLite failed, or the connection is closed.
        """
        if not self._is_open:
            raise StorageError(f"The database {self._name} is closed: the server is stopping.")
        with explained(self._name):
            # aiosqlite's own cursors are built on `_execute`; it has no public way to run a function on its thread
            db = self._db
            return await db._execute(work, db._conn)  # pyright: ignore[reportUnknownMemberType, reportPrivateUsage]

    async def close(self) -> None:
        """Close the connection after the submitted calls, and end its thread, also when cancelled; idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        closing = asyncio.ensure_future(self._close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing  # the lock of the database is free when this returns
            raise

    async def _open(self) -> None:
        with explained(self._name):
            try:
                await self._db
            except BaseException:
                await self._end_of_thread()
                raise
        self._is_open = True

    async def _close(self) -> None:
        try:
            await self._db.close()
        finally:
            await self._end_of_thread()

    async def _end_of_thread(self) -> None:
        """Wait for the end of aiosqlite's thread, which would outlive the loop; it doesn't wait in all versions."""
        thread: Thread = getattr(self._db, "_thread", cast(Any, self._db))  # a connection was a thread before 0.22
        await asyncio.to_thread(thread.join)


def open_writer(path: Path) -> sqlite3.Connection:
    """Lock, open and migrate the database; a missing one is created, with its folder.

    Args:
        path: the database file. `PATH.lock` beside it is locked until the connection is closed, or its process
            dies; that file stays empty.

    Raises:
        StorageError: another process owns the database, it can't be written, another program or a newer cosession
            wrote it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The data folder {path.parent} can't be made: choose one that this user may write ({error.strerror})."
        ) from error
    owner = own(path)
    try:
        db = sqlite3.connect(
            path, BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_OwningConnection
        )
        db.owner = owner
    except BaseException:
        owner.close()
        raise
    try:
        migrate(db, str(path))
        _make_durable(db, path)
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a second connection, which can't write, to a database that `open_writer` has opened."""
    db = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA query_only = ON")
    except BaseException:
        db.close()
        raise
    return db


def _make_durable(db: sqlite3.Connection, path: Path) -> None:
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageError(f"{path} is on a file system without shared memory: choose a local data folder.")
    db.execute("PRAGMA synchronous = FULL")  # the log is on the disk when a commit returns
    db.execute("PRAGMA fullfsync = ON")  # on a Mac, only this reaches the disk itself
    db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")


def give_back_pages(db: sqlite3.Connection) -> bool:
    """Return surplus free pages to the file system; return whether there are more.

    A database without incremental vacuum, from an older version, keeps its free pages and reuses them.
    """
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (mode,) = db.execute("PRAGMA auto_vacuum").fetchone()
    surplus = free - (pages - free) // _SHARE_TO_KEEP
    if surplus <= 0 or not mode:
        return False
    # `execute` would run one step of it, and each step returns one page
    db.executescript(f"PRAGMA incremental_vacuum({min(surplus, _PAGES_AT_ONCE)})")
    return surplus > _PAGES_AT_ONCE


class _OwningConnection(sqlite3.Connection):
    """The writer's connection, which holds the lock of the database until it is closed."""

    owner: sqlite3.Connection

    def close(self) -> None:
        super().close()
        self.owner.close()


def own(path: Path) -> sqlite3.Connection:
    """Lock `PATH.lock` by SQLite's own locks, which work on every system and end with the process.

    Returns:
        The lock, held until it is closed.

    Raises:
        StorageError: a server owns the database.
    """
    lock = sqlite3.connect(f"{path}.lock", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")  # no journal file for a file that is never written
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise StorageError(
                f"The database {path} is in use by another cosession server: stop it or choose another data folder."
            ) from error
        raise
    return lock
