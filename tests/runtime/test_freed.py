"""What is over is freed at once, without the cycle collector, which looks at what is old seldom."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from runtime.channels import MemoryChannel, Replica, connected, open_hub, until

from cosession.auth import Participant
from cosession.document import SessionDocument
from cosession.document.list_index import SHORT, ListIndex
from cosession.errors import NoSuchSession
from cosession.protocol import Awareness, AwarenessEntry, Fence, SyncUpdate, encode_awareness
from cosession.room.changes import Changes
from cosession.room.room import Room
from cosession.runtime.connection.connection import Connection
from cosession.runtime.connection.reader import FrameReader
from cosession.runtime.connection.token_expiry import TokenExpiry
from cosession.runtime.connection.writer import FrameWriter
from cosession.runtime.lifecycle import RoomLifecycle
from cosession.runtime.room_runtime import RoomRuntime
from cosession.settings import Settings

OURS = (
    RoomLifecycle,
    RoomRuntime,
    Room,
    Changes,
    SessionDocument,
    ListIndex,
    Connection,
    FrameReader,
    FrameWriter,
    TokenExpiry,
)

Remaining: TypeAlias = Callable[[], set[str]]

pytestmark = pytest.mark.anyio


@pytest.fixture
def remaining() -> Iterator[Remaining]:
    """What there is of ours that wasn't there before the test, while nothing collects cycles.

    What was there before is frozen: looking through all of it takes the loop longer than what is waited for.
    """
    gc.collect()
    gc.disable()
    gc.freeze()
    yield lambda: {type(one).__name__ for one in gc.get_objects() if isinstance(one, OURS)}
    gc.unfreeze()
    gc.enable()


@pytest.fixture
def settings() -> Settings:
    return Settings(unload_after_seconds=0.01, presence_seconds=0.01, attendance_seconds=0.01)


async def test_a_room_that_is_unloaded_is_gone(tmp_path: Path, settings: Settings, remaining: Remaining) -> None:
    async with open_hub(tmp_path, settings) as hub:
        async with connected(hub, "trip", "ada") as ada, connected(hub, "trip", "bo", extended=False):
            ada.channel.say(Awareness(encode_awareness([AwarenessEntry(7, 1, "{}")])))
            ada.write("hello")
            ada.channel.say(Fence(b""))
            await ada.channel.hear(Fence)
            assert remaining()
        await until(lambda: not remaining())


@pytest.mark.parametrize("again", [False, True])
async def test_a_room_with_a_long_list_is_gone(
    tmp_path: Path, settings: Settings, remaining: Remaining, again: bool
) -> None:
    async with open_hub(tmp_path, settings) as hub:
        for begin in (0, SHORT) if again else (0,):
            async with connected(hub, "trip", "ada") as ada:
                for number in range(begin, begin + SHORT + 2):
                    say(ada, number)
                ada.channel.say(Fence(b""))
                await ada.channel.hear(Fence)
                assert "ListIndex" in remaining()
            await until(lambda: not remaining())


def say(replica: Replica, number: int) -> None:
    before = replica.doc.get_state()
    messages = SessionDocument(replica.doc).messages
    parts = [{"type": "text", "text": "hello", "state": "done"}]
    messages.append("user", parts, id=f"m{number}", author="ada", created_at="2026-01-01T00:00:00.000Z")
    replica.channel.say(SyncUpdate(replica.doc.get_update(before)))


async def test_a_connection_that_was_refused_is_gone_while_its_room_lives(
    tmp_path: Path, settings: Settings, remaining: Remaining
) -> None:
    async with open_hub(tmp_path, settings) as hub, hub.room("trip", create=True):
        async with connected(hub, "trip", "ada") as ada:
            ada.channel.say(SyncUpdate(b"garbage"))
            await ada.channel.closed
        await until(lambda: remaining().isdisjoint({"Connection", "FrameReader", "FrameWriter", "TokenExpiry"}))


async def test_a_connection_whose_token_expires_in_an_hour_is_gone_when_it_ends(
    tmp_path: Path, settings: Settings, remaining: Remaining
) -> None:
    async with open_hub(tmp_path, settings) as hub:
        async with asyncio.TaskGroup() as group:
            channel = MemoryChannel("trip")
            group.create_task(hub.serve(channel, Participant("ada", "Ada", expires_at=time.time() + 3600)))
            await Replica(channel).sync()
            channel.hang_up()
        await until(lambda: not remaining())


async def test_a_room_that_could_not_be_loaded_is_gone(tmp_path: Path, remaining: Remaining) -> None:
    async with open_hub(tmp_path, Settings(create_on_connect=False)) as hub:
        with pytest.raises(NoSuchSession):
            await hub.serve(MemoryChannel("trip"))
        await until(lambda: not remaining())
