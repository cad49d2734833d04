"""Bytes of an update whose long contents were read before: each later reader moves over them at once."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_LONG: Final = 250
"""Entries of a content from which on it is noted where it ends."""

_LARGE: Final = 2**16
"""The same in bytes."""


class Extent(NamedTuple):
    """What is known of a content or a value.

    Attributes:
        end: the offset behind it.
        counted: how many things were counted in it.
        size: the bytes of the largest value in it.
        entries: the keys and values in the one that has most of them.
        clocks: how many clocks it takes.
    """

    end: int
    counted: int
    size: int = 0
    entries: int = 0
    clocks: int = 1

    def moved(self, by: int) -> "Extent":
        """The same at another offset."""
        return self._replace(end=self.end + by)


class Measured(bytes):
    """Bytes of which some stretches were read before.

    Attributes:
        ends: those, by the offset of each.
    """

    ends: Mapping[int, Extent]

    @classmethod
    def of(cls, data: bytes | memoryview, ends: Mapping[int, Extent]) -> "Measured":
        """Return bytes with what is known of them."""
        measured = cls(data)
        measured.ends = ends
        return measured


@dataclass(slots=True)
class Values:
    """What a reader finds out about the values of an update.

    Attributes:
        size: the bytes of the largest one.
        entries: the keys and values in the one that has most of them.
        ends: where long ones and long contents end, by the offset of each.
        most_size: of what is larger only the size is read, for none takes it.
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
    """Cut out a stretch, with what is known of it."""
    if not isinstance(data, Measured):
        return data[start:end]
    ends = {at - start: extent.moved(-start) for at, extent in data.ends.items() if start <= at and extent.end <= end}
    return Measured.of(memoryview(data)[start:end], ends) if ends else data[start:end]


def outside(data: bytes) -> Iterator[bytes]:
    """What of some bytes is outside of the long contents that are known, piece by piece."""
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
    """Put stretches together, with what is known of them."""
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
