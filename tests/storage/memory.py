"""The storage interface in its plainest form: dictionaries. What SQLite does is compared with this."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from secrets import token_bytes

from cosession.errors import NoSuchSession, SessionDeleted, StorageError, VersionTaken
from cosession.storage import NO_WORK, LoadedSession, LoggedUpdate, Place, Snapshot, StoredSession, Thin, in_order
from cosession.storage.reads import check_sequence
from cosession.storage.transactions import FEWEST_TO_THIN


class MemoryStorage:
    """A `Storage` that forgets everything when it is dropped.

    Args:
        fewest_to_thin: a log with fewer rows to thin stays as it is.
    """

    def __init__(self, fewest_to_thin: int = FEWEST_TO_THIN) -> None:
        self._fewest_to_thin = fewest_to_thin
        self._key = token_bytes(32)
        self._sessions: dict[str, StoredSession | None] = {}  # None is a tombstone
        self._logs: dict[str, list[LoggedUpdate]] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._thinned: dict[str, int] = {}
        self._work: dict[str, set[str]] = {}

    def _info(self, session: str) -> StoredSession:
        if session not in self._sessions:
            raise NoSuchSession(f"There is no session {session}.")
        info = self._sessions[session]
        if info is None:
            raise SessionDeleted(f"The session {session} was deleted.")
        return info

    async def create(self, session: str, *, title: str, at: str) -> bool:
        if session in self._sessions:
            self._info(session)
            return False
        self._sessions[session] = StoredSession(session, title, at, at, 0)
        self._logs[session] = []
        self._thinned[session] = 0
        return True

    async def load(self, session: str) -> LoadedSession | None:
        if session not in self._sessions:
            return None
        info = self._info(session)
        snapshot = self._snapshots.get(session)
        behind = tuple(row for row in self._logs[session] if row.version > (snapshot.version if snapshot else 0))
        writers = {row.client: row.participant for row in reversed(self._logs[session]) if row.client is not None}
        return LoadedSession(info, snapshot, behind, self._thinned[session], writers)

    async def append(self, updates: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
        logs: dict[str, list[LoggedUpdate]] = {}
        changed = set[str]()
        for row in updates:
            log = logs.setdefault(row.session, list(self._logs[self._info(row.session).id]))
            end = log[-1].version if log else 0
            single = {there.version: there for there in log if there.version > self._thinned[row.session]}
            if row.version == end + 1:
                log.append(row)
                changed.add(row.session)
            elif row.version not in single or single[row.version] != row:
                raise VersionTaken(f"Version {row.version} of {row.session} doesn't fit.")
        for session in changed:
            self._logs[session] = logs[session]
            newest = logs[session][-1]
            self._sessions[session] = replace(self._info(session), version=newest.version, updated_at=newest.at)
        for session, agents in work.items():
            if self._sessions.get(session):
                self._work[session] = set(agents)

    async def work(self, agent: str, *, after: str = "", limit: int = 100) -> tuple[str, ...]:
        named = sorted(session for session, agents in self._work.items() if agent in agents and session > after)
        return tuple(named[: max(limit, 0)])

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.version > self._info(snapshot.session).version:
            raise StorageError("The snapshot is ahead of the log.")
        stored = self._snapshots.get(snapshot.session)
        if stored is None or stored.version <= snapshot.version:
            self._snapshots[snapshot.session] = snapshot

    async def compact(self, session: str, thin: Thin) -> None:
        self._info(session)
        snapshot = self._snapshots.get(session)
        log, thinned = self._logs[session], self._thinned[session]
        before = [row for row in log if row.version <= thinned]
        rows = [row for row in log if snapshot and thinned < row.version <= snapshot.version]
        if len(rows) < self._fewest_to_thin:
            return
        thinned_rows = list(thin(before, rows))
        check_sequence(session, thinned_rows, rows[0].version, rows[-1].version)
        self._logs[session] = [*before, *thinned_rows, *log[len(before) + len(rows) :]]
        self._thinned[session] = rows[-1].version

    async def set_titles(self, titles: Mapping[str, str]) -> None:
        for session, title in titles.items():
            info = self._sessions.get(session)
            if info:
                self._sessions[session] = replace(info, title=title)

    async def sessions(self, *, after: Place | None = None, limit: int = 100) -> tuple[StoredSession, ...]:
        listed = in_order(info for info in self._sessions.values() if info)
        return tuple(info for info in listed if after is None or after.precedes(info))[: max(limit, 0)]

    async def matching(self, patterns: Sequence[str], *, limit: int = 100) -> tuple[StoredSession, ...]:
        def fits(session: str, pattern: str) -> bool:
            return session.startswith(pattern[:-1]) if pattern.endswith("*") else session == pattern

        found = [info for info in self._sessions.values() if info]
        return tuple(info for info in found if any(fits(info.id, one) for one in patterns))[: max(limit, 0)]

    async def key(self) -> bytes:
        return self._key

    async def history(self, session: str, *, after: int = 0, limit: int = 1000) -> tuple[LoggedUpdate, ...]:
        self._info(session)
        rows = [row for row in self._logs[session] if row.version > max(after, 0)]
        end = max(limit, 0)
        while 0 < end < len(rows) and not rows[end].versions:
            end += 1
        return tuple(rows[:end])

    async def delete(self, session: str, *, at: str) -> bool:
        if self._sessions.get(session) is None:
            return False
        self._sessions[session] = None
        del self._logs[session]
        self._snapshots.pop(session, None)
        self._work.pop(session, None)
        return True

    async def ping(self) -> None:
        """A dictionary can always be written."""
