"""One update as parts of little work each, so that a room can apply a long update between others.

Applied in their order the parts give the same document as the update:

- The structs that a struct depends on (its neighbours, its parent) are in an earlier part, in the same one, or not in
  the update.
- A new record (a message, a run, an approval, …, with all that is made in it at once) is in one part: it is judged,
  stamped, offered to agents and sent on as a whole. Another entry, such as one of an application's list, is in one
  part unless it is too large for that.
- A part includes the deletions of its own clocks, so a message that was written and deleted again is never visible.
  All other deletions come last.

`pieces` splits by bytes, for slow connections; here work is counted: 1 for 1 KB of text, or a deletion of one letter.
"""

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from . import lib0
from .deletions import Span, encode_deletions
from .header import UpdateHeader
from .measured import cut, join
from .pieces import Client, find_clients, in_order, read_place
from .steps import AT_ONCE
from .structs import Id
from .update_format import (
    ANY,
    DELETED,
    GC,
    KEY,
    KIND,
    LEFT,
    RIGHT,
    SKIP,
    STRING,
    TYPE,
    end_of_text,
    skip_any,
    skip_content,
    utf16_length,
)

_TEXT_BITS: Final = 10
"""The binary logarithm of the bytes of text that are as much work as a struct: 1 KB; two-byte letters take four times
as long."""

_TO_THE_END: Final = 2**53

_ENDLESS: Final = sys.maxsize

_MAP: Final = 1
"""The shared type that a record is."""

_NO_ENTRIES: Final = frozenset({GC, SKIP, STRING})
"""Kinds of structs that are in no list of records."""

_FEW_CLIENTS: Final = 64
"""Clients of an update up to which writes at one place aren't counted."""

_FEW_RIVALS: Final = 8
"""Clients that may write at one place concurrently before it counts as work."""

_RIVALS: Final = 100
"""Structs of others at the place of a struct that are as much work as one struct: 10 µs."""


class _Struct(NamedTuple):
    """A struct of the update.

    Attributes:
        client: the Yjs client that wrote it.
        clock: its first clock.
        end: the clock behind it.
        data: its bytes.
        kind: the kind of its content.
        beside: the ids of its neighbours.
        parent: the id of the shared type that it names.
        root: the name of the root that it names; not read for a value under a key.
        type: of a shared type, its type, as in `structs.Struct.type`.
        work: the work that it takes.
    """

    client: int
    clock: int
    end: int
    data: bytes
    kind: int
    beside: tuple[Id, ...]
    parent: Id | None
    root: str
    type: int
    work: int


class RecordSize(NamedTuple):
    """The size of a record.

    Attributes:
        structs: the number of its structs.
        bytes: the bytes of its structs.
    """

    structs: int
    bytes: int


class WorkPart(NamedTuple):
    """One of the updates that an update is split into.

    Attributes:
        update: its bytes.
        is_long: whether it is a record that takes more work than a part should.
        refused: the size of a record that is left out because it is too large; the update then only uses up its
            clocks.
    """

    update: bytes
    is_long: bool = False
    refused: RecordSize | None = None


IsRecord: TypeAlias = Callable[[str | Id], bool]
"""Whether a new entry is a record of the schema, by the name of its root, or by the id of a neighbour."""


