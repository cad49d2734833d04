"""The size of the document: an upper bound that grows with every update, measured anew when it reaches the limit.

Each struct counts for some bytes besides its own: a key of one letter is ten bytes on the wire and a kilobyte in
memory. Deleted structs count for less: Yjs keeps them for ever, and a session must outlive a month of deletions.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cosession.errors import TooLarge
from cosession.protocol import ClockRange
from cosession.protocol.steps import AT_ONCE
from cosession.protocol.structs import read_structs
from cosession.protocol.update_format import DELETED, GC

STRUCT_BYTES: Final = 128
"""The bytes that a struct counts for besides its own: with them, any document takes at most some ten times its limit
in memory."""

GONE_BYTES: Final = 32
"""The same for a deleted struct; a document of nothing else takes some fifteen times its limit."""

_A_CHANGE: Final = 1000
"""Structs that one change pays for: a full document may be measured again when its changes pay for all of them."""

_A_PART: Final = 2**16
"""Bytes, those of structs included, that one update may add besides its own size."""


_MOST_DELETED: Final = 2
"""How many times its limit a document may reach by deletions: a full session must still allow them."""


def grown_by(update: bytes, structs: int, deletes: Sequence[ClockRange]) -> int:
    """Return the bytes that a document grows by at most, those of its structs included.

    Args:
        update: the update that it gets.
        structs: the number of structs in the update.
        deletes: the ranges that it deletes; a range in the middle of a struct splits it into three.
    """
    return len(update) + structs * STRUCT_BYTES + len(deletes) * (STRUCT_BYTES + GONE_BYTES)


class Quota:
    """The size of a document as an update, with the bytes of its structs, kept below a limit to a part in 64.

    Args:
        state: returns the document as an update; that takes time, so it isn't called at every update.
        limit: bytes.
    """

    __slots__ = ("_changes", "_grown", "_limit", "_measured", "_shrunk", "_state", "_structs")

    def __init__(self, state: Callable[[], bytes], limit: int) -> None:
        self._state = state
        self._limit = limit
        self._measured = self._grown = self._structs = self._changes = 0
        self._shrunk = False

    def measure_in_steps(self, state: bytes) -> Iterator[None]:
        """Measure the document in steps, while it may change.

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
        """Return whether to measure before an update of so many bytes: it may not fit, and much has changed."""
        grows += min(_A_PART, self._limit // 64)
        return not self.surely_fits(grows) and self._has_changed(grows)

    def _has_changed(self, grows: int) -> bool:
        may_have_shrunk = self._shrunk and self._changes * _A_CHANGE >= self._structs
        return self._grown > self._limit // 64 or (may_have_shrunk and self._measured + grows > self._limit)

    def surely_fits(self, grows: int) -> bool:
        """Return whether the document stays below the limit with so many bytes more, without measuring."""
        return self._measured + self._grown + grows <= self._limit

    def changed(self, grows: int, *, shrinks: bool = False) -> None:
        """Note that the document got an update of so many bytes, which perhaps deletes something."""
        self._changes += 1
        self._grown += grows
        self._shrunk = self._shrunk or shrinks

    @property
    def left(self) -> int:
        """How many bytes it may grow by, without measuring."""
        return self._limit - self._measured - self._grown

    def check(self, grows: int, *, only_deletes: bool = False) -> None:
        """Check that the document may grow by so many bytes; measure it where the bound is too high and that is due.

        Args:
            grows: the bytes.
            only_deletes: whether the update adds nothing to it.

        Raises:
            TooLarge: it is full.
        """
        limit = self._limit
        if only_deletes:
            limit, grows = limit * _MOST_DELETED, 0  # deleting whole structs makes it smaller
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
