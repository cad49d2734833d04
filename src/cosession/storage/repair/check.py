"""Checks a database: lists its intact and its damaged data; reads everything, changes nothing, repairs nothing.

Each damage of a session or of the file is one sentence; a session without any is intact, as far as bytes can show.
Whether the bytes replay to a document is checked by the layer above, which knows their meaning.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..database import explained
from ..interface import LoggedUpdate, Snapshot, StoredSession
from ..reads import is_intact_row, read_snapshot
from ..segments import Chapter, UnknownCodec, unpack
from .read_only import UNREADABLE, DamagedText, read_rows, reading

_Span: TypeAlias = tuple[int, int]
"""The first and the last version of a consecutive range."""

_MOST_SPANS = 8
"""The number of ranges that a sentence lists: a log that lost every second row must not fill the screen."""

_OTHERS = (
    "SELECT id, participant, token, session, reason, by, at, by_admin FROM revocations",
    "SELECT session, client, participant FROM writers",
    "SELECT session, agent FROM work",
)
"""The queries of a server for data other than sessions."""


@dataclass(frozen=True, slots=True)
class Remains:
    """The intact data of one session.

    Attributes:
        id: the session's id.
        info: its row in the list of sessions, if that exists and isn't marked as deleted.
        snapshot: its snapshot, if intact.
        updates: the intact rows of its log, in order; versions may be missing between them.
        version: the highest version that any of this proves.
        damage: a sentence for each damage.
    """

    id: str
    info: StoredSession | None
    snapshot: Snapshot | None
    updates: tuple[LoggedUpdate, ...]
    version: int
    damage: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The row that a deleted session leaves, so that its id is never used again."""

    id: str
    created_at: str
    updated_at: str
    version: int
    deleted_at: str


