"""How fast one connection may send, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from simulation.clock import VirtualLoop

from cosession.errors import TooFast
from cosession.runtime.connection.rate_limit import RateLimit

Scene = Callable[[Callable[[RateLimit, VirtualLoop], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play() -> Iterator[Scene]:
    """Play a scene with the pace of a connection that may send 10 frames a second, and be too fast for 5 s."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)

        def play(scene: Callable[[RateLimit, VirtualLoop], Coroutine[Any, Any, None]]) -> None:
            async def with_pace() -> None:
                await scene(RateLimit(rate=10, patience=5), loop)

            runner.run(with_pace())

        yield play


def test_a_burst_costs_nothing_and_then_each_frame_waits_its_turn(play: Scene) -> None:
    async def scene(pace: RateLimit, loop: VirtualLoop) -> None:
        for _ in range(19):
            assert pace.take(0)
        assert not pace.take(0)
        began = loop.time()
        for _ in range(30):
            await pace.wait(0)
        assert loop.time() - began == pytest.approx(3, abs=0.2)

    play(scene)


def test_who_was_silent_for_long_has_no_larger_burst(play: Scene) -> None:
    async def scene(pace: RateLimit, loop: VirtualLoop) -> None:
        loop.work(3600)
        assert sum(pace.take(0) for _ in range(100)) == 19

    play(scene)


def test_a_large_frame_costs_like_several(play: Scene) -> None:
    async def scene(pace: RateLimit, _: VirtualLoop) -> None:
        assert not pace.take(4096 * 19)

    play(scene)


def test_who_does_not_stop_is_refused(play: Scene) -> None:
    async def scene(pace: RateLimit, loop: VirtualLoop) -> None:
        async def hammer() -> None:
            for _ in range(1000):
                await pace.wait(0)

        with pytest.raises(TooFast):
            await hammer()
        assert 5 < loop.time() < 9, "the burst, then 5 s of patience"

    play(scene)


def test_who_stops_in_time_may_be_too_fast_again(play: Scene) -> None:
    async def scene(pace: RateLimit, loop: VirtualLoop) -> None:
        for _ in range(4):
            for _ in range(40):
                await pace.wait(0)
            loop.work(2)

    play(scene)


def test_a_frame_that_takes_long_is_paid_for_and_by_no_more_than_a_full_burst(play: Scene) -> None:
    async def scene(pace: RateLimit, loop: VirtualLoop) -> None:
        worked(pace, loop, 0.001)
        assert sum(pace.take(0) for _ in range(100)) in (10, 11)
        worked(pace, loop, 60)
        began = loop.time()
        await pace.wait(0)
        assert loop.time() - began < 3

    play(scene)


def test_work_that_a_frame_pays_for_costs_no_more_and_long_work_lets_others_go_first(play: Scene) -> None:
    async def scene(pace: RateLimit, loop: VirtualLoop) -> None:
        assert all(worked(pace, loop, 0.0001) for _ in range(1000))
        assert sum(pace.take(0) for _ in range(100)) == 19
        assert not worked(pace, loop, 0.002)

    play(scene)


def worked(pace: RateLimit, loop: VirtualLoop, seconds: float) -> bool:
    """Whether so much work lets the next frame come at once."""
    began = pace.now()
    loop.work(seconds)
    return pace.worked(began)


def test_a_slowed_connection_wakes_up_once_for_several_frames(play: Scene) -> None:
    async def scene(_: RateLimit, loop: VirtualLoop) -> None:
        pace = RateLimit(rate=2000)
        while pace.take(0):
            pass
        began = loop.time()
        await pace.wait(0)
        frames = 1
        while pace.take(0):
            frames += 1
        assert 5 <= frames <= (loop.time() - began) * 2000 + 1

    play(scene)


def test_others_have_their_turn_once_for_several_frames_that_take_little(play: Scene) -> None:
    async def scene(pace: RateLimit, _: VirtualLoop) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(others())
        for _ in range(18):
            await pace.wait(0)
            pace.spend(0.0001)
        task.cancel()
        assert 0 < turns < 6

    play(scene)
