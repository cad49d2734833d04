"""The pulse of a connection: whether the server still responds. No I/O and no clock.

Any byte received, and any byte sent, counts as activity: on a slow connection a ping waits behind an upload for as
long as that takes, and a missing pong proves nothing before.
"""

from typing import Literal, TypeAlias

QUIET_SECONDS = 20.0
"""The time without activity after which a ping is sent; the server sends something every 20 s by itself."""

GONE_SECONDS = 45.0
"""The time without activity, a ping included, after which the connection is dropped and opened again."""

BEAT_SECONDS = 5.0
"""The interval between two checks."""

Verdict: TypeAlias = Literal["wait", "ask", "gone"]


class Pulse:
    """The last known activity of the server."""

    def __init__(self, now: float) -> None:
        """Begin with a connection that was just made.

        Args:
            now: the time, in seconds.
        """
        self._signs = (0, 0)
        self._at = now
        self._has_asked = False

    def beat(self, received: int, left: int, now: float) -> Verdict:
        """Check the connection; called once per beat.

        Args:
            received: the number of bytes received so far.
            left: the number of bytes that the kernel has taken so far.
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
