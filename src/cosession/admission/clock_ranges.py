"""Sets and maps of clocks, per client: the deleted ones, and the place of each. Ranges are half open and joined."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

_Kind = TypeVar("_Kind")


@dataclass(slots=True)
class _Ranges:
    starts: list[int]
    ends: list[int]


class ClockSet:
    """A set of (client, clock)."""

    __slots__ = ("_clients",)

    def __init__(self) -> None:
        self._clients: dict[int, _Ranges] = {}

    def has(self, client: int, clock: int) -> bool:
        """Return whether a clock is in the set."""
        ranges = self._clients.get(client)
        if ranges is None:
            return False
        place = bisect_right(ranges.starts, clock) - 1
        return place >= 0 and clock < ranges.ends[place]

    def lacks(self, client: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of a range that are not in the set."""
        ranges = self._clients.get(client)
        if ranges is not None:
            place = max(bisect_right(ranges.starts, start) - 1, 0)
            while place < len(ranges.starts) and ranges.starts[place] < end:
                if start < ranges.starts[place]:
                    yield start, ranges.starts[place]
                start = max(start, ranges.ends[place])
                place += 1
        if start < end:
            yield start, end

    def update(self, other: "ClockSet") -> None:
        """Add all of another set."""
        for client, ranges in other._clients.items():
            for start, end in zip(ranges.starts, ranges.ends, strict=True):
                self.add(client, start, end)

    def add(self, client: int, start: int, end: int) -> None:
        """Add a range."""
        ranges = self._clients.get(client)
        if ranges is None:
            self._clients[client] = _Ranges([start], [end])
            return
        first = bisect_left(ranges.ends, start)
        last = bisect_right(ranges.starts, end)
        if first < last:
            start, end = min(start, ranges.starts[first]), max(end, ranges.ends[last - 1])
        ranges.starts[first:last] = [start]
        ranges.ends[first:last] = [end]


class ClockMap(Generic[_Kind]):
    """A value for each clock of one client: filled in order, from 0, without a gap."""

    __slots__ = ("_starts", "_values", "end")

    def __init__(self) -> None:
        self.end = 0
        self._starts: list[int] = []
        self._values: list[_Kind] = []

    @property
    def last(self) -> _Kind:
        """The value of the newest clock; the map must not be empty."""
        return self._values[-1]

    def append(self, length: int, value: _Kind) -> None:
        """Set the value of the next clocks."""
        if not self._values or self._values[-1] is not value:
            self._starts.append(self.end)
            self._values.append(value)
        self.end += length

    def at(self, clock: int) -> _Kind:
        """Return the value of a clock, which must be known."""
        return self._values[bisect_right(self._starts, clock) - 1]

    def between(self, start: int, end: int) -> Iterator[tuple[int, int, _Kind]]:
        """Yield the values of the clocks of a range: (start, end, value) of each stretch."""
        place = bisect_right(self._starts, start) - 1
        while start < end:
            value, place = self._values[place], place + 1
            until = min(self._starts[place], end) if place < len(self._starts) else end
            yield start, until, value
            start = until

    def cut(self, end: int) -> None:
        """Forget the clocks from `end` on."""
        place = bisect_left(self._starts, end)
        del self._starts[place:], self._values[place:]
        self.end = end
