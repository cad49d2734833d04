"""The deletions of a document, and the part of an update's delete set that is new to it.

A Yjs client answers a sync step 1 with all deletions that it has, and the server has nearly all of them. Ranges with
the same bytes on both sides are skipped, and not counted: a session may have more deletions than a frame may hold.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterable
from typing import Final

from cosession.errors import MalformedFrame, TooLarge

from . import lib0
from .steps import AT_ONCE, finish
from .update_format import check_clock

_ENDLESS: Final = bytes(range(0x80, 0x100))
"""The bytes that don't end a number."""
_ENDS: Final = bytes(range(0x80))

_OTHERWISE: Final = 4
"""How many times the limit of a frame may be known ranges unlike the document's: each of them must be read."""

_APART: Final = 256
"""The number of ranges between two of which the offset is noted."""

Span = tuple[int, int, int]
"""A client, the first of its clocks, and their number."""


class KnownDeletions:
    """The deletions of a document.

    Args:
        update: an update from the document's library with all its deletions, and nothing else.
    """

    __slots__ = ("_data", "_marks", "_sections")

    def __init__(self, update: bytes) -> None:
        self._data = update
        self._sections: dict[int, tuple[int, int]] = {}
        """Per client, the offsets at which its ranges begin and end."""
        self._marks: dict[int, tuple[list[int], list[int]]] = {}
        """Per client that was looked up, the clocks and offsets of some of its ranges."""
        reader = lib0.Reader(update)
        reader.skip(1)
        for _ in range(reader.uint()):
            client, count = reader.uint(), reader.uint()
            start = reader.at
            reader.at = _after(update, start, 2 * count)
            self._sections[client] = (start, reader.at)

    def read_new(self, reader: lib0.Reader, limit: int) -> Generator[None, None, tuple[list[Span], bool]]:
        """Read a delete set in steps, and return the ranges with new deletions, and whether there are other ranges.

        Args:
            reader: at the delete set; only the new ranges count towards its limit.
            limit: the limit of a frame.

        Raises:
            MalformedFrame: it is no delete set.
            TooLarge: too many ranges are new, or known but unlike the document's.
        """
        new: list[Span] = []
        told = 0
        left = _OTHERWISE * limit
        seen: set[int] = set()
        for _ in range(reader.uint()):
            client, count = reader.uint(), reader.uint()
            section = (0, 0) if client in seen else self._sections.get(client, (0, 0))
            seen.add(client)
            told += count
            if section == (0, 0):
                reader.spend(1)
            end = _after(reader.data, reader.at, 2 * count)
            left = yield from self._read_section(reader, client, end, section, left, new)
            if left < 0:
                raise TooLarge("The frame deletes too much that is deleted; start from a fresh document.")
        return new, told > len(new)

    def _read_section(
        self, reader: lib0.Reader, client: int, end: int, section: tuple[int, int], left: int, new: list[Span]
    ) -> Generator[None, None, int]:
        """Read the ranges of one client; both sides are in order, and a range out of order is treated as new."""
        data, (start, until) = self._data, section
        known = lib0.Reader(data)
        known.at = start
        marked, places = self._marked(client) if start else ([], [])
        first = last = read = 0
        while reader.at < end:
            read += 1
            if not read % AT_ONCE:
                yield
            same = _common(reader.data, reader.at, end, data, known.at, until)
            reader.at += same
            known.at += same
            if reader.at == end:
                break
            clock, length = reader.uint(), reader.uint()
            if length == 0:
                raise MalformedFrame("An update deletes an empty range; send a document's own updates.")
            check_clock(clock + length)
            mark = bisect_right(marked, clock) - 1
            if mark >= 0 and places[mark] > known.at:
                known.at = places[mark]
            while last < clock + length and known.at < until:
                at = known.at
                first = known.uint()
                if first > clock:
                    known.at = at
                    break
                last = first + known.uint()
            if first <= clock and clock + length <= last:
                left -= 1
            else:
                reader.spend(1)
                new.append((client, clock, length))
            if left < 0:
                break
        return left

    def _marked(self, client: int) -> tuple[list[int], list[int]]:
        """Return the clocks and offsets of every `_APART`-th range of a client, so that others needn't be read."""
        marks = self._marks.get(client)
        if marks is None:
            start, until = self._sections[client]
            reader, marks = lib0.Reader(self._data), self._marks.setdefault(client, ([], []))
            while start < until:
                reader.at = start
                marks[0].append(reader.uint())
                marks[1].append(start)
                start = _skipped(self._data, start, until, 2 * _APART)
        return marks


def encode_deletions(spans: Iterable[Span]) -> bytes:
    """Encode ranges as a delete set, grouped by client."""
    return finish(encode_in_steps(spans))


def encode_in_steps(spans: Iterable[Span]) -> Generator[None, None, bytes]:
    """Encode ranges that may be many in steps; see `encode_deletions`."""
    clients: dict[int, list[bytes]] = {}
    for count, (client, clock, length) in enumerate(spans, 1):
        clients.setdefault(client, []).append(lib0.uint(clock) + lib0.uint(length))
        if not count % AT_ONCE:
            yield
    out = [lib0.uint(len(clients))]
    for client, ranges in clients.items():
        out += (lib0.uint(client), lib0.uint(len(ranges)), *ranges)
    return b"".join(out)


def _after(data: bytes, at: int, numbers: int) -> int:
    """Return the offset behind so many numbers: each ends in its only byte below 0x80, and has at least that one."""
    while numbers:
        chunk = data[at : at + numbers]
        if len(chunk) < numbers:
            raise MalformedFrame("The frame ends in the middle of a value; send it whole.")
        at += numbers
        numbers -= len(chunk.translate(None, _ENDLESS))
    return at


def _skipped(data: bytes, at: int, end: int, numbers: int) -> int:
    """Return the offset behind so many numbers, or behind all if there are fewer."""
    while numbers and at < end:
        chunk = data[at : min(at + numbers, end)]
        at += len(chunk)
        numbers -= len(chunk.translate(None, _ENDLESS))
    return at


def _common(one: bytes, at: int, end: int, other: bytes, start: int, until: int) -> int:
    """Return the number of equal bytes of whole ranges in two delete sets, from two offsets on."""
    most = min(end - at, until - start)
    if most < 2 or one[at : at + 2] != other[start : start + 2]:
        return 0
    same, step = 2, 64
    while same < most and one[at + same : at + same + step] == other[start + same : start + same + step]:
        same, step = same + step, 2 * step
    same = min(same, most)
    while step and same < most:
        step = min(step // 2, most - same)
        if one[at + same : at + same + step] == other[start + same : start + same + step]:
            same += step
    ends = same - len(one[at : at + same].translate(None, _ENDS))
    while same and (one[at + same - 1] >= 0x80 or ends % 2):
        same -= 1
        ends -= one[at + same] < 0x80
    return same
