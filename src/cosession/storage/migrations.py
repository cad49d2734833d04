"""The schema of the database, as the numbered steps that lead to it: forward only.

`PRAGMA user_version` is the number of the last applied step. All missing steps are one transaction: a killed
migration leaves the old version intact. A released step is never edited, a change is a new step at the end; and a
database with more steps than this version knows is left unchanged.

The log of a session is stored contiguously, in order (`WITHOUT ROWID`), and each row has the session's id, so that a
lost row of `sessions` is noticed. `checksum` covers its row, because SQLite doesn't notice a flipped bit inside a
value. A row of `sessions` with `deleted_at` is a tombstone: its id is never used again.

The log is in two tables: its thinned beginning in `chapters` (see `segments`), which follow each other without a gap;
the rest in `updates`, a row for each update, as received. A version is in one of them only.
"""

import sqlite3
from collections.abc import Sequence

from cosession.errors import StorageError, StorageTooNew

APPLICATION_ID = int.from_bytes(b"CoSn")
"""The mark of a cosession database in the file's header (`file` and `sqlite3 FILE '.dbinfo'` show it)."""

Migration = tuple[str, ...]

MIGRATIONS: tuple[Migration, ...] = (
    (  # 1
        """
        CREATE TABLE sessions (
            id TEXT NOT NULL PRIMARY KEY,
            title TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            version INTEGER NOT NULL DEFAULT 0,
            deleted_at TEXT
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX sessions_newest ON sessions (updated_at DESC, id) WHERE deleted_at IS NULL",
        """
        CREATE TABLE updates (
            session TEXT NOT NULL,
            version INTEGER NOT NULL,
            at TEXT NOT NULL,
            participant TEXT NOT NULL,
            client INTEGER,
            bytes BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            PRIMARY KEY (session, version)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE snapshots (
            session TEXT NOT NULL PRIMARY KEY,
            version INTEGER NOT NULL,
            bytes BLOB NOT NULL,
            checksum INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (  # 2
        """
        CREATE TABLE chapters (
            session TEXT NOT NULL,
            first INTEGER NOT NULL,
            version INTEGER NOT NULL,
            codec INTEGER NOT NULL,
            bytes BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            PRIMARY KEY (session, version)
        ) STRICT, WITHOUT ROWID
        """,
        "ALTER TABLE snapshots ADD COLUMN codec INTEGER NOT NULL DEFAULT 0",
    ),
    (  # 3
        """
        CREATE TABLE revocations (
            id TEXT NOT NULL PRIMARY KEY,
            participant TEXT,
            token TEXT,
            session TEXT,
            reason TEXT NOT NULL,
            by TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (  # 4
        """
        CREATE TABLE writers (
            session TEXT NOT NULL,
            client INTEGER NOT NULL,
            participant TEXT NOT NULL,
            PRIMARY KEY (session, client)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO writers SELECT session, client, participant FROM
            (SELECT session, client, participant, min(version) FROM updates WHERE client IS NOT NULL
             GROUP BY session, client)
        """,
    ),
    (  # 5
        """
        CREATE TABLE work (
            session TEXT NOT NULL,
            agent TEXT NOT NULL,
            PRIMARY KEY (session, agent)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX work_by_agent ON work (agent, session)",
    ),
    (  # 6: an earlier revocation binds all participants, as before
        "ALTER TABLE revocations ADD COLUMN by_admin INTEGER NOT NULL DEFAULT 1",
    ),
    (  # 7
        "CREATE INDEX sessions_by_id ON sessions (id) WHERE deleted_at IS NULL",
        "CREATE TABLE own_key (value BLOB NOT NULL) STRICT",
        "INSERT INTO own_key VALUES (randomblob(32))",
    ),
)


def migrate(db: sqlite3.Connection, name: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the database to the newest version, in one transaction; one of that version is left as it is.

    Args:
        db: an open connection in autocommit mode.
        name: the name of the database in errors.
        migrations: the steps, from version 0.

    Raises:
        StorageError: the database belongs to another program.
        StorageTooNew: a newer cosession wrote it.
    """
    if not db.execute("PRAGMA page_count").fetchone()[0]:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # can't be set later
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version_of(db, name, len(migrations))
        if version < len(migrations):
            for migration in migrations[version:]:
                for statement in migration:
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {len(migrations)}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def is_blank(db: sqlite3.Connection) -> bool:
    """Return whether nothing was ever committed to the database: it is new, or its first migration was killed."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return not (application_id or version or db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def _version_of(db: sqlite3.Connection, name: str, newest: int) -> int:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID and not is_blank(db):
        raise StorageError(f"{name} is the database of another program: choose another data folder.")
    if version > newest:
        raise StorageTooNew(
            f"{name} was written by a newer version of cosession (its schema is {version}, this one knows {newest}): "
            "install that version or choose another data folder."
        )
    return version
