"""Surrogate pairs, the characters that take two clocks, and the updates that cut one in two.

Yjs counts UTF-16 units, so an emoji takes two clocks. A page that edits by units may delete one of them, or write
between the two; Yjs then shows U+FFFD for each half. yrs can't cut a pair (https://github.com/y-crdt/y-crdt/pull/399),
so a pair is deleted before an update cuts it, and its rest is written behind; see the README.md.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from . import lib0
from .frames import EMPTY_UPDATE
from .header import ClockRange, UpdateHeader
from .steps import AT_ONCE
from .structs import Id, Struct, read_structs
from .update_format import GC, KIND, LEFT, RIGHT, SKIP, STRING, skip_content, skip_struct

_LEADS = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
"""The first bytes of such a character in UTF-8."""
_LOOKS_LIKE_ONE = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
_LONG = 500
"""Bytes from which on searching for each of the leads is faster than for the pattern."""
_TAKES_TWO = re.compile("[\U00010000-\U0010ffff]")
_LONG_TEXT = 2**14
"""Bytes from which on the pairs of a text are found all at once: one by one, those of 60 MB take a minute."""
_IS_FIRST = bytes(0xD8 <= high <= 0xDB for high in range(256))
"""By its high byte, whether a UTF-16 unit is the first half of a pair."""
_DENSE = 32
"""UTF-16 units per pair up to which a long text is kept as a mask of its units, a byte each; else as clocks."""
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Cuts:
    """The pairs that an update cuts in two, each by its first clock.

    Attributes:
        own: the pairs in the update itself.
        held: the pairs in the document.
    """

    own: frozenset[Id]
    held: tuple[Id, ...]


@dataclass(frozen=True, slots=True)
class _Mask:
    """The pairs of a long text.

    Attributes:
        clock: the clock of its first unit.
        firsts: for each unit, 1 where a pair begins, else 0.
    """

    clock: int
    firsts: bytes

    @property
    def end(self) -> int:
        """The clock behind its last unit."""
        return self.clock + len(self.firsts)


class SurrogatePairs:
    """The first clocks of the surrogate pairs of a document. A deleted pair may stay in it.

    Args:
        state: the document, as an update; it is read in steps, or when it is first needed.
    """

    __slots__ = ("_firsts", "_masks", "_reading", "_unread")

    def __init__(self, state: bytes = EMPTY_UPDATE) -> None:
        self._firsts: dict[int, array[int]] = {}
        """The first clocks of pairs, per client; those of long texts with many pairs are in masks."""
        self._masks: dict[int, list[_Mask]] = {}
        self._unread = deque((state,) if _may_hold_one(state) else ())
        self._reading: Iterator[None] | None = None

    @property
    def is_read(self) -> bool:
        """Whether all added updates were read."""
        return not self._unread

    def read(self) -> Iterator[None]:
        """Read the added updates, in steps; several callers may take them in turn."""
        while self._unread:
            if self._reading is None:
                self._reading = self._read()
            try:
                next(self._reading)
            except StopIteration:
                self._reading = None
            else:
                yield

    def add(self, update: bytes) -> None:
        """Add the pairs of an update that was applied.

        Args:
            update: the update; its header was read, so it is one whole update, and it repeats nothing.
        """
        if not _may_hold_one(update):
            return
        self._unread.append(update)
        if len(self._unread) == 1:
            for _ in self.read():
                pass

    def _read(self) -> Iterator[None]:
        while self._unread:
            update = self._unread[0]
            for count, struct in enumerate(read_structs(update), 1):
                if struct.kind == STRING:
                    self._learn(update, struct)
                if not count % AT_ONCE:
                    yield
            self._unread.popleft()

    def _learn(self, update: bytes, struct: Struct) -> None:
        """Add the pairs of a struct's text."""
        reader = lib0.Reader(update)
        reader.at = struct.content
        text = reader.buffer()
        if not _may_hold_one(text):
            return
        known = self._firsts.setdefault(struct.client, array("Q"))
        if len(text) < _LONG_TEXT:
            found = _TAKES_TWO.finditer(text.decode())
            firsts: Iterable[int] = (struct.clock + one.start() + before for before, one in enumerate(found))
        else:
            mask = text.decode().encode("utf-16-le")[1::2].translate(_IS_FIRST)
            if mask.count(1) * _DENSE > len(mask):
                self._add_mask(struct.client, _Mask(struct.clock, mask))
                return
            firsts = (struct.clock + at for at in _ones(mask))
        for first in firsts:
            if not known or known[-1] < first:
                known.append(first)

    def _add_mask(self, client: int, mask: _Mask) -> None:
        """Add the pairs of a long text, except for known clocks."""
        masks = self._masks.setdefault(client, [])
        if masks and mask.end > masks[-1].end > mask.clock:
            mask = _Mask(masks[-1].end, mask.firsts[masks[-1].end - mask.clock :])
        if not masks or mask.clock >= masks[-1].end:
            masks.append(mask)

    def cut_by(self, update: bytes, header: UpdateHeader, known: Mapping[int, int]) -> Cuts | None:
        """Return the pairs that an update would cut, in the document and in itself; None if it cuts none.

        Args:
            update: the update; it fits the document.
            header: its header.
            known: the document's state vector.
        """
        if header.is_token and header.brings[0].clock >= known.get(header.brings[0].client, 0):
            if not self._firsts:
                return None
            [(client, end)] = header.needs.items()
            return Cuts(frozenset(), ((client, end - 1),)) if self._holds(client, end - 1) else None
        may_hold = _may_hold_one(update)
        firsts = self._firsts.keys()
        if not may_hold and (
            not firsts or firsts.isdisjoint((*header.needs, *(span.client for span in header.deletes)))
        ):
            return None
        before = {(client, clock - 1) for client, clock in _borders(update, header, known)}
        held = tuple(sorted(first for first in before if self._holds(*first)))
        own, spans = SurrogatePairs(), dict[int, int]()
        for span in header.brings:
            spans[span.client] = min(span.clock, spans.get(span.client, span.clock))
        if may_hold and any(clock >= spans.get(client, clock + 1) for client, clock in before):
            own.add(update)
        cut = frozenset(first for first in before if own._holds(*first))
        return Cuts(cut, held) if cut or held else None

    def _holds(self, client: int, clock: int) -> bool:
        firsts = self._firsts.get(client)
        if firsts is None:
            return False
        at = bisect_left(firsts, clock)
        if at < len(firsts) and firsts[at] == clock:
            return True
        masks = self._masks.get(client)
        if not masks:
            return False
        at = bisect_right(masks, clock, key=lambda mask: mask.clock) - 1
        return at >= 0 and clock < masks[at].end and masks[at].firsts[clock - masks[at].clock] == 1


