"""What happens by itself, on a real loop and a real database: graces end, rooms wait for them, and go."""

from pathlib import Path

import pytest
from pycrdt import Map
from runtime.channels import Replica, connected, open_hub, until

from cosession.auth import Participant
from cosession.protocol import Awareness, AwarenessEntry, Fence, SyncUpdate, encode_awareness
from cosession.runtime import Hub
from cosession.runtime.room_runtime import RoomRuntime
from cosession.runtime.timers import Timers
from cosession.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings() -> Settings:
    return Settings(unload_after_seconds=0.0, lease_grace_seconds=0.1, attendance_seconds=0.01)


async def start_run(replica: Replica) -> None:
    """Show oneself, begin a run, and wait until it is on the disk."""
    replica.channel.say(Awareness(encode_awareness([AwarenessEntry(replica.doc.client_id, 1, "{}")])))
    before = replica.doc.get_state()
    run = {"id": "r1", "agent": "bot", "status": "running", "client": replica.doc.client_id}
    replica.doc.get("runs", type=Map)["r1"] = Map(run)
    replica.channel.say(SyncUpdate(replica.doc.get_update(before)))
    replica.channel.say(Fence(b""))
    await replica.channel.hear(Fence)


async def status(hub: Hub) -> str:
    async with hub.room("trip") as live:
        run = live.room.document.runs.get("r1")
        return run.status if run else ""


async def test_a_session_does_not_go_to_sleep_as_running(tmp_path: Path, settings: Settings) -> None:
    async with open_hub(tmp_path, settings) as hub:
        async with connected(hub, "trip", "bot") as bot:
            await start_run(bot)
        await until(lambda: not hub._slots)
        [stored] = await hub.storage.sessions(limit=1)
        loaded = await hub.storage.load(stored.id)
        assert loaded is not None
        assert loaded.snapshot is not None
        assert b"lost" in loaded.snapshot.update
        assert await status(hub) == "lost"


async def test_a_run_that_a_crash_interrupted_is_lost_a_grace_after_its_session_is_loaded(
    tmp_path: Path, settings: Settings
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip", "bot") as bot:
        await start_run(bot)
    async with open_hub(tmp_path, settings) as hub, hub.room("trip") as live:
        assert await status(hub) == "running", "a server that stops doesn't wait"
        await until(lambda: live.room.document.runs.active() == [])
        assert await status(hub) == "lost"


async def test_a_timer_that_rings_while_the_storage_is_behind_rings_again(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def has_room(_: RoomRuntime) -> bool:
        asked.append(True)
        return len(asked) > 3

    monkeypatch.setattr("cosession.runtime.room_runtime._RETRY_SECONDS", 0.01)
    async with open_hub(tmp_path, settings) as hub, hub.room("trip", create=True) as live:
        async with connected(hub, "trip", "bot") as bot:
            await start_run(bot)
        monkeypatch.setattr(RoomRuntime, "has_room", property(has_room))
        await until(lambda: not live.is_waiting)
        assert len(asked) > 3
        assert await status(hub) == "lost"


async def test_workers_are_online_and_stay_so_while_nobody_of_them_is_connected(
    tmp_path: Path, settings: Settings
) -> None:
    async with open_hub(tmp_path, settings) as hub, hub.room("trip", create=True) as live:
        who = Participant("flights", "Flights", "agent")
        live.man(who, 2)
        await until(lambda: len(live.room.document.to_json()["participants"]) == 1)
        flights = live.room.document.participants.get("flights")
        assert flights is not None
        await until(lambda: flights.devices == 2)
        assert flights.online
        assert not flights.looking
        assert live.room.document.agents.get("flights") is not None
        live.man(who, 0)
        await until(lambda: not flights.online)


async def test_of_two_timers_of_one_name_the_later_rings_and_a_stopped_one_does_not() -> None:
    rung: list[str] = []
    timers = Timers()
    timers.set("a", 100, rung.append)
    timers.set("a", 0, rung.append)
    timers.set("b", 0, rung.append)
    timers.set("b", None, rung.append)
    timers.set("c", 0, rung.append)
    await until(lambda: len(rung) == 2)
    assert rung == ["a", "c"]
    timers.set("a", 0, rung.append)
    timers.clear()
    timers.set("c", 0, rung.append)
    await until(lambda: len(rung) == 3)
    assert rung == ["a", "c", "c"]
