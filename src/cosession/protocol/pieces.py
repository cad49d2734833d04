"""One update as many small ones, for connections on which one message would take too long.

A Yjs client counts only whole messages, and disconnects when none came for 30 s: so a large update is sent in pieces.
Applied in their order they give the same document as the update, in Yjs and in yrs:

- Each piece fits when it comes: the structs of one client follow each other without a gap, and the structs that one
  depends on (its neighbours when it was written, its parent) are in an earlier piece, in the same one, or not in the
  update at all. The deletions come last, after all structs that they name.
- A struct larger than a piece is cut where Yjs itself would: a text between two characters (never inside a pair of
  UTF-16 surrogates), a list between two values. The second part has the end of the first as its left neighbour, and
  the same right neighbour. One value, a binary or an embed, can't be cut: its piece is as large as it is.

Work is done as it is asked for, a few hundred structs at a time, and takes the memory of the update and of one piece.
Source: `Item.write` of the `yjs` package.
"""

from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from cosession.errors import MalformedFrame

from . import lib0
from .frames import EMPTY_UPDATE
from .measured import Measured, Values
from .update_format import (
    ANY,
    EDITED,
    JSON,
    KEY,
    KIND,
    LEFT,
    RIGHT,
    RUN,
    STRING,
    end_of_text,
    skip_any,
    skip_content,
    skip_content_in_steps,
    skip_place,
    skip_struct,
    utf16_length,
)

_PART = 4_096
"""Bytes of a text or list that stay together where there are very many deletions."""

_MANY_DELETIONS = 4_096
"""Bytes of deletions alone from which on they count as very many."""

_TRANSACTION = 32
"""Updates that are replayed in one transaction. At its end yrs joins consecutive structs, from behind and with a copy
each: of ten thousand that takes gigabytes. And an index reads its list after each transaction."""

_DELETES_ALONE = b"\x00"
"""The first byte of an update without structs."""

_AT_ONCE = 250
"""Structs that are read in one step: about a millisecond, or two on a busy machine."""

_RUNS = 16
"""How finely a piece is filled: by this part of its size at once."""

_TO_THE_END = 2**53


@dataclass(slots=True)
class Client:
    """The structs of a client that were not returned yet: their number, and the clock and offset of the first."""

    id: int
    left: int
    clock: int
    at: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Structs of one client that follow each other."""

    client: int
    clock: int
    structs: int
    data: bytes


@dataclass(slots=True)
class _Section:
    """The structs of one client in a piece."""

    clock: int
    structs: int = 0
    data: list[bytes] = field(default_factory=list[bytes])


class _Piece:
    """A piece that is being filled."""

    def __init__(self) -> None:
        self.size = 0
        self._sections: dict[int, _Section] = {}
        self._deletes: dict[int, list[bytes]] = {}

    def add(self, run: _Run) -> None:
        """Add a client's next structs."""
        section = self._sections.get(run.client)
        if section is None:
            section = self._sections[run.client] = _Section(run.clock)
        section.structs += run.structs
        section.data.append(run.data)
        self.size += len(run.data)

    def delete(self, client: int, clocks: bytes) -> None:
        """Add a range of deleted clocks."""
        self._deletes.setdefault(client, []).append(clocks)
        self.size += len(clocks)

    def encode(self) -> bytes:
        """Return the piece as an update; the highest clients first, as Yjs writes them and its merging needs them."""
        out = [lib0.uint(len(self._sections))]
        for client, section in sorted(self._sections.items(), reverse=True):
            out += (lib0.uint(section.structs), lib0.uint(client), lib0.uint(section.clock), *section.data)
        out.append(lib0.uint(len(self._deletes)))
        for client, ranges in sorted(self._deletes.items(), reverse=True):
            out += (lib0.uint(client), lib0.uint(len(ranges)), *ranges)
        return b"".join(out)


def split_update(update: bytes, max_bytes: int) -> Iterator[bytes]:
    """Split an update into smaller ones that must be applied in their order.

    Args:
        update: the update, in Yjs's update format, version 1.
        max_bytes: the size of a piece, about; a value that can't be cut may be larger.

    Yields:
        The pieces; an empty update after some work, where other work should run.

    Raises:
        MalformedFrame: it is not one whole update.
    """
    if len(update) <= max_bytes:
        yield update
        return
    reader = lib0.Reader(update)
    clients: dict[int, Client] = {}
    for _ in find_clients(reader, clients):
        yield EMPTY_UPDATE
    piece, work = _Piece(), 0
    for run in in_order(clients, partial(_follow, reader, clients, max_bytes)):
        work += run.structs
        if work > _AT_ONCE:
            yield EMPTY_UPDATE
            work = 0
        for part in _cut(run, max_bytes):
            if piece.size and piece.size + len(part.data) > max_bytes:
                yield piece.encode()
                piece = _Piece()
            piece.add(part)
    reader.at = max((client.at for client in clients.values()), default=reader.at)
    for client, clocks in _deletes(reader):
        work += 1
        if work > _AT_ONCE:
            yield EMPTY_UPDATE
            work = 0
        if piece.size + len(clocks) > max_bytes:
            yield piece.encode()
            piece = _Piece()
        piece.delete(client, clocks)
    yield piece.encode()


