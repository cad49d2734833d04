"""One update as parts of little work each, so that a room can take a long one between others.

Applied in their order the parts give the same document as the update:

- What a struct stands on (its neighbours, its parent) is in an earlier part, in the same one, or not in the update.
- A record (an entry of a root, with all that is made in it at once) is in one part, unless it alone is several: a
  message is judged as a whole.
- A part brings the deletions of its own clocks along, so a message that was written and deleted again is never seen.
  All other deletions come last.

`pieces` splits by bytes, for slow lines; here 1 KB of text is one thing, and a deletion of one letter another.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from . import lib0
from .deletions import Span, encode_deletions
from .header import UpdateHeader
from .measured import cut, join
from .pieces import Client, find_clients, in_order, read_place
from .steps import AT_ONCE
from .structs import Id
from .update_format import (
    ANY,
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
"""1 KB of text is as much work as a struct: in two-byte letters it takes four times as long."""

_TO_THE_END: Final = 2**53

_FEW_CLIENTS: Final = 64
"""Clients of an update that are too few to get in each other's way."""

_FEW_RIVALS: Final = 8
"""Clients that may write at one place at once without it counting."""

_RIVALS: Final = 100
"""So many structs that others wrote at its place are as much work to a struct as a struct: 10 µs."""


class _Struct(NamedTuple):
    """A struct of the update.

    Attributes:
        client: the Yjs client that wrote it.
        clock: its first clock.
        end: the clock behind it.
        data: its bytes.
        kind: what it holds.
        beside: the ids of its neighbours.
        parent: the id of the shared type that it names.
        work: how many things it is.
    """

    client: int
    clock: int
    end: int
    data: bytes
    kind: int
    beside: tuple[Id, ...]
    parent: Id | None
    work: int


@dataclass(slots=True)
class _Record:
    """Structs that are made together, as far as they have been read.

    Attributes:
        types: the shared types among them.
        clocks: per client, the first clock of each.
        inside: per client, whether each is in one of the types.
    """

    types: set[Id] = field(default_factory=set[Id])
    clocks: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    inside: dict[int, list[bool]] = field(default_factory=dict[int, list[bool]])

    def has(self, struct: _Struct) -> bool:
        """Whether a struct is in a shared type of the record."""
        if struct.parent is not None:
            return struct.parent in self.types
        for client, clock in struct.beside:
            clocks = self.clocks.get(client)
            at = bisect_right(clocks, clock) - 1 if clocks else -1
            if at >= 0:
                return self.inside[client][at]
        return False

    def add(self, struct: _Struct, *, is_inside: bool) -> None:
        """Add a struct."""
        self.clocks.setdefault(struct.client, []).append(struct.clock)
        self.inside.setdefault(struct.client, []).append(is_inside)
        if struct.kind == TYPE:
            self.types.add((struct.client, struct.clock))


def split_work(update: bytes, header: UpdateHeader, most: int = AT_ONCE, others: int = 0) -> Iterator[bytes | None]:
    """Split an update into smaller ones that must be applied in their order.

    Args:
        update: in Yjs's update format, version 1.
        header: its header.
        most: structs, values and deletions of a part; of one in which a record alone is larger, twice as many.
        others: how many clients have written in the document.

    Yields:
        The parts, or the update itself where it is one; None where others should have their turn.
    """
    clients: dict[int, Client] = {}
    reader = lib0.Reader(update)
    yield from find_clients(reader, clients)
    deletions = yield from _sorted(header, clients, most)
    part: list[_Struct] = []
    work = border = before = parts = 0
    record = _Record()
    rivals = _Rivals(others) if len(clients) > _FEW_CLIENTS else None
    for number, struct in enumerate(in_order(clients, partial(_follow, lib0.Reader(update), clients, most)), 1):
        if not number % AT_ONCE:
            yield None
        is_inside = record.has(struct)
        if rivals is not None:
            struct = struct._replace(work=struct.work + rivals.work_of(struct))
        if not is_inside:
            record, border, before = _Record(), len(part), work
        if work + struct.work > (2 * most if is_inside and not border else most) and part:
            cut, done = (border, before) if is_inside and border else (len(part), work)
            yield from deletions.encode(part[:cut])
            del part[:cut]
            parts += 1
            work, border, before = work - done, 0, 0
        record.add(struct, is_inside=is_inside)
        part.append(struct)
        work += struct.work
    if not parts and work + len(header.deletes) <= 2 * most:
        yield update
        return
    yield from deletions.encode(part)
    yield from deletions.rest()


