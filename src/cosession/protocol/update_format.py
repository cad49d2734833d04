"""The update format, version 1: the parts of an update, and functions to skip them without keeping them.

    update     = client count, per client: struct count, client id, first clock, structs; then the delete set
    struct     = info byte (low five bits: the kind of its content; then three flags),
                 left id if `LEFT`, right id if `RIGHT`; with neither, its parent: 1 and a root's name, or 0 and an
                 id, then its key there if `KEY`; content. `GC` and `SKIP` are a length alone
    id         = client, clock
    delete set = client count, per client: client id, range count, ranges of (clock, length)

Lengths are in Yjs units, clocks: a string counts its UTF-16 units. Four modules read it: `header` the clocks that an
update depends on, `structs` its content; `pieces` and `sections` cut it into several. Source: the `yjs` package.
"""

import re
from collections.abc import Generator
from typing import Final

from cosession.errors import MalformedFrame

from . import lib0
from .json_text import FORBIDDEN_KEY, MAX_DEPTH, check_json, check_key, count_entries
from .measured import Extent, Values
from .steps import finish

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

MAX_CLOCK: Final = 2**31
"""Where the clocks of a client end: yrs counts them in 32 bits, and lengths and ranges of them are added up."""

_OBJECT: Final = 118
"""The type of a JSON-like value that is an object."""
_LIST: Final = 117
_TEXT: Final = 119
_INTEGER: Final = 125
_BYTES: Final = 116
_FORBIDDEN_SIZE: Final = len(FORBIDDEN_KEY)
"""The size of a key that may be none; others of that size are looked at as well."""
MAP: Final = 1
_XML_ELEMENT: Final = 3
_TYPES: Final = (0, MAP, 2, _XML_ELEMENT, 4, 6)
"""Array, Map, Text, XML element, fragment and text. A hook (5) is unknown to yrs, which would read on at a wrong
offset; any other type makes every browser throw."""

_PLAIN_STRUCTS: Final = (KEY | ANY, KEY | TYPE, TYPE, ANY)
_PLAIN_TYPES: Final = (0, 1, 2)
MINUS_ZERO: Final = 0x40
"""The sign bit of an integer of one byte; from here on it is negative, or minus zero."""
_SIZES: Final = {127: 0, 126: 0, 121: 0, 120: 0, 124: 4, 123: 8}
"""Undefined, null, booleans and floats: how many bytes each has behind its type."""


def run_of(*values: bytes, has_keys: bool = False) -> re.Pattern[bytes]:
    """Return a pattern of `RUN` consecutive values, to read as one: a call for each takes most of a long list's time.

    Args:
        values: patterns of the values, besides short ASCII strings.
        has_keys: whether each has a key before it, ASCII and short.
    """
    key = _short(_FORBIDDEN_SIZE) if has_keys else b""
    return re.compile(b"(?:%b(?:%b|\\x77%b)){%d}" % (key, b"|".join(values), _short(), RUN), re.DOTALL)


def _short(besides: int = -1) -> bytes:
    """A pattern of an ASCII string of up to 16 bytes with its size before it, but for one size."""
    texts = (b"\\x%02x[\\x00-\\x7f]{%d}" % (size, size) for size in range(17) if size != besides)
    return b"(?:%b)" % b"|".join(texts)


RUN: Final = 64
"""Values that are read as one where possible."""

_NUMBER: Final = rb"[\x80-\xff]{0,8}[\x00-\x7f]"
_BESIDE: Final = b"(?:(?:\\x81|\\xc1%b%b)%b%b%b|(?:\\x84|\\xc4%b%b)%b%b%b)" % (*(_NUMBER,) * 9, _short())
EDITED: Final = re.compile(b"%b{%d}" % (_BESIDE, RUN), re.DOTALL)
"""A pattern of `RUN` consecutive structs of a text with many edits: each beside others, a short text or deleted."""

_STEP: Final = 2_000
"""Values that are read in one step: up to a microsecond each."""

_STEP_BYTES: Final = 2**20
"""Bytes of a text that are read in one step."""

_RUN_WORK: Final = 16
"""The work of reading `RUN` values as one, in values."""

PLAIN: Final = rb"[\x78\x79\x7e\x7f]"
FLOAT: Final = rb"\x7c.{4}|\x7b.{8}"
_NUMBERS: Final = (rb"\x7d(?:[\x00-\x7f]|[\x80-\xff]{1,5}[\x01-\x7f])", rb"\x7a.{8}")
_VALUES: Final = run_of(PLAIN, FLOAT, *_NUMBERS)
_ENTRIES: Final = run_of(PLAIN, FLOAT, *_NUMBERS, has_keys=True)


