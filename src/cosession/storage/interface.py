"""What a room asks of a storage: sessions, their log, their snapshots.

A storage carries bytes and never sees a document. Its invariants, which `tests/storage/acceptance.py` checks of
every implementation:

- Versions count per session, from 1, without a gap. A row is one update and has one version, until the log is
  thinned: then one row stands for a range of them, and ranges follow each other without a gap or an overlap. Where
  several wrote by turns, a range has a row for each of them; these are always given together.
- A call that returned has happened, whatever is killed next. A call that raised has not happened, unless it
  raised `StorageError` from the disk itself: then the outcome is unknown, and the same call may be made again.
- Calls that write are carried out one after another, in the order in which they were made.
- A cancelled caller learns nothing: what it asked for happens whole or not at all, and the storage stays usable.
- Damage is said, never shown as an empty or a shorter session.

Times are RFC 3339 strings in UTC, all of one precision: they are compared as text.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias


@dataclass(slots=True)  # not frozen: each token makes one
class LoggedUpdate:
    """One row of the log: an update, or what several neighbours became when the log was thinned.

    Attributes:
        session: id of the session.
        version: its position in the session's log, from 1; of a range, the last.
        at: when the server took it in; of a range, its last version.
        participant: the verified id of who sent it.
        client: the Yjs client id that wrote it, where it was one; an empty update only says whose that id is.
        update: the bytes as they came in; of a range, what they come to.
        versions: how many versions it stands for; 0 if the row before it stands for them too: it is the rest of what
            happened in that range, by another hand.
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
        title: its title as last told by `set_titles`, for lists; the document's own is the truth.
        created_at: when it was made.
        updated_at: the time of its newest update, or of its creation.
        version: how many updates its log has had.
    """

    id: str
    title: str
    created_at: str
    updated_at: str
    version: int


@dataclass(frozen=True, slots=True)
class LoadedSession:
    """All that it takes to rebuild a document: the snapshot, then `updates`, in this order.

    The updates are those after the snapshot (from version 1 without one) up to `info.version`, without a gap.

    Attributes:
        info: the session's row in the list.
        snapshot: its snapshot, if it has one.
        updates: the rows of its log behind that.
        thinned: up to which version its log has been thinned.
        writers: which participant first wrote under each Yjs client id, as far as the log's rows say.
    """

    info: StoredSession
    snapshot: Snapshot | None
    updates: tuple[LoggedUpdate, ...]
    thinned: int = 0
    writers: dict[int, str] = field(default_factory=dict[int, str])


Thin: TypeAlias = Callable[[Sequence[LoggedUpdate], Sequence[LoggedUpdate]], Sequence[LoggedUpdate]]
"""Makes fewer rows of many: gets the rows before them, then them, and returns rows for the same range of versions,
which replay to the same. Called on a thread of the storage's, and pure."""


NO_WORK: Final[Mapping[str, Set[str]]] = MappingProxyType({})
"""Nothing to note of anybody's work."""


class Storage(Protocol):
    """Where sessions are kept. Every method raises `StorageError` when the engine fails."""

    async def create(self, session: str, *, title: str, at: str) -> bool:
        """Make an empty session at version 0, durably. Idempotent.

        Returns:
            True if this call made it, False if it was there (and is unchanged). Of many concurrent calls,
            one gets True.

        Raises:
            SessionDeleted: it was there once and was deleted; its id is never used again.
        """
        ...

    async def load(self, session: str) -> LoadedSession | None:
        """Read what it takes to rebuild the session, as of one moment.

        Returns:
            None if there is no such session.

        Raises:
            SessionDeleted: it was deleted.
            StorageError: what is stored has a gap, or can't be read. Never answered with a blank.
        """
        ...

    async def append(self, updates: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
        """Add rows to the logs of one or many sessions: one transaction, on the disk on return, all or nothing.

        Rows of one session come in order, and go on from its version. A row that is there, equal in
        every column, is passed over, so that the same call can be made again when its outcome is unknown. The
        sessions' `version` and `updated_at` follow. Where one session of several is refused (NoSuchSession,
        SessionDeleted), append session by session to go on with the others.

        Args:
            updates: the rows; without `work`, none is nothing to do.
            work: the agents of whom something is unfinished after these rows, by session; it takes the place of
                what was noted of that session. One that is not there (any more) is passed over.

        Raises:
            NoSuchSession: a session was never created.
            SessionDeleted: a session was deleted.
            VersionTaken: a version leaves a gap or is there with another row, or is thinned already: another
                process wrote to this log. Trying again doesn't help: load the session again.
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
        """Make small what is stored of a session: its snapshot, and the log up to it.

        Slow, and beside everything else: other calls don't wait for it, and what is written meanwhile stays. Killed
        or failed in the middle, the log is the old one or thinned up to some version; it always replays to the
        same. What was thinned stays so. A snapshot or a log that is small already is left as it is.

        Args:
            session: id of the session.
            thin: called with all rows that were thinned before, and those that follow them up to the snapshot.

        Raises:
            NoSuchSession: the session was never created.
            SessionDeleted: it was deleted.
            StorageError: what is stored is damaged, the engine failed, or `thin` returned rows for other versions
                or raised this.
        """
        ...

    async def set_titles(self, titles: Mapping[str, str]) -> None:
        """Say what the session list shows, durably. `updated_at` stays.

        Args:
            titles: by session; one that is not there (any more) is passed over.
        """
        ...

    async def work(self, agent: str, *, after: str = "", limit: int = 100) -> tuple[str, ...]:
        """List the sessions in which something of an agent is unfinished, by id.

        Args:
            agent: whose.
            after: read from the id after this one; page on with the last one that came.
            limit: how many at most.
        """
        ...

    async def sessions(self, *, limit: int = 100) -> tuple[StoredSession, ...]:
        """List sessions, the newest updated first, equals by id; without the deleted ones.

        Args:
            limit: how many at most.
        """
        ...

    async def history(self, session: str, *, after: int = 0, limit: int = 1000) -> tuple[LoggedUpdate, ...]:
        """Read the log in order of version, from the beginning; page on with `after` = the last version that came.

        Rows that were thinned come as ranges; what they replay to is the document as of their last version.

        Args:
            session: id of the session.
            after: read from the version after this one; a range around it comes whole.
            limit: how many rows at most; a range that has several is not cut, but comes whole.

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
        """Prove that the storage can be written now (readiness).

        Raises:
            StorageError: it can't.
        """
        ...
