"""Databases to damage, and what is damaged of them."""

import sqlite3
from pathlib import Path

from storage.rows import at, by_tens, updates

from cosession.storage import Snapshot, SqliteStorage, Thin
from cosession.storage.repair import inspect


async def write(path: Path) -> None:
    """Make a database with a session of 20 updates and a snapshot, a small one, and a deleted one."""
    async with SqliteStorage.open(path) as storage:
        for session, last in (("trip", 20), ("note", 3), ("gone", 2)):
            await storage.create(session, title=session.upper(), at=at(1))
            await storage.append(updates(session, 1, last))
        await storage.save_snapshot(Snapshot("trip", 10, b"ten" * 100))
        await storage.delete("gone", at=at(2))


async def write_one(path: Path, *, snapshot: bool = True) -> None:
    """Make a database with one session of 20 updates."""
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 20))
        if snapshot:
            await storage.save_snapshot(Snapshot("trip", 10, b"ten" * 100))


async def write_compacted(path: Path, thin: Thin = by_tens) -> None:
    """Make a database with a session of 105 updates, the first 100 of them thinned."""
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="TRIP", at=at(1))
        await storage.append(updates("trip", 1, 105))
        await storage.save_snapshot(Snapshot("trip", 100, b"hundred" * 100))
        await storage.compact("trip", thin)


def execute(path: Path, *statements: str) -> None:
    """Do what a person with a SQL shell, or a failing disk, can do to a database."""
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def damage(path: Path) -> dict[str, tuple[str, ...]]:
    """What is wrong, by session; the file itself is called `file`."""
    with inspect(path) as inspection:
        found = {session: inspection.session(session).damage for session in inspection.sessions}
        found["file"] = tuple(inspection.failures)
    return {name: what for name, what in found.items() if what}
