"""A clock that is set back: order comes from versions, so nothing is lost, doubled or shown in another order."""

from itertools import count
from pathlib import Path

import pytest
from pycrdt import Doc, Text
from runtime.channels import connected

from cosession.protocol import Fence
from cosession.runtime import Hub
from cosession.settings import Settings
from cosession.storage import SqliteStorage

pytestmark = pytest.mark.anyio

SETTINGS = Settings(unload_after_seconds=0, snapshot_after_updates=7)


class Backwards:
    """A clock that goes back an hour each time it is asked, through midnight and the new year."""

    def __init__(self) -> None:
        self._asked = count()

    def __call__(self) -> str:
        hours = 48 - next(self._asked) % 48
        return f"20{25 + hours % 2}-{hours % 12 + 1:02}-{hours % 28 + 1:02}T{hours % 24:02}:00:00.000Z"


async def write(folder: Path, words: list[str]) -> str:
    """Open the storage, write words, each fenced, and return what a client then sees."""
    async with (
        SqliteStorage.open(folder / "cosession.sqlite3") as storage,
        Hub.open(storage, SETTINGS, Backwards()) as hub,
        connected(hub, "trip") as ada,
    ):
        for word in words:
            ada.write(word)
            ada.channel.say(Fence(word.encode()))
            assert await ada.channel.hear(Fence) == Fence(word.encode())
        return str(ada.doc.get("text:notes", type=Text))


async def test_what_was_written_under_a_clock_that_goes_back_loads_whole_and_in_order(tmp_path: Path) -> None:
    written: list[str] = []
    for life in range(5):
        words = [f"{life}.{number} " for number in range(15)]
        written += words
        text = await write(tmp_path, words)
        assert sorted(text.split()) == sorted(word.strip() for word in written)
        places = [text.index(word) for word in words]
        assert places == sorted(places), "each life's words in their order"

    async with SqliteStorage.open(tmp_path / "cosession.sqlite3") as storage:
        rows = await storage.history("trip", limit=10_000)
        assert [row.version for row in rows] == list(range(1, len(rows) + 1))
        assert [row.at for row in rows] != sorted(row.at for row in rows), "the clock did go back"
        loaded = await storage.load("trip")
        assert loaded is not None
        assert loaded.snapshot is not None
        from_log: Doc = Doc()
        from_snapshot: Doc = Doc()
        for row in rows:
            from_log.apply_update(row.update)
        for update in (loaded.snapshot.update, *(row.update for row in loaded.updates)):
            from_snapshot.apply_update(update)
        assert str(from_log.get("text:notes", type=Text)) == text
        assert str(from_snapshot.get("text:notes", type=Text)) == text
