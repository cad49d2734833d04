"""A page of stock Yjs survives whatever the server takes: an enumeration of contents, values and places.

A throw in the middle of a Yjs transaction ends a page without a word: what is written there is sent to nobody from
then on. So of each odd update either the server refuses it, or both libraries apply, read and encode it.
"""

import base64
import json
import struct
from collections.abc import Iterator

import pytest
from admission.forge import Item, forge
from processes import run_node
from pycrdt import Array, Doc, Map, Text, XmlFragment

from cosession.errors import MalformedFrame
from cosession.protocol import read_update_header
from cosession.protocol.lib0 import buffer, uint
from cosession.protocol.update_format import ANY, BINARY, DELETED, EMBED, FORMAT, GC, STRING, SUBDOCUMENT, TYPE

NAMES = (
    "__proto__", "constructor", "prototype", "toString", "toJSON", "valueOf", "hasOwnProperty", "length", "then", "",
    "\0", "\ufeffk", "é😀", "0", "a" * 2000,
)  # fmt: skip
ROOTS = {"text": Text, "array": Array, "map": Map, "xml": XmlFragment}


def scalars() -> Iterator[bytes]:
    """Values that hold no others, at the ends of their ranges and beyond."""
    yield from (b"\x7f", b"\x7e", b"\x79", b"\x78", b"\x74\x00", b"\x74\x02\x00\xff", b"\x73", b"\x00", b"\x80")
    yield from (
        b"\x7d" + number for number in (b"\x00", b"\x40", b"\x7f", b"\x85\x00", b"\xbf" + uint((2**53 - 1) >> 6))
    )
    yield from (b"\x7d" + number for number in (b"\x80" + uint(2**53 >> 6), b"\xc0" + uint(2**58 >> 6)))
    for number in (0.0, -0.0, 5.0, 0.1, 2.0**53, 5e-324, float("inf"), float("-inf"), float("nan")):
        yield b"\x7b" + struct.pack(">d", number)
        yield b"\x7c" + struct.pack(">f", number)
    yield from (b"\x7a" + number.to_bytes(8, signed=True) for number in (0, 5, -1, 2**63 - 1, -(2**63)))
    yield from (
        b"\x77" + buffer(text) for text in (b"", b"\0", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"__proto__")
    )


def values() -> Iterator[bytes]:
    """Values of every type, with odd keys and deep ones."""
    yield from scalars()
    for name in NAMES:
        for inner in (b"\x7e", b"\x7d\x01", b"\x74\x01\xff", b"\x76\x01\x01a\x7d\x01", b"\x75\x00", b"\x77\x01x"):
            polluted = b"\x76\x01" + buffer(name.encode()) + inner
            yield polluted
            yield b"\x75\x01\x76\x01\x01a" + polluted
    yield b"\x76\x02\x01a\x7d\x01\x01a\x7d\x02"
    yield b"\x76\x03\x012\x7e\x011\x7e\x01a\x7e"
    for depth in (99, 100, 101, 5000):
        yield b"\x75\x01" * depth + b"\x7e"
        yield b"\x76\x01\x01a" * depth + b"\x7e"


def json_texts() -> Iterator[bytes]:
    """JSON as embeds and formats hold it, and what is none."""
    yield from (b"null", b"true", b"1", b"-0", b"1e999", b"1e-999", b"9" * 30, b"9" * 400, b"NaN", b"undefined", b"")
    yield from (
        b'""',
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\u0000"',
        b'"\xff"',
        b"{bad",
        b"[1,2",
        b" 1 ",
        b'{"a":1,"a":2}',
    )
    for name in NAMES:
        for inner in (1, None, {"a": 1}, []):
            yield json.dumps({name: inner}).encode()
    for depth in (100, 101, 126, 5000):
        yield b"[" * depth + b"1" + b"]" * depth


