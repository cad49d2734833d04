"""A backup is one moment of a living database, whole and checked, and never in the place of something else."""

import asyncio
import os
from pathlib import Path

import pytest
from storage.databases import damage, execute, write, write_compacted
from storage.rows import at, update, updates
from storage.test_folder import start_owner

from cosession.errors import StorageError
from cosession.storage import SqliteStorage
from cosession.storage.repair import back_up, inspect
from cosession.storage.repair.backup import sync

pytestmark = pytest.mark.anyio


async def test_a_backup_beside_a_writing_server_is_one_moment(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path) as storage:
        for session in ("a", "b"):
            await storage.create(session, title="", at=at(1))
        acknowledged, stop = 0, False

        async def append() -> None:
            nonlocal acknowledged
            while not stop:
                version = acknowledged + 1
                await storage.append([update("a", version), update("b", version)])
                acknowledged = version

        writing = asyncio.create_task(append())
        for number in range(5):
            before = acknowledged
            target = tmp_path / f"backup-{number}.sqlite3"
            assert await asyncio.to_thread(back_up, path, target) == ()
            with inspect(target) as copy:
                versions = [copy.session(session).version for session in ("a", "b")]
            assert versions[0] == versions[1] >= before
        stop = True
        await writing
    async with SqliteStorage.open(target) as storage:
        assert await storage.history("a") == tuple(updates("a", 1, versions[0]))


async def test_a_backup_beside_another_process_that_owns_the_database(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    with start_owner(path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        assert back_up(path, tmp_path / "backup") == ()
        owner.communicate(timeout=30)
    assert damage(tmp_path / "backup") == {}


async def test_a_backup_replaces_nothing(tmp_path: Path):
    path, target = tmp_path / "cosession.sqlite3", tmp_path / "backup"
    await write(path)
    target.write_text("older and better")
    with pytest.raises(StorageError, match="never replaces a file"):
        back_up(path, target)
    assert target.read_text() == "older and better"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="never replaces a file"):
        back_up(path, tmp_path / "link")
    assert not (tmp_path / "backup.part").exists()


async def test_what_a_killed_backup_left_is_not_in_the_way(tmp_path: Path):
    path, target = tmp_path / "cosession.sqlite3", tmp_path / "backup"
    await write(path)
    (tmp_path / "backup.part").write_bytes(b"half")
    assert back_up(path, target) == ()
    assert [name for name in os.listdir(tmp_path) if "backup" in name] == ["backup"]


async def test_a_backup_says_what_is_damaged_in_it(tmp_path: Path):
    path, target = tmp_path / "cosession.sqlite3", tmp_path / "backup"
    await write(path)
    execute(path, "DELETE FROM updates WHERE session = 'trip' AND version = 15")
    assert back_up(path, target) == ("trip: update 15 of its log is missing",)
    assert list(damage(target)) == ["trip"]


async def test_a_backup_says_what_is_lost_of_the_file_itself(tmp_path: Path):
    path, target = tmp_path / "cosession.sqlite3", tmp_path / "backup.sqlite3"
    await write(path)
    execute(path, "DROP TABLE revocations")
    assert any("revocations" in what for what in back_up(path, target))
    assert target.exists()


async def test_a_file_that_comes_while_the_backup_is_made_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, target = tmp_path / "cosession.sqlite3", tmp_path / "backup.sqlite3"
    await write(path)

    def come_between(made: Path) -> None:
        target.write_text("another backup")
        sync(made)

    monkeypatch.setattr("cosession.storage.repair.backup.sync", come_between)
    with pytest.raises(StorageError, match="never replaces a file"):
        back_up(path, target)
    assert target.read_text() == "another backup"
    assert not target.with_name("backup.sqlite3.part").exists()


async def test_a_backup_of_a_compacted_session_has_its_log_in_ranges(tmp_path: Path):
    path, target = tmp_path / "cosession.sqlite3", tmp_path / "backup"
    await write_compacted(path)
    assert back_up(path, target) == ()
    async with SqliteStorage.open(path) as storage, SqliteStorage.open(target) as backup:
        assert await backup.load("trip") == await storage.load("trip")
        assert await backup.history("trip") == await storage.history("trip")


async def test_a_deleted_session_leaves_no_trace_in_a_backup(tmp_path: Path):
    path, target = tmp_path / "cosession.sqlite3", tmp_path / "backup"
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="Secret", at=at(1))
        await storage.append([update("trip", 1, b"a secret word" * 100)])
        await storage.delete("trip", at=at(2))
        back_up(path, target)
    assert b"ecret" not in target.read_bytes()


@pytest.mark.parametrize("target", ["nowhere/backup", "file/backup"])
async def test_where_no_backup_can_be_written_is_said(tmp_path: Path, target: str):
    path = tmp_path / "cosession.sqlite3"
    await write(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be"):
        back_up(path, tmp_path / target)
