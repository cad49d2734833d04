"""How many updates a second reach the disk, and what a long load does to them. Run by hand; decides nothing.

    python tests/benchmarks/storage_append.py [FOLDER]

Every number is the median of three runs, with its range. Each update is a real one: a token appended to a text.
"Acknowledged" is when the call returns: both storages have committed then. FOLDER should be on the disk that
matters; a temporary folder on the system's is the default. `SQLiteYStore` is pycrdt-store's, as it comes; it has no
way to write more than one update at a time.
"""

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from pycrdt import Doc, Text, TransactionEvent
from pycrdt.store import SQLiteYStore

from cosession.storage import LoggedUpdate, SqliteStorage, transactions

AT = "2026-01-01T00:00:00.000000Z"
GROUPS = ((1, 400), (10, 2_000), (100, 10_000))
LONG = 50_000


def tokens(number: int) -> list[bytes]:
    """That many updates of one document."""
    updates: list[bytes] = []
    doc = Doc()
    doc["text"] = text = Text()

    def keep(event: TransactionEvent) -> None:
        updates.append(event.update)

    subscription = doc.observe(keep)
    for count in range(number):
        text += f"token{count % 97} "
    doc.unobserve(subscription)
    return updates


def rows(updates: list[bytes], first: int = 1) -> list[LoggedUpdate]:
    """The same, as rows of a log."""
    return [LoggedUpdate("trip", version, AT, "ada", 7, update) for version, update in enumerate(updates, first)]


async def cosession_rate(folder: Path, updates: list[bytes], group: int) -> float:
    """Updates a second through `append`, `group` to a call."""
    async with SqliteStorage.open(folder / "cosession.sqlite3") as storage:
        await storage.create("trip", title="", at=AT)
        log = rows(updates)
        began = time.perf_counter()
        for first in range(0, len(log), group):
            await storage.append(log[first : first + group])
        return len(log) / (time.perf_counter() - began)


async def ystore_rate(folder: Path, updates: list[bytes]) -> float:
    """Updates a second through `SQLiteYStore.write`."""
    kind = type("Store", (SQLiteYStore,), {"db_path": str(folder / "ystore.sqlite3")})
    async with kind("trip") as store:
        await store.db_initialized.wait()
        began = time.perf_counter()
        for update in updates:
            await store.write(update)
        return len(updates) / (time.perf_counter() - began)


async def slowest_append(folder: Path, updates: list[bytes], *, second_connection: bool) -> float:
    """The longest that an append took while a long session was loaded three times, in milliseconds."""
    async with SqliteStorage.open(folder / "cosession.sqlite3") as storage:
        for name in ("trip", "other"):
            await storage.create(name, title="", at=AT)
        await storage.append(rows(updates))
        connection = storage._reader if second_connection else storage._writer

        async def load() -> None:
            for _ in range(3):
                await connection.run(partial(transactions.load, session="trip"))

        loading = asyncio.create_task(load())
        slowest, version = 0.0, 0
        while not loading.done():
            version += 1
            began = time.perf_counter()
            await storage.append([LoggedUpdate("other", version, AT, "ada", 7, b"x" * 40)])
            slowest = max(slowest, time.perf_counter() - began)
        await loading
        return slowest * 1000


def report(title: str, unit: str, measure: Callable[[Path], Awaitable[float]], parent: str | None) -> None:
    """Measure three times, each in an empty folder, and print a line."""
    results: list[float] = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            results.append(asyncio.run(measure(Path(folder))))
    print(f"{title:<58} {statistics.median(results):>9,.0f} {unit}  ({min(results):,.0f} to {max(results):,.0f})")


def main() -> None:
    """Print the table."""
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    updates = tokens(LONG)
    print(f"SQLite {sqlite3.sqlite_version}, updates of {statistics.mean(map(len, updates)):.0f} bytes on average")
    single = updates[: GROUPS[0][1]]
    report("pycrdt-store SQLiteYStore.write, 1 to a commit", "updates/s", lambda f: ystore_rate(f, single), parent)
    for group, number in GROUPS:
        sample = updates[:number]
        title = f"cosession SqliteStorage.append, {group} to a commit"
        report(title, "updates/s", partial(cosession_rate, updates=sample, group=group), parent)
    for second in (True, False):
        title = f"slowest append beside loads of {LONG:,} updates, {'second' if second else 'same'} connection"
        report(title, "ms", partial(slowest_append, updates=updates, second_connection=second), parent)


if __name__ == "__main__":
    main()
