"""The header of an update: which clocks of which clients it brings, needs and deletes, read without a document.

    update     = client count, per client: struct count, client id, first clock, structs; then the delete set
    struct     = info byte (low five bits: content type; 0x80 left origin, 0x40 right origin, 0x20 parent key),
                 origins or parent, content
    delete set = client count, per client: client id, range count, ranges of (clock, length)

A room reads this to know whether an update fits: yrs applies an update that skips clocks and says nothing,
Yjs keeps it waiting, and the two are then different for ever. Lengths are in Yjs units: a string counts its
UTF-16 units. What is read is not frozen, because each token makes some. Source: the update format, version 1, of the
`yjs` package.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from cosession.errors import MalformedFrame

from . import lib0
from .token import read_token

_MAX_DEPTH = 100
"""Nesting of a JSON-like value: deeper than any document needs, and shallower than the interpreter's stack."""

_GC = 0
SKIP = 10
JSON = 2
"""Of old versions of Yjs; yrs reads a value more than there are, and goes on in the wrong place."""
TYPE = 7

_TYPES = (0, 1, 2, 3, 4, 6)
"""Array, Map, Text, XML element, fragment and text. A hook (5) isn't known to yrs, which would read on in the
wrong place; at any other every browser throws."""


@dataclass(slots=True)
class ClockRange:
    """Clocks `clock` to `clock + length - 1` of one client."""

    client: int
    clock: int
    length: int

    @property
    def end(self) -> int:
        """The first clock after the range."""
        return self.clock + self.length


@dataclass(slots=True)
class UpdateHeader:
    """What an update brings and what it stands on.

    Attributes:
        brings: the clocks whose structs it holds, in its order, neighbours joined.
        needs: per client, the first clock after those that its structs refer to.
        deletes: the clocks that it deletes.
        types: how many shared types it makes.
    """

    brings: tuple[ClockRange, ...]
    needs: Mapping[int, int]
    deletes: tuple[ClockRange, ...]
    types: int = 0

    def fits(self, vector: Mapping[int, int]) -> bool:
        """Whether a document with this state vector can integrate all of it at once."""
        known = vector.get
        reach: dict[int, int] = {}
        for span in self.brings:
            have = reach.get(span.client)
            if have is None:
                have = known(span.client, 0)
            if span.clock > have:
                return False
            reach[span.client] = max(span.end, have)
        for client, end in self.needs.items():
            if end > (reach[client] if client in reach else known(client, 0)):
                return False
        for span in self.deletes:
            if span.end > (reach[span.client] if span.client in reach else known(span.client, 0)):
                return False
        return True

    def is_news(self, vector: Mapping[int, int]) -> bool:
        """Whether it brings something, and a document with this state vector holds nothing of that."""
        known = vector.get
        return bool(self.brings) and all(span.clock >= known(span.client, 0) for span in self.brings)

    def is_known(self, vector: Mapping[int, int]) -> bool:
        """Whether a document with this state vector holds every struct of it (deletions aside)."""
        return all(span.end <= vector.get(span.client, 0) for span in self.brings)


def read_update_header(update: bytes, limit: int = sys.maxsize) -> UpdateHeader:
    """Read the header of an update in Yjs's update format, version 1.

    Args:
        update: the update's bytes.
        limit: how many structs, values and deleted ranges it may hold: reading one takes up to a microsecond.

    Raises:
        MalformedFrame: they are not one whole update.
        TooLarge: they hold more than the limit.
    """
    token = read_token(update)
    if token is not None:
        client, clock, length, origin, before = token
        return UpdateHeader((ClockRange(client, clock, length),), {origin: before + 1}, ())
    reader = lib0.Reader(update, limit)
    brings: list[ClockRange] = []
    needs: dict[int, int] = {}
    types = 0
    seen: set[int] = set()
    for _ in range(reader.count()):
        structs = reader.count()
        client = reader.uint()
        if client in seen:
            raise MalformedFrame("An update names a client twice; send a document's own updates.")
        seen.add(client)
        start = clock = reader.uint()
        for _ in range(structs):
            info = reader.byte()
            kind = info & 0x1F
            if kind == SKIP:
                if clock > start:
                    brings.append(ClockRange(client, start, clock - start))
                start = clock = clock + reader.uint()
                continue
            length = skip_struct(reader, info, needs)
            if length == 0:
                raise MalformedFrame("An update holds an empty struct; send a document's own updates.")
            if kind == JSON:
                raise MalformedFrame("An update holds JSON as old versions of Yjs wrote it; set the value anew.")
            types += kind == TYPE
            clock += length
        if clock > start:
            brings.append(ClockRange(client, start, clock - start))
    deletes = _read_delete_set(reader)
    reader.finish()
    return UpdateHeader(tuple(brings), needs, deletes, types)