class _Part:
    """The structs that were read and not returned yet, in groups: a struct, and all structs made in it at once.

    Args:
        most: the work of a part.
        is_record: returns whether a group is a record.
        known: the state vector of the document; structs that it has aren't made by the update.
        whole: the largest work of a record that stays one part.
    """

    def __init__(self, most: int, is_record: IsRecord, known: Mapping[int, int], whole: int) -> None:
        self._most = most
        self._whole = whole
        self._is_record = is_record
        self._known = known
        self._lists: dict[Id, bool] = {}
        """Per list entry that was read, whether it is in a list of records."""
        self._first = self._border = 0
        """The number of the first struct in the update, and of the first struct of the last group."""
        self._records: set[int] = set()
        """The numbers of the first structs of records."""
        self._forget()

    def _forget(self) -> None:
        self.work = 0
        self._structs: list[_Struct] = []
        self._groups: list[int | None] = []
        """Per struct, the number of the first struct of its group; None for that struct itself."""
        self._clocks: dict[int, list[int]] = {}
        self._numbers: dict[int, list[int]] = {}
        """Per client, the first clock and the number of each struct."""
        self._types: dict[Id, int] = {}
        """The group of each shared type."""

    @property
    def is_record(self) -> bool:
        """Whether it is one record, as far as read."""
        return self._border == self._first and self._border in self._records

    def __len__(self) -> int:
        return len(self._structs)

    def group_of(self, struct: _Struct) -> int | None:
        """Return the group that the next struct is in; None if it begins one."""
        if struct.kind in (GC, SKIP):  # its place isn't known; it may have been in the record
            return self._border if self._structs and self._border in self._records else None
        if struct.parent is not None:
            return self._types.get(struct.parent)
        for client, clock in struct.beside:
            clocks = self._clocks.get(client)
            at = bisect_right(clocks, clock) - 1 if clocks else -1
            if at >= 0:
                return self._groups[self._numbers[client][at] - self._first]
        return None

    def is_whole(self, struct: _Struct, group: int | None) -> bool:
        """Return whether the next struct is in a record that begins in this part, or begins one."""
        if group is not None:
            return group in self._records
        has_key = struct.data[0] & KEY
        if struct.parent is not None or struct.kind in _NO_ENTRIES or (has_key and struct.kind != TYPE):
            return False
        place = struct.beside[0] if struct.beside else struct.root
        known = self._lists.get(place) if isinstance(place, tuple) else None
        are_records = self._is_record(place) if known is None else known
        if not has_key:
            self._lists[struct.client, struct.end - 1] = are_records
        is_new = struct.clock >= self._known.get(struct.client, 0)
        return are_records and is_new and struct.kind == TYPE and struct.type == _MAP

    def make_room(self, struct: _Struct, group: int | None) -> list[_Struct]:
        """Remove and return the structs that must go before the next one is added.

        None must while all of them fit one part, or are one record.
        """
        if group is not None:
            self._border = min(self._border, group)
        if not self._structs or self.work + struct.work <= self._most:
            return []
        cut = len(self._structs) if group is None else self._border - self._first
        if not cut and self.work + struct.work <= (self._whole if self.is_record else 2 * self._most):
            return []
        return self.take(cut or len(self._structs))

    def take(self, cut: int) -> list[_Struct]:
        """Remove and return so many of the first structs."""
        structs, groups = self._structs, self._groups
        self._first += cut
        self._forget()
        for struct, group in zip(structs[cut:], groups[cut:], strict=True):
            self._add(struct, group)
        self._records = {number for number in self._records if number >= self._first}
        self._border = max(self._border, self._first)
        return structs[:cut]

    def add(self, struct: _Struct, group: int | None, *, is_whole: bool) -> None:
        """Add the next struct."""
        number = self._first + len(self._structs)
        if group is not None and group < self._first:
            group = None  # the group was too long, and its beginning was returned
        if group is None:
            self._border = number
            if is_whole:
                self._records.add(number)
        self._add(struct, group)

    def _add(self, struct: _Struct, group: int | None) -> None:
        number = self._first + len(self._structs)
        self._structs.append(struct)
        self._groups.append(group)
        self._clocks.setdefault(struct.client, []).append(struct.clock)
        self._numbers.setdefault(struct.client, []).append(number)
        if struct.kind == TYPE:
            self._types[struct.client, struct.clock] = number if group is None else group
        self.work += struct.work


