"""The transactions of `SqliteStorage`: synchronous functions over a connection in autocommit mode.

Each function is one atomic transaction; its guarantees are in `interface.Storage`. All data is read and checked by
`reads`: damage is raised, never returned.
"""

import sqlite3
from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import contextmanager

from cosession.errors import NoSuchSession, SessionDeleted, StorageError, VersionTaken

from . import reads
from .interface import NO_WORK, LoadedSession, LoggedUpdate, Place, Snapshot, StoredSession, Thin
from .segments import MOST_BYTES, PLAIN, Chapter, PackedSnapshot, compress, pack, split

FEWEST_TO_THIN = 64
"""The number of rows from which a log is thinned: fewer load quickly, and occupy a few pages at most."""

_NOTE_WRITERS = """
    INSERT OR IGNORE INTO writers SELECT session, client, participant FROM
        (SELECT session, client, participant, min(version) FROM updates
         WHERE session = ? AND version <= ? AND client IS NOT NULL GROUP BY client)
"""
"""Records the writers of rows that a snapshot covers, as those may be thinned and are no longer read singly."""


NEWEST = """
    SELECT id, title, created_at, updated_at, version FROM sessions INDEXED BY sessions_newest
    WHERE deleted_at IS NULL {} ORDER BY updated_at DESC, id LIMIT ?
"""
"""Reads the session list in its order, from a place on; nothing is sorted."""

BY_ID = """
    SELECT id, title, created_at, updated_at, version FROM sessions INDEXED BY sessions_by_id
    WHERE deleted_at IS NULL {} LIMIT ?
"""
"""Reads sessions by id, without passing over the deleted ones of which the table itself keeps tombstones."""


def create(db: sqlite3.Connection, wanted: Sequence[tuple[str, str, str]]) -> list[bool | SessionDeleted]:
    """See `Storage.create`; creates many at once.

    Args:
        db: the database.
        wanted: id, title and time of each.

    Returns:
        For each whether it was created here, or the error.
    """
    results: list[bool | SessionDeleted] = []
    with _transaction(db, "BEGIN IMMEDIATE"):
        row = "INSERT INTO sessions (id, title, created_at, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        for session, title, at in wanted:
            made = db.execute(row, (session, title, at, at)).rowcount == 1
            try:
                if not made:
                    reads.session(db, session)
            except SessionDeleted as error:
                results.append(error)
            else:
                results.append(made)
    return results


def load(db: sqlite3.Connection, session: str) -> LoadedSession | None:
    """See `Storage.load`."""
    with _transaction(db, "BEGIN"):
        try:
            info = reads.session(db, session)
        except NoSuchSession:
            reads.refuse_remains(db, session)
            return None
        snapshot = reads.snapshot(db, info)
        updates = reads.log(db, info, snapshot.version if snapshot else 0)
        thinned = reads.thinned(db, session)
        writers = reads.writers(db, session) if info.version else {}
    return LoadedSession(info, snapshot, updates, thinned, writers)


def append(db: sqlite3.Connection, updates: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
    """See `Storage.append`."""
    versions: dict[str, int] = {}
    newest: dict[str, LoggedUpdate] = {}
    rows: dict[tuple[str, int], LoggedUpdate] = {}
    with _transaction(db, "BEGIN IMMEDIATE"):
        for row in updates:
            version = versions.get(row.session)
            if version is None:
                version = versions[row.session] = reads.session(db, row.session).version
            if row.version <= version:
                _refuse_other(db, row, rows.get((row.session, row.version)))
                continue
            if row.version != version + 1:
                raise VersionTaken(
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
                (row.session, row.version, row.at, row.participant, row.client, row.update, reads.row_checksum(row))
                for row in rows.values()
            ],
        )
        db.executemany(
            "UPDATE sessions SET version = ?, updated_at = ? WHERE id = ?",
            [(row.version, row.at, row.session) for row in newest.values()],
        )
        db.executemany("DELETE FROM work WHERE session = ?", [(session,) for session in work])
        db.executemany(
            "INSERT INTO work (session, agent) SELECT id, ? FROM sessions WHERE id = ? AND deleted_at IS NULL",
            [(agent, session) for session, agents in work.items() for agent in agents],
        )


