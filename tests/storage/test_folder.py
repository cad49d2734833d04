"""Where no storage can be opened: each time a sentence that says what to do, and nothing is changed."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from storage.rows import at

from cosession.errors import StorageError
from cosession.storage import SqliteStorage

pytestmark = pytest.mark.anyio

OWNER = """
import asyncio, sys
from pathlib import Path
from cosession.storage import SqliteStorage
async def main():
    async with SqliteStorage.open(Path(sys.argv[1])):
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


def start_owner(path: Path) -> subprocess.Popen[str]:
    """A process that owns the database until its input ends."""
    command = [sys.executable, "-c", OWNER, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def refusal(path: Path) -> str:
    """Why the storage can't be opened."""
    with pytest.raises(StorageError) as refused:
        async with SqliteStorage.open(path):
            pass
    assert str(path.parent) in str(refused.value)
    return str(refused.value)


async def test_a_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    assert "choose one that this user may write" in await refusal(tmp_path / "file" / "cosession.sqlite3")
    assert "choose one that this user may write" in await refusal(tmp_path / "file" / "below" / "cosession.sqlite3")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
async def test_a_folder_that_cannot_be_written():
    assert "check that this user may write its folder" in await refusal(Path("/proc/self/cosession.sqlite3"))


async def test_a_path_that_is_a_folder(tmp_path: Path):
    (tmp_path / "cosession.sqlite3").mkdir()
    assert "can't be opened" in await refusal(tmp_path / "cosession.sqlite3")


async def test_a_file_that_is_no_database(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    path.write_bytes(b"Dear diary, " * 500)
    before = path.read_bytes()
    assert "not a SQLite database" in await refusal(path)
    assert path.read_bytes() == before


async def test_the_database_of_another_program(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipes (x)")
    other.close()
    before = path.read_bytes()
    assert "another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_database_that_is_open_in_this_process(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path) as storage:
        assert "in use by another cosession server" in await refusal(path)
        await storage.create("trip", title="", at=at(1))
    async with SqliteStorage.open(path) as storage:
        assert len(await storage.sessions()) == 1


@pytest.mark.parametrize("end", ["exit", "kill"])
async def test_a_database_that_another_process_owns_until_it_ends(tmp_path: Path, end: str):
    path = tmp_path / "cosession.sqlite3"
    with start_owner(path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        assert "in use by another cosession server" in await refusal(path)
        if end == "kill":
            owner.kill()
        owner.communicate(timeout=30)
    async with SqliteStorage.open(path) as storage:
        await storage.ping()


async def test_a_database_that_another_program_has_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cosession.storage.database.BUSY_SECONDS", 0.05)
    path = tmp_path / "cosession.sqlite3"
    async with SqliteStorage.open(path) as storage:
        await storage.create("trip", title="", at=at(1))
        shell = sqlite3.connect(path, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another program has it locked"):
            await storage.set_titles({"trip": "new"})
        with pytest.raises(StorageError, match="another program has it locked"):
            await storage.ping()
        assert [info.title for info in await storage.sessions()] == [""]
        shell.execute("ROLLBACK")
        shell.close()
        await storage.set_titles({"trip": "new"})
        assert [info.title for info in await storage.sessions()] == ["new"]
