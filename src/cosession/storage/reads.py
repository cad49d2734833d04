"""Reads the stored data of a session with checks: every row by its checksum, the log for gaps.

Damage is raised, never returned. Synchronous functions over a connection, inside a transaction of the caller.
"""

import sqlite3
from collections.abc import Sequence
from zlib import crc32

from cosession.errors import NoSuchSession, SessionDamaged, SessionDeleted, StorageError

from .interface import LoggedUpdate, Snapshot, StoredSession
from .segments import Chapter, decompress, unpack

_NEW_WRITERS = """
    SELECT client, participant FROM updates
    WHERE session = ?1 AND version > coalesce((SELECT version FROM snapshots WHERE session = ?1), 0)
        AND client IS NOT NULL
    ORDER BY version
"""


def session(db: sqlite3.Connection, session: str) -> StoredSession:
    """Return a session's row in the list.

    Raises:
        NoSuchSession: there is none.
        SessionDeleted: it is a tombstone.
    """
    row = db.execute(
        "SELECT deleted_at, id, title, created_at, updated_at, version FROM sessions WHERE id = ?", (session,)
    ).fetchone()
    if row is None:
        raise NoSuchSession(f"There is no session {session}: create it first.")
    if row[0] is not None:
        raise SessionDeleted(f"The session {session} was deleted: start another under a new id.")
    return StoredSession(*row[1:])


def snapshot(db: sqlite3.Connection, info: StoredSession) -> Snapshot | None:
    """Return a session's snapshot, if it has one.

    Raises:
        StorageError: it is damaged, or a newer cosession wrote it.
    """
    row = db.execute("SELECT version, bytes, checksum, codec FROM snapshots WHERE session = ?", (info.id,)).fetchone()
    if row is None:
        return None
    try:
        snapshot = read_snapshot(info.id, *row)
    except ValueError as error:
        raise damaged(info.id, f"its snapshot can't be used: {error}") from error
    if snapshot.version > info.version:
        raise damaged(info.id, "its snapshot is not what was saved")
    return snapshot


def read_snapshot(session: str, version: int, data: bytes, checksum: int, codec: int) -> Snapshot:
    """Return the snapshot that the columns of a row hold.

    Raises:
        UnknownCodec: a newer cosession wrote it.
        ValueError: it differs from the saved one.
    """
    if not isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("it is not what was saved")  # noqa: TRY004 - damage, and not a mistake of the caller
    snapshot = Snapshot(session, version, decompress(codec, data))
    if snapshot_checksum(snapshot) != checksum:
        raise ValueError("it is not what was saved")
    return snapshot


def chapters(db: sqlite3.Connection, session: str) -> list[Chapter]:
    """Return all chapters of a session's log, as stored."""
    query = "SELECT session, first, version, codec, bytes, checksum FROM chapters WHERE session = ? ORDER BY version"
    return [Chapter(*row) for row in db.execute(query, (session,)).fetchall()]


def thinned(db: sqlite3.Connection, session: str) -> int:
    """Return the last version of a log that is in chapters; 0 for none."""
    (version,) = db.execute("SELECT max(version) FROM chapters WHERE session = ?", (session,)).fetchone()
    return version or 0


def writers(db: sqlite3.Connection, session: str) -> dict[int, str]:
    """Return the participant that first wrote under each Yjs client id."""
    known = db.execute("SELECT client, participant FROM writers WHERE session = ?", (session,)).fetchall()
    since = db.execute(_NEW_WRITERS, (session,)).fetchall()
    return dict((*reversed(since), *known))


def rows_of(chapter: Chapter) -> list[LoggedUpdate]:
    """Return the rows of a chapter.

    Raises:
        StorageError: it is damaged, or a newer cosession wrote it.
    """
    try:
        return unpack(chapter)
    except ValueError as error:
        which = f"the chapter of updates {chapter.first} to {chapter.version} of its log can't be used"
        raise damaged(chapter.session, f"{which}: {error}") from error


