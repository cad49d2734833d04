"""Sessions in one SQLite file: the `Storage` of a server on one machine.

WAL, `synchronous=FULL`: a commit that returned is on the disk. Three connections, each on a thread of its own: one
writes, strictly in the order of the calls; one reads, so that the loading of a long session never delays a commit;
one reads and packs, so that slow compaction delays neither. One process owns the file; any other can read it and back
it up (`VACUUM INTO`) meanwhile.

Each call but `compact` is one function of `transactions`, submitted to a thread before the call first waits: so a
cancelled caller changes neither the order nor the effect.
"""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from . import transactions
from .creations import Creations
from .database import DatabaseConnection, give_back_pages, open_reader, open_writer
from .interface import NO_WORK, LoadedSession, LoggedUpdate, Place, Snapshot, StoredSession, Thin
from .revocations import Revocations

T = TypeVar("T")


class SqliteStorage:
    """A `Storage` in a SQLite file; made by `SqliteStorage.open`.

    Attributes:
        revocations: the revoked access.
    """

    def __init__(
        self,
        writer: DatabaseConnection,
        reader: DatabaseConnection,
        packer: DatabaseConnection,
        revocations: Revocations,
    ) -> None:
        self.revocations = revocations
        self._writer = writer
        self._reader = reader
        self._packer = packer
        self._creations = Creations()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> "AsyncGenerator[SqliteStorage]":
        """Open the database, and own it until the block ends; pending calls are completed first.

        Args:
            path: the database file; created with its folder when missing. SQLite keeps files of the same name with
                a suffix beside it.

        Raises:
            StorageError: another process owns the database, it can't be written, or isn't one of cosession.
            StorageTooNew: a newer cosession wrote it.
        """
        name = str(path)
        async with AsyncExitStack() as closing:
            writer = await DatabaseConnection.start(partial(open_writer, path), name)
            closing.push_async_callback(writer.close)
            reader = await DatabaseConnection.start(partial(open_reader, path), name)
            closing.push_async_callback(reader.close)
            packer = await DatabaseConnection.start(partial(open_reader, path), name)
            closing.push_async_callback(packer.close)
            yield cls(writer, reader, packer, await Revocations.load(writer))

    async def create(self, session: str, *, title: str, at: str) -> bool:
        """See `Storage.create`."""
        return await self._writer.run(self._creations.add(session, title, at))

    async def load(self, session: str) -> LoadedSession | None:
        """See `Storage.load`."""
        return await self._reader.run(lambda db: transactions.load(db, session))

    async def append(self, updates: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
        """See `Storage.append`."""
        # Copied, because the caller may change them before the thread reads them.
        rows, noted = tuple(updates), {session: frozenset(agents) for session, agents in work.items()}
        if rows or noted:
            await self._write(lambda db: transactions.append(db, rows, noted))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `Storage.save_snapshot`."""
        await self._write(lambda db: transactions.save_snapshot(db, snapshot))

    async def compact(self, session: str, thin: Thin) -> None:
        """See `Storage.compact`. The packer reads and packs; the writer only runs short transactions."""
        snapshot = await self._packer.run(lambda db: transactions.pack_snapshot(db, session))
        if snapshot is not None:
            await self._write(lambda db: transactions.keep_packed(db, snapshot))
        for chapter in await self._packer.run(lambda db: transactions.pack_log(db, session, thin)):
            await self._write(partial(transactions.keep_chapter, chapter=chapter))
        while await self._write(give_back_pages):
            pass

    async def set_titles(self, titles: Mapping[str, str]) -> None:
        """See `Storage.set_titles`."""
        given = dict(titles)
        await self._write(lambda db: transactions.set_titles(db, given))

    async def work(self, agent: str, *, after: str = "", limit: int = 100) -> tuple[str, ...]:
        """See `Storage.work`."""
        return await self._reader.run(lambda db: transactions.work(db, agent, after, limit))

    async def sessions(self, *, after: Place | None = None, limit: int = 100) -> tuple[StoredSession, ...]:
        """See `Storage.sessions`."""
        return await self._reader.run(lambda db: transactions.sessions(db, after, limit))

    async def matching(self, patterns: Sequence[str], *, limit: int = 100) -> tuple[StoredSession, ...]:
        """See `Storage.matching`."""
        given = tuple(patterns)
        return await self._reader.run(lambda db: transactions.matching(db, given, limit))

    async def key(self) -> bytes:
        """See `Storage.key`."""
        return await self._reader.run(transactions.key)

    async def history(self, session: str, *, after: int = 0, limit: int = 1000) -> tuple[LoggedUpdate, ...]:
        """See `Storage.history`."""
        return await self._reader.run(lambda db: transactions.history(db, session, after, limit))

    async def delete(self, session: str, *, at: str) -> bool:
        """See `Storage.delete`."""
        return await self._write(lambda db: transactions.delete(db, session, at))

    async def ping(self) -> None:
        """See `Storage.ping`."""
        await self._write(transactions.ping)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write that is no creation; later creations don't run before it."""
        self._creations = Creations()
        return await self._writer.run(work)
