"""Surrogate pairs, the characters that take two clocks, and the updates that would cut one in two.

Yjs counts UTF-16 units, so an emoji takes two clocks. A page that edits by units may delete one of them, or write
between the two. Yjs then has two replacement characters; yrs cuts the text one character too far, and counts the
clocks behind differently from then on (https://github.com/y-crdt/y-crdt/pull/399). The two would differ for ever,
silently, so such an update is refused before it is applied.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping

from . import lib0
from .header import ClockRange, UpdateHeader
from .structs import Id, read_structs
from .update_format import STRING

_LEADS = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
"""How such a character begins in UTF-8."""
_LOOKS_LIKE_ONE = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
_LONG = 500
"""Bytes from which on it takes less time to look for each of the leads than for the pattern."""
_TAKES_TWO = re.compile("[\U00010000-\U0010ffff]")


class SurrogatePairs:
    """Knows the clocks at which the surrogate pairs of a document begin. A deleted one may stay known."""

    __slots__ = ("_firsts",)

    def __init__(self) -> None:
        self._firsts: dict[int, array[int]] = {}

    def add(self, update: bytes) -> None:
        """Learn the pairs of an update that was applied.

        Args:
            update: its header was read, so it is one whole update; it brings nothing that was known.
        """
        if not _may_hold_one(update):
            return
        for client, clock in _firsts_of(update):
            known = self._firsts.setdefault(client, array("Q"))
            if not known or known[-1] < clock:
                known.append(clock)

    def are_cut_by(self, update: bytes, header: UpdateHeader, known: Mapping[int, int]) -> bool:
        """Whether an update would cut a pair of the document, or one of its own.

        Args:
            update: it fits the document.
            header: its header.
            known: the document's state vector.
        """
        if header.is_token and header.brings[0].clock >= known.get(header.brings[0].client, 0):
            if not self._firsts:
                return False
            [(client, end)] = header.needs.items()
            return self._holds(client, end - 1)
        own = set(_firsts_of(update)) if _may_hold_one(update) else set[Id]()
        if not own and self._firsts.keys().isdisjoint((*header.needs, *(span.client for span in header.deletes))):
            return False
        return any(
            (client, clock - 1) in own or self._holds(client, clock - 1)
            for client, clock in _borders(update, header, known)
        )

    def _holds(self, client: int, clock: int) -> bool:
        firsts = self._firsts.get(client)
        if firsts is None:
            return False
        at = bisect_left(firsts, clock)
        return at < len(firsts) and firsts[at] == clock


def _may_hold_one(data: bytes) -> bool:
    """Whether bytes may hold such a character. Numbers can look like one."""
    if len(data) > _LONG and not any(lead in data for lead in _LEADS):
        return False
    return _LOOKS_LIKE_ONE.search(data) is not None


def _firsts_of(update: bytes) -> Iterator[Id]:
    """The first clock of each pair of an update, in the order of their client."""
    reader = lib0.Reader(update)
    for struct in read_structs(update):
        if struct.kind == STRING:
            reader.at = struct.content
            text = reader.buffer()
            if not _may_hold_one(text):
                continue
            for before, found in enumerate(_TAKES_TWO.finditer(text.decode())):
                yield struct.client, struct.clock + found.start() + before


def _borders(update: bytes, header: UpdateHeader, known: Mapping[int, int]) -> Iterator[Id]:
    """The clocks at which what an update refers to must begin or end: a text is cut in two before each."""
    for struct in read_structs(update):
        if struct.left:
            yield struct.left[0], struct.left[1] + 1
        if struct.right:
            yield struct.right
        if struct.clock < known.get(struct.client, 0) < struct.clock + struct.length:
            yield struct.client, known[struct.client]  # what is new of it begins here
    for span in _joined(header.deletes):
        yield span.client, span.clock
        yield span.client, span.end


def _joined(spans: tuple[ClockRange, ...]) -> Iterator[ClockRange]:
    """Ranges of clocks, with those that touch as one."""
    last: ClockRange | None = None
    for span in sorted(spans, key=lambda span: (span.client, span.clock)):
        if last and last.client == span.client and span.clock <= last.end:
            last = ClockRange(last.client, last.clock, max(last.end, span.end) - last.clock)
        else:
            if last:
                yield last
            last = span
    if last:
        yield last
