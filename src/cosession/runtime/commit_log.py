"""The commit log: one writer commits the rows that rooms append to the storage, in groups and in order.

Appending never waits. Rows that are appended while one commit runs are the next commit, and after a large one more
are gathered for some milliseconds: so groups grow with load, and a lone update is committed at once.
`on_committed` is called after each commit, per session, and only then are acks sent: an acknowledged update is
on the disk.

Invariants: rows of a session are committed in the order of their versions; a failing storage loses nothing, the
rows stay and are tried again; one session that is refused or fails does not hold up the others. Bound: beyond
`max_uncommitted_bytes`, `wait_for_room` blocks connections that bring more.
"""

import asyncio
from collections.abc import Container, Mapping
from typing import Protocol

from cosession.errors import CosessionError, NoSuchSession, SessionDeleted, StorageError, VersionTaken
from cosession.logs import get_logger
from cosession.storage import LoggedUpdate, Storage

_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 5.0
_TRIES_ONE_BY_ONE = 3

_GATHER_SECONDS_A_ROW = 0.0005
_MAX_GATHER_SECONDS = 0.008
"""The longest time for which rows are gathered: a commit costs about as much as twenty rows in it."""

log = get_logger(__name__)


class CommitListener(Protocol):
    """The object that is notified of commits and refusals."""

    def on_committed(self, session: str, version: int, size: int) -> None:
        """Note that everything up to a version is on the disk: `size` bytes of updates more than at the last call."""
        ...

    def on_refused(self, session: str, error: CosessionError) -> None:
        """Note that a session is gone, or another server wrote to its log: its rows were dropped for good."""
        ...


