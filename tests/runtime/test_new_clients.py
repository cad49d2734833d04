"""New Yjs client ids: each participant may bring so many a minute into a session; further ones wait."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from runtime.channels import MemoryChannel
from simulation.clock import VirtualLoop
from storage.memory import MemoryStorage

from cosession.auth import Capabilities, Participant
from cosession.errors import NotAllowed
from cosession.protocol import Fence, Frame, SyncStep1, SyncStep2, SyncUpdate, decode_frame
from cosession.protocol.lib0 import buffer, uint
from cosession.runtime import Hub
from cosession.runtime.new_clients import NewClients
from cosession.settings import Settings

MEMBER = Participant("ada", "Ada", capabilities=Capabilities.of("member"))
BO = Participant("bo", "Bo", capabilities=Capabilities.of("member"))
OWNER = Participant("eve", "Eve")

SETTINGS = Settings(max_new_clients_per_minute=60, lease_grace_seconds=0, attendance_seconds=0)
"""One a second, and 300 at once."""


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        yield loop


def run(loop: VirtualLoop, scene: Callable[[NewClients], None]) -> None:
    async def whole() -> None:
        scene(NewClients(per_minute=60))

    loop.run_until_complete(whole())


def written(first: int, count: int) -> bytes:
    """One key, written under so many Yjs client ids."""
    key = b"\x00\x28\x01" + buffer(b"state") + buffer(b"k%d" % first) + b"\x01\x7d\x01"
    return uint(count) + b"".join(uint(1) + uint(first + number) + key for number in range(count)) + b"\x00"


def test_five_minutes_worth_comes_at_once_and_what_is_beyond_waits_its_time(loop: VirtualLoop) -> None:
    def scene(new: NewClients) -> None:
        loop.work(1000)
        new.count("ada", 299)
        assert (new.is_free, new.seconds_to_wait("ada")) == (True, 0)
        new.count("ada", 31)
        assert (new.is_free, new.seconds_to_wait("ada"), new.seconds_to_wait("bo")) == (False, 30, 0)
        loop.work(30)
        assert (new.is_free, new.seconds_to_wait("ada")) == (True, 0)
        new.count("ada", 10)
        assert new.seconds_to_wait("ada") == 10

    run(loop, scene)


def test_a_burst_is_whole_again_after_five_minutes_and_never_larger(loop: VirtualLoop) -> None:
    def scene(new: NewClients) -> None:
        new.count("ada", 300)
        loop.work(3600)
        new.count("ada", 301)
        assert new.seconds_to_wait("ada") == 1

    run(loop, scene)


def test_participants_with_a_full_burst_are_forgotten_and_others_are_not(loop: VirtualLoop) -> None:
    def scene(new: NewClients) -> None:
        new.count("ada", 10_000)
        for number in range(5_000):
            new.count(f"visitor {number}", 1)
            loop.work(0.1)
        assert new.seconds_to_wait("ada") == pytest.approx(10_000 - 300 - 500)

    run(loop, scene)


@asynccontextmanager
async def visit(hub: Hub, who: Participant) -> AsyncIterator[MemoryChannel]:
    """A connection that has its first sync."""
    channel = MemoryChannel("trip")
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(hub.serve(channel, who, extended=True))
        channel.say(SyncStep1(b"\x00"))
        await heard(channel, SyncStep2)
        channel.say(SyncStep2(b"\x00\x00"))
        yield channel
        serving.cancel()


async def heard(channel: MemoryChannel, kind: type[Frame]) -> float:
    """The time at which the next frame of a kind comes."""
    while not isinstance(decode_frame(await channel.heard.get()), kind):
        pass
    return asyncio.get_running_loop().time()


async def saved(channel: MemoryChannel, *updates: bytes) -> float:
    """How many seconds it takes until updates are saved."""
    began = asyncio.get_running_loop().time()
    for update in updates:
        channel.say(SyncUpdate(update))
    channel.say(Fence(b"1"))
    return await heard(channel, Fence) - began


def play(loop: VirtualLoop, scene: Callable[[Hub], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with Hub.open(MemoryStorage(), SETTINGS) as hub:
            await scene(hub)

    loop.run_until_complete(whole())


@pytest.mark.parametrize("at_once", [1, 20, 1_000], ids=["short frames", "longer frames", "one long frame"])
def test_more_new_client_ids_than_a_burst_wait_and_all_of_them_arrive(loop: VirtualLoop, at_once: int) -> None:
    async def scene(hub: Hub) -> None:
        async with visit(hub, MEMBER) as ada, visit(hub, BO) as bo:
            updates = [written(first, at_once) for first in range(10_000, 11_000, at_once)]
            waiting = asyncio.create_task(saved(ada, *updates))
            await asyncio.sleep(5)
            [live] = hub.rooms()
            assert 250 <= len(live.room.vector) <= 600
            assert await saved(bo, written(7, 1)) < 1, "others don't wait"
            assert await waiting == pytest.approx(700, rel=0.4)
            assert len(live.room.document.state.shared) == 1_000 // at_once + 1

    play(loop, scene)


def test_new_clients_wait_on_whichever_connection_they_come_and_known_ones_do_not(loop: VirtualLoop) -> None:
    async def scene(hub: Hub) -> None:
        async with visit(hub, MEMBER) as ada:
            await saved(ada, written(20, 1), written(10_000, 500))
            async with visit(hub, MEMBER) as phone:
                more = b"\x01\x01\x14\x01\x28\x01" + buffer(b"state") + buffer(b"again") + b"\x01\x7d\x01\x00"
                assert await saved(phone, more) < 1
                assert await saved(phone, written(30, 1)) > 2

    play(loop, scene)


def test_a_large_frame_waits_for_a_minute_at_most_and_goes_on_when_it_comes_again(loop: VirtualLoop) -> None:
    async def scene(hub: Hub) -> None:
        update = written(10_000, 6_000)
        assert len(update) > 2**16
        async with visit(hub, BO):
            [live] = hub.rooms()
            for least in (300, 350, 400):
                async with visit(hub, MEMBER) as ada:
                    began = asyncio.get_running_loop().time()
                    ada.say(SyncUpdate(update))
                    code, reason = await ada.closed
                    assert (code, "come again" in reason) == (4529, True)
                    assert asyncio.get_running_loop().time() - began < 62
                    assert len(live.room.vector) > least

    play(loop, scene)


def test_a_connection_that_ends_while_it_waits_brings_no_more(loop: VirtualLoop) -> None:
    async def scene(hub: Hub) -> None:
        async with visit(hub, MEMBER) as ada, visit(hub, BO):
            ada.say(SyncUpdate(written(10_000, 1_000)))
            await asyncio.sleep(5)
            [live] = hub.rooms()
            live.dismiss(lambda who, _: NotAllowed("No more.") if who.id == "ada" else None)
            await asyncio.sleep(2_000)
            assert len(live.room.vector) < 600
            assert live.connections == 1

    play(loop, scene)


def test_a_participant_that_may_write_everything_brings_a_whole_document_at_once(loop: VirtualLoop) -> None:
    async def scene(hub: Hub) -> None:
        async with visit(hub, OWNER) as eve:
            assert await saved(eve, written(10_000, 1_000), written(20, 1)) < 1

    play(loop, scene)