def save_snapshot(db: sqlite3.Connection, snapshot: Snapshot) -> None:
    """See `Storage.save_snapshot`."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        version = reads.session(db, snapshot.session).version
        if snapshot.version > version:
            raise StorageError(
                f"A snapshot of session {snapshot.session} at version {snapshot.version} is ahead of its log, which "
                f"is at {version}: append first."
            )
        db.execute(
            "INSERT INTO snapshots (session, version, bytes, checksum, codec) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET version = excluded.version, bytes = excluded.bytes, "
            "checksum = excluded.checksum, codec = excluded.codec WHERE excluded.version >= snapshots.version",
            (snapshot.session, snapshot.version, snapshot.update, reads.snapshot_checksum(snapshot), PLAIN),
        )
        db.execute(_NOTE_WRITERS, (snapshot.session, snapshot.version))


def pack_snapshot(db: sqlite3.Connection, session: str) -> PackedSnapshot | None:
    """Compress a session's snapshot, in memory; return None if it is compressed already, or gets no smaller."""
    with _transaction(db, "BEGIN"):
        info = reads.session(db, session)
        (codec,) = db.execute("SELECT max(codec) FROM snapshots WHERE session = ?", (session,)).fetchone()
        snapshot = reads.snapshot(db, info) if codec == PLAIN else None
    if snapshot is None:
        return None
    codec, data = compress(snapshot.update)
    return None if codec == PLAIN else PackedSnapshot(session, snapshot.version, codec, data)


def keep_packed(db: sqlite3.Connection, packed: PackedSnapshot) -> None:
    """Store a snapshot's compressed bytes, if that snapshot is still the stored one."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        db.execute(
            "UPDATE snapshots SET bytes = ?, codec = ? WHERE session = ? AND version = ? AND codec = ?",
            (packed.data, packed.codec, packed.session, packed.version, PLAIN),
        )


def pack_log(db: sqlite3.Connection, session: str, thin: Thin) -> list[Chapter]:
    """Thin a log up to its snapshot and pack it, in memory.

    Returns:
        The chapters for `keep_chapter`, in this order; empty if there are too few rows.

    Raises:
        StorageError: the log is damaged, or `thin` returned rows for other versions.
    """
    with _transaction(db, "BEGIN"):
        info = reads.session(db, session)
        (end,) = db.execute("SELECT max(version) FROM snapshots WHERE session = ?", (session,)).fetchone()
        thinned = reads.thinned(db, session)
        if min(end or 0, info.version) - thinned < FEWEST_TO_THIN:
            return []
        chapters = reads.chapters(db, session)
        before = [row for chapter in chapters for row in reads.rows_of(chapter)]
        single = [row for row in reads.log(db, info, thinned) if row.version <= end]
    rows = list(thin(before, single))
    reads.check_sequence(session, rows, single[0].first, single[-1].version)
    last = [row for row in before if row.version >= chapters[-1].first] if chapters else []
    if sum(len(row.update) for row in last) > MOST_BYTES // 2:
        last = []
    return [pack(group) for group in split(rows, last)]


def keep_chapter(db: sqlite3.Connection, chapter: Chapter) -> None:
    """Replace the single rows of a chapter's versions, and the chapter that it extends, by the chapter."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        reads.session(db, chapter.session)
        span = (chapter.session, chapter.first, chapter.version)
        replaced = db.execute(
            "SELECT total(version - first + 1) FROM chapters WHERE session = ? AND version BETWEEN ? AND ?",
            span,
        ).fetchone()[0]
        db.execute("DELETE FROM chapters WHERE session = ? AND version BETWEEN ? AND ?", span)
        replaced += db.execute("DELETE FROM updates WHERE session = ? AND version BETWEEN ? AND ?", span).rowcount
        if replaced != chapter.version - chapter.first + 1:
            raise StorageError(
                f"The log of session {chapter.session} is not what it was when it was thinned: nothing was changed."
            )
        _insert_chapter(db, chapter)


def add_chapters(db: sqlite3.Connection, session: str, rows: Sequence[LoggedUpdate]) -> None:
    """Begin the log of a session at version 0 with thinned rows."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        for group in split(rows):
            _insert_chapter(db, pack(group))
        if rows:
            newest = (rows[-1].version, rows[-1].at, session)
            db.execute("UPDATE sessions SET version = ?, updated_at = ? WHERE id = ?", newest)


def set_titles(db: sqlite3.Connection, titles: Mapping[str, str]) -> None:
    """See `Storage.set_titles`."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        rows = [(title, session) for session, title in titles.items()]
        db.executemany("UPDATE sessions SET title = ? WHERE id = ? AND deleted_at IS NULL", rows)


def work(db: sqlite3.Connection, agent: str, after: str, limit: int) -> tuple[str, ...]:
    """See `Storage.work`."""
    query = "SELECT session FROM work WHERE agent = ? AND session > ? ORDER BY session LIMIT ?"
    return tuple(session for (session,) in db.execute(query, (agent, after, max(limit, 0))).fetchall())


