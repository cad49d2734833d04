"""Values that yrs encodes with other bytes than it received: objects of several keys, BigInt, minus zero.

yrs keeps an object in a hash map, and writes its keys in another order for each reader; it turns a BigInt into a
number. So the bytes of such values are kept, by their clocks, and put into each update that yrs encodes.

Bound: the bytes of the values in the document. Deleted values are forgotten, at the latest with a snapshot.
"""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Self

from . import lib0
from .header import ClockRange, encode_state_vector
from .steps import AT_ONCE, finish
from .update_format import (
    ANY,
    EMBED,
    FLOAT,
    FORMAT,
    GC,
    KEY,
    KIND,
    LEFT,
    MINUS_ZERO,
    PLAIN,
    RIGHT,
    RUN,
    SKIP,
    STRING,
    run_of,
    skip_any,
    skip_any_in_steps,
    skip_content,
    utf16_length,
)

_Values = dict[tuple[int, int], bytes]
_Value = tuple[int, int, int]
"""The clock of a value, and the offsets in an update at which it begins and ends."""
_MOST_RUNS = 16
"""Parts that a document is encoded in, each with the whole delete set; beyond it, all its structs are read."""
_AT_ONCE = 1023
"""Structs that are read in one step, less one: 2 µs each."""
_LONG = 2**14
"""Bytes from which on an update is read later: in steps, or at once when its values are needed."""
_SHORT = 96
"""Bytes of an update below which no object has more than 31 keys, so that `_LOOKS_LIKE_ONE` finds each."""
_JSON = re.compile(rb"\{|\d[.eE]|\d{16}")
"""JSON in a format or an embed that the library may write otherwise: objects, and numbers that are fractions or
large. It reads some of these as a neighbouring number."""
_LOOKS_LIKE_ONE = re.compile(rb"v[\x02-\x1f]|z|\}[\x40\xc0]|" + _JSON.pattern)
_AS_IT_WAS = frozenset({127, 126, 124, 123, 121, 120, 119, 116})
"""The first bytes of values that hold no others, and that the library encodes unchanged."""
_STRING = 119
_INTEGER = 125
_UNCHANGED = run_of(PLAIN, FLOAT, rb"\x7d(?:[\x00-\x3f\x41-\x7f]|[\x80-\xbf][\x01-\x7f])")
_PLAIN = frozenset({127, 126, 121, 120})
"""Undefined, null and booleans; not numbers, which the library may have made of a BigInt."""


