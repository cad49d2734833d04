"""Timers: what a room wants to be reminded of, one timer for each name, on the loop's clock.

Whoever rings holds the room until then; a room that goes clears its timers first.
"""

import asyncio
from collections.abc import Callable

_LONGEST_SECONDS = 3600.0
"""After that long the clock is asked again: the machine may have slept."""


class Timers:
    """The timers of one room."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: dict[str, asyncio.TimerHandle] = {}

    def set(self, what: str, seconds: float | None, ring: Callable[[str], None]) -> None:
        """Ring in a while, in place of the timer of this name.

        Args:
            what: its name, which `ring` gets.
            seconds: when; None: not any more.
            ring: called once.
        """
        if (running := self._running.pop(what, None)) is not None:
            running.cancel()
        if seconds is not None:
            wait = min(seconds, _LONGEST_SECONDS)
            self._running[what] = asyncio.get_running_loop().call_later(wait, self._ring, what, ring)

    def clear(self) -> None:
        """Let none ring any more."""
        for running in self._running.values():
            running.cancel()
        self._running.clear()

    def _ring(self, what: str, ring: Callable[[str], None]) -> None:
        del self._running[what]
        ring(what)
