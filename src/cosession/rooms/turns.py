"""When rooms send out: at once while there is time, else in turns with a rest as long as the turn.

Sending one update to many sockets costs more than taking it in. A process that sent each update as it came would,
under load, spend all its time on sending, and what comes in would wait. So all rooms send in one turn, and after it
rest for as long as it took: what arrives meanwhile is merged, frames become fewer and larger, and at least half of
the time is left for everything else. An idle process sends at once.
"""

import asyncio
import time
from collections.abc import Callable

from cosession.logs import get_logger

log = get_logger(__name__)


class Turns:
    """The turns of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Callable[[], None]] = []
        self._rested_at = 0.0

    def ask(self, send_out: Callable[[], None]) -> None:
        """Be called in the next turn."""
        self._waiting.append(send_out)
        if len(self._waiting) == 1:
            rest = self._rested_at - self._loop.time()
            if rest > 0:
                self._loop.call_later(rest, self._turn)
            else:
                self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        began = time.thread_time()
        for send_out in waiting:
            try:
                send_out()
            except Exception:
                log.exception("room.fan_out_failed")
        self._rested_at = self._loop.time() + time.thread_time() - began