class KeptValues:
    """The bytes of values of a document, or of some updates."""

    __slots__ = ("_clocks", "_reading", "_unread", "_values")

    def __init__(self, updates: Iterable[bytes] = ()) -> None:
        self._clocks: dict[int, list[int]] = {}
        self._values: _Values = {}
        self._unread = deque[bytes | tuple[ClockRange, ...]]()
        """Long updates that wait to be read, and what came behind them: updates, and deletions."""
        self._reading: Iterator[None] | None = None
        for update in updates:
            self.learn(update)
            self._read_all()

    @property
    def is_read(self) -> bool:
        """Whether no long update waits to be read; its holder has it read before it handles the next frame."""
        return not self._unread

    def learn(self, update: bytes) -> None:
        """Keep the values of an update that was applied, or is about to be.

        Args:
            update: its header was read, so it is one whole update; a long one is read by `read`.
        """
        if len(update) < _SHORT and _LOOKS_LIKE_ONE.search(update) is None:
            return
        is_first = not self._unread
        self._unread.append(update)
        if is_first and len(update) <= _LONG:
            self._read_all()

    def read(self) -> Iterator[None]:
        """Read long updates in steps; several callers may take them in turn."""
        while self._unread:
            if self._reading is None:
                first = self._unread[0]
                self._reading = self._read(first) if isinstance(first, bytes) else self._forget(first)
            try:
                next(self._reading)
            except StopIteration:
                self._reading = None
                self._unread.popleft()
            else:
                yield

    def forget(self, deletes: Iterable[ClockRange]) -> None:
        """Forget the values that were deleted."""
        if self._unread:
            self._unread.append(tuple(deletes))
            return
        for _ in self._forget(deletes):
            pass

    def encode(
        self, encode: Callable[[bytes], bytes], known: Mapping[int, int], vector: Mapping[int, int]
    ) -> "Encoded":
        """Encode the part of the document that a replica lacks, with the values as they came.

        Only the structs of clients that wrote such values are read, and only when the result is used.

        Args:
            encode: returns the library's update for an encoded state vector.
            known: the document's state vector.
            vector: the state vector of the replica.
        """
        self._read_all()
        apart = {client for client, clocks in self._clocks.items() if clocks and clocks[-1] >= vector.get(client, 0)}
        if not apart:
            return Encoded(self, [(encode(encode_state_vector(vector)), False)])
        runs = [(of, list(run)) for of, run in groupby(sorted(known, reverse=True), apart.__contains__)]
        if len(runs) > _MOST_RUNS:
            return Encoded(self, [(encode(encode_state_vector(vector)), True)], is_whole=not vector)
        deletes = encode(encode_state_vector(known))[1:]
        count, parts = 0, list[tuple[bytes, bool]]()
        for is_apart, clients in runs:
            lacks = {**known, **{client: vector.get(client, 0) for client in clients}}
            part = encode(encode_state_vector(lacks))
            count += lib0.Reader(part).uint()
            parts.append((part, is_apart))
        return Encoded(self, parts, count, deletes, is_whole=not vector)

    def restore(self, update: bytes) -> bytes:
        """Put the kept bytes into an update that the library encoded.

        Args:
            update: the update.
        """
        return finish(self.restore_in_steps(update, None))

    def restore_in_steps(self, update: bytes, found: set[tuple[int, int]] | None) -> Generator[None, None, bytes]:
        """Do the same in steps, between which values may be added and removed; see `restore`.

        Args:
            update: the update.
            found: gets the clients and clocks of the values that are in it.
        """
        yield from self.read()
        if not self._values:
            return update
        out: list[bytes] = []
        copied = 0
        for struct in _structs_with_values(update):
            if struct is None:
                yield
                continue
            client, _, values = struct
            if client not in self._clocks:
                continue
            for value, start, end in values:
                kept = self._values.get((client, value))
                if kept is not None:
                    out += (update[copied:start], kept)
                    copied = end
                    if found is not None:
                        found.add((client, value))
        return b"".join((*out, update[copied:])) if out else update

    def ids(self) -> list[tuple[int, int]]:
        """Return the clients and clocks of all values."""
        return list(self._values)

    def drop(self, gone: Iterable[tuple[int, int]]) -> None:
        """Forget values by their clients and clocks."""
        clients: set[int] = set()
        for client, clock in gone:
            if self._values.pop((client, clock), None) is not None:
                clients.add(client)
        for client in clients:
            self._clocks[client] = [clock for clock in self._clocks[client] if (client, clock) in self._values]

    def _read_all(self) -> None:
        for _ in self.read():
            pass

    def _read(self, update: bytes) -> Iterator[None]:
        count = 0
        for struct in _structs_with_values(update):
            if struct is None:
                yield
                continue
            client, kind, values = struct
            for value, start, end in values:
                count += 1
                if not count % AT_ONCE:
                    yield
                if _changes(update, kind, start):
                    self._keep(client, value, update[start:end])

    def _forget(self, deletes: Iterable[ClockRange]) -> Iterator[None]:
        for count, span in enumerate(deletes, 1):
            if not count % AT_ONCE:
                yield
            clocks = self._clocks.get(span.client)
            if clocks:
                first, end = bisect_left(clocks, span.clock), bisect_left(clocks, span.end)
                for clock in clocks[first:end]:
                    del self._values[span.client, clock]
                del clocks[first:end]

    def _keep(self, client: int, clock: int, value: bytes) -> None:
        if (client, clock) in self._values:
            return  # a repeated value was kept before
        clocks = self._clocks.setdefault(client, [])
        if not clocks or clocks[-1] < clock:
            clocks.append(clock)
        else:
            clocks.insert(bisect_left(clocks, clock), clock)
        self._values[client, clock] = value


class Encoded:
    """An update as the library encoded it; the kept values are put into it when it is read, which may be done once.

    Args:
        kept: the kept values.
        parts: updates with the sections of some clients each, and whether some of these wrote such values.
        count: the number of these clients together; None if there is only one part.
        deletes: the delete set of each part.
        is_whole: whether it is the whole document, so that values that aren't in it may be forgotten.

    Attributes:
        size: its bytes, about.
    """

    __slots__ = ("_count", "_deletes", "_kept", "_known", "_parts", "size")

    def __init__(
        self,
        kept: KeptValues,
        parts: list[tuple[bytes, bool]],
        count: int | None = None,
        deletes: bytes = b"",
        *,
        is_whole: bool = False,
    ) -> None:
        self._kept = kept
        self._parts = parts
        self._count = count
        self._deletes = deletes
        self._known = kept.ids() if is_whole else []  # the present ones: others may come before it is read
        self.size = sum(len(part) - len(deletes) for part, _ in parts) + len(deletes)

    @classmethod
    def of(cls, update: bytes) -> Self:
        """Return an update that needs no kept values."""
        return cls(KeptValues(), [(update, False)])

    def update(self) -> bytes:
        """Return all of it as one update, at once."""
        return finish(self.in_steps())

    def in_steps(self) -> Generator[None, None, bytes]:
        """Return all of it as one update, in steps between which the document may change."""
        found: set[tuple[int, int]] = set()
        done: list[bytes] = []
        while self._parts:
            part, is_apart = self._parts.pop(0)
            restored = (yield from self._kept.restore_in_steps(part, found)) if is_apart else part
            reader = lib0.Reader(restored)
            if self._count is not None:
                reader.uint()
            done.append(restored[reader.at : reader.end - len(self._deletes)])
        self._kept.drop(value for value in self._known if value not in found)
        return b"".join((b"" if self._count is None else lib0.uint(self._count), *done, self._deletes))


