"""When rooms send out: in turns, a few in each iteration of the loop.

Sending one update to many sockets costs more than applying it. A process that sent out each update as it came would
under load only send, and incoming frames would wait. So rooms with news queue, and each iteration of the loop sends
out for about half a millisecond, or for as long as it handled incoming frames. Updates of a room that waits for its
turn are merged, so frames become fewer and larger under load, and an idle process sends at once.

Long work is done in steps of a few milliseconds at most; each iteration of the loop does steps for two milliseconds,
of any connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

_TURN_SECONDS = 0.0005
"""Longer turns delay incoming frames; shorter ones cost an iteration of the loop for each room. An iteration that
handles incoming frames for longer sends out for as long: else thousands of connections would get nothing."""

_STEPS_SECONDS = 0.002
"""The seconds of long work in one iteration of the loop: the rest waits; a step that has begun ends. The first
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
        """Bound: each waiting caller has one."""

    async def step(self, act: Callable[[], _Result]) -> tuple[_Result, float]:
        """Do a step of long work when it is its turn, and then let other tasks run.

        Returns:
            The result of the step, and the seconds that it took.
        """
        done: asyncio.Future[tuple[Any, float]] = self._loop.create_future()
        if not self._steps:
            self._loop.call_soon(self._go_on)
        self._steps.append((act, done))  # they are done in the order in which they came
        try:
            return await done
        finally:
            del done  # with the traceback of its exception it would hold its connection in a reference cycle

    def ask(self, send_out: Callable[[], None]) -> None:
        """Call a function at the next turn."""
        self._waiting.append(send_out)
        if not self._scheduled:
            self._scheduled = True
            self._since = self._loop.time()
            self._loop.call_soon(self._turn)

    def _go_on(self) -> None:
        """Do as many waiting steps as there is time for."""
        now = self._loop.time()
        ends = now + _STEPS_SECONDS
        while self._steps and now < ends:
            act, done = self._steps.popleft()
            if not done.cancelled():
                try:
                    result = act()
                    done.set_result((result, self._loop.time() - now))
                except BaseException as error:  # any error belongs to the waiting caller
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