def replace_pairs(update: bytes, firsts: Collection[Id]) -> bytes:
    """Replace pairs of an update as Yjs replaces one that was cut: by two U+FFFD, under the same clocks.

    Args:
        update: the update; its header was read, so it is one whole update.
        firsts: the first clock of each of the pairs.
    """
    out: list[bytes] = []
    reader, copied = lib0.Reader(update), 0
    ordered = sorted(firsts)
    for struct in read_structs(update):
        if struct.kind != STRING:
            continue
        start = bisect_left(ordered, (struct.client, struct.clock))
        end = bisect_left(ordered, (struct.client, struct.clock + struct.length))
        if start < end:
            reader.at = struct.content
            units = bytearray(reader.string().encode("utf-16-le"))
            for _, clock in ordered[start:end]:
                at = 2 * (clock - struct.clock)
                units[at : at + 4] = (2 * _REPLACEMENT).encode("utf-16-le")
            out += (update[copied : struct.content], lib0.buffer(units.decode("utf-16-le").encode()))
            copied = reader.at
    return b"".join((*out, update[copied:]))


def find_left(document: bytes, update: bytes, first: Id) -> Id | None:
    """Return the left neighbour of a pair that no update has cut yet; None if it had none when it was written.

    Args:
        document: all of the document, as an update.
        update: the update that cuts the pair.
        first: the first clock of the pair.
    """
    ahead: list[Struct] = []
    left: Id | None = None
    for struct in chain(read_structs(document), read_structs(update)):
        if struct.right == first:
            ahead.append(struct)
        elif struct.client == first[0] and struct.clock <= first[1] < struct.clock + struct.length:
            left = (first[0], first[1] - 1) if struct.clock < first[1] else struct.left
    return _rightmost(ahead) or left


def move_ahead(update: bytes, lefts: Mapping[Id, Id | None]) -> bytes:
    """Move ahead of deleted pairs the text that an update writes between their halves.

    For a document that keeps deleted text, and so can't be cut there: it reads the same.

    Args:
        update: the update; its header was read, so it is one whole update.
        lefts: the left neighbour of each pair, by its first clock.
    """
    reader, copied = lib0.Reader(update), 0
    out: list[bytes] = []
    for _ in range(reader.uint()):
        structs = reader.uint()
        reader.uint()
        reader.uint()
        for _ in range(structs):
            start = reader.at
            info = reader.byte()
            left = (reader.uint(), reader.uint()) if _has(info, LEFT) else None
            right = (reader.uint(), reader.uint()) if _has(info, RIGHT) else None
            first = (right[0], right[1] - 1) if right is not None else None
            if left not in lefts and first not in lefts:
                reader.at = start + 1
                skip_struct(reader, info, {})
                continue
            left = lefts.get(left, left) if left is not None else None
            right = first if first in lefts else right
            info = info & ~(LEFT | RIGHT) | (LEFT if left else 0) | (RIGHT if right else 0)
            ids = (lib0.uint(number) for number in (*(left or ()), *(right or ())))
            out += (update[copied:start], bytes((info,)), *ids)
            copied = reader.at
            skip_content(reader, info & KIND)
    return b"".join((*out, update[copied:]))