def measure_in_steps(update: bytes) -> Generator[None, None, bytes]:
    """Measure in steps the long lists of an update, so that `split_update` skips each at once.

    Returns:
        The same bytes, with the extents of the lists.

    Raises:
        MalformedFrame: it is not one whole update.
    """
    reader, values, needs, work = lib0.Reader(update), Values(), dict[int, int](), 0
    for _ in range(reader.uint()):
        left = alone = reader.uint()
        reader.uint()
        reader.uint()
        while left:
            run = EDITED.match(reader.data, reader.at) if RUN <= left <= alone else None
            if run is not None:
                reader.at = run.end()
                left -= RUN
                work += RUN // 8
            else:
                if left <= alone:
                    alone = left - RUN
                info = reader.byte()
                if info & KIND == ANY:
                    skip_place(reader, info, needs)
                    if reader.data[reader.at : reader.at + 1] == b"\x01" and not _holds_values(reader):
                        skip_content(reader, ANY)
                    else:
                        yield from skip_content_in_steps(reader, info, values, strict=False)
                else:
                    skip_struct(reader, info, needs)
                left -= 1
                work += 1
            if work > _AT_ONCE:
                yield
                work = 0
    return Measured.of(update, values.ends) if values else update


def _holds_values(reader: lib0.Reader) -> bool:
    """Return whether the one value of a content is an object or a list."""
    return reader.data[reader.at + 1 : reader.at + 2] in (b"\x75", b"\x76")


