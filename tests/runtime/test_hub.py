"""The hub on a real database: loaded once, unloaded when idle, closed with nothing lost."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pycrdt import Doc, Text
from runtime.channels import MemoryChannel, Replica, connected, open_hub, until

from cosession.auth import Participant
from cosession.errors import BadSessionId, NoSuchSession, SessionDeleted, ShuttingDown, StorageError
from cosession.protocol import Fence, Notice, SyncUpdate, decode_frame, encode_frame, read_update_header
from cosession.runtime import Hub
from cosession.settings import Settings
from cosession.storage import Snapshot

pytestmark = pytest.mark.anyio


async def notes(hub: Hub, session: str) -> str:
    async with hub.room(session) as live:
        return str(live.room.document.doc.get("text:notes", type=Text))


async def test_what_was_fenced_is_there_after_a_restart(tmp_path: Path, settings: Settings) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        ada.write("Porto")
        ada.channel.say(Fence(b"1"))
        assert await ada.channel.hear(Fence) == Fence(b"1")
    async with open_hub(tmp_path, settings) as hub:
        assert await notes(hub, "trip") == "Porto"


async def test_two_clients_see_each_other_write(tmp_path: Path, settings: Settings) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada, connected(hub, "trip", "bo") as bo:
        ada.write("Porto 🇵🇹")
        while str(bo.doc.get("text:notes", type=Text)) != "Porto 🇵🇹":
            update = await bo.channel.hear(SyncUpdate)
            assert isinstance(update, SyncUpdate)
            bo.doc.apply_update(update.update)


async def test_ten_clients_that_open_a_cold_session_at_once_are_all_served_by_one_room(
    tmp_path: Path, settings: Settings
) -> None:
    async with open_hub(tmp_path, settings) as hub:
        async with connected(hub, "cold") as first:
            first.write("here")
            first.channel.say(Fence(b""))
            await first.channel.hear(Fence)
        await until(lambda: not hub._slots)

        async def look() -> str:
            async with connected(hub, "cold") as client:
                await met.wait()
                return str(client.doc.get("text:notes", type=Text))

        met = asyncio.Barrier(10)
        assert await asyncio.gather(*(look() for _ in range(10))) == ["here"] * 10


async def test_an_idle_room_is_unloaded_into_a_snapshot_and_comes_back_whole(
    tmp_path: Path, settings: Settings
) -> None:
    async with open_hub(tmp_path, settings) as hub:
        async with connected(hub, "trip") as ada:
            for word in ("one ", "two ", "three"):
                ada.write(word)
            ada.channel.say(Fence(b""))
            await ada.channel.hear(Fence)
        await until(lambda: not hub._slots)
        stored = await hub.storage.load("trip")
        assert stored is not None
        assert stored.snapshot is not None
        assert stored.snapshot.version == stored.info.version == 6, "the last of them says that ada has left"
        assert stored.updates == ()
        assert await notes(hub, "trip") == "one two three"


async def test_snapshots_come_to_a_small_multiple_of_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(snapshot_after_bytes=1024, snapshot_after_updates=10**6)
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        kept: list[int] = []
        save = hub.storage.save_snapshot

        async def noting(snapshot: Snapshot) -> None:
            kept.append(len(snapshot.update))
            await save(snapshot)

        monkeypatch.setattr(hub.storage, "save_snapshot", noting)
        for number in range(40):
            ada.write("x" * 1000)
            ada.channel.say(Fence(b"%d" % number))
            await ada.channel.hear(Fence)
    assert len(kept) > 2
    assert sum(kept) < 4 * 40_000, kept


async def test_an_unknown_session_can_be_required_to_exist(tmp_path: Path) -> None:
    async with open_hub(tmp_path, Settings(create_on_connect=False)) as hub:
        with pytest.raises(NoSuchSession):
            await hub.serve(MemoryChannel("nothing"))
        assert await hub.create("nothing", "Made")
        assert not await hub.create("nothing", "Again")
        async with connected(hub, "nothing"):
            assert hub.connections("nothing") == 1


@pytest.mark.parametrize("session", ["", "a*", "../etc", "x" * 513, "a\nb", "é" * 257])
async def test_a_name_that_can_not_be_a_sessions_is_refused(tmp_path: Path, settings: Settings, session: str) -> None:
    async with open_hub(tmp_path, settings) as hub:
        with pytest.raises(BadSessionId):
            await hub.serve(MemoryChannel(session))


async def test_a_malformed_frame_ends_its_connection_and_nobody_elses(tmp_path: Path, settings: Settings) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        channel = MemoryChannel("trip")
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.serve(channel, extended=True))
            channel.say(b"\xff\xff")
            notice = await channel.hear(Notice)
            assert isinstance(notice, Notice)
            assert notice.code == "frame.malformed"
            code, reason = await channel.closed
        assert code == 4400
        assert reason
        ada.channel.say(Fence(b"still here"))
        await ada.channel.hear(Fence)


async def test_a_stopping_server_tells_every_connection_to_come_back_and_keeps_what_it_had(
    tmp_path: Path, settings: Settings
) -> None:
    async with open_hub(tmp_path, settings) as hub:
        channel = MemoryChannel("trip")
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.serve(channel))
            await until(lambda: hub.connections("trip") == 1)
            async with connected(hub, "trip", "bo") as bo:
                bo.write("unfenced")
                bo.channel.say(Fence(b""))
                await bo.channel.hear(Fence)
                await hub.drain()
                assert (await channel.closed)[0] == 4503
                assert (await bo.channel.closed)[0] == 4503
        with pytest.raises(ShuttingDown):
            await hub.serve(MemoryChannel("trip"))
    async with open_hub(tmp_path, settings) as hub:
        assert await notes(hub, "trip") == "unfenced"


async def test_a_deleted_session_tells_its_connections_and_never_comes_back(
    tmp_path: Path, settings: Settings
) -> None:
    async with open_hub(tmp_path, settings) as hub:
        channel = MemoryChannel("trip")
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.serve(channel))
            await until(lambda: hub.connections("trip") == 1)
            assert await hub.delete("trip")
            assert (await channel.closed)[0] == 4410
        with pytest.raises(SessionDeleted):
            await hub.serve(MemoryChannel("trip"))
        assert not await hub.delete("trip")


async def test_a_reader_that_stops_reading_is_let_go_and_holds_nobody_up(tmp_path: Path) -> None:
    settings = Settings(slow_reader_seconds=0.2, max_waiting_bytes=2048)
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        slow = MemoryChannel("trip")
        serving = asyncio.create_task(hub.serve(slow))
        await until(lambda: hub.connections("trip") == 2)
        slow.say(b"\x00\x00\x01\x00")
        await until(lambda: slow.heard.qsize() >= 2)
        slow.reading.clear()
        for _ in range(200):
            ada.write("x" * 100)
        ada.channel.say(Fence(b""))
        await ada.channel.hear(Fence)
        await until(lambda: hub.connections("trip") == 1, 10)
        slow.reading.set()
        await serving


async def test_a_connection_hears_something_in_every_interval(tmp_path: Path) -> None:
    async with (
        open_hub(tmp_path, Settings(keep_alive_seconds=0.05)) as hub,
        connected(hub, "quiet", extended=False) as ada,
    ):
        async with asyncio.timeout(60):
            while await ada.channel.heard.get() != b"\x01\x01\x00":
                pass


async def test_a_room_that_lives_long_is_kept_in_snapshots(tmp_path: Path) -> None:
    settings = Settings(snapshot_after_updates=50)
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        newest = 0
        for number in range(200):
            ada.write(f"{number} ")
            ada.channel.say(Fence(b""))
            await ada.channel.hear(Fence)
            stored = await hub.storage.load("trip")
            assert stored is not None
            assert len(stored.updates) < 60
            newest = stored.snapshot.version if stored.snapshot else 0
        assert newest > 150
        replayed: Doc = Doc()
        for row in await hub.storage.history("trip"):
            replayed.apply_update(row.update)
        assert str(replayed.get("text:notes", type=Text)) == str(ada.doc.get("text:notes", type=Text))


async def test_few_large_updates_are_kept_in_snapshots_too(tmp_path: Path) -> None:
    settings = Settings(snapshot_after_bytes=100_000)
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        for _ in range(60):
            ada.write("x" * 5000)
        ada.channel.say(Fence(b""))
        await ada.channel.hear(Fence)
        async with asyncio.timeout(60):
            while (stored := await hub.storage.load("trip")) is None or stored.snapshot is None:
                pass


async def test_a_disk_without_room_for_a_snapshot_costs_nobody_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(snapshot_after_updates=10)
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        tries: list[Snapshot] = []

        async def refuse(snapshot: Snapshot) -> None:
            tries.append(snapshot)
            raise StorageError("The disk is full.")

        monkeypatch.setattr(hub.storage, "save_snapshot", refuse)
        for number in range(35):
            ada.write(f"{number} ")
            ada.channel.say(Fence(b""))
            await ada.channel.hear(Fence)
        monkeypatch.undo()
        assert 2 <= len(tries) <= 4, "each time after ten more updates, not at every one"
    async with open_hub(tmp_path, settings) as hub:
        assert await notes(hub, "trip") == str(ada.doc.get("text:notes", type=Text))


class Interrupted(MemoryChannel):
    """A channel in whose room something happens just when its connection has been cancelled."""

    happens: Callable[[], object] | None = None

    async def send(self, message: bytes) -> None:
        try:
            await super().send(message)
        except asyncio.CancelledError:
            if self.happens is not None:
                asyncio.get_running_loop().call_soon(self.happens)
            raise


async def test_what_comes_while_a_connection_is_being_cancelled_does_not_harm_its_room(
    tmp_path: Path, settings: Settings
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip", "bo"), hub.room("trip") as live:
        channel = Interrupted("trip")
        serving = asyncio.create_task(hub.serve(channel, Participant("ada", "Ada"), extended=True))
        await Replica(channel).sync()
        channel.reading.clear()
        live.edit(lambda document: document.meta.set_title("before"))
        await until(lambda: any(connection.writer._task for connection in live._connections.values()))
        channel.happens = lambda: live.edit(lambda document: document.meta.set_title("meanwhile"))
        serving.cancel()
        await asyncio.wait((serving,))
        assert live.connections == 1
        assert live.error is None


async def test_who_is_behind_gets_no_diff_that_stands_on_what_is_yet_to_be_sent_out(tmp_path: Path) -> None:
    settings = Settings(max_waiting_bytes=2048, slow_reader_seconds=60)
    async with (
        open_hub(tmp_path, settings) as hub,
        connected(hub, "trip") as ada,
        connected(hub, "trip", "bo") as bo,
        connected(hub, "trip", "cy") as slow,
        hub.room("trip") as live,
    ):
        number = {connection.participant.id: connection.number for connection in live._connections.values()}
        outbox = live._connections[number["cy"]].writer.outbox
        slow.channel.reading.clear()
        while not outbox.is_behind:
            ada.write("x" * 500)
            await asyncio.sleep(0)
        assert outbox._missed is not None
        known = dict(live.room.vector) | outbox._missed
        bo.doc.apply_update(ada.doc.get_update())
        for writer in (bo, ada):  # in one iteration of the loop: nothing of it has been sent out
            before = writer.doc.get_state()
            notes = writer.doc.get("text:notes", type=Text)
            notes += "after that"
            update = writer.doc.get_update(before)
            live.receive(number["bo" if writer is bo else "ada"], encode_frame(SyncUpdate(update)))
            ada.doc.apply_update(update)
        while outbox:
            for frame in live.take(outbox):
                update = decode_frame(frame)
                if isinstance(update, SyncUpdate):
                    header = read_update_header(update.update)
                    assert header.fits(known)
                    known |= {span.client: span.end for span in header.brings}
        assert known == dict(live.room.vector)
        slow.channel.reading.set()
