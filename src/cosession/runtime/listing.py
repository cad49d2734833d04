"""The list of sessions in pages: the newest first, only those that may be listed, at a bounded cost for each page.

A page goes on from a place in the list, so sessions that are written between two pages are neither listed twice nor
push others out. It may be short, even empty, and still not the last: only a page without a next place is.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cosession.storage import Place, Storage, StoredSession, in_order

MOST_FOUND = 1000
"""The most sessions that are found by their ids and then sorted. With more, the list is read from the newest on, in
which so many are met soon."""

MOST_READ = 2000
"""The most sessions of the list that are looked at for one page; the next page goes on behind them."""

AT_ONCE = 250
"""The sessions that are looked at before other tasks have their turn."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list.

    Attributes:
        sessions: the sessions.
        next: where the next page begins; None if this is the last.
    """

    sessions: tuple[StoredSession, ...]
    next: Place | None


async def read_page(
    storage: Storage,
    patterns: Sequence[str],
    allowed: Callable[[str], bool],
    limit: int,
    after: Place | None,
) -> Page:
    """Read a page from the storage.

    Args:
        storage: the storage.
        patterns: patterns of ids of which every listed session matches one; none covers another.
        allowed: returns whether a session of this id may be listed.
        limit: the most sessions of the page.
        after: the place where it begins; None is the beginning.
    """
    if "*" not in patterns and len(patterns) <= MOST_FOUND:
        found = await storage.matching(patterns, limit=MOST_FOUND + 1)
        if len(found) <= MOST_FOUND:
            return await page_among(found, allowed, limit, after)
    listed: list[StoredSession] = []
    left, size = MOST_READ, min(limit + 1, AT_ONCE)
    while left > 0:
        part = await storage.sessions(after=after, limit=min(size, left))
        for info in part:
            if allowed(info.id):
                if len(listed) == limit:
                    return Page(tuple(listed), _place(listed[-1]))
                listed.append(info)
        if len(part) < min(size, left):
            return Page(tuple(listed), None)
        after = _place(part[-1])
        left, size = left - len(part), AT_ONCE
    return Page(tuple(listed), after)


async def page_among(
    sessions: Sequence[StoredSession], allowed: Callable[[str], bool], limit: int, after: Place | None
) -> Page:
    """Return a page of these sessions; the arguments are those of `read_page`."""
    listed: list[StoredSession] = []
    behind = in_order(info for info in sessions if after is None or after.precedes(info))
    for begin in range(0, len(behind), AT_ONCE):
        for info in behind[begin : begin + AT_ONCE]:
            if allowed(info.id):
                if len(listed) == limit:
                    return Page(tuple(listed), _place(listed[-1]))
                listed.append(info)
        await asyncio.sleep(0)
    return Page(tuple(listed), None)


def _place(info: StoredSession) -> Place:
    return Place(info.updated_at, info.id)
