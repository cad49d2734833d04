"""The pulse of a connection: whether the server is still at its other end. No I/O and no clock.

A sign of life is any byte that comes, and any byte of ours that leaves: on a slow line a question waits behind an
upload for as long as that takes, and its answer proves nothing before.
"""

from typing import Literal, TypeAlias

QUIET_SECONDS = 20.0
"""Without a sign for so long, the server is asked for one; it says something every 20 s by itself."""

GONE_SECONDS = 45.0
"""Without a sign for so long, also after it was asked, the connection is dropped and made anew."""

BEAT_SECONDS = 5.0
"""How often it is looked."""

Verdict: TypeAlias = Literal["wait", "ask", "gone"]


class Pulse:
    """What was last known of the other end."""

    def __init__(self, now: float) -> None:
        """Begin with a connection that was just made.

        Args:
            now: the time, in seconds.
        """
        self._signs = (0, 0)
        self._at = now
        self._has_asked = False

    def beat(self, received: int, left: int, now: float) -> Verdict:
        """Judge, once a beat.

        Args:
            received: how many bytes have come.
            left: how many of ours the line has taken.
            now: the time, in seconds.

        Returns:
            `ask` to send a ping now, `gone` to drop the connection.
        """
        if received > self._signs[0] or left > self._signs[1]:
            self._signs = received, max(left, self._signs[1])
            self._at, self._has_asked = now, False
        silent = now - self._at
        if silent >= GONE_SECONDS and self._has_asked:
            return "gone"
        if silent >= QUIET_SECONDS and not self._has_asked:
            self._has_asked = True
            return "ask"
        return "wait"
