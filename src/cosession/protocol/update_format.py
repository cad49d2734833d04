"""The update format, version 1: what an update is made of, and how to move over its parts without keeping them.

    update     = client count, per client: struct count, client id, first clock, structs; then the delete set
    struct     = info byte (low five bits: the kind of its content; then three flags),
                 left id if `LEFT`, right id if `RIGHT`; with neither, its parent: 1 and a root's name, or 0 and an
                 id, then its key there if `KEY`; content. `GC` and `SKIP` are a length alone
    id         = client, clock
    delete set = client count, per client: client id, range count, ranges of (clock, length)

Lengths are in Yjs units, clocks: a string counts its UTF-16 units. Four read it: `header` what an update stands on,
`structs` what it would do; `pieces` and `sections` cut it into several. Source: the `yjs` package.
"""

from typing import Final

from cosession.errors import MalformedFrame

from . import lib0

KIND: Final = 0x1F
KEY: Final = 0x20
RIGHT: Final = 0x40
LEFT: Final = 0x80

GC: Final = 0
DELETED: Final = 1
JSON: Final = 2
"""Of old versions of Yjs; yrs reads a value more than there are, and goes on in the wrong place."""
BINARY: Final = 3
STRING: Final = 4
EMBED: Final = 5
FORMAT: Final = 6
TYPE: Final = 7
ANY: Final = 8
SUBDOCUMENT: Final = 9
SKIP: Final = 10

MAX_DEPTH: Final = 100
"""Nesting of a JSON-like value: deeper than any document needs, and shallower than the interpreter's stack."""

_XML_ELEMENT: Final = 3
_TYPES: Final = (0, 1, 2, _XML_ELEMENT, 4, 6)
"""Array, Map, Text, XML element, fragment and text. A hook (5) isn't known to yrs, which would read on in the
wrong place; at any other every browser throws."""


def skip_struct(reader: lib0.Reader, info: int, needs: dict[int, int]) -> int:
    """Move over one struct, note what it refers to, and return its length."""
    kind = info & KIND
    if kind in (GC, SKIP):
        return reader.uint()
    if info & LEFT:
        _note_need(reader, needs)
    if info & RIGHT:
        _note_need(reader, needs)
    if not info & (LEFT | RIGHT):
        match reader.uint():
            case 1:
                reader.skip(reader.uint())
            case 0:
                _note_need(reader, needs)
            case _:
                raise MalformedFrame("A struct's parent is neither a root nor an item.")
        if info & KEY:
            reader.skip(reader.uint())
    return skip_content(reader, kind)


def _note_need(reader: lib0.Reader, needs: dict[int, int]) -> None:
    client = reader.uint()
    end = reader.uint() + 1
    if end > needs.get(client, 0):
        needs[client] = end


def skip_content(reader: lib0.Reader, kind: int) -> int:
    """Move over a struct's content, and return how many clocks it takes."""
    if kind == STRING:  # by far the commonest, so the first
        return utf16_length(reader.buffer())
    if kind == ANY:
        count = reader.count()
        for _ in range(count):
            skip_any(reader, 0)
        return count
    if kind == DELETED:
        return reader.uint()
    if kind == JSON:
        count = reader.count()
        for _ in range(count):
            reader.skip(reader.uint())
        return count
    if kind in (BINARY, EMBED):
        reader.skip(reader.uint())
    elif kind == FORMAT:
        reader.skip(reader.uint())
        reader.skip(reader.uint())
    elif kind == TYPE:
        kind_of_type = reader.uint()
        if kind_of_type not in _TYPES:
            raise MalformedFrame(f"An update holds a shared type {kind_of_type}, which not every client knows.")
        if kind_of_type == _XML_ELEMENT:  # it has a name
            reader.skip(reader.uint())
    elif kind == SUBDOCUMENT:
        reader.skip(reader.uint())
        skip_any(reader, 0)
    else:
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
    if depth > MAX_DEPTH:
        raise MalformedFrame(f"An update holds a value nested deeper than {MAX_DEPTH}.")
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
