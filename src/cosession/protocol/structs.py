"""The structs of an update, one by one: the kind of each, the place that it names, and its content.

The header (`header.py`) holds the clocks that an update brings; this module reads their content. It has no document,
so the caller must check that the structs that one depends on exist.
"""

import json
import struct as binary
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cosession.errors import MalformedFrame

from . import lib0
from .json_text import MAX_DEPTH
from .update_format import (
    ANY,
    BINARY,
    GC,
    JSON,
    KEY,
    KIND,
    LEFT,
    RIGHT,
    SKIP,
    STRING,
    TYPE,
    skip_content,
    utf16_length,
)

Id = tuple[int, int]
"""A client and one of its clocks."""

_HOLD_VALUES: Final = frozenset({ANY, JSON, BINARY})
_ONE_TEXT: Final = b"\x01\x77"
"""The first bytes of a content that is one string, as most values are."""
_SIZES: Final = {127: 0, 126: 0, 121: 0, 120: 0, 124: 4, 123: 8, 122: 8}
"""The bytes of a value, by type, for types of a fixed size."""

_SIMPLE: Final[dict[int, Any]] = {127: None, 126: None, 121: False, 120: True}
_FLOATS: Final = {124: binary.Struct(">f"), 123: binary.Struct(">d"), 122: binary.Struct(">q")}


@dataclass(slots=True)
class Struct:
    """One struct: a run of clocks of one client.

    Attributes:
        client: its Yjs client.
        clock: its first clock.
        length: the number of its clocks.
        kind: the kind of its content: `GC` and the other kinds of `update_format`.
        left: the id that it was written behind, if any.
        right: the id that it was written before, if any.
        parent: the root's name or the id of the shared type that it is in; None if `left` or `right` is set.
        key: its key, where the parent is written and it has one.
        type: of a shared type: 0 array, 1 map, 2 text, 3 XML element, 4 XML fragment, 5 XML hook, 6 XML text.
        content: the offset of its content in the update.
    """

    client: int
    clock: int
    length: int
    kind: int
    left: Id | None
    right: Id | None
    parent: str | Id | None
    key: str | None
    type: int
    content: int


def read_structs(update: bytes) -> Iterator[Struct]:
    """Read the structs of an update (version 1), in its order. Hot: it does without a reader's calls where it can.

    Args:
        update: the update; its header was read, so it is one whole update.

    Raises:
        MalformedFrame: it isn't one whole update.
    """
    try:
        clients, at = _uint(update, 0)
        for _ in range(clients):
            count, at = _uint(update, at)
            start = at
            client, at = _uint(update, at)
            encoded = update[start:at]
            clock, at = _uint(update, at)
            for _ in range(count):
                if update[at] & KIND == SKIP:
                    length, at = _uint(update, at + 1)
                    clock += length
                    continue
                struct, at = _struct(update, at, client, clock, encoded)
                clock += struct.length
                yield struct
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedFrame("An update ends in the middle, or holds text that is not UTF-8.") from error


def read_values(update: bytes, struct: Struct) -> list[Any]:
    """Return the values of a struct, as plain JSON; bytes as `bytes`. A text or a shared type has none.

    Raises:
        MalformedFrame: it doesn't follow the format.
    """
    if struct.kind not in _HOLD_VALUES:
        return []
    reader = lib0.Reader(update)
    if struct.kind == ANY and update.startswith(_ONE_TEXT, struct.content):
        reader.at = struct.content + len(_ONE_TEXT)
        return [reader.string()]
    reader.at = struct.content
    if struct.kind == ANY:
        return [_value(reader, 0) for _ in range(reader.uint())]
    if struct.kind == JSON:
        return [_json(reader.string()) for _ in range(reader.uint())]
    return [reader.buffer()]


def _uint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at an offset, and the offset behind it."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    number, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + 1
        shift += 7


def _id(data: bytes, at: int, client: int, encoded: bytes) -> tuple[Id, int]:
    """Return the id at an offset, and the offset behind it; most ids are of the struct's own client."""
    if data.startswith(encoded, at):
        clock, end = _uint(data, at + len(encoded))
        return (client, clock), end
    of, at = _uint(data, at)
    clock, end = _uint(data, at)
    return (of, clock), end


def _struct(data: bytes, at: int, client: int, clock: int, encoded: bytes) -> tuple[Struct, int]:
    """Return the struct at an offset, and the offset behind it."""
    info = data[at]
    kind = info & KIND
    left: Id | None = None
    right: Id | None = None
    parent: str | Id | None = None
    key: str | None = None
    if kind == GC:
        length, end = _uint(data, at + 1)
        return Struct(client, clock, length, GC, None, None, None, None, 0, 0), end
    at += 1
    if info & LEFT:
        left, at = _id(data, at, client, encoded)
    if info & RIGHT:
        right, at = _id(data, at, client, encoded)
    if not info & (LEFT | RIGHT):
        is_root, at = _uint(data, at)
        if is_root == 1:
            size, at = _uint(data, at)
            parent, at = data[at : at + size].decode(), at + size
        else:
            parent, at = _id(data, at, client, encoded)
        if info & KEY:
            size, at = _uint(data, at)
            key, at = data[at : at + size].decode(), at + size
    length, end = _content(data, at, kind)
    type = _uint(data, at)[0] if kind == TYPE else 0  # noqa: A001 - the field's name
    return Struct(client, clock, length, kind, left, right, parent, key, type, at), end


def _content(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Return the number of clocks of the content at an offset, and the offset behind it."""
    if kind == STRING:
        size, start = _uint(data, at)
        return utf16_length(data[start : start + size]), start + size
    if kind == ANY and data[at] == 1:
        if data[at + 1] == _ONE_TEXT[1]:
            size, start = _uint(data, at + 2)
            return 1, start + size
        if data[at + 1] in _SIZES:
            return 1, at + 2 + _SIZES[data[at + 1]]
    reader = lib0.Reader(data)
    reader.at = at
    return skip_content(reader, kind), reader.at


def _json(text: str) -> Any:
    try:
        return None if text == "undefined" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("An update holds a JSON value that is none.") from error


def _value(reader: lib0.Reader, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise MalformedFrame(f"An update holds a value nested deeper than {MAX_DEPTH}.")
    match reader.byte():
        case 127 | 126 | 121 | 120 as simple:
            return _SIMPLE[simple]
        case 125:
            return _signed(reader)
        case 124 | 123 | 122 as number:
            packed = _FLOATS[number]
            return packed.unpack(reader.take(packed.size))[0]
        case 119:
            return reader.string()
        case 116:
            return reader.buffer()
        case 118:
            return {reader.string(): _value(reader, depth + 1) for _ in range(reader.uint())}
        case 117:
            return [_value(reader, depth + 1) for _ in range(reader.uint())]
        case other:
            raise MalformedFrame(f"An update holds a value of type {other}, which the format does not have.")


def _signed(reader: lib0.Reader) -> int:
    """Read a signed integer: a sign bit and six bits, then seven bits a byte."""
    first = reader.byte()
    number = first & 0x3F
    if first & 0x80:
        number |= reader.uint() << 6
    return -number if first & 0x40 else number
