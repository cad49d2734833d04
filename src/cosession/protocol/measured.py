"""Bytes of an update with the extents of its long contents, which each later reader skips at once."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_LONG: Final = 250
"""Entries of a content from which on its extent is noted."""

_LARGE: Final = 2**16
"""The same in bytes."""


class Extent(NamedTuple):
    """The extent of a content or a value.

    Attributes:
        end: the offset behind it.
        counted: the count that the reader made in it.
        size: the bytes of the largest value in it.
        entries: the largest number of keys and values in one of its values.
        clocks: the number of its clocks.
    """

    end: int
    counted: int
    size: int = 0
    entries: int = 0
    clocks: int = 1

    def moved(self, by: int) -> "Extent":
        """Return the same extent at another offset."""
        return self._replace(end=self.end + by)


class Measured(bytes):
    """Bytes of which some stretches were read before.

    Attributes:
        ends: the extents of those stretches, by offset.
    """

    ends: Mapping[int, Extent]

    @classmethod
    def of(cls, data: bytes | memoryview, ends: Mapping[int, Extent]) -> "Measured":
        """Return bytes with their known extents."""
        measured = cls(data)
        measured.ends = ends
        return measured


@dataclass(slots=True)
class Values:
    """The sizes and extents of the values of an update.

    Attributes:
        size: the bytes of the largest value.
        entries: the largest number of keys and values in one value.
        ends: the extents of long values and long contents, by offset.
        most_size: the size above which a value is only measured, because it will be refused.
        most_entries: the same for keys and values in JSON text.
    """

    size: int = 0
    entries: int = 0
    most_size: int = sys.maxsize
    most_entries: int = sys.maxsize
    ends: dict[int, Extent] = field(default_factory=dict[int, Extent])

    def __bool__(self) -> bool:
        return bool(self.ends)

    def note(self, start: int, end: int, counted: int, entries: int) -> None:
        """Note one value."""
        self.add(start, Extent(end, counted, end - start, entries))

    def add(self, start: int, extent: Extent) -> None:
        """Note a stretch, which may hold several values."""
        self.size = max(self.size, extent.size)
        self.entries = max(self.entries, extent.entries)
        if extent.counted > _LONG or extent.entries > _LONG or extent.end - start > _LARGE:
            self.ends[start] = extent


def cut(data: bytes, start: int, end: int) -> bytes:
    """Return a stretch of bytes, with its known extents."""
    if not isinstance(data, Measured):
        return data[start:end]
    ends = {at - start: extent.moved(-start) for at, extent in data.ends.items() if start <= at and extent.end <= end}
    return Measured.of(memoryview(data)[start:end], ends) if ends else data[start:end]


def outside(data: bytes) -> Iterator[bytes]:
    """Yield the pieces of some bytes that are outside of the known long contents."""
    if not isinstance(data, Measured):
        yield data
        return
    at = 0
    for start, extent in sorted(data.ends.items()):
        if start >= at:
            yield data[at:start]
            at = extent.end
    yield data[at:]


def join(pieces: Iterable[bytes]) -> bytes:
    """Join stretches of bytes, with their known extents."""
    pieces = tuple(pieces)
    whole = b"".join(pieces)
    if not any(isinstance(piece, Measured) for piece in pieces):
        return whole
    ends: dict[int, Extent] = {}
    offset = 0
    for piece in pieces:
        if isinstance(piece, Measured):
            ends.update((at + offset, extent.moved(offset)) for at, extent in piece.ends.items())
        offset += len(piece)
    return Measured.of(whole, ends)