def skip_struct(reader: lib0.Reader, info: int, needs: dict[int, int], *, strict: bool = False) -> int:
    """Skip one struct, note the clocks that it refers to, and return its length.

    Args:
        reader: behind the struct's info byte.
        info: that byte.
        needs: gets, per client, the first clock after those that it refers to.
        strict: whether to check every key and value in it, and not only find its end.

    Raises:
        MalformedFrame: it doesn't follow the format; if strict, also: it holds content that some readers read
            otherwise.
    """
    kind = info & KIND
    if kind in (GC, SKIP):
        if info != kind:
            raise MalformedFrame("A struct that is collected or skipped has flags; send a document's own updates.")
        return reader.uint()
    skip_place(reader, info, needs, strict=strict)
    return skip_content(reader, kind, strict=strict)


def skip_place(reader: lib0.Reader, info: int, needs: dict[int, int], *, strict: bool = False) -> None:
    """Skip the place that a struct names: its neighbours, or its parent and key; see `skip_struct`."""
    if info & LEFT:
        _note_need(reader, needs)
    if info & RIGHT:
        _note_need(reader, needs)
    if not info & (LEFT | RIGHT):
        match reader.uint():
            case 1:
                _skip_key(reader, strict)
            case 0:
                _note_need(reader, needs)
            case _:
                raise MalformedFrame("A struct's parent is neither a root nor an item.")
        if info & KEY:
            _skip_key(reader, strict)


def skip_plain(reader: lib0.Reader, info: int, own: bytes) -> int:
    """Skip a struct of the commonest shape in messages and state, in a fifth of the time.

    That shape: in a type of its own client, under a key or first in a list or text, a new type, a short string, or a
    plain value that the CRDT library encodes unchanged. It is checked as by `skip_struct`.

    Args:
        reader: behind the struct's info byte; it stays there when the struct is of another shape.
        info: that byte.
        own: the encoded id of the client that wrote it.

    Returns:
        the clock of the type that it is in, or -1 for another shape. It takes one clock.
    """
    if info not in _PLAIN_STRUCTS:
        return -1
    data, start = reader.data, reader.at
    at = start
    try:
        if data[at] or not data.startswith(own, at + 1):
            return -1
        at += 1 + len(own)
        parent = data[at]
        at += 1
        if parent >= 0x80:
            reader.at = at - 1
            parent = reader.uint()
            at, reader.at = reader.at, start
        if info & KEY:
            size = data[at]
            if size >= 0x80 or size == _FORBIDDEN_SIZE or not data[at + 1 : at + 1 + size].isascii():
                return -1
            at += 1 + size
        kind = data[at]
        if info & KIND == TYPE:
            if kind not in _PLAIN_TYPES:
                return -1
            at += 1
        else:
            value = data[at + 1]
            if kind != 1:  # as many values
                return -1
            if value == _TEXT:
                size = data[at + 2]
                if size >= 0x80 or not data[at + 3 : at + 3 + size].isascii():
                    return -1
                at += 3 + size
            elif value in _SIZES:
                at += 2 + _SIZES[value]
            elif value == _INTEGER and data[at + 2] < MINUS_ZERO:
                at += 3
            else:
                return -1
            reader.spend(1)
    except IndexError:
        return -1
    if at > reader.end:
        return -1
    reader.at = at
    return parent


def check_clock(end: int) -> int:
    """Return the clock at which something ends, if a document can hold it.

    Raises:
        MalformedFrame: it is beyond `MAX_CLOCK`.
    """
    if end > MAX_CLOCK:
        raise MalformedFrame(f"A clock is beyond {MAX_CLOCK}; start from a fresh document.")
    return end


def _note_need(reader: lib0.Reader, needs: dict[int, int]) -> None:
    client = reader.uint()
    end = reader.uint() + 1
    if end > needs.get(client, 0):
        needs[client] = check_clock(end)


def _skip_key(reader: lib0.Reader, strict: bool) -> None:
    """Skip the name of a root, or a key."""
    if strict:
        check_key(reader.string())
    else:
        reader.skip(reader.uint())


def _skip_text(reader: lib0.Reader, strict: bool) -> None:
    """Skip a string."""
    if strict:
        reader.string()
    else:
        reader.skip(reader.uint())


def _skip_json(reader: lib0.Reader, strict: bool, what: str) -> None:
    """Skip a JSON text."""
    if strict:
        check_json(reader.buffer(), what)
    else:
        reader.skip(reader.uint())