def split_work(
    update: bytes,
    header: UpdateHeader,
    most: int = AT_ONCE,
    others: int = 0,
    is_record: IsRecord = lambda _: True,
    known: Mapping[int, int] = MappingProxyType({}),
    largest: RecordSize | None = None,
    whole: int = _ENDLESS,
) -> Iterator[WorkPart | None]:
    """Split an update into smaller ones that must be applied in their order.

    Args:
        update: the update, in Yjs's update format, version 1.
        header: its header.
        most: the structs, values and deletions of a part; twice as many where a group alone is larger. A record is
            not cut.
        others: the number of clients that have written in the document.
        is_record: returns whether a new map is a record.
        known: the document's state vector; a record that it has isn't a new one.
        largest: the allowed size of a record; a larger one is left out. None: no limit.
        whole: the largest work of a record that stays one part; a larger one is cut.

    Yields:
        The parts, or the update itself if it is one part; None where other work should run.
    """
    clients: dict[int, Client] = {}
    reader = lib0.Reader(update)
    yield from find_clients(reader, clients)
    deletions = yield from _sorted(header, clients, most)
    part = _Part(most, is_record, known, whole)
    parts = 0

    def encode(structs: Sequence[_Struct], *, is_alone: bool) -> Iterator[WorkPart]:
        if is_alone and largest is not None:
            size = RecordSize(len(structs), sum(len(struct.data) for struct in structs))
            if size.structs > largest.structs or size.bytes > largest.bytes:
                return iter((WorkPart(_without(structs), refused=size),))
        return deletions.encode(structs, is_record=is_alone)

    rivals = _Rivals(others) if len(clients) > _FEW_CLIENTS else None
    for number, struct in enumerate(in_order(clients, partial(_follow, lib0.Reader(update), clients)), 1):
        if not number % AT_ONCE:
            yield None
        if rivals is not None:
            struct = struct._replace(work=struct.work + rivals.work_of(struct))
        group = part.group_of(struct)
        is_whole = part.is_whole(struct, group)
        for piece in (struct,) if is_whole and struct.work <= whole else _cut(struct, most):
            count, is_alone = len(part), part.is_record
            given = part.make_room(piece, group)
            if given:
                yield from encode(given, is_alone=is_alone and len(given) == count)
                parts += 1
            part.add(piece, group, is_whole=is_whole)
    is_alone, count = part.is_record, len(part)
    work = len(header.deletes) + (0 if is_alone and largest is None else part.work)
    if not parts and work <= 2 * most:
        yield WorkPart(update, is_long=part.work > 2 * most)
        return
    yield from encode(part.take(count), is_alone=is_alone)
    for rest in deletions.rest():
        yield WorkPart(rest)


class _Rivals:
    """Counts concurrent writes of many clients at one place: each must be ordered among all the others.

    Args:
        others: the number of clients that have written in the document, and may have written there.
    """

    def __init__(self, others: int) -> None:
        self._others = others
        self._places: dict[bytes, int] = {}

    def work_of(self, struct: _Struct) -> int:
        """Return the additional work of a struct."""
        if struct.beside or struct.kind in (GC, SKIP):
            return 0
        place, _ = read_place(lib0.Reader(struct.data))
        found = self._places[place] = self._places.get(place, -1) + 1
        return (found + self._others) // _RIVALS if found > _FEW_RIVALS else 0


