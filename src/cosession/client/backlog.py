"""A backlog: an update split into small pieces that a server accepts; a record that fits is never split. No I/O.

A piece ends where a record of one client ends: the content of a shared type stays in the piece that creates the type,
so a server that checks a message sees it whole. A piece includes the deletions of its own clocks, so a message that
was written and deleted again is never visible.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from cosession.errors import TooLarge
from cosession.protocol import EMPTY_UPDATE, Limits, lib0, read_update_header, split_update
from cosession.protocol.update_format import GC, KEY, KIND, LEFT, RIGHT, SKIP, TYPE, skip_content

PIECE_BYTES = 128 * 2**10
"""The size of a piece: a slow connection sends it in seconds, and other frames are sent between pieces."""

_AT_ONCE = 250
"""The number of structs that are read in one step: about a millisecond."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Structs of one client that go together.

    Attributes:
        structs: their number.
        clock: the first of their clocks.
        end: the clock after them.
        data: their bytes.
    """

    structs: int
    clock: int
    end: int
    data: bytes


@dataclass(slots=True)
class _Record:
    """The structs that are made together, as far as they have been read.

    Attributes:
        start: their offset in the update.
        clock: the first of their clocks.
        structs: their number.
        types: the clocks of the shared types among them.
        clocks: the first clock of each.
        inside: for each, the clock of the type that it is in.
    """

    start: int
    clock: int
    structs: int = 0
    types: set[int] = field(default_factory=set[int])
    clocks: list[int] = field(default_factory=list[int])
    inside: list[int | None] = field(default_factory=list[int | None])

    def parent_of(self, clock: int) -> int | None:
        """Return the clock of the type that contains a clock; None where that type isn't in this record."""
        at = bisect_right(self.clocks, clock) - 1
        return self.inside[at] if at >= 0 else None


def piece_bytes(limits: Limits) -> int:
    """Return the largest size of a piece, small enough even if each of its bytes counts as a struct."""
    return min(PIECE_BYTES, limits.frame_bytes // 2, limits.structs // 2)


def pieces_of(update: bytes, limits: Limits) -> Iterator[bytes]:
    """Split an update of one client into updates that are applied in their order.

    A struct that can't be split is returned as it is, even if it is larger than the server accepts.

    Args:
        update: in Yjs's update format, version 1; it contains structs of one client at most.
        limits: the limits of the server.

    Yields:
        The pieces; an empty update where the work has taken a while and other tasks should run.
    """
    most = piece_bytes(limits)
    reader = lib0.Reader(update)
    client, pieces = 0, list[_Piece]()
    for _ in range(reader.uint()):
        structs, client = reader.uint(), reader.uint()
        for piece in _pieces_in(reader, client, structs, most):
            if piece is None:
                yield EMPTY_UPDATE
            else:
                pieces.append(piece)
    own: list[tuple[int, int]] = []
    others: list[tuple[int, int, int]] = []
    for count, (of, clock, end) in enumerate(_deletions(reader), 1):
        if pieces and of == client and end > pieces[0].clock:
            own.append((max(clock, pieces[0].clock), end))
        if not pieces or of != client or clock < pieces[0].clock:
            others.append((of, clock, min(end, pieces[0].clock) if pieces and of == client else end))
        if not count % _AT_ONCE:
            yield EMPTY_UPDATE
    starts = [clock for clock, _ in own]
    for piece in pieces:
        first = max(bisect_right(starts, piece.clock) - 1, 0)
        spans = own[first : bisect_left(starts, piece.end)]
        inside = [(max(clock, piece.clock), min(end, piece.end)) for clock, end in spans]
        yield from _within(_encode(client, piece, [one for one in inside if one[0] < one[1]]), limits)
    at = 0
    while at < len(others):
        yield _encode_deletions(others[at : at + most // 16])
        at += most // 16


def fits(update: bytes, limits: Limits) -> bool:
    """Return whether a server accepts an update in one frame."""
    if len(update) + 16 > limits.frame_bytes:
        return False
    if len(update) <= limits.structs:  # each counted item has at least one byte
        return True
    try:
        read_update_header(update, limits.structs)
    except TooLarge:
        return False
    return True


def _within(update: bytes, limits: Limits) -> Iterator[bytes]:
    """Yield a piece as it is; split a single record that is too large where that is possible."""
    if fits(update, limits):
        yield update
    else:
        yield from split_update(update, piece_bytes(limits))


def _pieces_in(reader: lib0.Reader, client: int, structs: int, most: int) -> Iterator[_Piece | None]:
    """Group whole records up to a size; yield None where other tasks should run."""
    clock = reader.uint()
    start, first, count = reader.at, clock, 0
    record = _Record(reader.at, clock)
    for number in range(1, structs + 1):
        at = reader.at
        inside, length, is_type = _read(reader, client, record)
        if inside is None:
            if count and reader.at - start > most:  # the next record would make it too large
                yield _Piece(count, first, clock, reader.data[start:at])
                start, first, count = at, clock, 0
            record = _Record(at, clock)
        elif record.start > start and reader.at - start > most:
            before = count - record.structs
            yield _Piece(before, first, record.clock, reader.data[start : record.start])
            start, first, count = record.start, record.clock, record.structs
        record.clocks.append(clock)
        record.inside.append(inside)
        if is_type:
            record.types.add(clock)
        record.structs += 1
        count += 1
        clock += length
        if not number % _AT_ONCE:
            yield None
    if count:
        yield _Piece(count, first, clock, reader.data[start : reader.at])


def _read(reader: lib0.Reader, client: int, record: _Record) -> tuple[int | None, int, bool]:
    """Read a struct; return the type of this record that contains it, its clocks, and whether it is a type itself."""
    info = reader.byte()
    kind = info & KIND
    if kind in (GC, SKIP):
        return None, reader.uint(), False
    inside: int | None = None
    for flag in (LEFT, RIGHT):
        if info & flag:
            of, clock = reader.uint(), reader.uint()
            if of == client and clock >= record.clock and inside is None:
                inside = record.parent_of(clock)
    if not info & (LEFT | RIGHT):
        if reader.uint():
            reader.skip(reader.uint())
        else:
            of, clock = reader.uint(), reader.uint()
            inside = clock if of == client and clock in record.types else None
        if info & KEY:
            reader.skip(reader.uint())
    return inside, skip_content(reader, kind), kind == TYPE


def _deletions(reader: lib0.Reader) -> Iterator[tuple[int, int, int]]:
    """Yield the deleted ranges: the client, the first clock, and the clock after the last one."""
    for _ in range(reader.uint()):
        client = reader.uint()
        for _ in range(reader.uint()):
            clock = reader.uint()
            yield client, clock, clock + reader.uint()


def _encode(client: int, piece: _Piece, deleted: list[tuple[int, int]]) -> bytes:
    head = b"\x01" + lib0.uint(piece.structs) + lib0.uint(client) + lib0.uint(piece.clock)
    return head + piece.data + _delete_set({client: deleted} if deleted else {})


def _encode_deletions(ranges: list[tuple[int, int, int]]) -> bytes:
    clients: dict[int, list[tuple[int, int]]] = {}
    for client, clock, end in ranges:
        clients.setdefault(client, []).append((clock, end))
    return b"\x00" + _delete_set(clients)


def _delete_set(clients: dict[int, list[tuple[int, int]]]) -> bytes:
    out = [lib0.uint(len(clients))]
    for client, ranges in clients.items():
        out += (lib0.uint(client), lib0.uint(len(ranges)))
        out += (lib0.uint(clock) + lib0.uint(end - clock) for clock, end in ranges)
    return b"".join(out)
