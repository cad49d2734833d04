"""New clients: limits the Yjs client ids that each participant may bring into one session.

Yjs keeps every client id that ever wrote in each state vector, for ever, and each transaction that is observed
iterates over all of them. A bucket for each participant refills at a rate per minute and holds five minutes of it.
New ids are counted when they are applied; while the bucket is empty, a frame with new ids waits, and other frames
don't.
"""

import asyncio

_BURST_MINUTES = 5.0

_REMEMBERED = 256
"""How many participants are remembered before those that could bring a full burst again are forgotten."""


class NewClients:
    """The new client ids of one session.

    Args:
        per_minute: the number that one participant may bring.
    """

    __slots__ = ("_clock", "_empty_until", "_forget_at", "_full", "_last", "_rate")

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60.0
        self._full = _BURST_MINUTES * 60.0
        self._clock = asyncio.get_running_loop().time
        self._empty_until: dict[str, float] = {}
        """The time until which each participant's bucket is empty; a full one's is as long ago as refilling takes."""
        self._last = self._clock()
        self._forget_at = _REMEMBERED

    def count(self, participant: str, brought: int) -> None:
        """Count new client ids that a participant has brought."""
        now = self._clock()
        full = now - self._full
        begins = max(self._empty_until.get(participant, full), full)
        self._empty_until[participant] = ends = begins + brought / self._rate
        self._last = max(self._last, ends)
        if len(self._empty_until) > self._forget_at:
            self._empty_until = {who: at for who, at in self._empty_until.items() if at > full}
            self._forget_at = max(_REMEMBERED, 2 * len(self._empty_until))  # so that it costs each little

    @property
    def is_free(self) -> bool:
        """Whether each participant may bring another now."""
        return self._last <= self._clock()

    def seconds_to_wait(self, participant: str) -> float:
        """Return the seconds before a participant may bring another; 0 when it may now."""
        until = self._empty_until.get(participant)
        return 0.0 if until is None else max(0.0, until - self._clock())
