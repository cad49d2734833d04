"""Whether two updates hold the same content under the same clocks, as far as both still have it."""

from collections.abc import Generator, Iterator, Mapping
from typing import Final, TypeAlias

from . import lib0
from .steps import AT_ONCE
from .structs import read_structs
from .update_format import DELETED, GC, STRING

_Thing: TypeAlias = tuple[int, tuple[object, ...] | None]
"""The UTF-16 unit of a text, or the kind of other content, negative where it equals any; and, at the first clock of
other content, its neighbours or parent."""

_MOST: Final = 4096
"""Clocks that are compared: writes of another client differ soon, and reading more would take long."""


def texts_differ(update: bytes, other: bytes, ends: Mapping[int, int]) -> Generator[None, None, bool]:
    """Return in steps whether two updates hold different text, or other different content, under the same clocks.

    Deleted content equals any other, and so does half a character, which a server may have replaced by U+FFFD. Of
    content other than text, the kind and the place are compared: libraries encode one value in several ways.

    Args:
        update: an update, of which the header was read.
        other: another update; only clocks that the first one has are compared.
        ends: for each client, the clock before which its structs are compared.
    """
    mine: dict[tuple[int, int], _Thing] = {}
    for count, (client, clock, what) in enumerate(_clocks(update), 1):
        if not count % AT_ONCE:
            yield
        if clock < ends.get(client, 0):
            mine[client, clock] = what
            if len(mine) >= _MOST:
                break
    left = len(mine)
    for count, (client, clock, what) in enumerate(_clocks(other), 1):
        if not count % AT_ONCE:
            yield
        known = mine.get((client, clock))
        if known is None:
            continue
        if _differ(known, what):
            return True
        left -= 1
        if not left:
            break
    return False


def _differ(one: _Thing, other: _Thing) -> bool:
    if one[0] < 0 or other[0] < 0:
        return False
    return one[0] != other[0] or (one[1] is not None and other[1] is not None and one[1] != other[1])


def _clocks(update: bytes) -> Iterator[tuple[int, int, _Thing]]:
    """Yield the content under each clock."""
    reader = lib0.Reader(update)
    for struct in read_structs(update):
        if struct.kind == STRING:
            reader.at = struct.content
            units = reader.string().encode("utf-16-le")
            for at in range(struct.length):
                unit = int.from_bytes(units[2 * at : 2 * at + 2], "little")
                what = -1 if 0xD800 <= unit < 0xE000 or unit == 0xFFFD else unit
                yield struct.client, struct.clock + at, (what, None)
            continue
        what = -1 if struct.kind in (GC, DELETED) else 0x10000 + struct.kind
        place = (struct.left, struct.right, struct.parent, struct.key)
        for clock in range(struct.clock, struct.clock + min(struct.length, _MOST)):
            yield struct.client, clock, (what, place if clock == struct.clock else None)
