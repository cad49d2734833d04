"""What `SqliteStorage` does inside its transactions: synchronous functions over a connection in autocommit mode.

Each function is one transaction, whole or not at all; what it guarantees is in `interface.Storage`. Whatever is
read is checked (every row by its checksum, the log for gaps): damage is raised, never passed on.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any
from zlib import crc32

from cosession.errors import NoSuchSession, SessionDeleted, StorageError

from .interface import LoadedSession, LoggedUpdate, Snapshot, StoredSession


def create(db: sqlite3.Connection, session: str, title: str, at: str) -> bool:
    """See `Storage.create`."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        row = "INSERT INTO sessions (id, title, created_at, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        made = db.execute(row, (session, title, at, at)).rowcount == 1
        if not made:
            _session(db, session)
    return made


def load(db: sqlite3.Connection, session: str) -> LoadedSession | None:
    """See `Storage.load`."""
    with _transaction(db, "BEGIN"):
        try:
            info = _session(db, session)
        except NoSuchSession:
            _refuse_remains(db, session)
            return None
        snapshot = _snapshot(db, info)
        updates = _log(db, info, snapshot.version if snapshot else 0)
    return LoadedSession(info, snapshot, updates)


def append(db: sqlite3.Connection, updates: Sequence[LoggedUpdate]) -> None:
    """See `Storage.append`."""
    versions: dict[str, int] = {}
    newest: dict[str, LoggedUpdate] = {}
    rows: dict[tuple[str, int], LoggedUpdate] = {}
    with _transaction(db, "BEGIN IMMEDIATE"):
        for row in updates:
            version = versions.get(row.session)
            if version is None:
                version = versions[row.session] = _session(db, row.session).version
            if row.version <= version:
                _refuse_other(db, row, rows.get((row.session, row.version)))
                continue
            if row.version != version + 1:
                raise StorageError(
                    f"The log of session {row.session} is at version {version}, and {row.version} doesn't follow it: "
                    "load the session again."
                )
            rows[row.session, row.version] = row
            versions[row.session] = row.version
            newest[row.session] = row
        db.executemany(
            "INSERT INTO updates (session, version, at, participant, client, bytes, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (row.session, row.version, row.at, row.participant, row.client, row.update, _checksum(row))
                for row in rows.values()
            ],
        )
        db.executemany(
            "UPDATE sessions SET version = ?, updated_at = ? WHERE id = ?",
            [(row.version, row.at, row.session) for row in newest.values()],
        )


def save_snapshot(db: sqlite3.Connection, snapshot: Snapshot) -> None:
    """See `Storage.save_snapshot`."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        version = _session(db, snapshot.session).version
        if snapshot.version > version:
            raise StorageError(
                f"A snapshot of session {snapshot.session} at version {snapshot.version} is ahead of its log, which "
                f"is at {version}: append first."
            )
        db.execute(
            "INSERT INTO snapshots (session, version, bytes, checksum) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET version = excluded.version, bytes = excluded.bytes, "
            "checksum = excluded.checksum WHERE excluded.version >= snapshots.version",
            (snapshot.session, snapshot.version, snapshot.update, _snapshot_checksum(snapshot)),
        )


def set_title(db: sqlite3.Connection, session: str, title: str) -> None:
    """See `Storage.set_title`."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        _session(db, session)
        db.execute("UPDATE sessions SET title = ? WHERE id = ?", (title, session))


def sessions(db: sqlite3.Connection, limit: int) -> tuple[StoredSession, ...]:
    """See `Storage.sessions`."""
    rows = db.execute(
        "SELECT id, title, created_at, updated_at, version FROM sessions WHERE deleted_at IS NULL "
        "ORDER BY updated_at DESC, id LIMIT ?",
        (max(limit, 0),),
    ).fetchall()
    return tuple(StoredSession(*row) for row in rows)


def history(db: sqlite3.Connection, session: str, after: int, limit: int) -> tuple[LoggedUpdate, ...]:
    """See `Storage.history`."""
    with _transaction(db, "BEGIN"):
        return _log(db, _session(db, session), max(after, 0), max(limit, 0))


def delete(db: sqlite3.Connection, session: str, at: str) -> bool:
    """See `Storage.delete`."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        tombstone = "UPDATE sessions SET deleted_at = ?, title = '' WHERE id = ? AND deleted_at IS NULL"
        deleted = db.execute(tombstone, (at, session)).rowcount == 1
        if deleted:
            db.execute("DELETE FROM updates WHERE session = ?", (session,))
            db.execute("DELETE FROM snapshots WHERE session = ?", (session,))
    return deleted


def ping(db: sqlite3.Connection) -> None:
    """See `Storage.ping`. Writes the schema's version over itself: a real commit that changes nothing."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version}")