def _structs_with_values(update: bytes) -> Iterator[tuple[int, int, list[_Value]] | None]:
    """Yield the structs that hold values: the client and kind of each, and the values.

    Between them, None is yielded where other work may run.
    Hot: a first sync reads all structs of a document here.
    """
    reader = lib0.Reader(update)
    uint = reader.uint
    for _ in range(uint()):
        structs = uint()
        start = reader.at
        client = uint()
        encoded = update[start : reader.at]
        clock = uint()
        at = reader.at
        for number in range(structs):
            if not number & _AT_ONCE and number:
                yield None
            info = update[at]
            kind = info & KIND
            at += 1
            if kind in (GC, SKIP):
                reader.at = at
                clock += uint()
                at = reader.at
                continue
            ids = (info >> 7) + (info >> 6 & 1)
            if not ids:
                ids = update[at] == 0
                at += 1
                if not ids:
                    reader.at = at
                    reader.skip(uint())
                    at = reader.at
            for _ in range(ids):
                if update.startswith(encoded, at):
                    at += len(encoded)
                else:
                    while update[at] & 0x80:
                        at += 1
                    at += 1
                while update[at] & 0x80:
                    at += 1
                at += 1
            if info & KEY and not info & (LEFT | RIGHT):
                if update[at] < 0x80:
                    at += 1 + update[at]
                else:
                    reader.at = at
                    reader.skip(uint())
                    at = reader.at
            reader.at = at
            if kind == STRING:
                size = uint()
                at = reader.at + size
                text = update[reader.at : at]
                clock += size if text.isascii() else utf16_length(text)
                continue
            if kind == ANY and update[at] == 1:  # most are one plain value
                of = update[at + 1]
                if of == _STRING and update[at + 2] < 0x80:
                    at += 3 + update[at + 2]
                    clock += 1
                    continue
                if of in _PLAIN:
                    at += 2
                    clock += 1
                    continue
            if kind in (ANY, EMBED, FORMAT):
                values = yield from _values(reader, clock, kind)
                yield client, kind, values
                clock += len(values)
            else:
                clock += skip_content(reader, kind)
            at = reader.at
        reader.at = at


def _values(reader: lib0.Reader, clock: int, kind: int) -> Generator[None, None, list[_Value]]:
    """Return in steps the values of the struct that a reader is at; the reader then is behind them."""
    if kind == ANY:
        values: list[_Value] = []
        for value in range(clock, clock + reader.uint()):
            start = reader.at
            if reader.data[start] in _AS_IT_WAS or start in reader.ends:
                skip_any(reader, 0)
            else:
                yield from skip_any_in_steps(reader)
            values.append((value, start, reader.at))
        return values
    if kind == FORMAT:
        reader.skip(reader.uint())
    start = reader.at
    reader.skip(reader.uint())
    return [(clock, start, reader.at)]


def _changes(update: bytes, kind: int, start: int) -> bool:
    """Return whether yrs would encode a value with other bytes."""
    if kind == ANY and update[start] in _AS_IT_WAS:
        return False
    reader = lib0.Reader(update)
    if start in reader.ends:  # a long value, which isn't read at once
        return True
    reader.at = start
    if kind == ANY:
        return _changes_any(reader)
    return _JSON.search(reader.buffer()) is not None


def _changes_any(reader: lib0.Reader) -> bool:
    """Do the same for the value that a reader is at; the reader then is behind it, or in it if the result is True."""
    start = reader.at
    match reader.byte():
        case 122:
            return True
        case 125:  # an integer
            first = reader.byte()
            if first & 0x80:
                reader.uint()
            return first == MINUS_ZERO
        case 118:
            count = reader.uint()
            if count > 1:
                return True
            for _ in range(count):
                reader.skip(reader.uint())
                if _changes_any(reader):
                    return True
            return False
        case 117:
            return _changes_in_list(reader)
        case _:
            reader.at = start
            skip_any(reader, 0)
            return False


def _changes_in_list(reader: lib0.Reader) -> bool:
    """Do the same for the values of a list, which may be very many."""
    data = reader.data
    left, at = reader.uint(), reader.at
    while left >= RUN and (run := _UNCHANGED.match(data, at)) is not None:
        at, left = run.end(), left - RUN
    for _ in range(left):
        kind = data[at]
        if kind == _STRING and data[at + 1] < 0x80:
            at += 2 + data[at + 1]
        elif kind == _INTEGER:
            if data[at + 1] == MINUS_ZERO:
                return True
            at += 1
            while data[at] & 0x80:
                at += 1
            at += 1
        elif kind in _PLAIN:
            at += 1
        else:
            reader.at = at
            if _changes_any(reader):
                return True
            at = reader.at
    reader.at = at
    return False
