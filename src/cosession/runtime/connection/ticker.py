"""A ticker: calls thousands of members at a regular interval, with one timer.

With a timer each, an idle loop would be busy with sorting them. Here the members are spread evenly over the slots of
a timing wheel, so that few are called at one moment, and one timer goes from each occupied slot to the next.
"""

import asyncio
from collections.abc import Callable

from cosession.logs import get_logger

_PLACES = 256
"""The slots of the wheel. More wake an idle process more often; with fewer, more members are called at once: 40 of
10,000."""

_STRIDE = 97
"""The distance between the slots of two new members: with no common divisor, so all slots fill alike."""

log = get_logger(__name__)


class Ticker:
    """Calls each of its members at a regular interval, the first time within one.

    Args:
        seconds: the interval.
    """

    def __init__(self, seconds: float) -> None:
        self._place_seconds = seconds / _PLACES
        self._places: dict[int, set[Callable[[], None]]] = {}
        self._newest = 0
        self._here = 0
        self._here_since = 0.0
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def join(self, act: Callable[[], None]) -> int:
        """Add a member, and return its slot, which `leave` needs."""
        self._newest = (self._newest + _STRIDE) % _PLACES
        members = self._places.get(self._newest)
        if members is None:
            self._go_on()
            members = self._places[self._newest] = set()
            if self._timer is None or self._steps_to(self._newest) < self._steps_to(self._next):
                self._schedule()
        members.add(act)
        return self._newest

    def leave(self, place: int, act: Callable[[], None]) -> None:
        """Remove a member."""
        members = self._places.get(place, set())
        members.discard(act)
        if not members:
            self._places.pop(place, None)  # the timer may still go there: it costs less than to set another one
        if not self._places:
            self._schedule()

    def _schedule(self) -> None:
        """Set the timer to the next occupied slot."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for steps in range(1, _PLACES + 1):
            place = (self._here + steps) % _PLACES
            if place in self._places:
                due = self._here_since + steps * self._place_seconds
                self._timer = asyncio.get_running_loop().call_at(due, self._arrive, place, due)
                self._next = place
                return

    def _go_on(self) -> None:
        """Skip the empty slots up to now: a member that joins in one of them is called in the next round."""
        now = asyncio.get_running_loop().time()
        if self._timer is None:
            self._here_since = now
            return
        steps = min(int((now - self._here_since) / self._place_seconds), self._steps_to(self._next))
        self._here = (self._here + steps) % _PLACES
        self._here_since += steps * self._place_seconds

    def _steps_to(self, place: int) -> int:
        """Return the number of slots between the current one and another."""
        return (place - self._here - 1) % _PLACES

    def _arrive(self, place: int, due: float) -> None:
        late = asyncio.get_running_loop().time() - self._place_seconds
        self._here, self._here_since = place, max(due, late)  # a loop that stood still doesn't catch up
        for act in tuple(self._places.get(place, ())):
            try:
                act()
            except Exception:
                log.exception("pulse.failed")
        self._schedule()