def in_transactions(updates: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Group the updates of a log into the transactions in which they are best replayed.

    Where the library cuts a text, it copies the rest of it. So very many deletions in a long text take a time that
    grows with the square of its length, unless it comes in short parts, in the same transaction as the deletions.

    Args:
        updates: the updates, in their order; one that isn't whole stays as it is.
    """
    many = sum(len(update) for update in updates if update.startswith(_DELETES_ALONE)) > _MANY_DELETIONS
    group: list[bytes] = []
    counted = 0
    for update in updates:
        counts = not (many and update.startswith(_DELETES_ALONE))
        if counts and counted == _TRANSACTION:
            yield group
            group, counted = [], 0
        group.append(_cut_or_left(update) if many else update)
        counted += counts
    if group:
        yield group


def _cut_or_left(update: bytes) -> bytes:
    try:
        return cut_long(update, _PART)
    except MalformedFrame:
        return update


def cut_long(update: bytes, max_bytes: int) -> bytes:
    """Cut the texts and lists of an update that are longer than so many bytes, and change nothing else.

    Args:
        update: the update; its header was read, so it is one whole update.
        max_bytes: the length of a part, about.
    """
    if len(update) <= max_bytes:
        return update
    reader, needs, out, copied = lib0.Reader(update), dict[int, int](), list[bytes](), 0
    for _ in range(reader.uint()):
        start = reader.at
        structs = left = reader.uint()
        count_end = reader.at
        client, clock, parts = reader.uint(), reader.uint(), list[bytes]()
        head, copied_from = update[count_end : reader.at], reader.at
        while left:
            at = reader.at
            length = skip_struct(reader, reader.byte(), needs)
            if reader.at - at > max_bytes:
                parts.append(update[copied_from:at])
                for part in _cut(_Run(client, clock, 1, update[at : reader.at]), max_bytes):
                    parts.append(part.data)
                    structs += 1
                structs -= 1
                copied_from = reader.at
            clock += length
            left -= 1
        if parts:
            out += (update[copied:start], lib0.uint(structs), head, *parts)
            copied = copied_from
    return b"".join((*out, update[copied:])) if out else update


def find_clients(reader: lib0.Reader, clients: dict[int, Client]) -> Iterator[None]:
    """Note the offset of each client's structs; those of the last client aren't read for it."""
    needs: dict[int, int] = {}
    work = 0
    for following in reversed(range(reader.uint())):
        structs = reader.uint()
        client = reader.uint()
        if client in clients:
            raise MalformedFrame("An update names a client twice; send a document's own updates.")
        clock = reader.uint()
        clients[client] = Client(client, structs, clock, reader.at)
        left = alone = structs if following else 0
        while left:
            run = EDITED.match(reader.data, reader.at) if RUN <= left <= alone else None
            if run is not None:  # a call for each takes nearly all of the time of a text with many edits
                reader.at = run.end()
                left -= RUN
                work += RUN // 8
            else:
                if left <= alone:
                    alone = left - RUN
                skip_struct(reader, reader.byte(), needs)
                left -= 1
                work += 1
            if work > _AT_ONCE:
                yield
                work = 0


_Read = TypeVar("_Read")


def in_order(
    clients: Mapping[int, Client],
    follow: Callable[[Client, int, Container[int]], tuple[Iterable[_Read], tuple[int, int] | None]],
) -> Iterator[_Read]:
    """Yield all structs, each after those that it depends on.

    Each client is followed to its end; where a struct depends on another client, that one is followed first, up to
    the needed clock.

    Args:
        clients: those of the update, none of which was followed yet.
        follow: moves a client on, at most to a clock, while some are followed; returns what it read, and the client
            and clock that must be reached first, if there is one.
    """
    for first in clients.values():
        following = {first.id: _TO_THE_END}
        while following:
            id_, until = next(reversed(following.items()))
            client = clients[id_]
            if not client.left or client.clock >= until:
                following.popitem()
                continue
            found, missing = follow(client, until, following)
            yield from found
            if missing is not None:
                following[missing[0]] = missing[1]


def _follow(
    reader: lib0.Reader,
    clients: Mapping[int, Client],
    max_bytes: int,
    client: Client,
    until: int,
    following: Container[int],
) -> tuple[tuple[_Run, ...], tuple[int, int] | None]:
    """Advance a client until a struct depends on a later one (which is returned) or enough structs are collected.

    A struct that seems to depend on itself, through others, is in no valid document; it is let through as it is.
    """
    needs: dict[int, int] = {}
    missing: tuple[int, int] | None = None
    start, clock, structs = client.at, client.clock, client.left
    reader.at = start
    last = max(0, client.left - _AT_ONCE)
    while client.left > last and client.clock < until and reader.at - start <= max_bytes // _RUNS:
        needs.clear()
        length = skip_struct(reader, reader.byte(), needs)
        for id_, end in needs.items():
            if id_ not in following and id_ in clients and clients[id_].left and clients[id_].clock < end:
                missing = id_, end
                break
        if missing is not None:
            break
        if client.at > start and reader.at - start > max_bytes:
            break  # it may have to be cut: it comes alone
        client.at = reader.at
        client.clock += length
        client.left -= 1
    if client.at == start:
        return (), missing
    return (_Run(client.id, clock, structs - client.left, reader.data[start : client.at]),), missing


def _cut(run: _Run, max_bytes: int) -> Iterator[_Run]:
    """Cut a struct that is too large into parts that aren't, if it is of a kind that can be cut."""
    kind = run.data[0] & KIND
    if len(run.data) <= max_bytes or run.structs > 1 or kind not in (JSON, STRING, ANY):
        yield run
        return
    reader = lib0.Reader(run.data)
    place, right = read_place(reader)
    if kind != STRING and reader.peek() == 1:  # one value, which takes long to read
        yield run
        return
    info, clock = run.data[0] | LEFT, run.clock
    parts = _text_parts(reader, max_bytes) if kind == STRING else _list_parts(reader, kind, max_bytes)
    for content, length in parts:
        yield _Run(run.client, clock, 1, place + content)
        clock += length
        place = bytes((info,)) + lib0.uint(run.client) + lib0.uint(clock - 1) + right


def read_place(reader: lib0.Reader) -> tuple[bytes, bytes]:
    """Read what comes before a struct's content: all of it, and its right neighbour alone."""
    info = reader.byte()
    if info & LEFT:
        reader.uint()
        reader.uint()
    right_at = reader.at
    if info & RIGHT:
        reader.uint()
        reader.uint()
    right = reader.data[right_at : reader.at]
    if not info & (LEFT | RIGHT):
        if reader.uint():
            reader.skip(reader.uint())
        else:
            reader.uint()
            reader.uint()
        if info & KEY:
            reader.skip(reader.uint())
    return reader.data[: reader.at], right


def _text_parts(reader: lib0.Reader, max_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Cut a text between code points, each of which is one UTF-16 unit or a pair."""
    text = reader.buffer()
    start = 0
    while start < len(text):
        end = end_of_text(text, start + max_bytes, len(text))
        part = text[start:end]
        yield lib0.buffer(part), utf16_length(part)
        start = end


def _list_parts(reader: lib0.Reader, kind: int, max_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Cut a list between its values."""
    count = reader.uint()
    start, values = reader.at, 0
    for _ in range(count):
        before = reader.at
        if kind == ANY:
            skip_any(reader, 0)
        else:
            reader.skip(reader.uint())
        if values and reader.at - start > max_bytes:
            yield lib0.uint(values) + reader.data[start:before], values
            start, values = before, 0
        values += 1
    yield lib0.uint(values) + reader.data[start:], values


def _deletes(reader: lib0.Reader) -> Iterator[tuple[int, bytes]]:
    """Yield the ranges of the delete set."""
    for _ in range(reader.uint()):
        client = reader.uint()
        for _ in range(reader.uint()):
            at = reader.at
            reader.uint()
            reader.uint()
            yield client, reader.data[at : reader.at]
    reader.finish()
