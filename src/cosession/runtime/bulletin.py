"""The bulletin: what a room's connections say in presence, on its way to the others, so many times a second at most.

The first word after a silence goes on at once. What comes too soon after it waits, and of what waits only the latest
of each client is kept: so cursors that move all the time make no more frames than the eye sees, and whoever sends
faster than that is late, not refused. Bounds: one entry for each client, and so many bytes a second to all together.
Where more waits, a bulletin has the entry that waits longest and the smallest of the others.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from cosession.room.effects import BroadcastPresence

Tell: TypeAlias = Callable[[Iterable[BroadcastPresence]], int]
"""Tells news, and returns how many are told."""


_LEAST_SECONDS = 0.01
"""What a bulletin may hold is worth at least as long, also where they follow on each other at once."""


class Bulletin:
    """The bulletin of one room.

    Args:
        seconds: the least time between two.
        bytes_per_second: what may be told, each byte to each counted.
    """

    __slots__ = ("_audience", "_news", "_pauses", "_rate", "_seconds")

    def __init__(self, seconds: float, bytes_per_second: int) -> None:
        self._seconds = seconds
        self._rate = bytes_per_second
        self._audience = 1
        self._news: dict[int, BroadcastPresence] = {}
        self._pauses = False

    def put(self, news: BroadcastPresence, tell: Tell) -> None:
        """Add news; they go on at once, or with the next bulletin.

        Args:
            news: who came, changed or left.
            tell: is given what is to be told now.
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
        """What is told now, and its bytes."""
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