def sessions(db: sqlite3.Connection, after: Place | None, limit: int) -> tuple[StoredSession, ...]:
    """See `Storage.sessions`."""
    left = max(limit, 0)
    if after is None:
        rows = db.execute(NEWEST.format(""), (left,)).fetchall()
    else:
        # One condition for both would pass over all sessions of the same time, or sort all that are older.
        with _transaction(db, "BEGIN"):
            rows = db.execute(NEWEST.format("AND updated_at = ? AND id > ?"), (*after, left)).fetchall()
            rows += db.execute(NEWEST.format("AND updated_at < ?"), (after.updated_at, left - len(rows))).fetchall()
    return tuple(StoredSession(*row) for row in rows)


def matching(db: sqlite3.Connection, patterns: Sequence[str], limit: int) -> tuple[StoredSession, ...]:
    """See `Storage.matching`."""
    rows: list[tuple[str, str, str, str, int]] = []
    with _transaction(db, "BEGIN"):
        for pattern in patterns:
            left = max(limit, 0) - len(rows)
            if not left:
                break
            if not pattern.endswith("*"):
                rows += db.execute(BY_ID.format("AND id = ?"), (pattern, left)).fetchall()
                continue
            begin = pattern[:-1]
            end = _behind(begin)
            if end is None:
                rows += db.execute(BY_ID.format("AND id >= ?"), (begin, left)).fetchall()
            else:
                rows += db.execute(BY_ID.format("AND id >= ? AND id < ?"), (begin, end, left)).fetchall()
    return tuple(StoredSession(*row) for row in rows)


def key(db: sqlite3.Connection) -> bytes:
    """See `Storage.key`."""
    (value,) = db.execute("SELECT value FROM own_key").fetchone()
    return value


def history(db: sqlite3.Connection, session: str, after: int, limit: int) -> tuple[LoggedUpdate, ...]:
    """See `Storage.history`."""
    with _transaction(db, "BEGIN"):
        return reads.log(db, reads.session(db, session), max(after, 0), max(limit, 0))


def delete(db: sqlite3.Connection, session: str, at: str) -> bool:
    """See `Storage.delete`."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        tombstone = "UPDATE sessions SET deleted_at = ?, title = '' WHERE id = ? AND deleted_at IS NULL"
        deleted = db.execute(tombstone, (at, session)).rowcount == 1
        if deleted:
            db.execute("DELETE FROM chapters WHERE session = ?", (session,))
            db.execute("DELETE FROM updates WHERE session = ?", (session,))
            db.execute("DELETE FROM snapshots WHERE session = ?", (session,))
            db.execute("DELETE FROM writers WHERE session = ?", (session,))
            db.execute("DELETE FROM work WHERE session = ?", (session,))
    return deleted


def ping(db: sqlite3.Connection) -> None:
    """See `Storage.ping`. Writes the schema's version unchanged, in a real commit."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version}")


def _behind(begin: str) -> str | None:
    """Return the first text after all that begin like this, in the order of UTF-8; None if there is none."""
    kept = begin.rstrip("\U0010ffff")
    if not kept:
        return None
    last = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if last == 0xD800 else last)  # no text holds a surrogate


@contextmanager
def _transaction(db: sqlite3.Connection, begin: str) -> Generator[None]:
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:  # some disk errors have ended it already
            db.execute("ROLLBACK")


def _refuse_other(db: sqlite3.Connection, row: LoggedUpdate, twin: LoggedUpdate | None) -> None:
    """Refuse a row whose version is taken, unless by an equal row, on the disk or in the same call (`twin`).

    The whole row is compared: rows that bind a client id all have the same bytes.
    """
    stored = twin
    if stored is None:
        found = db.execute(
            "SELECT at, participant, client, bytes FROM updates WHERE session = ? AND version = ?",
            (row.session, row.version),
        ).fetchone()
        stored = found and LoggedUpdate(row.session, row.version, *found)
    if stored != row:
        raise VersionTaken(
            f"Version {row.version} of session {row.session} is there with another row: another process wrote it; "
            "load the session again."
        )


def _insert_chapter(db: sqlite3.Connection, chapter: Chapter) -> None:
    db.execute(
        "INSERT INTO chapters (session, first, version, codec, bytes, checksum) VALUES (?, ?, ?, ?, ?, ?)",
        (chapter.session, chapter.first, chapter.version, chapter.codec, chapter.data, chapter.checksum),
    )
