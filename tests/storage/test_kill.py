"""SIGKILL: what was acknowledged is there, what wasn't is there whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest
from storage.rows import updates

from cosession.storage import SqliteStorage

pytestmark = pytest.mark.anyio

SESSIONS = ("a", "b")
GROUP = 3

WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from cosession.storage import Snapshot, SqliteStorage
from storage.rows import at, updates

async def write(storage, session, group):
    await storage.create(session, title="", at=at(1))
    version = (await storage.load(session)).info.version
    while True:
        await storage.append(updates(session, version + 1, version + group))
        version += group
        print(session, version, flush=True)
        if version % 5 == 0:
            await storage.save_snapshot(Snapshot(session, version, b"x" * 20_000))

async def main():
    async with SqliteStorage.open(Path(sys.argv[1])) as storage:
        await asyncio.gather(*(write(storage, session, int(sys.argv[3])) for session in sys.argv[4:]))

asyncio.run(main())
"""


def write_until_killed(path: Path, acknowledgements: int) -> dict[str, int]:
    """Let a process append to two sessions, kill it, and return what it had acknowledged."""
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", WRITER, str(path), str(tests), str(GROUP), *SESSIONS]
    acknowledged: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledgements):
            line = writer.stdout.readline()
            assert line, "the writer ended before it was killed"
            session, version = line.split()
            acknowledged[session] = int(version)
        writer.kill()
        for line in writer.stdout.read().splitlines(keepends=True):  # what it still said before it died
            if line.endswith("\n"):
                session, version = line.split()
                acknowledged[session] = int(version)
    return acknowledged


async def test_nothing_acknowledged_is_missing_after_a_kill(tmp_path: Path):
    path = tmp_path / "cosession.sqlite3"
    for acknowledgements in (1, 2, 7, 40, 150):
        acknowledged = write_until_killed(path, acknowledgements)
        async with SqliteStorage.open(path) as storage:
            for session, version in acknowledged.items():
                found = await storage.load(session)
                assert found is not None
                assert found.info.version >= version
                assert found.info.version % GROUP == 0
                log = await storage.history(session, limit=1_000_000)
                assert log == tuple(updates(session, 1, found.info.version))


def make_until_killed(path: Path, delay: int) -> None:
    """Let a process make a database, and kill it as soon as the file is there, or a little later."""
    command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent.parent), "1", "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        while writer.poll() is None and not path.exists():
            pass
        for _ in range(delay):
            pass
        writer.kill()


async def test_a_kill_while_the_database_is_made_leaves_one_that_opens(tmp_path: Path):
    for number in range(8):
        path = tmp_path / str(number) / "cosession.sqlite3"
        make_until_killed(path, delay=number * 3000)
        async with SqliteStorage.open(path) as storage:
            await storage.ping()
