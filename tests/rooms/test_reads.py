"""A read that fails costs its reader the answer, and nobody else anything."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from rooms.channels import MemoryChannel, connected, open_hub

from cosession.document import SessionDocument
from cosession.errors import RoomBroken, Unreadable
from cosession.protocol import Fence, Notice, SyncStep1
from cosession.rooms import Hub
from cosession.rooms.live import LiveRoom
from cosession.rooms.room import Room
from cosession.settings import Settings

pytestmark = pytest.mark.anyio


class PanicException(BaseException):
    """What the CRDT library raises where its Rust core panics."""


def failing(error: BaseException) -> Callable[..., bytes]:
    """A read that fails, as no document is known to make one fail any more."""

    def fail(*_: object) -> bytes:
        raise error

    return fail


async def look(hub: Hub, read: Callable[[LiveRoom], object]) -> None:
    async with hub.room("trip") as live:
        read(live)


async def test_a_document_that_cannot_be_shown_keeps_its_connections(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        with monkeypatch.context() as patch:
            patch.setattr(SessionDocument, "to_json", failing(TypeError("a sum of None and 1")))
            with pytest.raises(Unreadable):
                await look(hub, LiveRoom.to_json)
        await look(hub, LiveRoom.to_json)
        ada.channel.say(Fence(b"still here"))
        await ada.channel.hear(Fence)


async def test_a_first_sync_that_fails_ends_its_connection_and_no_other(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        channel = MemoryChannel("trip")
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.serve(channel, extended=True))
            with monkeypatch.context() as patch:
                patch.setattr(Room, "lacks", failing(Unreadable("It can't be told.")))
                channel.say(SyncStep1(b"\x01\x05\x01"))
                notice = await channel.hear(Notice)
            assert isinstance(notice, Notice)
            assert notice.code == "session.unreadable"
            assert (await channel.closed)[0] == 1011
        ada.channel.say(Fence(b"still here"))
        await ada.channel.hear(Fence)


async def test_a_read_in_which_the_library_panics_ends_the_room(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        monkeypatch.setattr(SessionDocument, "to_json", failing(PanicException()))
        with pytest.raises(RoomBroken):
            await look(hub, LiveRoom.to_json)
        assert (await ada.channel.closed)[0] == 4503