def contents() -> Iterator[tuple[int, bytes]]:
    """Every kind of content, with every odd value that it can hold."""
    for text in (b"a", b"", b"\0", b"\xef\xbb\xbfa", "é😀".encode(), b"\xff", b"\xed\xa0\x80"):
        yield STRING, buffer(text)
    for value in values():
        yield ANY, b"\x01" + value
    yield ANY, b"\x00"
    yield ANY, b"\x02\x7e\x7d\x01"
    yield from ((BINARY, buffer(data)) for data in (b"", b"\0\xff"))
    yield from ((EMBED, buffer(text)) for text in json_texts())
    yield from ((FORMAT, buffer(b"bold") + buffer(text)) for text in json_texts())
    for name in NAMES:
        yield from ((FORMAT, buffer(name.encode()) + buffer(text)) for text in (b"1", b"null", b'{"a":1}', b"true"))
    yield from ((TYPE, uint(kind)) for kind in (0, 1, 2, 4, 6, 7, 8))
    for name in (*NAMES, "p", "a><b"):
        yield from ((TYPE, uint(kind) + buffer(name.encode())) for kind in (3, 5))
    for options in (b"\x7e", b"\x7f", b"\x7d\x01", b"\x76\x00", b"\x76\x01" + buffer(b"__proto__") + b"\x74\x01\xff"):
        yield SUBDOCUMENT, buffer(b"guid") + options
    yield from ((DELETED, uint(length)) for length in (0, 1, 2**31, 2**31 + 1, 2**32))
    yield from ((GC, uint(length)) for length in (0, 1, 2**31, 2**31 + 1))
    yield from ((kind, b"\x01\x01a") for kind in (11, 12, 30))


def updates() -> Iterator[bytes]:
    """Each content in a root where it is usual, and one of each kind in every place; and odd keys."""
    for kind, content in contents():
        if kind in (STRING, EMBED, FORMAT):
            yield forge(9, 0, Item(kind, content, parent="text"), Item(STRING, b"\x02zz", left=(9, 0)))
        else:
            yield forge(9, 0, Item(kind, content, parent="map", key="k"))
            yield forge(9, 0, Item(kind, content, parent="array"))
    each = {
        STRING: b"\x03abc", ANY: b"\x01\x74\x01\xff", BINARY: b"\x01\xff", EMBED: b"\x02{}", FORMAT: b"\x01b\x011",
        TYPE: b"\x01", DELETED: b"\x03", GC: b"\x03", SUBDOCUMENT: b"\x01g\x76\x00",
    }  # fmt: skip
    inner = [(kind, uint(kind) + (b"\x01p" if kind == 3 else b"")) for kind in (0, 1, 2, 3, 4, 6)]
    for kind, content in each.items():
        for root in ROOTS:
            for key in (None, "k", *(NAMES[:1] if kind in (ANY, TYPE) else ())):
                yield forge(9, 0, Item(kind, content, parent=root, key=key))
                for _, made in inner:
                    holder = Item(TYPE, made, parent=root, key="k" if root == "map" else None)
                    yield forge(9, 0, holder, Item(kind, content, parent=(9, 0), key=key))
    for name in NAMES:
        for root in ROOTS:
            for kind in (ANY, TYPE, BINARY):
                yield forge(9, 0, Item(kind, each[kind], parent=root, key=name or "k"))
        for kind in (ANY, TYPE):
            yield forge(9, 0, Item(TYPE, b"\x03\x01p", parent="xml"), Item(kind, each[kind], parent=(9, 0), key=name))
        yield forge(9, 0, Item(ANY, each[ANY], parent=name, key="k"))


def taken(update: bytes) -> bool:
    """Whether the server's reader takes an update, of whoever sends it."""
    try:
        read_update_header(update)
    except MalformedFrame:
        return False
    return True


def test_a_page_survives_whatever_the_server_takes() -> None:
    odd = [update for update in updates() if taken(update)]
    lines = [json.dumps({"updates": [base64.b64encode(update).decode()]}) for update in odd]
    harmed = [
        (update.hex(), result)
        for update, result in zip(odd, run_node("page.mjs", lines), strict=True)
        if result["thrown"] or not result["alive"]
    ]
    assert harmed == []


@pytest.mark.parametrize("again", [False, True], ids=["the update", "the document that it makes"])
def test_the_servers_library_survives_it_too(again: bool) -> None:
    for update in updates():
        if not taken(update):
            continue
        doc: Doc = Doc(client_id=1)
        doc.apply_update(update)
        if again:
            copy: Doc = Doc(client_id=1)
            copy.apply_update(doc.get_update())
            doc = copy
        for name, kind in ROOTS.items():
            str(doc.get(name, type=kind))
        doc["map"]["other"] = 1
        doc.get_update()