def _has(info: int, flag: int) -> bool:
    return info & KIND not in (GC, SKIP) and bool(info & flag)


def delete_pairs(firsts: Iterable[Id]) -> bytes:
    """Return an update that deletes pairs, both halves of each."""
    ranges: dict[int, list[int]] = {}
    for client, clock in sorted(firsts):
        ranges.setdefault(client, []).append(clock)
    out = [b"\x00", lib0.uint(len(ranges))]
    for client, clocks in ranges.items():
        out += (lib0.uint(client), lib0.uint(len(clocks)), *(lib0.uint(clock) + b"\x02" for clock in clocks))
    return b"".join(out)


def write_replacements(update: bytes, header: UpdateHeader, firsts: Iterable[Id], writer: Id) -> bytes | None:
    """An update that writes U+FFFD in the place of each half of deleted pairs that was not to be deleted.

    Args:
        update: it cut the pairs, and was applied after they were deleted whole.
        header: its header.
        firsts: the first clock of each of the pairs.
        writer: the client that the replacements are written by, and its next clock.

    Returns:
        It, or None where no half remains.
    """
    client, clock = writer
    out: list[bytes] = []
    behind: dict[Id, list[Struct]] = {}
    ahead: dict[Id, list[Struct]] = {}
    for struct in read_structs(update):
        if struct.left:
            behind.setdefault(struct.left, []).append(struct)
        if struct.right:
            ahead.setdefault(struct.right, []).append(struct)
    deleted = list(_joined(header.deletes))
    for first in firsts:
        second = first[0], first[1] + 1
        before: Id = first
        if not _are_deleted(deleted, first):
            out.append(_replacement(first, _leftmost(behind.get(first, ())) or second))
            before = client, clock
            clock += 1
        if not _are_deleted(deleted, second):
            out.append(_replacement(_rightmost(ahead.get(second, ())) or before, second))
            clock += 1
    if not out:
        return None
    start = lib0.uint(writer[0]) + lib0.uint(writer[1])
    return b"".join((b"\x01", lib0.uint(len(out)), start, *out, b"\x00"))


def _replacement(left: Id, right: Id) -> bytes:
    ids = (lib0.uint(number) for number in (*left, *right))
    return b"".join((bytes((LEFT | RIGHT | STRING,)), *ids, lib0.buffer(_REPLACEMENT.encode())))


def _are_deleted(spans: Sequence[ClockRange], half: Id) -> bool:
    """Return whether one of the ranges, which are in order, holds a clock."""
    at = bisect_right(spans, half, key=lambda span: (span.client, span.clock)) - 1
    return at >= 0 and spans[at].client == half[0] and half[1] < spans[at].end


def _leftmost(structs: Sequence[Struct]) -> Id | None:
    """Return, of the structs written right behind one place, the first clock that is next to it now."""
    pushed = {struct.right for struct in structs}
    ids = ((struct.client, struct.clock) for struct in structs)
    return min((id_ for id_ in ids if id_ not in pushed), default=None)


def _rightmost(structs: Sequence[Struct]) -> Id | None:
    """Return, of the structs written right before one place, the last clock that is next to it now."""
    pushed = {struct.left for struct in structs}
    ids = ((struct.client, struct.clock + struct.length - 1) for struct in structs)
    return max((id_ for id_ in ids if id_ not in pushed), default=None)


def _may_hold_one(data: bytes) -> bool:
    """Return whether bytes may hold such a character. Numbers can look like one."""
    if len(data) > _LONG and not any(lead in data for lead in _LEADS):
        return False
    return _LOOKS_LIKE_ONE.search(data) is not None


def _ones(mask: bytes) -> Iterator[int]:
    """Where the units of a mask are 1."""
    at = mask.find(1)
    while at >= 0:
        yield at
        at = mask.find(1, at + 1)


def _borders(update: bytes, header: UpdateHeader, known: Mapping[int, int]) -> Iterator[Id]:
    """Yield the clocks at which structs that an update refers to must begin or end: a text is split before each."""
    for struct in read_structs(update):
        if struct.left:
            yield struct.left[0], struct.left[1] + 1
        if struct.right:
            yield struct.right
        if struct.clock < known.get(struct.client, 0) < struct.clock + struct.length:
            yield struct.client, known[struct.client]  # the new part of it begins here
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