class CommitLog:
    """The one writer of a server process.

    Args:
        storage: the storage that the rows are written to.
        listener: is notified of commits and refusals, on the event loop.
        max_uncommitted_bytes: the bytes that may wait before `wait_for_room` blocks.
    """

    def __init__(self, storage: Storage, listener: CommitListener, max_uncommitted_bytes: int) -> None:
        self._storage = storage
        self._listener = listener
        self._max_bytes = max_uncommitted_bytes
        self._rows: dict[str, list[LoggedUpdate]] = {}
        self._titles: dict[str, str] = {}
        self._unfinished: dict[str, frozenset[str]] = {}
        self._resting: dict[str, list[LoggedUpdate]] = {}
        self._resting_titles: dict[str, str] = {}
        self._committing: set[str] = set()
        self._bytes = 0
        self._resting_bytes = 0
        self._work = asyncio.Event()
        self._round = asyncio.Event()

    @property
    def failing(self) -> bool:
        """Whether something could not be committed, and waits for another try."""
        return bool(self._resting or self._resting_titles)

    def append(self, row: LoggedUpdate) -> None:
        """Queue a row; it is committed as soon as the disk is free."""
        self._bytes += len(row.update)
        if row.session in self._resting:
            self._resting[row.session].append(row)
            self._resting_bytes += len(row.update)
            return
        self._rows.setdefault(row.session, []).append(row)
        self._work.set()

    def retitle(self, session: str, title: str) -> None:
        """Queue a new title for the list of sessions; only the last of several is written."""
        self._titles[session] = title
        self._resting_titles.pop(session, None)
        self._work.set()

    def note_work(self, session: str, agents: frozenset[str]) -> None:
        """Queue the agents with unfinished work in a session; they are written with the rows queued by now."""
        self._unfinished[session] = agents
        if session not in self._resting:
            self._rows.setdefault(session, [])
            self._work.set()

    def has_room(self, session: str) -> bool:
        """Return whether less than the limit waits for the disk; resting rows count only for resting sessions."""
        resting = session in self._resting
        return (self._resting_bytes if resting else self._bytes - self._resting_bytes) <= self._max_bytes

    async def wait_for_room(self, session: str) -> None:
        """Wait until less than the limit waits for the disk: the back-pressure of a slow one."""
        while not self.has_room(session):
            await self._round.wait()

    async def flush(self, session: str, *, patient: bool = False) -> None:
        """Wait until all that was appended of a session is on the disk, or was refused.

        Args:
            session: its id.
            patient: whether to go on waiting while the storage fails.

        Raises:
            StorageError: the storage fails and the caller is not patient; the rows are kept and tried again.
        """
        while session in self._committing or any(session in place for place in self._places()):
            await self._round.wait()
            if (session in self._resting or session in self._resting_titles) and not patient:
                raise StorageError("The change is not on the disk yet; it is kept, and tried again until it is.")

    async def run(self) -> None:
        """Commit for ever, until cancelled; rows that are queued then are not committed."""
        loop = asyncio.get_running_loop()
        retry, due = _FIRST_RETRY_SECONDS, None
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._work.wait()
                rested = due is not None and loop.time() >= due
            except TimeoutError:
                rested = True  # also if the clock disagrees: a timer may be early by the clock's resolution
            self._work.clear()
            if rested:
                due = None
                self._wake_resting()
            rows = await self._commit_all()
            finished, self._round = self._round, asyncio.Event()
            finished.set()
            if not self.failing:
                retry, due = _FIRST_RETRY_SECONDS, None
            elif due is None:
                due = loop.time() + retry
                retry = min(retry * 2, _LAST_RETRY_SECONDS)
            if rows > 1:
                await asyncio.sleep(min(rows * _GATHER_SECONDS_A_ROW, _MAX_GATHER_SECONDS))

    def _places(self) -> tuple[Container[str], ...]:
        """Return the collections that hold a session while something of it waits."""
        return (self._rows, self._titles, self._resting, self._resting_titles)

    def _wake_resting(self) -> None:
        """Try failed rows and titles again; other sessions didn't wait for them."""
        self._rows.update(self._resting)  # no session is in both: its rows that are appended meanwhile rest too
        self._titles = self._resting_titles | self._titles
        self._resting, self._resting_titles, self._resting_bytes = {}, {}, 0

    async def _commit_all(self) -> int:
        """Commit waiting rows and titles, and return the number of rows; failed ones rest until the next try."""
        rows, self._rows = self._rows, {}
        titles, self._titles = self._titles, {}
        work = {session: self._unfinished.pop(session) for session in rows.keys() & self._unfinished.keys()}
        self._committing = rows.keys() | titles.keys()
        await self._commit(rows, work)
        if titles:
            await self._commit_titles(titles)
        self._committing = set()
        return sum(len(group) for group in rows.values())

    async def _commit(self, rows: dict[str, list[LoggedUpdate]], work: Mapping[str, frozenset[str]]) -> None:
        if not rows:
            return
        try:
            await self._storage.append([row for group in rows.values() for row in group], work)
        except CosessionError as error:
            if len(rows) > 1:
                await self._commit_one_by_one(rows, work, error)
                return
            [(session, group)] = rows.items()
            self._failed(session, group, work, error)
            return
        for session, group in rows.items():
            if group:
                self._listener.on_committed(session, group[-1].version, self._forget(group))

    async def _commit_one_by_one(
        self, rows: dict[str, list[LoggedUpdate]], work: Mapping[str, frozenset[str]], error: CosessionError
    ) -> None:
        """Find the sessions with rows that the storage rejects; after the first few, assume that it rejects all."""
        failed = 0
        for session, group in rows.items():
            if failed >= _TRIES_ONE_BY_ONE:
                self._failed(session, group, work, error)
                continue
            await self._commit({session: group}, {session: work[session]} if session in work else {})
            failed = failed + 1 if session in self._resting else -len(rows)

    def _failed(
        self, session: str, group: list[LoggedUpdate], work: Mapping[str, frozenset[str]], error: CosessionError
    ) -> None:
        if isinstance(error, NoSuchSession | SessionDeleted | VersionTaken):
            dropped = group + self._rows.pop(session, [])
            self._unfinished.pop(session, None)
            self._forget(dropped)
            log.warning("log.refused", session=session, rows=len(dropped), error=str(error))
            self._listener.on_refused(session, error)
            return
        log.error("log.append_failed", session=session, rows=len(group), error=str(error))
        if session in work:
            self._unfinished.setdefault(session, work[session])
        self._resting[session] = group + self._rows.pop(session, [])
        self._resting_bytes += sum(len(row.update) for row in self._resting[session])

    async def _commit_titles(self, titles: dict[str, str]) -> None:
        try:
            await self._storage.set_titles(titles)
        except StorageError as error:
            log.error("log.retitle_failed", sessions=len(titles), error=str(error))
            self._resting_titles |= {name: title for name, title in titles.items() if name not in self._titles}

    def _forget(self, rows: list[LoggedUpdate]) -> int:
        size = sum(len(row.update) for row in rows)
        self._bytes -= size
        return size
