"""Values whose bytes yrs doesn't give back as they came: objects of several keys, BigInt, minus zero.

yrs keeps an object in a hash map, and writes its keys in another order for each reader; a BigInt comes back as a
number. So the bytes of such values are kept, by the clock that each stands at, and put into whatever yrs encodes.

Bound: the bytes of the values that are in the document. What is deleted is forgotten, at the latest with a snapshot.
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
"""The clock of a value, and where in an update it begins and ends."""
_MOST_RUNS = 16
"""Parts that a document is encoded in at most, each with all that is deleted; beyond it all of it is read."""
_AT_ONCE = 1023
"""How many structs are looked through in one step, and one: 2 µs each."""
_LONG = 2**14
"""Bytes of an update that is read later, in steps, or by the first who needs it."""
_SHORT = 96
"""Bytes below which no object has more than 31 keys, and `_LOOKS_LIKE_ONE` finds each."""
_JSON = re.compile(rb"\{|\d[.eE]|\d{16}")
"""What of a format or an embed, which are JSON, the library writes otherwise: objects, and numbers that are fractions
or large. It reads some of them as the number beside."""
_LOOKS_LIKE_ONE = re.compile(rb"v[\x02-\x1f]|z|\}[\x40\xc0]|" + _JSON.pattern)
_AS_IT_WAS = frozenset({127, 126, 124, 123, 121, 120, 119, 116})
"""How the values begin that hold no others, and come back as they were."""
_STRING = 119
_INTEGER = 125
_UNCHANGED = run_of(PLAIN, FLOAT, rb"\x7d(?:[\x00-\x3f\x41-\x7f]|[\x80-\xbf][\x01-\x7f])")
_PLAIN = frozenset({127, 126, 121, 120})
"""Undefined, null and booleans. A number may be what the library made of a BigInt."""


class KeptValues:
    """The bytes of values of a document, or of some updates."""

    __slots__ = ("_clocks", "_reading", "_unread", "_values")

    def __init__(self, updates: Iterable[bytes] = ()) -> None:
        self._clocks: dict[int, list[int]] = {}
        self._values: _Values = {}
        self._unread = deque[bytes]()
        self._reading: Iterator[None] | None = None
        for update in updates:
            self.learn(update)
            self._read_all()

    def learn(self, update: bytes) -> None:
        """Keep the values of an update that was applied, or is about to be.

        Args:
            update: its header was read, so it is one whole update; a long one is read by `read`.
        """
        if len(update) < _SHORT and _LOOKS_LIKE_ONE.search(update) is None:
            return
        self._unread.append(update)
        if len(update) <= _LONG:
            self._read_all()

    def read(self) -> Iterator[None]:
        """Read long updates in steps; several may ask for them in turn."""
        while self._unread:
            if self._reading is None:
                self._reading = self._read(self._unread[0])
            try:
                next(self._reading)
            except StopIteration:
                self._reading = None
                self._unread.popleft()
            else:
                yield

    def forget(self, deletes: Iterable[ClockRange]) -> None:
        """Forget the values that were deleted."""
        self._read_all()
        for span in deletes:
            clocks = self._clocks.get(span.client)
            if clocks:
                first, end = bisect_left(clocks, span.clock), bisect_left(clocks, span.end)
                for clock in clocks[first:end]:
                    del self._values[span.client, clock]
                del clocks[first:end]

    def encode(
        self, encode: Callable[[bytes], bytes], known: Mapping[int, int], vector: Mapping[int, int]
    ) -> "Encoded":
        """What a document at a state vector lacks, with the values as they came.

        Only the structs of clients that wrote such values are read, and later.

        Args:
            encode: gives what the library encodes for an encoded state vector.
            known: the document's state vector.
            vector: the one of who asks.
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
        """Do that in steps, between which values may come and go; see `restore`.

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
        """The clients and clocks of all values."""
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

    def _keep(self, client: int, clock: int, value: bytes) -> None:
        if (client, clock) in self._values:
            return  # what is told again was known before
        clocks = self._clocks.setdefault(client, [])
        if not clocks or clocks[-1] < clock:
            clocks.append(clock)
        else:
            clocks.insert(bisect_left(clocks, clock), clock)
        self._values[client, clock] = value


class Encoded:
    """What a document lacks, as the library encoded it; what was kept is put into it when it is asked for, once.

    Args:
        kept: the values that were kept.
        parts: the sections of some clients each as an update, and whether some of them wrote such values.
        count: how many clients these are together; None where there is one part, and it is all.
        deletes: the delete set of each part.
        is_whole: whether it is the whole document, and values that aren't in it may be forgotten.

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
        self._known = kept.ids() if is_whole else []  # those of now: others may come before it is asked for
        self.size = sum(len(part) - len(deletes) for part, _ in parts) + len(deletes)

    @classmethod
    def of(cls, update: bytes) -> Self:
        """An update that is as it shall be."""
        return cls(KeptValues(), [(update, False)])

    def update(self) -> bytes:
        """All of it as one update, at once."""
        return finish(self.in_steps())

    def in_steps(self) -> Generator[None, None, bytes]:
        """All of it as one update, in steps between which the document may change."""
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
    """The structs that hold values: the client and kind of each, and the values.

    Between them comes None where others may have their turn.
    Hot: a first sync goes through all structs of a document here.
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
    """Read in steps where the values of a struct are that a reader is at; it is left behind them."""
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
    """Whether yrs would write a value otherwise."""
    if kind == ANY and update[start] in _AS_IT_WAS:
        return False
    reader = lib0.Reader(update)
    if start in reader.ends:  # long, and isn't looked through at once
        return True
    reader.at = start
    if kind == ANY:
        return _changes_any(reader)
    return _JSON.search(reader.buffer()) is not None


def _changes_any(reader: lib0.Reader) -> bool:
    """The same for the value that a reader is at; it is left behind it, or in it where the answer is yes."""
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
    """The same for the values of a list, which may be very many."""
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