class _Deletions:
    """The deletions of an update: those of its own clocks, and the others.

    Args:
        own: the deletions of its own clocks, by client, in order.
        others: the other deletions.
        most: the number of deletions in one part.
    """

    def __init__(self, own: Mapping[int, Sequence[tuple[int, int]]], others: list[Span], most: int) -> None:
        self._most = most
        self._own = own
        self._others = others

    def encode(self, structs: Sequence[_Struct], *, is_record: bool) -> Iterator[WorkPart]:
        """Encode structs as an update, with the deletions of their clocks.

        Deletions beyond the limit follow in updates of their own, except those of a record, whose deleted content
        must never be visible.
        """
        sections: dict[int, list[_Struct]] = {}
        for struct in structs:
            sections.setdefault(struct.client, []).append(struct)
        out: list[bytes] = []
        gone: list[Span] = []
        count = 0
        for client, section in sorted(sections.items(), reverse=True):
            if section[0].kind == SKIP:
                section.pop(0)
            if not section:
                continue
            count += 1
            out += (lib0.uint(len(section)), lib0.uint(client), lib0.uint(section[0].clock))
            out += (struct.data for struct in section)
            gone += self._within(client, section[0].clock, section[-1].end)
        if count:
            most = len(gone) if is_record else self._most
            update = join((lib0.uint(count), *out, encode_deletions(gone[:most])))
            yield WorkPart(update, is_record and sum(struct.work for struct in structs) > 2 * self._most)
            gone = gone[most:]
        for rest in self._encode(gone):
            yield WorkPart(rest)

    def rest(self) -> Iterator[bytes]:
        """Encode the deletions of earlier structs."""
        return self._encode(self._others)

    def _encode(self, spans: Sequence[Span]) -> Iterator[bytes]:
        for start in range(0, len(spans), self._most):
            yield b"\x00" + encode_deletions(spans[start : start + self._most])

    def _within(self, client: int, start: int, end: int) -> Iterator[Span]:
        own = self._own.get(client, ())
        first = max(bisect_right(own, (start, _TO_THE_END)) - 1, 0)
        for clock, until in own[first : bisect_left(own, (end, 0))]:
            clock, until = max(clock, start), min(until, end)
            if clock < until:
                yield client, clock, until - clock


def _without(record: Sequence[_Struct]) -> bytes:
    """Encode the clocks of a record alone; a deleted struct keeps its place in a list, as others depend on it."""
    head = record[0]
    ends: dict[int, tuple[int, int]] = {}
    for struct in record:
        clock, _ = ends.get(struct.client, (struct.clock, 0))
        ends[struct.client] = clock, struct.end
    out = [lib0.uint(len(ends))]
    for client, (clock, end) in sorted(ends.items(), reverse=True):
        structs = [bytes((GC,)) + lib0.uint(end - clock)]
        if client == head.client and not head.data[0] & KEY:
            place, _ = read_place(lib0.Reader(head.data))
            structs = [bytes((place[0] & ~KIND | DELETED,)) + place[1:] + lib0.uint(1)]
            structs += [bytes((GC,)) + lib0.uint(end - clock - 1)] if end > clock + 1 else []
        out += (lib0.uint(len(structs)), lib0.uint(client), lib0.uint(clock), *structs)
    out.append(encode_deletions([(client, clock, end - clock) for client, (clock, end) in ends.items()]))
    return b"".join(out)


