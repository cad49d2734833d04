"""The bulletin: what a room's connections say in presence, on its way to the others, so many times a second at most.

The first word after a silence goes on at once. What comes too soon after it waits, and of what waits only the latest
of each client is kept: so cursors that move all the time make no more frames than the eye sees, and whoever sends
faster than that is late, not refused. Bound: one entry for each client.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from .effects import BroadcastPresence

Tell: TypeAlias = Callable[[Iterable[BroadcastPresence]], None]


class Bulletin:
    """The bulletin of one room.

    Args:
        seconds: the least time between two.
    """

    __slots__ = ("_news", "_pauses", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
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
        news, self._news = self._news, {}
        self._pauses = bool(news)
        if news:
            asyncio.get_running_loop().call_later(self._seconds, self._publish, tell)
            tell(news.values())
