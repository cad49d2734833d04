"""Cancellation: of an opening, of a call, of a closing. Nothing stays open, locked or half done."""

import asyncio
from pathlib import Path

import pytest
from storage.rows import at, updates

from cosession.storage import SqliteStorage

pytestmark = pytest.mark.anyio


async def test_an_opening_that_is_cancelled_gives_the_database_back(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"

    async def hold() -> None:
        async with SqliteStorage.open(path):
            await asyncio.Event().wait()

    for turns in range(40):
        holding = asyncio.create_task(hold())
        for _ in range(turns):
            await asyncio.sleep(0)
        holding.cancel()
        await asyncio.wait([holding], timeout=30)
        assert holding.cancelled()
        async with SqliteStorage.open(path) as storage:
            await storage.ping()


async def test_a_closing_that_is_cancelled_still_closes(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    for turns in range(20):
        leaving = asyncio.Event()

        async def use(leaving: asyncio.Event = leaving) -> None:
            async with SqliteStorage.open(path) as storage:
                await storage.create("trip", title="", at=at(1))
                leaving.set()

        using = asyncio.create_task(use())
        await asyncio.wait_for(leaving.wait(), 60)
        for _ in range(turns):
            await asyncio.sleep(0)
        using.cancel()
        await asyncio.wait([using], timeout=30)
        async with SqliteStorage.open(path) as storage:
            await storage.ping()


async def test_a_call_that_was_cancelled_leaves_no_transaction_open(tmp_path: Path):
    async with SqliteStorage.open(tmp_path / "cosession.sqlite3") as storage:
        await storage.create("trip", title="", at=at(1))
        appending = asyncio.create_task(storage.append(updates("trip", 1, 5000)))
        await asyncio.sleep(0)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        assert await storage._writer.run(lambda db: db.in_transaction) is False
        assert len(await storage.history("trip", limit=10_000)) == 5000
