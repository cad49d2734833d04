"""A real server process that ends itself with SIGKILL at a named point, or whose disk fails on demand.

    python tests/faults/serve_failing.py

FAULT_KILL=POINT:COUNT  the point, and at which time of passing it; see `POINTS`
FAULT_MIGRATIONS=COUNT  steps that are added to the schema's, so that there is something to migrate
FAULT_DISK=FILE         while this file says `full` or `read-only`, so is the disk

The product knows nothing of this: its functions are wrapped here, before it starts.
"""

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from cosession.server import serve
from cosession.settings import Settings
from cosession.storage import database, transactions
from cosession.storage.migrations import MIGRATIONS, Migration, migrate

POINTS = (
    "append before commit",
    "append after commit",
    "save_snapshot before commit",
    "save_snapshot after commit",
    "create before commit",
    "create after commit",
    "load before commit",
    "set_titles after commit",
    "keep_packed before commit",
    "keep_packed after commit",
    "keep_chapter before commit",
    "keep_chapter after commit",
    "migration",
)
"""`after commit` is before anybody hears of it: a fence has not left. `migration` is before one of its statements.
`keep_packed` and `keep_chapter` are the steps of a compaction: a snapshot compressed, a part of the log thinned."""


def extra_migrations(count: int) -> tuple[Migration, ...]:
    """Steps such as a later version could have."""
    return tuple(
        (
            f"ALTER TABLE sessions ADD COLUMN extra_{number} TEXT",
            f"CREATE TABLE extra_{number} AS SELECT session, version FROM updates",
            f"UPDATE sessions SET extra_{number} = title",
        )
        for number in range(count)
    )


class Points:
    """Counts how often the named point is passed, and kills the process there."""

    def __init__(self, wanted: str) -> None:
        self._point, _, count = wanted.partition(":")
        self._left = int(count or 0)
        self._doing = threading.local()  # a load, a commit and a compaction go on at the same time

    def wrap(self, name: str) -> None:
        """Know when one of the transactions is going on."""
        function: Callable[..., Any] = getattr(transactions, name)

        @wraps(function)
        def known(*arguments: Any, **options: Any) -> Any:
            self._doing.name = name
            return function(*arguments, **options)

        setattr(transactions, name, known)

    @contextmanager
    def transaction(self, db: sqlite3.Connection, begin: str) -> Generator[None]:
        """The transaction of `transactions`, with a point before and one after its commit."""
        with _transaction(db, begin):
            yield
            self.reach(f"{getattr(self._doing, 'name', '')} before commit")
        self.reach(f"{getattr(self._doing, 'name', '')} after commit")

    def migrate(self, db: sqlite3.Connection, name: str) -> None:
        """The migration, with more steps and a point before each statement."""
        steps = (*MIGRATIONS, *extra_migrations(int(os.environ.get("FAULT_MIGRATIONS", "0"))))
        migrate(_Watched(db, self), name, steps)  # type: ignore[arg-type]

    def reach(self, point: str) -> None:
        """Pass a point, or end here."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class _Watched:
    def __init__(self, db: sqlite3.Connection, points: Points) -> None:
        self._db = db
        self._points = points

    def execute(self, statement: str) -> sqlite3.Cursor:
        self._points.reach("migration")
        return self._db.execute(statement)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction


def let_the_disk_fail(name: str, state: Path) -> None:
    """Make a transaction fail as SQLite fails, while a file says so."""
    function: Callable[..., Any] = getattr(transactions, name)

    @wraps(function)
    def failing(db: sqlite3.Connection, *arguments: Any) -> Any:
        said = state.read_text() if state.exists() else ""
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages if said == 'full' else 2**30}").fetchone()
        db.execute(f"PRAGMA query_only = {int(said == 'read-only')}")
        return function(db, *arguments)

    setattr(transactions, name, failing)


_transaction = transactions._transaction

if __name__ == "__main__":
    points = Points(os.environ.get("FAULT_KILL", ""))
    for name in (
        "append",
        "save_snapshot",
        "create",
        "load",
        "set_titles",
        "keep_packed",
        "pack_log",
        "keep_chapter",
    ):
        points.wrap(name)
    transactions._transaction = points.transaction
    database.migrate = points.migrate  # type: ignore[assignment]
    if "FAULT_DISK" in os.environ:
        for name in ("append", "save_snapshot", "set_titles", "ping"):
            let_the_disk_fail(name, Path(os.environ["FAULT_DISK"]))
    asyncio.run(serve(Settings(), ready=lambda url: print(f"ready {url}", flush=True)))