def log(
    db: sqlite3.Connection, info: StoredSession, after: int, limit: int | None = None
) -> tuple[LoggedUpdate, ...]:
    """Return the log after version `after`, with a range around it whole: `limit` rows, or all.

    Raises:
        StorageError: a row is missing, differs from the saved one, or was written by a newer cosession.
    """
    rows = _thinned_rows(db, info, after, limit)
    end = rows[-1].version if rows else after
    left = None if limit is None else max(limit - len(rows), 0)
    for version, at, participant, client, update, checksum in db.execute(
        "SELECT version, at, participant, client, bytes, checksum FROM updates "
        "WHERE session = ? AND version > ? ORDER BY version LIMIT ?",
        (info.id, end, -1 if left is None else left),
    ).fetchall():
        row = LoggedUpdate(info.id, version, at, participant, client, update)
        if version != end + 1:
            raise damaged(info.id, f"update {end + 1} of its log is missing")
        if not is_intact_row(row, checksum):
            raise damaged(info.id, f"update {version} of its log is not what was saved")
        rows.append(row)
        end = version
    due = max(info.version, after)
    if end > due or (end < due and (limit is None or len(rows) < limit)):
        raise damaged(info.id, f"its log should end at version {info.version}, and ends at {end}")
    return tuple(rows)


def _thinned_rows(db: sqlite3.Connection, info: StoredSession, after: int, limit: int | None) -> list[LoggedUpdate]:
    """Return the rows after a version that are in chapters; only as many chapters as needed are read."""
    rows: list[LoggedUpdate] = []
    end = after
    while limit is None or len(rows) < limit:
        found = db.execute(
            "SELECT session, first, version, codec, bytes, checksum FROM chapters "
            "WHERE session = ? AND version > ? ORDER BY version LIMIT 1",
            (info.id, end),
        ).fetchone()
        if found is None:
            break
        chapter = Chapter(*found)
        unpacked = rows_of(chapter)  # a damaged column may have any type
        if chapter.first > end + 1 or (rows and chapter.first != end + 1):
            raise damaged(info.id, f"update {end + 1} of its log is missing")
        rows += [row for row in unpacked if row.version > after]
        end = chapter.version
    if limit is None:
        return rows
    while 0 < limit < len(rows) and not rows[limit].versions:
        limit += 1
    return rows[: max(limit, 0)]


def check_sequence(session: str, rows: Sequence[LoggedUpdate], first: int, last: int) -> None:
    """Check that rows stand for these versions of a session, each once and in order.

    Raises:
        StorageError: they stand for other versions.
    """
    ends = [first - 1, *(row.version for row in rows)]
    follows = all(row.session == session and row.first == end + 1 for row, end in zip(rows, ends, strict=False))
    if not follows or ends[-1] != last or rows[0].versions < 1 or any(row.versions < 0 for row in rows):
        raise StorageError(
            f"The log of session {session} was not thinned: versions {first} to {last} became others. Report this."
        )


def refuse_remains(db: sqlite3.Connection, session: str) -> None:
    """Refuse a session that is not in the list, but has data left.

    Raises:
        StorageError: there is data of the session.
    """
    for table in ("updates", "chapters", "snapshots"):
        if db.execute(f"SELECT 1 FROM {table} WHERE session = ? LIMIT 1", (session,)).fetchone():  # noqa: S608
            raise damaged(session, "it is gone from the list of sessions, and its data is there")


def is_intact_row(row: LoggedUpdate, checksum: object) -> bool:
    """Return whether a single row of a log, as read, equals the saved one."""
    return isinstance(row.update, bytes) and row_checksum(row) == checksum  # pyright: ignore[reportUnnecessaryIsInstance]


def row_checksum(row: LoggedUpdate) -> int:
    """Return the checksum that is stored with a single row."""
    head = f"{row.session}\0{row.version}\0{row.at}\0{row.participant}\0{row.client}\0"
    return crc32(row.update, crc32(head.encode()))


def snapshot_checksum(snapshot: Snapshot) -> int:
    """Return the checksum that is stored with a snapshot, of its uncompressed bytes."""
    return crc32(snapshot.update, crc32(f"{snapshot.session}\0{snapshot.version}\0".encode()))


def damaged(session: str, what: str) -> SessionDamaged:
    """Return the error for a damaged session."""
    return SessionDamaged(f"The session {session} is damaged: {what}. `cosession check` says more.")
