"""Recovers the intact data of a damaged database, and destroys nothing.

The damaged files are first copied aside, unchanged. Recoverable data is written into a new database, which is
checked, and then replaces the damaged one in a single transaction: killed at any moment, the database is the old one
or the new one. The caller decides how a session is recovered (`Mend`), because this module only sees bytes.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from cosession.errors import StorageError

from ..database import explained, own
from ..interface import LoggedUpdate, Snapshot
from ..migrations import migrate
from ..revocations import read_revocations, write_revocation
from ..transactions import add_chapters, append, create, save_snapshot
from .backup import sync
from .check import Inspection, Remains, inspect

_GROUP = 1000
"""The number of rows per transaction while the new database is written."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A session after the repair.

    Attributes:
        title: its title in the list of sessions.
        created_at: the time of its creation.
        updates: its log, from version 1, without a gap.
        snapshot: its snapshot, if it has one.
        changes: a sentence for each change by the repair; empty if it was intact.
    """

    title: str
    created_at: str
    updates: tuple[LoggedUpdate, ...]
    snapshot: Snapshot | None
    changes: tuple[str, ...]


Mend = Callable[[Remains], Mended]
"""Makes an intact session from its remaining data."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of a repair.

    Attributes:
        aside: the path of the copy of the damaged database; put it back to undo the repair.
        changes: the changes of each changed session.
    """

    aside: Path
    changes: dict[str, tuple[str, ...]]


def repair(path: Path, mend: Mend, at: str) -> Repaired | None:
    """Repair a database that no server uses.

    Args:
        path: the database file.
        mend: recovers each session.
        at: the time, for the name of the copy: letters, digits and hyphens.

    Returns:
        None if nothing is damaged; then nothing was changed.

    Raises:
        StorageError: a server uses the database, nothing in it can be read, or there is no space for the copies;
            then the database is unchanged.
    """
    if not path.exists():
        raise StorageError(f"There is no database {path}: name its folder with --data.")
    aside = path.with_name(f"{path.name}.damaged-{at}")
    new = path.with_name(f"{path.name}.repairing")
    try:
        with explained(str(path)), closing(own(path)):
            with inspect(path) as old:
                changes = _changes(old, mend)
                if not changes and not old.failures:
                    return None
                if not old.sessions and not old.tombstones:
                    raise StorageError(
                        f"Nothing in {path} can be read ({old.failures[0]}): put back a backup. Nothing was changed."
                    )
                _set_aside(path, aside)
                _write(new, old, mend)
                _keep_revocations(path, new)
                _keep_writers(path, new)
                _keep_work(path, new)
            _check(new)
            _put_in_place(new, path)
    except OSError as error:
        raise StorageError(f"{path} can't be repaired: {error.strerror or error}. It is as it was.") from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
    return Repaired(aside, changes)


def _changes(old: Inspection, mend: Mend) -> dict[str, tuple[str, ...]]:
    mended = {session: mend(old.session(session)).changes for session in old.sessions}
    return {session: changes for session, changes in mended.items() if changes}


def _set_aside(path: Path, aside: Path) -> None:
    """Copy the database and its write-ahead log, under names that make the copies a valid database."""
    for ending in ("", "-wal"):
        source, copy = Path(f"{path}{ending}"), Path(f"{aside}{ending}")
        if source.exists() and (not ending or source.stat().st_size):
            with source.open("rb") as reading, copy.open("xb") as writing:
                shutil.copyfileobj(reading, writing)
            sync(copy)
    sync(path.parent)


def _write(new: Path, old: Inspection, mend: Mend) -> None:
    new.unlink(missing_ok=True)  # left by a killed repair
    with explained(str(new)), closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")  # it isn't used before it is complete and checked
        migrate(db, str(new))
        for session in old.sessions:
            mended = mend(old.session(session))
            create(db, [(session, mended.title, mended.created_at)])
            thinned = max((number for number, row in enumerate(mended.updates, 1) if row.versions != 1), default=0)
            add_chapters(db, session, mended.updates[:thinned])
            for first in range(thinned, len(mended.updates), _GROUP):
                append(db, mended.updates[first : first + _GROUP])
            if mended.snapshot:
                save_snapshot(db, mended.snapshot)
        for stone in old.tombstones:
            db.execute(
                "INSERT INTO sessions (id, title, created_at, updated_at, version, deleted_at) "
                "VALUES (?, '', ?, ?, ?, ?)",
                (stone.id, stone.created_at, stone.updated_at, stone.version, stone.deleted_at),
            )


def _keep_revocations(path: Path, new: Path) -> None:
    # A repair must not restore revoked access: if the revocations can't be read, the repair fails.
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(new, isolation_level=None)) as db:
        for revocation in read_revocations(old):
            write_revocation(db, revocation)


def _keep_writers(path: Path, new: Path) -> None:
    # If they can't be read, a client id belongs to the next participant that writes under it; nothing else is lost.
    with (
        closing(sqlite3.connect(path)) as old,
        closing(sqlite3.connect(new, isolation_level=None)) as db,
        suppress(sqlite3.DatabaseError),
    ):
        rows = old.execute("SELECT session, client, participant FROM writers").fetchall()
        db.executemany("INSERT OR IGNORE INTO writers (session, client, participant) VALUES (?, ?, ?)", rows)


def _keep_work(path: Path, new: Path) -> None:
    # If it can't be read, an agent is notified of waiting work only when a participant opens the session.
    with (
        closing(sqlite3.connect(path)) as old,
        closing(sqlite3.connect(new, isolation_level=None)) as db,
        suppress(sqlite3.DatabaseError),
    ):
        rows = old.execute("SELECT session, agent FROM work").fetchall()
        db.executemany("INSERT OR IGNORE INTO work (session, agent) VALUES (?, ?)", rows)


def _check(new: Path) -> None:
    with inspect(new) as written:
        damage = [
            *written.failures,
            *(what for session in written.sessions for what in written.session(session).damage),
        ]
    if damage:
        raise StorageError(f"The repaired database is damaged itself ({damage[0]}): the disk or the memory fails.")


def _put_in_place(new: Path, path: Path) -> None:
    """Replace the content of the database in one transaction of its own."""
    with closing(sqlite3.connect(new)) as source, closing(sqlite3.connect(path, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = FULL")
        target.execute("PRAGMA fullfsync = ON")
        source.backup(target)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