def decode_state_vector(data: bytes, limit: int = sys.maxsize) -> dict[int, int]:
    """Decode a state vector: per client, how many of its clocks are known.

    Args:
        data: the vector's bytes.
        limit: how many clients it may name.

    Raises:
        MalformedFrame: the bytes are not one.
        TooLarge: they name more clients than the limit.
    """
    reader = lib0.Reader(data, limit)
    vector: dict[int, int] = {}
    for _ in range(reader.count()):
        client = reader.uint()
        vector[client] = reader.uint()
    reader.finish()
    return vector


def encode_state_vector(vector: Mapping[int, int]) -> bytes:
    """Encode a state vector: the inverse of `decode_state_vector`."""
    return lib0.uint(len(vector)) + b"".join(lib0.uint(client) + lib0.uint(clock) for client, clock in vector.items())


def _read_delete_set(reader: lib0.Reader) -> tuple[ClockRange, ...]:
    deletes: list[ClockRange] = []
    for _ in range(reader.count()):
        client = reader.uint()
        for _ in range(reader.count()):
            clock = reader.uint()
            deletes.append(ClockRange(client, clock, reader.uint()))
    return tuple(deletes)


def skip_struct(reader: lib0.Reader, info: int, needs: dict[int, int]) -> int:
    """Move over one struct, note what it refers to, and return its length."""
    kind = info & 0x1F
    if kind == _GC:
        return reader.uint()
    if info & 0x80:
        _note_need(reader, needs)
    if info & 0x40:
        _note_need(reader, needs)
    if not info & 0xC0:
        match reader.uint():
            case 1:
                reader.skip(reader.uint())
            case 0:
                _note_need(reader, needs)
            case _:
                raise MalformedFrame("A struct's parent is neither a root nor an item.")
        if info & 0x20:
            reader.skip(reader.uint())
    return skip_content(reader, kind)


def _note_need(reader: lib0.Reader, needs: dict[int, int]) -> None:
    client = reader.uint()
    end = reader.uint() + 1
    if end > needs.get(client, 0):
        needs[client] = end


def skip_content(reader: lib0.Reader, kind: int) -> int:
    """Move over a struct's content, and return how many clocks it takes."""
    match kind:
        case 4:  # string, by far the commonest, so the first
            text = reader.buffer()
            return utf16_length(text)
        case 8:  # values
            count = reader.count()
            for _ in range(count):
                skip_any(reader, 0)
            return count
        case 1:  # deleted content
            return reader.uint()
        case 2:  # JSON, from old versions
            count = reader.count()
            for _ in range(count):
                reader.skip(reader.uint())
            return count
        case 3 | 5:  # binary, embed
            reader.skip(reader.uint())
        case 6:  # format
            reader.skip(reader.uint())
            reader.skip(reader.uint())
        case 7:  # shared type
            kind_of_type = reader.uint()
            if kind_of_type not in _TYPES:
                raise MalformedFrame(f"An update holds a shared type {kind_of_type}, which not every client knows.")
            if kind_of_type == 3:  # an XML element has a name
                reader.skip(reader.uint())
        case 9:  # subdocument
            reader.skip(reader.uint())
            skip_any(reader, 0)
        case _:
            raise MalformedFrame(f"An update holds content of type {kind}, which the format does not have.")
    return 1


def utf16_length(text: bytes) -> int:
    """Count the UTF-16 units of UTF-8 text: what Yjs counts."""
    if text.isascii():
        return len(text)
    try:
        return len(text.decode().encode("utf-16-le")) // 2
    except UnicodeDecodeError as error:
        raise MalformedFrame("An update holds text that is not UTF-8.") from error


def skip_any(reader: lib0.Reader, depth: int) -> None:
    """Move over one JSON-like value."""
    if depth > _MAX_DEPTH:
        raise MalformedFrame(f"An update holds a value nested deeper than {_MAX_DEPTH}.")
    match reader.byte():
        case 127 | 126 | 121 | 120:  # undefined, null, false, true
            pass
        case 125:  # a signed integer: a sign bit, six bits, then seven bits a byte
            if reader.byte() & 0x80:
                reader.uint()
        case 124:
            reader.skip(4)
        case 123 | 122:
            reader.skip(8)
        case 119 | 116:  # string, byte array
            reader.skip(reader.uint())
        case 118:
            for _ in range(reader.count()):
                reader.skip(reader.uint())
                skip_any(reader, depth + 1)
        case 117:
            for _ in range(reader.count()):
                skip_any(reader, depth + 1)
        case other:
            raise MalformedFrame(f"An update holds a value of type {other}, which the format does not have.")