def skip_content(reader: lib0.Reader, kind: int, *, strict: bool = False) -> int:
    """Skip a struct's content, and return the number of its clocks; see `skip_struct`."""
    if reader.ends and (known := reader.ends.get(reader.at)) is not None:
        reader.pass_over()
        return known.clocks
    if kind == STRING:  # by far the commonest, so the first
        return utf16_length(reader.buffer())
    if kind == ANY:
        count = reader.count()
        if count == 1:
            skip_any(reader, 0, strict=strict)
        else:
            finish(_skip_values(reader, count, 0, is_object=False, strict=strict))
        return count
    if kind == DELETED:
        return reader.uint()
    if kind == JSON:
        count = reader.count()
        for _ in range(count):
            reader.skip(reader.uint())
        return count
    if kind == BINARY:
        reader.skip(reader.uint())
    elif kind == EMBED:
        _skip_json(reader, strict, "An embed")
    elif kind == FORMAT:
        _skip_key(reader, strict)
        _skip_json(reader, strict, "A format's value")
    elif kind == TYPE:
        kind_of_type = reader.uint()
        if kind_of_type not in _TYPES:
            raise MalformedFrame(f"An update holds a shared type {kind_of_type}, which not every client knows.")
        if kind_of_type == _XML_ELEMENT:  # it has a name
            _skip_text(reader, strict)
    elif kind == SUBDOCUMENT:
        _skip_text(reader, strict)
        if strict and reader.peek() != _OBJECT:
            raise MalformedFrame("A subdocument's options are no object, and a browser throws at them.")
        skip_any(reader, 0, strict=strict)
    else:
        raise MalformedFrame(f"An update holds content of type {kind}, which the format does not have.")
    return 1


def skip_content_in_steps(
    reader: lib0.Reader, info: int, values: Values, *, strict: bool = True
) -> Generator[None, None, int]:
    """Skip a struct's content in steps, and return the number of its clocks.

    Args:
        reader: before the content.
        info: the struct's info byte.
        values: collects the sizes of the values in it.
        strict: whether to check every key and value in it; see `skip_struct`.
    """
    kind, start, before = info & KIND, reader.at, reader.counted
    if start in reader.ends:
        values.add(start, reader.ends[start])
        return skip_content(reader, kind)
    size = entries = 0
    if kind == ANY:
        length = reader.count()
        own = Values(ends=values.ends, most_size=values.most_size)
        entries = yield from _skip_values(reader, length, 0, is_object=False, strict=strict, values=own)
        if not info & KEY or length == 1:  # several values at a key stay together
            size, entries = own.size, own.entries
    elif kind in (EMBED, FORMAT):
        length = 1
        at = start
        if kind == FORMAT:
            _skip_key(reader, strict)
            at = reader.at
        reader.skip(reader.uint())
        if reader.at - at <= values.most_size:
            entries = count_entries(reader.data, at, reader.at, values.most_entries)
        if entries <= values.most_entries and reader.at - at <= values.most_size:
            reader.at = at
            _skip_json(reader, strict, what="An embed" if kind == EMBED else "A format's value")
    elif kind == STRING:
        length = yield from _utf16_length_in_steps(reader)
    else:
        length = skip_content(reader, kind, strict=strict)
    if not size and (kind not in (ANY, STRING) or info & KEY):
        size = reader.at - start
    values.add(start, Extent(reader.at, reader.counted - before, size, entries, length))
    return length


def _skip_large(reader: lib0.Reader, most: int) -> bool:
    """Skip a string if it is larger than allowed."""
    start = reader.at
    reader.at = start + 1
    size = reader.uint()
    if size > most:
        reader.skip(size)
        return True
    reader.at = start
    return False


def _utf16_length_in_steps(reader: lib0.Reader) -> Generator[None, None, int]:
    """Skip a text in steps, and count its UTF-16 units."""
    end = reader.uint() + reader.at
    start, length = reader.at, 0
    reader.skip(end - start)
    while start < end:
        if length:
            yield
        until = end_of_text(reader.data, start + _STEP_BYTES, end)
        length += utf16_length(reader.data[start:until])
        start = until
    return length


def end_of_text(text: bytes, at: int, end: int) -> int:
    """Return the end of the character that a text could be cut in, at an offset; at most where the text ends."""
    while at < end and text[at] & 0xC0 == 0x80:
        at += 1
    return min(at, end)


def utf16_length(text: bytes) -> int:
    """Count the UTF-16 units of UTF-8 text: what Yjs counts."""
    if text.isascii():
        return len(text)
    try:
        return len(text.decode().encode("utf-16-le")) // 2
    except UnicodeDecodeError as error:
        raise MalformedFrame("An update holds text that is not UTF-8.") from error