class _Rivals:
    """Counts what many clients write at one place, none having seen the others: each is put in its place among all.

    Args:
        others: how many clients have written in the document, and may have done it there.
    """

    def __init__(self, others: int) -> None:
        self._others = others
        self._places: dict[bytes, int] = {}

    def work_of(self, struct: _Struct) -> int:
        """How much more work a struct is."""
        if struct.beside or struct.kind in (GC, SKIP):
            return 0
        place, _ = read_place(lib0.Reader(struct.data))
        found = self._places[place] = self._places.get(place, -1) + 1
        return (found + self._others) // _RIVALS if found > _FEW_RIVALS else 0


class _Deletions:
    """The deletions of an update, with those of its own clocks by client.

    Args:
        own: those, in order.
        others: the rest.
        most: how many go into one update.
    """

    def __init__(self, own: Mapping[int, Sequence[tuple[int, int]]], others: list[Span], most: int) -> None:
        self._most = most
        self._own = own
        self._others = others

    def encode(self, structs: Iterable[_Struct]) -> Iterator[bytes]:
        """Encode structs as an update, with the deletions of their clocks; what is too much of these follows it."""
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
            yield join((lib0.uint(count), *out, encode_deletions(gone[: self._most])))
            gone = gone[self._most :]
        yield from self._encode(gone)

    def rest(self) -> Iterator[bytes]:
        """Encode the deletions of what was there before the update."""
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


def _sorted(header: UpdateHeader, clients: Mapping[int, Client], most: int) -> Generator[None, None, _Deletions]:
    """Tell the deletions of an update's own clocks from the others."""
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
    """Return ranges in order, those that overlap as one."""
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
    most: int,
    client: Client,
    _: int,
    following: Container[int],
) -> tuple[Iterable[_Struct], Id | None]:
    """Move a client on by one struct, or tell what it stands on and is still to come; see `in_order`.

    A list of many values or large ones, and a very long text, is given in parts. What stands on itself, by way of
    others, is let through.
    """
    reader.at = client.at
    struct = _read(reader, client)
    for of, clock in struct.beside if struct.parent is None else (struct.parent,):
        if of not in following and of in clients and clients[of].left and clients[of].clock <= clock:
            return (), (of, clock + 1)
    client.at, client.clock, client.left = reader.at, struct.end, client.left - 1
    if struct.work <= most or struct.data[0] & KEY:  # of what is at a key only the last is there
        return (struct,), None
    if struct.kind == STRING:
        return _cut_text(struct, most << _TEXT_BITS), None
    return _cut(struct, most) if struct.kind == ANY and struct.end - struct.clock > 1 else (struct,), None


def _read(reader: lib0.Reader, client: Client) -> _Struct:
    """Read the next struct of a client."""
    start, counted, info = reader.at, reader.counted, reader.byte()
    kind = info & KIND
    beside: tuple[Id, ...] = ()
    parent: Id | None = None
    is_measured = False
    if kind in (GC, SKIP):
        length = reader.uint()
    else:
        if info & LEFT:
            beside = ((reader.uint(), reader.uint()),)
        if info & RIGHT:
            beside = (*beside, (reader.uint(), reader.uint()))
        if not beside:
            if reader.uint():
                reader.skip(reader.uint())
            else:
                parent = reader.uint(), reader.uint()
            if info & KEY:
                reader.skip(reader.uint())
        content = reader.at
        length = skip_content(reader, kind)
        is_measured = content in reader.ends
    data = cut(reader.data, start, reader.at) if is_measured else reader.data[start : reader.at]
    work = 1 + reader.counted - counted + (len(data) >> _TEXT_BITS)
    return _Struct(client.id, client.clock, client.clock + length, data, kind, beside, parent, work)


def _cut(struct: _Struct, most: int) -> Iterator[_Struct]:
    """Cut a list of many values between them; one value can't be cut."""
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
            if values and more + values > 2 * most:  # a large value comes alone
                reader.at = at
                break
            values += 1
            work = values + more
        if not values:
            return
        data = join((place + lib0.uint(values), cut(struct.data, start, reader.at)))
        yield _Struct(struct.client, clock, clock + values, data, ANY, struct.beside, struct.parent, work)
        clock += values
        place = bytes((info,)) + lib0.uint(struct.client) + lib0.uint(clock - 1) + right


def _cut_text(struct: _Struct, most: int) -> Iterator[_Struct]:
    """Cut a long text between its characters, after so many bytes each."""
    reader = lib0.Reader(struct.data)
    place, right = read_place(reader)
    info, clock, text = struct.data[0] | LEFT, struct.clock, reader.buffer()
    at = 0
    while at < len(text):
        end = end_of_text(text, at + most, len(text))
        part, at = text[at:end], end
        behind = clock + utf16_length(part)
        data, work = place + lib0.buffer(part), 1 + (len(part) >> _TEXT_BITS)
        yield _Struct(struct.client, clock, behind, data, STRING, struct.beside, struct.parent, work)
        clock = behind
        place = bytes((info,)) + lib0.uint(struct.client) + lib0.uint(clock - 1) + right
