"""The bulletin: limits how often a room's presence is broadcast.

The first presence after a pause is sent at once. Presence that comes too soon after it waits, and only the latest of
each client is kept: so cursors that move all the time make no more frames than the eye sees, and excess presence is
delayed, not rejected. Bounds: one entry for each client, and so many bytes a second to all connections together. If
more waits, a bulletin has the entry that waits longest and the smallest of the others.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from cosession.room.effects import BroadcastPresence

Tell: TypeAlias = Callable[[Iterable[BroadcastPresence]], int]
"""A function that sends news, and returns the number of recipients."""


_LEAST_SECONDS = 0.01
"""The least time for which a bulletin may hold bytes, also where the pause between two is shorter."""


class Bulletin:
    """The bulletin of one room.

    Args:
        seconds: the least time between two.
        bytes_per_second: the bytes that may be sent, counted for each recipient.
    """

    __slots__ = ("_audience", "_news", "_pauses", "_rate", "_seconds")

    def __init__(self, seconds: float, bytes_per_second: int) -> None:
        self._seconds = seconds
        self._rate = bytes_per_second
        self._audience = 1
        self._news: dict[int, BroadcastPresence] = {}
        self._pauses = False

    def put(self, news: BroadcastPresence, tell: Tell) -> None:
        """Add news; they are sent at once, or with the next bulletin.

        Args:
            news: presence that came, changed or left.
            tell: sends the news.
        """
        for entry in news.entries:
            self._news[entry.client] = BroadcastPresence((entry,), news.besides)
        if not self._pauses:
            self._publish(tell)

    def _publish(self, tell: Tell) -> None:
        news, size = self._next()
        self._pauses = bool(news)
        if news:
            self._audience = max(tell(news), 1)
            pause = max(self._seconds, size * self._audience / self._rate)
            asyncio.get_running_loop().call_later(pause, self._publish, tell)

    def _next(self) -> tuple[list[BroadcastPresence], int]:
        """Return the news to send now, and their bytes."""
        sizes = {client: sum(len(entry.state) for entry in one.entries) for client, one in self._news.items()}
        total, allowed = sum(sizes.values()), self._rate * max(self._seconds, _LEAST_SECONDS) / self._audience
        if total <= allowed:
            news, self._news = self._news, {}
            return list(news.values()), total
        total, told = 0, list[BroadcastPresence]()
        for client in (next(iter(sizes)), *sorted(sizes, key=sizes.__getitem__)):
            if client in self._news and (not told or total + sizes[client] <= allowed):
                total += sizes[client]
                told.append(self._news.pop(client))
        return told, total
