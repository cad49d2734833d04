"""The rate limit of one connection: it is slowed down, and refused only if `patience` is set and used up.

A bucket of allowances that refills at `rate` per second and holds two seconds of them, so that a burst costs
nothing. A frame takes one, a large one more, and one that took long to handle as many as it has cost the others
of their time. A connection without allowance is read more slowly, and TCP holds its sender back.
"""

import asyncio

from cosession.errors import TooFast

_BURST_SECONDS = 2.0
_FRAME_BYTES = 4096
"""Reading this much takes about as long as a frame of its own."""

_WORK_SECONDS = 0.0001
"""The work that one allowance buys: at 2,000 a second, one connection can't take more than a fifth of the loop."""

_LONG = 10.0
"""The allowances of work that block the others for a millisecond."""

_REST_SECONDS = 0.005
"""How much longer than it must a slowed connection waits, and has that allowance for its next frames: to wait before
each of them costs as much as the frame."""

_TURN_SECONDS = 0.0005
"""After so much work for one connection others have their turn. After each frame their turn would cost as much as the
frame, and nothing that comes would be merged."""


class RateLimit:
    """The allowance of one connection.

    Args:
        rate: frames per second.
        patience: for how many seconds on end it may be slowed before it is refused; None is for ever.
    """

    __slots__ = ("_allowance", "_clock", "_counted_at", "_full", "_held", "_patience", "_rate", "_slowed_at")

    def __init__(self, rate: float, patience: float | None = None) -> None:
        self._rate = rate
        self._patience = patience
        self._full = rate * _BURST_SECONDS
        self._allowance = self._full
        self._clock = asyncio.get_running_loop().time
        self._counted_at = self._clock()
        self._slowed_at: float | None = None
        self._held = 0.0
        """The seconds of work since others had their turn."""

    def take(self, size: int) -> bool:
        """Count a frame of so many bytes; return False when the next must wait. A large one counts as several."""
        now = self._clock()
        self._allowance = (
            min(self._full, self._allowance + (now - self._counted_at) * self._rate) - 1 - size / _FRAME_BYTES
        )
        self._counted_at = now
        if self._slowed_at is not None and self._allowance >= self._full / 2:
            self._slowed_at = None
        return self._allowance > 0

    def now(self) -> float:
        """Return the time, for `worked`."""
        return self._clock()

    def worked(self, began: float) -> bool:
        """Count the time of handling a frame beyond its one allowance; at most a full bucket.

        Returns:
            False when it took so long that other tasks must run before the next one.
        """
        return self.spend(self._clock() - began)

    def spend(self, seconds: float) -> bool:
        """Count the seconds of handling a frame; see `worked`."""
        self._held += seconds
        allowances = seconds / _WORK_SECONDS
        if allowances > 1:
            self._allowance -= min(self._full, allowances - 1)
        return allowances < _LONG

    async def wait(self, size: int) -> None:
        """Count a frame of so many bytes, and wait until it may be handled; other tasks run now and then.

        Raises:
            TooFast: it has been slowed for too long.
        """
        if self.take(size):
            if self._held >= _TURN_SECONDS:
                self._held = 0.0
                await asyncio.sleep(0)
            return
        self._held = 0.0
        if self._slowed_at is None:
            self._slowed_at = self._counted_at
        if self._patience is not None and self._counted_at - self._slowed_at > self._patience:
            raise TooFast(
                f"More than {self._rate:g} frames a second for {self._patience:g} s; send fewer, merged ones."
            )
        await asyncio.sleep(_REST_SECONDS - self._allowance / self._rate)
