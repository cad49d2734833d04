"""When rooms send out: in turns, a few in each iteration of the loop.

Sending one update to many sockets costs more than taking it in. A process that sent out each update as it came would
under load only send, and what comes in would wait. So rooms with news queue, and each iteration of the loop sends out
for about half a millisecond, or for as long as it took in what has come. What comes for a room that waits for its
turn is merged, so frames become fewer and larger under load, and an idle process sends at once.

Long work is done in steps of a few milliseconds at most, as many in each iteration of the loop as take two, whoever's
they are.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

_TURN_SECONDS = 0.0005
"""Longer turns let what comes in wait; shorter ones cost an iteration of the loop for each room. An iteration that
takes in for longer sends out for as long: thousands of connections would else be heard, and hear nothing."""

_STEPS_SECONDS = 0.002
"""After so much long work the rest waits for the next iteration of the loop; a step that has begun ends. The first
update of each of five hundred rooms is long work, and takes a tenth of a millisecond."""

_Result = TypeVar("_Result")


class Turns:
    """The turns of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._since = 0.0
        """When the last turn ended, or the first room asked for the next one."""
        self._steps: deque[tuple[Callable[[], object], asyncio.Future[tuple[Any, float]]]] = deque()
        """Bound: each of those who wait has one."""

    async def step(self, act: Callable[[], _Result]) -> tuple[_Result, float]:
        """Do a step of long work when it is its turn, and then let everything else have its turn.

        Returns:
            What it returned, and how many seconds it took.
        """
        done: asyncio.Future[tuple[Any, float]] = self._loop.create_future()
        if not self._steps:
            self._loop.call_soon(self._go_on)
        self._steps.append((act, done))  # they are done in the order in which they came
        try:
            return await done
        finally:
            del done  # with the traceback of what it raised it would hold its connection in a circle

    def ask(self, send_out: Callable[[], None]) -> None:
        """Be called when it is one's turn."""
        self._waiting.append(send_out)
        if not self._scheduled:
            self._scheduled = True
            self._since = self._loop.time()
            self._loop.call_soon(self._turn)

    def _go_on(self) -> None:
        """Do the steps that wait, as many as there is time for."""
        now = self._loop.time()
        ends = now + _STEPS_SECONDS
        while self._steps and now < ends:
            act, done = self._steps.popleft()
            if not done.cancelled():
                try:
                    result = act()
                    done.set_result((result, self._loop.time() - now))
                except BaseException as error:  # it is for the one that waits, whatever it is
                    done.set_exception(error)
            del act, done  # see `step`
            now = self._loop.time()
        if self._steps:
            self._loop.call_soon(self._go_on)

    def _turn(self) -> None:
        now = self._loop.time()
        ends = now + max(_TURN_SECONDS, now - self._since)
        try:
            while self._waiting and now < ends:
                self._waiting.popleft()()
                now = self._loop.time()
        finally:
            self._scheduled = bool(self._waiting)
            if self._scheduled:
                self._since = now
                self._loop.call_soon(self._turn)
