"""A full disk: said in a sentence, nothing half done, and all goes on when there is space again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage.rows import at, update

from cosession.errors import StorageError
from cosession.storage import LoggedUpdate, Snapshot, SqliteStorage

pytestmark = pytest.mark.anyio


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)):
        pytest.skip("a file system can't be mounted here; test_a_full_database_* stands for this")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def mount(*arguments: str) -> bool:
    """Whether this could be mounted."""
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


async def fill(storage: SqliteStorage) -> list[LoggedUpdate]:
    """Append until nothing goes in; returns what was acknowledged."""
    acknowledged: list[LoggedUpdate] = []
    for first in range(1, 10_000, 2):
        group = [update("trip", version, os.urandom(3000)) for version in (first, first + 1)]
        try:
            await storage.append(group)
        except StorageError:
            return acknowledged
        acknowledged += group
    raise AssertionError("the disk is never full")


async def check_full(storage: SqliteStorage, acknowledged: list[LoggedUpdate]) -> None:
    """Nothing is lost or half there, and what doesn't fit is refused again and again."""
    with pytest.raises(StorageError, match="free some space"):
        await storage.save_snapshot(Snapshot("trip", len(acknowledged), os.urandom(500_000)))
    with pytest.raises(StorageError, match="free some space"):
        await storage.append([update("trip", len(acknowledged) + 1, os.urandom(500_000))])
    assert await storage.history("trip", limit=100_000) == tuple(acknowledged)
    found = await storage.load("trip")
    assert found is not None
    assert found.updates == tuple(acknowledged)


async def test_a_full_disk_loses_nothing_and_heals(small_disk: Path):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 400_000)
    async with SqliteStorage.open(small_disk / "cosession.sqlite3") as storage:
        await storage.create("trip", title="", at=at(1))
        acknowledged = await fill(storage)
        await check_full(storage, acknowledged)
        ballast.unlink()
        more = update("trip", len(acknowledged) + 1, os.urandom(3000))
        await storage.append([more])
        await storage.ping()
    async with SqliteStorage.open(small_disk / "cosession.sqlite3") as storage:
        assert await storage.history("trip", limit=100_000) == (*acknowledged, more)


async def test_a_disk_that_is_full_from_the_start_is_said(small_disk: Path):
    with pytest.raises(OSError, match="space"):
        (small_disk / "ballast").write_bytes(b"x" * 2**21)
    with pytest.raises(StorageError, match="space"):
        async with SqliteStorage.open(small_disk / "data" / "cosession.sqlite3"):
            pass


async def test_a_read_only_disk_is_said(small_disk: Path):
    async with SqliteStorage.open(small_disk / "cosession.sqlite3"):
        pass
    assert mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(StorageError, match="may write its folder"):
        async with SqliteStorage.open(small_disk / "cosession.sqlite3"):
            pass


async def test_a_full_database_loses_nothing_and_heals(tmp_path: Path):
    def allow(pages: int):
        return lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    async with SqliteStorage.open(tmp_path / "cosession.sqlite3") as storage:
        await storage.create("trip", title="", at=at(1))
        await storage._writer.run(allow(60))
        acknowledged = await fill(storage)
        await check_full(storage, acknowledged)
        await storage._writer.run(allow(10_000))
        more = update("trip", len(acknowledged) + 1, os.urandom(3000))
        await storage.append([more])
        assert await storage.history("trip", limit=100_000) == (*acknowledged, more)
