"""Virtual time: an event loop that never waits. When nothing is ready, its clock leaps to the next timer.

Everything that asks the loop for the time (timeouts, sleeps, deadlines) lives in this time, so a simulated minute
takes as long as the work in it, and the same seed gives the same world.
"""

import asyncio
import selectors
from typing import Any


class Deadlock(AssertionError):
    """Everybody waits, and nothing will ever happen."""


class _Leap(selectors.SelectSelector):
    """A selector without files: selecting moves the clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("Everybody waits, and no timer runs.")
        if timeout > 0:
            self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, in seconds from 0."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)
        self._clock_resolution = 1e-6

    def work(self, seconds: float) -> None:
        """Let time pass in which nothing else happens: somebody computes."""
        self._leap.now += seconds

    def time(self) -> float:
        """The virtual time."""
        return self._leap.now
