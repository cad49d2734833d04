"""When rooms send out and long work goes on, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from simulation.clock import VirtualLoop

from cosession.runtime.turns import Turns

SHORT, LONG = 0.00001, 0.01


def play(scene: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        runner.run(scene(loop))


async def iterations(loop: VirtualLoop, seconds: float, steps: int) -> list[int]:
    """In which iteration of the loop each of some steps of long work is done that are asked for at once."""
    turns, count, done = Turns(), 0, list[int]()

    def act() -> bool:
        loop.work(seconds)
        done.append(count)
        return True

    waiting = asyncio.gather(*(turns.step(act) for _ in range(steps)))
    while not waiting.done():
        await asyncio.sleep(0)
        count += 1
    return done


def test_short_steps_of_many_are_done_in_one_iteration_of_the_loop() -> None:
    async def scene(loop: VirtualLoop) -> None:
        assert len(set(await iterations(loop, SHORT, 100))) == 1

    play(scene)


def test_between_long_steps_everything_else_has_its_turn() -> None:
    async def scene(loop: VirtualLoop) -> None:
        done = await iterations(loop, LONG, 5)
        assert done == sorted(set(done))

    play(scene)


def test_what_a_step_raises_reaches_the_one_that_waits_and_the_next_step_is_done() -> None:
    async def scene(_: VirtualLoop) -> None:
        turns = Turns()

        def fail() -> bool:
            raise ValueError("no")

        results = await asyncio.gather(turns.step(fail), turns.step(lambda: True), return_exceptions=True)
        assert isinstance(results[0], ValueError)
        assert isinstance(results[1], tuple)
        assert results[1][0]

    play(scene)


def test_a_step_whose_task_is_cancelled_is_not_done() -> None:
    async def scene(_: VirtualLoop) -> None:
        turns, done = Turns(), list[str]()

        def act() -> bool:
            done.append("step")
            return True

        task = asyncio.create_task(turns.step(act))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert not done

    play(scene)


@pytest.mark.parametrize("taken_in", [0.0, 0.1])
def test_rooms_send_out_for_as_long_as_was_taken_in(taken_in: float) -> None:
    async def scene(loop: VirtualLoop) -> None:
        turns, sent = Turns(), list[float]()

        def send_out() -> None:
            loop.work(0.001)
            sent.append(loop.time())

        for _ in range(200):
            turns.ask(send_out)
        loop.work(taken_in)
        await asyncio.sleep(0)
        assert len(sent) == max(1, round(taken_in / 0.001))
        await asyncio.sleep(1)
        assert len(sent) == 200

    play(scene)
