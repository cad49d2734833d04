"""Timers: the timers of a room, one for each name, on the loop's clock.

A timer keeps the room in memory until it rings; a room that is unloaded clears its timers first.
"""

import asyncio
from collections.abc import Callable

_LONGEST_SECONDS = 3600.0
"""The longest wait; after it the clock is compared again, because the machine may have slept."""


class Timers:
    """The timers of one room."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: dict[str, asyncio.TimerHandle] = {}

    def set(self, what: str, seconds: float | None, ring: Callable[[str], None]) -> None:
        """Set the timer of a name, in place of an earlier one.

        Args:
            what: its name, which is passed to `ring`.
            seconds: the time until it rings; None cancels it.
            ring: called once.
        """
        if (running := self._running.pop(what, None)) is not None:
            running.cancel()
        if seconds is not None:
            wait = min(seconds, _LONGEST_SECONDS)
            self._running[what] = asyncio.get_running_loop().call_later(wait, self._ring, what, ring)

    def clear(self) -> None:
        """Cancel all timers."""
        for running in self._running.values():
            running.cancel()
        self._running.clear()

    def _ring(self, what: str, ring: Callable[[str], None]) -> None:
        del self._running[what]
        ring(what)
