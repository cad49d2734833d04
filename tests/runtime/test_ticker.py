"""A pulse: thousands are called regularly, by one timer."""

import asyncio
import logging
import random
from collections import Counter, defaultdict
from functools import partial
from itertools import pairwise

import pytest
from simulation.clock import VirtualLoop

from cosession.runtime import Ticker

SECONDS = 4.5


def run(scenario, seconds: float) -> None:
    """Let a scenario happen in virtual time."""

    async def whole() -> None:
        scenario()
        await asyncio.sleep(seconds)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


@pytest.mark.parametrize("members", [1, 3, 300, 2000])
def test_everybody_is_called_once_in_an_interval(members: int) -> None:
    called = Counter[int]()

    def scenario() -> None:
        pulse = Ticker(SECONDS)
        for number in range(members):
            pulse.join(partial(called.update, [number]))

    run(scenario, SECONDS * 10 + 0.001)
    assert set(called.values()) <= {10, 11}
    assert len(called) == members


def test_turns_are_spread_evenly() -> None:
    moments = Counter[float]()

    def scenario() -> None:
        pulse = Ticker(SECONDS)
        for number in range(2560):
            pulse.join(lambda number=number: moments.update([asyncio.get_running_loop().time()]))

    run(scenario, SECONDS - 0.001)
    assert max(moments.values()) <= 2560 / 256


def test_who_left_is_called_no_more_and_an_empty_pulse_sets_no_timer() -> None:
    called: list[str] = []

    def scenario() -> None:
        pulse = Ticker(SECONDS)
        stays, goes = partial(called.append, "stays"), partial(called.append, "goes")
        place, _ = pulse.join(goes), pulse.join(stays)
        pulse.leave(place, goes)
        pulse.leave(place, goes)
        empty = Ticker(SECONDS)
        empty.leave(empty.join(goes), goes)
        assert empty._timer is None

    run(scenario, SECONDS * 3)
    assert set(called) == {"stays"}


def test_a_member_may_leave_and_another_come_in_a_turn() -> None:
    called: list[str] = []

    def scenario() -> None:
        pulse = Ticker(SECONDS)

        def once() -> None:
            called.append("once")
            pulse.leave(place, once)
            pulse.join(partial(called.append, "next"))

        place = pulse.join(once)

    run(scenario, SECONDS * 3)
    assert called[0] == "once"
    assert set(called[1:]) == {"next"}


def test_who_fails_is_logged_and_the_others_have_their_turn(caplog: pytest.LogCaptureFixture) -> None:
    called: list[int] = []

    def scenario() -> None:
        pulse = Ticker(SECONDS)
        for number in range(600):
            pulse.join(partial(called.append, number) if number % 2 else lambda: 1 // 0)

    with caplog.at_level(logging.ERROR, "cosession"):
        run(scenario, SECONDS + 0.01)
    assert len(called) >= 300
    assert "pulse.failed" in caplog.text


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("staying", "between", "stay"), [(1, 2.0, 1.0), (1, 0.5, 1.0), (3, 10.0, 30.0), (10, 0.2, 9.0)]
)
def test_who_comes_and_goes_delays_nobody(staying: int, between: float, stay: float, seed: int) -> None:
    dice, called = random.Random(seed), defaultdict[int, list[float]](lambda: [0.0])

    def scenario() -> None:
        pulse, loop = Ticker(SECONDS), asyncio.get_running_loop()
        for number in range(staying):
            pulse.join(lambda number=number: called[number].append(loop.time()))

        def come() -> None:
            def nothing() -> None:
                """Have a turn."""

            loop.call_later(dice.expovariate(1 / stay), pulse.leave, pulse.join(nothing), nothing)
            loop.call_later(dice.expovariate(1 / between), come)

        come()

    run(scenario, SECONDS * 30)
    assert len(called) == staying
    for times in called.values():
        assert max(later - sooner for sooner, later in pairwise([*times, SECONDS * 30])) <= SECONDS * 1.02


def test_a_loop_that_stood_still_goes_on_without_catching_up() -> None:
    called: list[float] = []

    def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        Ticker(SECONDS).join(lambda: called.append(loop.time()))
        loop.call_later(1.0, loop.work, 60.0)

    run(scenario, 90)
    assert len(called) in (6, 7)