class Inspection:
    """The result of checking one database; made by `inspect`.

    Attributes:
        path: the database file.
        failures: a sentence for each damage of the file itself.
        sessions: the ids of all sessions with any data left, except completely deleted ones.
        tombstones: the deleted sessions.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.failures: list[str] = []
        self.sessions: list[str] = []
        self.tombstones: list[Tombstone] = []
        self._db = db
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._look()

    def _look(self) -> None:
        self._check_structure()
        rows = self._rows_of("SELECT id, title, created_at, updated_at, version, deleted_at FROM sessions", "id")
        rows = [row for row in rows if self._is_listed(row)]
        self._rows = {row[0]: row for row in rows}
        traces = {row[0] for row in rows if row[5] is None}
        for table in ("updates", "chapters", "snapshots"):
            traces |= {row[0] for row in self._rows_of(f"SELECT DISTINCT session FROM {table}", "session")}  # noqa: S608
        self.sessions = sorted(session for session in traces if isinstance(session, str))
        self.tombstones = [Tombstone(*row[:1], *row[2:]) for row in rows if row[0] not in traces]

    def _is_listed(self, row: tuple[Any, ...]) -> bool:
        """Return whether a row of the list has the right types, which only damage can change."""
        *texts, version, deleted_at = row
        good = all(isinstance(text, str) for text in texts) and isinstance(version, int)
        if not (good and isinstance(deleted_at, str | None)):
            self.failures.append(f"a row of the list of sessions can't be read: {row}")
            return False
        return True

    def _check_structure(self) -> None:
        try:
            found = [str(line) for (line,) in self._db.execute("PRAGMA integrity_check")]
        except UNREADABLE as error:
            found = [str(error)]
        with self.path.open("rb") as file:
            versions = file.read(20)[18:]
        if not set(versions) <= {1, 2}:
            found.append("its head says that it can't be written")
        for query in _OTHERS:
            try:
                self._db.execute(query).fetchall()
            except UNREADABLE as error:
                found.append(str(error))
        self.failures += [f"its structure is damaged: {' '.join(line.split())}" for line in found if line != "ok"]

    def session(self, session: str) -> Remains:
        """Read and check everything of one session."""
        damage: list[str] = []
        row = self._rows.get(session)
        info = StoredSession(*row[:5]) if row and row[5] is None else None
        if row is None:
            damage.append("it is gone from the list of sessions, and its data is there")
        elif info is None:
            damage.append("it is marked as deleted, and its data is there")
        if row and any(isinstance(value, DamagedText) for value in row):
            damage.append("its row in the list of sessions is not what was saved")
        updates = self._updates(session, damage)
        snapshot = self._snapshot(session, damage)
        end = updates[-1].version if updates else 0
        if info and info.version != end:
            damage.append(f"its log should end at version {info.version}, and ends at {end}")
        if snapshot and snapshot.version > end:
            damage.append(f"its snapshot is of version {snapshot.version}, and its log ends at {end}")
        version = max(end, snapshot.version if snapshot else 0)
        return Remains(session, info, snapshot, updates, version, tuple(damage))

    def _updates(self, session: str, damage: list[str]) -> tuple[LoggedUpdate, ...]:
        """Return the readable part of the log: its chapters, then the single rows."""
        intact: list[LoggedUpdate] = []
        single: list[LoggedUpdate] = []
        altered: list[_Span] = []
        self._read_chapters(session, damage, intact, altered)
        self._read_single_rows(session, damage, single, altered)
        covered = _joined((row.first, row.version) for row in intact if row.versions)
        twice = [(row.version, row.version) for row in single if _is_in(covered, row.version)]
        intact += (row for row in single if not _is_in(covered, row.version))
        altered = _joined(altered)
        if altered:
            damage.append(f"{_named(altered)} not what was saved")
        missing: list[_Span] = []
        kept: list[LoggedUpdate] = []
        end = 0
        for row in sorted(intact, key=lambda row: row.version):
            if row.first <= end:
                twice.append((row.first, end))
                continue
            missing += _without((end + 1, row.first - 1), altered)
            kept.append(row)
            end = row.version
        for spans, what in ((missing, "missing"), (twice, "there twice")):
            if named := _joined(spans):
                damage.append(f"{_named(named)} {what}")
        return tuple(kept)

    def _read_chapters(
        self, session: str, damage: list[str], intact: list[LoggedUpdate], altered: list[_Span]
    ) -> None:
        for columns in self._rows_of(
            "SELECT session, first, version, codec, bytes, checksum FROM chapters WHERE session = ?",
            "version",
            session,
            damage=damage,
        ):
            chapter = Chapter(*columns)
            if not (isinstance(chapter.first, int) and isinstance(chapter.version, int)):  # pyright: ignore[reportUnnecessaryIsInstance]
                damage.append("a chapter of its log has no version")
                continue
            try:
                intact += unpack(chapter)
            except UnknownCodec as error:
                damage.append(
                    f"the chapter of updates {chapter.first} to {chapter.version} of its log can't be read: {error}"
                )
            except ValueError:
                altered.append((chapter.first, chapter.version))

    def _read_single_rows(
        self, session: str, damage: list[str], intact: list[LoggedUpdate], altered: list[_Span]
    ) -> None:
        for version, at, participant, client, update, checksum in self._rows_of(
            "SELECT version, at, participant, client, bytes, checksum FROM updates WHERE session = ?",
            "version",
            session,
            damage=damage,
        ):
            row = LoggedUpdate(session, version, at, participant, client, update)
            if not isinstance(version, int):
                damage.append("a row of its log has no version")
            elif is_intact_row(row, checksum):
                intact.append(row)
            else:
                altered.append((version, version))

    def _rows_of(
        self, query: str, key: str, *parameters: object, damage: list[str] | None = None
    ) -> list[tuple[Any, ...]]:
        rows, error = read_rows(self._db, query, key, *parameters)
        if error is not None:
            (self.failures if damage is None else damage).append(f"a part of it can't be read ({error})")
        return rows

    def _snapshot(self, session: str, damage: list[str]) -> Snapshot | None:
        for columns in self._rows_of(
            "SELECT version, bytes, checksum, codec FROM snapshots WHERE session = ?",
            "session",
            session,
            damage=damage,
        ):
            try:
                return read_snapshot(session, *columns)
            except UnknownCodec as error:
                damage.append(f"its snapshot can't be read: {error}")
            except ValueError:
                damage.append("its snapshot is not what was saved")
        return None


@contextmanager
def inspect(path: Path) -> Generator[Inspection]:
    """Check a database, as of one moment, also while a server uses it.

    Args:
        path: the database file.

    Raises:
        StorageError: as for `reading`.
    """
    with reading(path) as db:
        # One transaction, to see one moment of the database while a server continues to write.
        with explained(str(path)):
            db.execute("BEGIN")
        yield Inspection(path, db)


def _joined(spans: Iterable[_Span]) -> list[_Span]:
    """Return spans in order, adjacent ones merged; a damaged span may have any length, or end before it begins."""
    joined: list[_Span] = []
    for first, last in sorted(span for span in spans if span[0] <= span[1]):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _is_in(spans: Sequence[_Span], version: int) -> bool:
    """Return whether joined spans contain a version."""
    place = bisect_right(spans, version, key=lambda span: span[0]) - 1
    return place >= 0 and version <= spans[place][1]


def _without(span: _Span, others: Sequence[_Span]) -> Iterator[_Span]:
    """Yield the parts of a span that are in none of some joined others."""
    first, last = span
    place = max(bisect_right(others, first, key=lambda other: other[0]) - 1, 0)
    for other_first, other_last in others[place:]:
        if other_first > last:
            break
        if first < other_first:
            yield first, other_first - 1
        first = max(first, other_last + 1)
    if first <= last:
        yield first, last


def _named(spans: Sequence[_Span]) -> str:
    """Return e.g. `update 3 of its log is`, or `updates 3 to 5 and 9 of its log are`."""
    named = [str(first) if first == last else f"{first} to {last}" for first, last in spans[:_MOST_SPANS]]
    if len(spans) > _MOST_SPANS:
        named.append(f"at {len(spans) - _MOST_SPANS} more places")
    text = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
    is_one = len(spans) == 1 and spans[0][0] == spans[0][1]
    return f"update {text} of its log is" if is_one else f"updates {text} of its log are"