@contextmanager
def _transaction(db: sqlite3.Connection, begin: str) -> Generator[None]:
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:  # some errors of the disk have ended it already
            db.execute("ROLLBACK")


def _session(db: sqlite3.Connection, session: str) -> StoredSession:
    row = db.execute(
        "SELECT deleted_at, id, title, created_at, updated_at, version FROM sessions WHERE id = ?", (session,)
    ).fetchone()
    if row is None:
        raise NoSuchSession(f"There is no session {session}: create it first.")
    if row[0] is not None:
        raise SessionDeleted(f"The session {session} was deleted: start another under a new id.")
    return StoredSession(*row[1:])


def _snapshot(db: sqlite3.Connection, info: StoredSession) -> Snapshot | None:
    row = db.execute("SELECT version, bytes, checksum FROM snapshots WHERE session = ?", (info.id,)).fetchone()
    if row is None:
        return None
    snapshot = Snapshot(info.id, row[0], row[1])
    if not is_intact_snapshot(snapshot, row[2]) or snapshot.version > info.version:
        raise _damaged(info.id, "its snapshot is not what was saved")
    return snapshot


def _log(
    db: sqlite3.Connection, info: StoredSession, after: int, limit: int | None = None
) -> tuple[LoggedUpdate, ...]:
    """Read and check the log behind version `after`: `limit` rows of it, or exactly all."""
    # All rows at once: a cursor left half read would keep its moment, and the reader would never see a later one.
    rows: list[tuple[Any, ...]] = db.execute(
        "SELECT version, at, participant, client, bytes, checksum FROM updates "
        "WHERE session = ? AND version > ? ORDER BY version LIMIT ?",
        (info.id, after, -1 if limit is None else limit),
    ).fetchall()
    updates: list[LoggedUpdate] = []
    for expected, (version, at, participant, client, update, checksum) in zip(count(after + 1), rows, strict=False):
        row = LoggedUpdate(info.id, version, at, participant, client, update)
        if version != expected:
            raise _damaged(info.id, f"update {expected} of its log is missing")
        if not is_intact_row(row, checksum):
            raise _damaged(info.id, f"update {expected} of its log is not what was saved")
        updates.append(row)
    there = max(info.version - after, 0)
    if len(updates) != (there if limit is None else min(there, limit)):
        raise _damaged(info.id, f"its log should end at version {info.version}, and ends at {after + len(updates)}")
    return tuple(updates)


def _refuse_other(db: sqlite3.Connection, row: LoggedUpdate, twin: LoggedUpdate | None) -> None:
    """Refuse a row whose version is taken, unless by the same bytes: on the disk, or by its twin in the same call."""
    if twin is not None:
        stored = twin.update
    else:
        found = db.execute(
            "SELECT bytes FROM updates WHERE session = ? AND version = ?", (row.session, row.version)
        ).fetchone()
        stored = found and found[0]
    if stored != row.update:
        raise StorageError(
            f"Version {row.version} of session {row.session} is there with other bytes: somebody else wrote it; "
            "load the session again."
        )


def _refuse_remains(db: sqlite3.Connection, session: str) -> None:
    for table in ("updates", "snapshots"):
        if db.execute(f"SELECT 1 FROM {table} WHERE session = ? LIMIT 1", (session,)).fetchone():  # noqa: S608
            raise _damaged(session, "it is gone from the list of sessions, and its data is there")


def is_intact_row(row: LoggedUpdate, checksum: object) -> bool:
    """Whether a row of a log, as it was read, is what was saved."""
    return isinstance(row.update, bytes) and _checksum(row) == checksum  # pyright: ignore[reportUnnecessaryIsInstance]


def is_intact_snapshot(snapshot: Snapshot, checksum: object) -> bool:
    """Whether a snapshot, as it was read, is what was saved."""
    return isinstance(snapshot.update, bytes) and _snapshot_checksum(snapshot) == checksum  # pyright: ignore[reportUnnecessaryIsInstance]


def _checksum(row: LoggedUpdate) -> int:
    head = f"{row.session}\0{row.version}\0{row.at}\0{row.participant}\0{row.client}\0"
    return crc32(row.update, crc32(head.encode()))


def _snapshot_checksum(snapshot: Snapshot) -> int:
    return crc32(snapshot.update, crc32(f"{snapshot.session}\0{snapshot.version}\0".encode()))


def _damaged(session: str, what: str) -> StorageError:
    return StorageError(f"The session {session} is damaged: {what}. `cosession check` says more.")
