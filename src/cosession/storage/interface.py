"""The storage interface of a room: sessions, their log, their snapshots.

A storage carries bytes and never sees a document. Its invariants, which `tests/storage/acceptance.py` checks for
every implementation:

- Versions count per session, from 1, without a gap. A row is one update and has one version, until the log is
  thinned: then one row stands for a range of them, and ranges follow each other without a gap or an overlap. Where
  several clients wrote by turns, a range has a row for each of them; these are always returned together.
- A call that returned is durable, whatever is killed next. A call that raised had no effect, unless it raised
  `StorageError` from the disk itself: then the outcome is unknown, and the same call may be made again.
- Writing calls are executed one after another, in the order of the calls.
- A cancelled call gives no result: it happens completely or not at all, and the storage stays usable.
- Damage is reported, never shown as an empty or a shorter session.

Times are RFC 3339 strings in UTC, all of one precision: they are compared as text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias


@dataclass(slots=True)  # not frozen: each token makes one
class LoggedUpdate:
    """One row of the log: an update, or the merged form of several consecutive ones in a thinned log.

    Attributes:
        session: id of the session.
        version: its position in the session's log, from 1; of a range, the last.
        at: the time at which the server accepted it; of a range, that of its last version.
        participant: the verified id of the sender.
        client: the Yjs client id that wrote it, where it was one; an empty update only binds the id to a participant.
        update: the bytes as received; of a range, their merged form.
        versions: the number of versions that it stands for; 0 if the row before it stands for them too: it then has
            the writes of another client in that range.
    """

    session: str
    version: int
    at: str
    participant: str
    client: int | None
    update: bytes
    versions: int = 1

    @property
    def first(self) -> int:
        """The first version that it stands for."""
        return self.version - self.versions + 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session's whole document, as one update, after `version` updates of its log."""

    session: str
    version: int
    update: bytes


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A row of the session list.

    Attributes:
        id: the session's id.
        title: its title as last set by `set_titles`, for lists; the document's own is authoritative.
        created_at: the time of its creation.
        updated_at: the time of its newest update, or of its creation.
        version: the number of updates that its log has had.
    """

    id: str
    title: str
    created_at: str
    updated_at: str
    version: int


class Place(NamedTuple):
    """A place in the session list: behind the session that has, or had, this id and time.

    It stays valid whatever is written meanwhile: a session that is updated moves in front of it, as long as the clock
    goes forward.
    """

    updated_at: str
    id: str

    def precedes(self, info: StoredSession) -> bool:
        """Return whether a session comes after this place in the list."""
        if info.updated_at == self.updated_at:
            return info.id > self.id
        return info.updated_at < self.updated_at


def in_order(sessions: Iterable[StoredSession]) -> list[StoredSession]:
    """Return sessions in the order of the list: the last updated first, then by id."""
    by_id = sorted(sessions, key=lambda info: info.id)
    return sorted(by_id, key=lambda info: info.updated_at, reverse=True)


@dataclass(frozen=True, slots=True)
class LoadedSession:
    """Everything that is needed to rebuild a document: the snapshot, then `updates`, in this order.

    The updates are those after the snapshot (from version 1 without one) up to `info.version`, without a gap.

    Attributes:
        info: the session's row in the list.
        snapshot: its snapshot, if it has one.
        updates: the rows of its log after the snapshot.
        thinned: the last version up to which its log has been thinned.
        writers: the participant that first wrote under each Yjs client id, as far as the log's rows show.
    """

    info: StoredSession
    snapshot: Snapshot | None
    updates: tuple[LoggedUpdate, ...]
    thinned: int = 0
    writers: dict[int, str] = field(default_factory=dict[int, str])


Thin: TypeAlias = Callable[[Sequence[LoggedUpdate], Sequence[LoggedUpdate]], Sequence[LoggedUpdate]]
"""Merges rows: receives the preceding rows and the rows to merge, and returns fewer rows for the range of the latter
that replay to the same document. Pure; called on a thread of the storage."""


NO_WORK: Final[Mapping[str, Set[str]]] = MappingProxyType({})
"""No change of the unfinished work."""


class Storage(Protocol):
    """A store of sessions. Every method raises `StorageError` when the engine fails."""

    async def create(self, session: str, *, title: str, at: str) -> bool:
        """Make an empty session at version 0, durably. Idempotent.

        Returns:
            True if this call created it, False if it existed (and is unchanged). Of many concurrent calls,
            one returns True.

        Raises:
            SessionDeleted: it existed and was deleted; its id is never used again.
        """
        ...

    async def load(self, session: str) -> LoadedSession | None:
        """Read everything that is needed to rebuild the session, as of one moment.

        Returns:
            None if there is no such session.

        Raises:
            SessionDeleted: it was deleted.
            StorageError: the stored data has a gap, or can't be read. An empty session is never returned instead.
        """
        ...

    async def append(self, updates: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
        """Add rows to the logs of one or many sessions: one transaction, on the disk on return, all or nothing.

        Rows of one session are in order, and continue from its version. A row that is stored already, equal in
        every column, is skipped, so that the same call can be repeated when its outcome is unknown. The
        sessions' `version` and `updated_at` follow. Where one session of several is refused (NoSuchSession,
        SessionDeleted), append session by session to store the others.

        Args:
            updates: the rows; empty without `work` does nothing.
            work: the agents with unfinished work after these rows, by session; it replaces the entries of that
                session. A session that doesn't exist (any more) is skipped.

        Raises:
            NoSuchSession: a session was never created.
            SessionDeleted: a session was deleted.
            VersionTaken: a version leaves a gap, is stored with another row, or is thinned already: another
                process wrote to this log. A retry doesn't help: load the session again.
            StorageError: the engine failed: disk full, read only, gone.
        """
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep this as the session's one snapshot, durably; the log stays. An older one than stored is ignored.

        Raises:
            NoSuchSession: the session was never created.
            SessionDeleted: it was deleted.
            StorageError: the snapshot is ahead of the log.
        """
        ...

    async def compact(self, session: str, thin: Thin) -> None:
        """Compress the stored data of a session: its snapshot, and the log up to it.

        Slow, but concurrent: other calls don't wait for it, and writes meanwhile are kept. After a kill or failure
        in the middle, the log is the old one or thinned up to some version; it always replays to the same
        document. Thinned rows stay thinned. A snapshot or a log that is small already is left as it is.

        Args:
            session: id of the session.
            thin: called with all rows that were thinned before, and with the rows after them up to the snapshot.

        Raises:
            NoSuchSession: the session was never created.
            SessionDeleted: it was deleted.
            StorageError: the stored data is damaged, the engine failed, or `thin` returned rows for other versions
                or raised this.
        """
        ...

    async def set_titles(self, titles: Mapping[str, str]) -> None:
        """Set the titles of the session list, durably. `updated_at` stays.

        Args:
            titles: by session; a session that doesn't exist (any more) is skipped.
        """
        ...

    async def work(self, agent: str, *, after: str = "", limit: int = 100) -> tuple[str, ...]:
        """List the sessions in which an agent has unfinished work, by id.

        Args:
            agent: the agent's participant id.
            after: list ids after this one; for the next page, give the last id of this page.
            limit: the largest number to return.
        """
        ...

    async def sessions(self, *, after: Place | None = None, limit: int = 100) -> tuple[StoredSession, ...]:
        """List sessions, the last updated first, then by id; without deleted ones.

        The cost depends on `limit` alone, not on the number of sessions or on how many have the same time.

        Args:
            after: list those behind this place; for the next page, give the place of the last of this page.
            limit: the largest number to return.
        """
        ...

    async def matching(self, patterns: Sequence[str], *, limit: int = 100) -> tuple[StoredSession, ...]:
        """Find sessions by their ids; without deleted ones, in no particular order.

        The cost depends on `limit` and the number of patterns, not on the number of sessions.

        Args:
            patterns: ids, and beginnings of ids with a `*` behind them, of which none covers another.
            limit: the largest number to return; fewer are all that there are.
        """
        ...

    async def key(self) -> bytes:
        """Return 32 random bytes that are this storage's own, and always the same."""
        ...

    async def history(self, session: str, *, after: int = 0, limit: int = 1000) -> tuple[LoggedUpdate, ...]:
        """Read the log in order of version, from the beginning; the next page has `after` = the last version of this.

        Thinned rows are returned as ranges; they replay to the document as of their last version.

        Args:
            session: id of the session.
            after: read from the version after this one; a range around it is returned whole.
            limit: the largest number of rows; a range of several rows is not split, but returned whole.

        Raises:
            NoSuchSession: the session was never created.
            SessionDeleted: it was deleted.
        """
        ...

    async def delete(self, session: str, *, at: str) -> bool:
        """Remove the session and all its data, durably, in one transaction, and leave a tombstone of its id.

        Returns:
            True if this call deleted it, False if there is no such session (any more).
        """
        ...

    async def ping(self) -> None:
        """Check that the storage can be written now (readiness).

        Raises:
            StorageError: the storage can't be written.
        """
        ...