def skip_any(reader: lib0.Reader, depth: int, *, strict: bool = False) -> None:
    """Skip one JSON-like value; see `skip_struct`."""
    if depth > MAX_DEPTH:
        raise MalformedFrame(f"An update holds a value nested deeper than {MAX_DEPTH}; make it flatter.")
    if reader.ends and reader.pass_over():
        return
    match reader.byte():
        case 127 | 126 | 121 | 120:  # undefined, null, false, true
            pass
        case 125:  # a signed integer: a sign bit, six bits, then seven bits a byte
            if reader.byte() & 0x80 and not 0 < reader.uint() <= lib0.MAX_NUMBER >> 6:
                raise MalformedFrame(
                    f"An update holds an integer beyond {lib0.MAX_NUMBER}, or one that is longer than it need be."
                )
        case 124:
            reader.skip(4)
        case 123 | 122:
            reader.skip(8)
        case 119:
            _skip_text(reader, strict)
        case 116:
            reader.skip(reader.uint())
        case 118 | 117 as kind:
            finish(_skip_values(reader, reader.count(), depth + 1, is_object=kind == _OBJECT, strict=strict))
        case other:
            raise MalformedFrame(f"An update holds a value of type {other}, which the format does not have.")


def skip_any_in_steps(reader: lib0.Reader) -> Generator[None, None, None]:
    """Skip one JSON-like value in steps."""
    yield from _skip_values(reader, 1, 0, is_object=False, strict=False)


def _skip_values(
    reader: lib0.Reader, left: int, depth: int, *, is_object: bool, strict: bool, values: Values | None = None
) -> Generator[None, None, int]:
    """Skip the values of an object or a list, which may be very many: so the commonest types are read here.

    Args:
        reader: before the first of them.
        left: the number of values.
        depth: the nesting depth of the values.
        is_object: whether they have keys.
        strict: see `skip_struct`.
        values: collects the extents of long ones.

    Returns:
        The number of keys and values, nested ones included.
    """
    data, known = reader.data, reader.ends
    above: list[tuple[int, bool]] = []
    at, single, work, start, counted, keys = reader.at, 0, 0, 0, reader.counted, 0
    keys_before, before = 0, counted - left
    if is_object:
        keys = left
    try:
        while True:
            if left and depth + len(above) > MAX_DEPTH:
                raise MalformedFrame(f"An update holds a value nested deeper than {MAX_DEPTH}; make it flatter.")
            while left:
                if work >= _STEP:
                    work = 0
                    yield
                if left >= RUN and not single:
                    run = (_ENTRIES if is_object else _VALUES).match(data, at)
                    if run is not None:
                        at, left, work = run.end(), left - RUN, work + _RUN_WORK
                        continue
                    single = RUN  # before the next try
                single -= single > 0
                left -= 1
                work += 1
                if is_object:
                    size = data[at]
                    at += 1 + size
                    if size >= 0x80 or size == _FORBIDDEN_SIZE:
                        reader.at = at - size - 1
                        _skip_key(reader, strict)
                        at = reader.at
                    elif strict:
                        data[at - size : at].decode()
                kind = data[at]
                if kind == _TEXT and data[at + 1] < 0x80:
                    size = data[at + 1]
                    at += 2 + size
                    if strict:
                        data[at - size : at].decode()
                elif kind == _INTEGER and data[at + 1] < 0x80:
                    at += 2
                elif kind in (_OBJECT, _LIST):
                    if not data[at + 1]:
                        at += 2
                        continue
                    reader.at = at
                    if known and reader.pass_over():
                        at = reader.at
                        continue
                    if not above:
                        start, counted, keys_before = at, reader.counted, keys
                    above.append((left, is_object))
                    reader.at = at + 1
                    left, is_object, at = reader.count(), kind == _OBJECT, reader.at
                    if is_object:
                        keys += left
                    break
                elif kind == _BYTES and data[at + 1] < 0x80:
                    at += 2 + data[at + 1]
                else:
                    reader.at = at
                    if values is None or kind != _TEXT or not _skip_large(reader, values.most_size):
                        skip_any(reader, depth + len(above), strict=strict)
                    if values is not None and not above:
                        values.note(at, reader.at, 0, 1)
                    at = reader.at
            else:
                if not above:
                    break
                left, is_object = above.pop()
                if values is not None and not above:
                    inside = reader.counted - counted
                    values.note(start, at, inside, inside + keys - keys_before)
    except IndexError as error:
        raise MalformedFrame("The frame ends in the middle of a value; send it whole.") from error
    except UnicodeDecodeError as error:
        raise MalformedFrame("The frame holds a string that is not UTF-8.") from error
    reader.at = 0
    reader.skip(at)
    return reader.counted - before + keys
