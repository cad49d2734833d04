"""Opens a cosession database read-only, and reads as much of it as possible, even if it is damaged.

This works beside a running server, and leaves damaged data unchanged. A table that is damaged in the middle is read
from both ends: only the rows between are lost. A text that can't be decoded is marked.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cosession.errors import StorageError

from ..database import BUSY_SECONDS, explained
from ..migrations import APPLICATION_ID, MIGRATIONS, is_blank

UNREADABLE = (sqlite3.Error, UnicodeError)
"""The errors of reading a damaged file: SQLite may quote undecodable text in its own message."""


class DamagedText(str):
    """The readable part of a text that can't be decoded."""

    __slots__ = ()


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """Open a cosession database read-only.

    Raises:
        StorageError: the database is missing or empty, can't be opened, or isn't one of this version of cosession.
    """
    if not path.exists():
        raise StorageError(f"There is no database {path}: name its folder with --data.")
    with explained(str(path)):
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", BUSY_SECONDS, isolation_level=None, uri=True)
    try:
        db.text_factory = _any_text
        with explained(str(path)):
            (application_id,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            is_empty = is_blank(db)
        if is_empty:
            raise StorageError(
                f"{path} is empty: the first start of its server was cut off before anything could be saved, or the "
                "file was. Start the server again, or put back a backup."
            )
        if application_id != APPLICATION_ID:
            raise StorageError(f"{path} is the database of another program, or its head is damaged.")
        if version != len(MIGRATIONS):
            raise StorageError(
                f"{path} has schema {version}, and this version of cosession works with {len(MIGRATIONS)}: "
                "start the server of this version once, or install a newer one."
            )
        yield db
    finally:
        db.close()


def read_rows(
    db: sqlite3.Connection, query: str, key: str, *parameters: object
) -> tuple[list[tuple[Any, ...]], Exception | None]:
    """Read rows in the order of a key: from both ends where a row in the middle can't be read.

    Returns:
        The readable rows, and the error if some are missing.
    """
    rows, error = _read_until_it_breaks(db, f"{query} ORDER BY {key}", parameters)
    if error is not None:
        others, _ = _read_until_it_breaks(db, f"{query} ORDER BY {key} DESC", parameters)
        seen = set(rows)
        rows += [row for row in reversed(others) if row not in seen]
    return rows, error


def _read_until_it_breaks(
    db: sqlite3.Connection, query: str, parameters: Sequence[object]
) -> tuple[list[tuple[Any, ...]], Exception | None]:
    rows: list[tuple[Any, ...]] = []
    try:
        rows.extend(db.execute(query, parameters))
    except UNREADABLE as error:
        return rows, error
    return rows, None


def _any_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return DamagedText(data.decode(errors="replace"))
