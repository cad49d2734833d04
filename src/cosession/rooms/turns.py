"""When rooms send out: in turns, a few in each iteration of the loop.

Sending one update to many sockets costs more than taking it in. A process that sent out each update as it came would
under load only send, and what comes in would wait. So rooms with news queue, and each iteration of the loop sends out
for about half a millisecond, between taking in what has come: what comes for a room that waits for its turn is
merged, so frames become fewer and larger under load, and an idle process sends at once.

Long work is done in steps of a few milliseconds, one in each iteration of the loop, whoever's it is.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

_TURN_SECONDS = 0.0005
"""Longer turns let what comes in wait; shorter ones cost an iteration of the loop for each room."""

_Result = TypeVar("_Result")


class Turns:
    """The turns of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._long = asyncio.Lock()

    async def step(self, act: Callable[[], _Result]) -> tuple[_Result, float]:
        """Do a step of long work when it is its turn, and then let everything else have its turn.

        Returns:
            What it returned, and how many seconds it took.
        """
        async with self._long:  # those who wait are served in the order in which they came
            began = self._loop.time()
            done = act(), self._loop.time() - began
            await asyncio.sleep(0)
            return done

    def ask(self, send_out: Callable[[], None]) -> None:
        """Be called when it is one's turn."""
        self._waiting.append(send_out)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        ends = self._loop.time() + _TURN_SECONDS
        try:
            while self._waiting:
                self._waiting.popleft()()
                if self._loop.time() >= ends:
                    break
        finally:
            self._scheduled = bool(self._waiting)
            if self._scheduled:
                self._loop.call_soon(self._turn)