def _sorted(header: UpdateHeader, clients: Mapping[int, Client], most: int) -> Generator[None, None, _Deletions]:
    """Separate the deletions of an update's own clocks from the others."""
    own: dict[int, list[tuple[int, int]]] = {}
    others: list[Span] = []
    for number, span in enumerate(header.deletes, 1):
        if not number % AT_ONCE:
            yield
        client = clients.get(span.client)
        start = span.end if client is None else client.clock
        if span.clock < start:
            others.append((span.client, span.clock, min(span.end, start) - span.clock))
        if span.end > start:
            own.setdefault(span.client, []).append((max(span.clock, start), span.end))
    return _Deletions({client: _joined(spans) for client, spans in own.items()}, others, most)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order, with overlapping ones joined."""
    spans.sort()
    joined: list[tuple[int, int]] = []
    for clock, end in spans:
        if joined and clock <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((clock, end))
    return joined


def _follow(
    reader: lib0.Reader,
    clients: Mapping[int, Client],
    client: Client,
    _: int,
    following: Container[int],
) -> tuple[Iterable[_Struct], Id | None]:
    """Advance a client by one struct, or return the later struct that it depends on; see `in_order`.

    A struct that depends on itself, through others, is let through.
    """
    reader.at = client.at
    struct = _read(reader, client)
    for of, clock in struct.beside if struct.parent is None else (struct.parent,):
        if of not in following and of in clients and clients[of].left and clients[of].clock <= clock:
            return (), (of, clock + 1)
    client.at, client.clock, client.left = reader.at, struct.end, client.left - 1
    return (struct,), None


def _read(reader: lib0.Reader, client: Client) -> _Struct:
    """Read the next struct of a client."""
    start, counted, info = reader.at, reader.counted, reader.byte()
    kind = info & KIND
    beside: tuple[Id, ...] = ()
    parent: Id | None = None
    root = ""
    type_ = -1
    is_measured = False
    if kind in (GC, SKIP):
        length = reader.uint()
    else:
        if info & LEFT:
            beside = ((reader.uint(), reader.uint()),)
        if info & RIGHT:
            beside = (*beside, (reader.uint(), reader.uint()))
        if not beside:
            if not reader.uint():
                parent = reader.uint(), reader.uint()
            elif kind == TYPE or not info & KEY:
                root = reader.string()
            else:
                reader.skip(reader.uint())
            if info & KEY:
                reader.skip(reader.uint())
        content = reader.at
        type_ = reader.data[content] if kind == TYPE else -1
        length = skip_content(reader, kind)
        is_measured = content in reader.ends
    data = cut(reader.data, start, reader.at) if is_measured else reader.data[start : reader.at]
    work = 1 + reader.counted - counted + (len(data) >> _TEXT_BITS)
    return _Struct(client.id, client.clock, client.clock + length, data, kind, beside, parent, root, type_, work)


def _cut(struct: _Struct, most: int) -> Iterable[_Struct]:
    """Cut a list of many or large values, and a very long text; one value can't be cut."""
    if struct.work <= most or struct.data[0] & KEY:  # under a key, only the last value is visible
        return (struct,)
    if struct.kind == STRING:
        return _cut_text(struct, most << _TEXT_BITS)
    return _cut_list(struct, most) if struct.kind == ANY and struct.end - struct.clock > 1 else (struct,)


def _cut_list(struct: _Struct, most: int) -> Iterator[_Struct]:
    """Cut a list of many values between them."""
    reader = lib0.Reader(struct.data)
    place, right = read_place(reader)
    info, clock = struct.data[0] | LEFT, struct.clock
    for _ in range(reader.uint()):
        start, counted, values = reader.at, reader.counted, 0
        work = 0
        while reader.at < reader.end and work < most:
            at = reader.at
            skip_any(reader, 0)
            more = 1 + reader.counted - counted + (reader.at - start >> _TEXT_BITS)
            if values and more + values > 2 * most:  # a large value gets a part of its own
                reader.at = at
                break
            values += 1
            work = values + more
        if not values:
            return
        data = join((place + lib0.uint(values), cut(struct.data, start, reader.at)))
        yield struct._replace(clock=clock, end=clock + values, data=data, work=work)
        clock += values
        place = bytes((info,)) + lib0.uint(struct.client) + lib0.uint(clock - 1) + right


def _cut_text(struct: _Struct, most: int) -> Iterator[_Struct]:
    """Cut a long text between characters, into stretches of so many bytes."""
    reader = lib0.Reader(struct.data)
    place, right = read_place(reader)
    info, clock, text = struct.data[0] | LEFT, struct.clock, reader.buffer()
    at = 0
    while at < len(text):
        end = end_of_text(text, at + most, len(text))
        part, at = text[at:end], end
        behind = clock + utf16_length(part)
        data, work = place + lib0.buffer(part), 1 + (len(part) >> _TEXT_BITS)
        yield struct._replace(clock=clock, end=behind, data=data, work=work)
        clock = behind
        place = bytes((info,)) + lib0.uint(struct.client) + lib0.uint(clock - 1) + right
