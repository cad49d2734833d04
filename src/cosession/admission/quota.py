"""How large the document is: a bound that grows with every update, measured anew when it seems to be too much.

Each struct counts for some bytes besides its own: a key of one letter is ten bytes on the wire and a kilobyte in
memory. What was deleted counts for less: Yjs keeps it for ever, and a session must outlive a month of deletions.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cosession.errors import TooLarge
from cosession.protocol import ClockRange
from cosession.protocol.steps import AT_ONCE
from cosession.protocol.structs import read_structs
from cosession.protocol.update_format import DELETED, GC

STRUCT_BYTES: Final = 128
"""What a struct counts for: with it, whatever a document holds takes some ten times its limit in memory at most."""

GONE_BYTES: Final = 32
"""The same for what was deleted; a document of nothing else takes some fifteen times its limit."""

_A_CHANGE: Final = 1000
"""For as many structs a change pays: a full document may be measured again when its changes pay for all of them."""

_A_PART: Final = 2**16
"""By so many bytes, what structs count for included, what is taken at once may grow besides its own."""


_MOST_DELETED: Final = 2
"""How many times the limit a session may come to by deletions: people must be able to empty a full one."""


def grown_by(update: bytes, structs: int, deletes: Sequence[ClockRange]) -> int:
    """The bytes that a document grows by at most, what its structs count for included.

    Args:
        update: what it gets.
        structs: how many structs that brings.
        deletes: what it deletes; a range in the middle of a struct leaves three of it.
    """
    return len(update) + structs * STRUCT_BYTES + len(deletes) * (STRUCT_BYTES + GONE_BYTES)


class Quota:
    """The size of a document as an update, with what its structs count for, kept below a limit to a part in 64.

    Args:
        state: gives the document as an update; that takes time, so it isn't asked for at every update.
        limit: bytes.
    """

    __slots__ = ("_changes", "_grown", "_limit", "_measured", "_shrunk", "_state", "_structs")

    def __init__(self, state: Callable[[], bytes], limit: int) -> None:
        self._state = state
        self._limit = limit
        self._measured = self._grown = self._structs = self._changes = 0
        self._shrunk = False

    def measure_in_steps(self, state: bytes) -> Iterator[None]:
        """Measure the document, which others may change meanwhile.

        Args:
            state: the document as an update.
        """
        size, number, before = len(state), 0, self._grown
        self._changes, self._shrunk = 0, False
        for number, struct in enumerate(read_structs(state), 1):
            size += GONE_BYTES if struct.kind in (GC, DELETED) else STRUCT_BYTES
            if not number % AT_ONCE:
                yield
        self._measured, self._structs = size, number
        self._grown -= before

    def is_due(self, grows: int) -> bool:
        """Whether to measure before something of so many bytes comes: it may not fit, and much has changed."""
        grows += min(_A_PART, self._limit // 64)
        return not self.surely_fits(grows) and self._has_changed(grows)

    def _has_changed(self, grows: int) -> bool:
        may_have_shrunk = self._shrunk and self._changes * _A_CHANGE >= self._structs
        return self._grown > self._limit // 64 or (may_have_shrunk and self._measured + grows > self._limit)

    def surely_fits(self, grows: int) -> bool:
        """Whether the document stays below the limit with so many bytes more, without measuring."""
        return self._measured + self._grown + grows <= self._limit

    def changed(self, grows: int, *, shrinks: bool = False) -> None:
        """Hear that the document got an update of so many bytes, which perhaps deletes something."""
        self._changes += 1
        self._grown += grows
        self._shrunk = self._shrunk or shrinks

    @property
    def left(self) -> int:
        """How many bytes it may grow by, without measuring."""
        return self._limit - self._measured - self._grown

    def check(self, grows: int, *, only_deletes: bool = False) -> None:
        """Go on only if the document may grow by so many bytes. It is measured, unless that was done when it was due.

        Args:
            grows: the bytes.
            only_deletes: whether nothing is added to it.

        Raises:
            TooLarge: it is full.
        """
        limit = self._limit
        if only_deletes:
            limit, grows = limit * _MOST_DELETED, 0  # what is deleted whole makes it smaller
        if self._measured + self._grown + grows <= limit:
            return
        self._changes += 1
        if self._has_changed(grows):
            for _ in self.measure_in_steps(self._state()):
                pass
        if self._measured + grows > limit:
            raise TooLarge(
                f"The session is full: all that it holds may come to {limit} bytes, and each single thing counts for "
                f"{STRUCT_BYTES}. {'Begin' if only_deletes else 'Delete something, or begin'} another session."
            )
