"""Every number, length, key and value of an update has a range: its ends are taken, and one beyond is malformed.

The cases are an enumeration: each field of the format in turn, at the ends of its range and just beyond.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import cosession.protocol
from cosession.errors import MalformedFrame
from cosession.protocol import decode_awareness, decode_state_vector, read_update_header
from cosession.protocol.awareness import MAX_AWARENESS_CLOCK
from cosession.protocol.json_text import MAX_DEPTH
from cosession.protocol.lib0 import MAX_NUMBER, buffer, uint
from cosession.protocol.update_format import (
    ANY,
    BINARY,
    DELETED,
    EMBED,
    FORMAT,
    GC,
    KEY,
    LEFT,
    MAX_CLOCK,
    RIGHT,
    SKIP,
    STRING,
    SUBDOCUMENT,
    TYPE,
)

Build = Callable[[int], bytes]

ROOT = b"\x01" + buffer(b"state")
TEXT = buffer(b"x")
NULL = b"\x7e"
EMPTY = b"\x00"
"""A delete set that deletes nothing."""


def update(struct: bytes, *, client: int = 9, clock: int = 0, deletes: bytes = EMPTY) -> bytes:
    """An update of one struct."""
    return b"\x01\x01" + uint(client) + uint(clock) + struct + deletes


def keyed(content: bytes, kind: int = ANY, key: bytes = b"k") -> bytes:
    """A struct under a key of a root."""
    return bytes([kind | KEY]) + ROOT + buffer(key) + content


def value(encoded: bytes) -> bytes:
    """An update that sets a key to one value."""
    return update(keyed(b"\x01" + encoded))


def signed(number: int) -> bytes:
    """An integer as a value."""
    size = abs(number)
    sign = 0x40 if number < 0 else 0
    return b"\x7d" + (bytes([sign | size]) if size < 64 else bytes([0x80 | sign | size & 0x3F]) + uint(size >> 6))


def nested(depth: int) -> bytes:
    """A value in so many lists."""
    return value(b"\x75\x01" * depth + NULL)


def json_in(kind: int) -> Callable[[str], bytes]:
    """An update of an embed, or of a format, with a JSON text."""
    before = buffer(b"bold") if kind == FORMAT else b""
    return lambda text: update(bytes([kind]) + ROOT + before + buffer(text.encode()))


CLIENTS: dict[str, Build] = {
    "whose the structs are": lambda n: update(keyed(b"\x01" + NULL), client=n),
    "whose a left neighbour is": lambda n: update(bytes([STRING | LEFT]) + uint(n) + b"\x01" + TEXT, clock=1),
    "whose a token's neighbour is": lambda n: b"\x01\x01\x09\x05\x84" + uint(n) + b"\x01" + TEXT + EMPTY,
    "whose a right neighbour is": lambda n: update(bytes([STRING | RIGHT]) + uint(n) + b"\x01" + TEXT),
    "whose a parent is": lambda n: update(bytes([STRING]) + EMPTY + uint(n) + b"\x01" + TEXT),
    "whose clocks are deleted": lambda n: b"\x00\x01" + uint(n) + b"\x01\x00\x01",
}
CLOCKS: dict[str, Build] = {
    "the end of a struct": lambda n: update(keyed(b"\x01" + NULL), clock=n - 1),
    "the end of a token": lambda n: b"\x01\x01\x09" + uint(n - 1) + b"\x84\x09\x00" + TEXT + EMPTY,
    "the length of what is collected": lambda n: update(bytes([GC]) + uint(n)),
    "the length of what is deleted": lambda n: update(bytes([DELETED]) + ROOT + uint(n)),
    "the length of what is skipped": lambda n: update(bytes([SKIP]) + uint(n)),
    "the end of two lengths": lambda n: b"\x01\x02\x09\x00" + (bytes([GC]) + uint(n // 2)) * 2 + EMPTY,
    "a left neighbour": lambda n: update(bytes([STRING | LEFT]) + b"\x08" + uint(n - 1) + TEXT),
    "a right neighbour": lambda n: update(bytes([STRING | RIGHT]) + b"\x08" + uint(n - 1) + TEXT),
    "a token's neighbour": lambda n: b"\x01\x01\x09\x00\x84\x08" + uint(n - 1) + TEXT + EMPTY,
    "a parent": lambda n: update(bytes([STRING]) + EMPTY + b"\x08" + uint(n - 1) + TEXT),
    "the end of a deleted range": lambda n: b"\x00\x01\x09\x01\x01" + uint(n - 1),
    "the first of a deleted range": lambda n: b"\x00\x01\x09\x01" + uint(n - 1) + b"\x01",
}


@pytest.mark.parametrize("what", CLIENTS)
def test_a_client_id_is_at_most_the_largest_number_of_a_browser(what: str) -> None:
    build = CLIENTS[what]
    for good in (0, 1, 2**31, 2**32, MAX_NUMBER):
        read_update_header(build(good))
    for bad in (MAX_NUMBER + 1, 2**56, 2**63, 2**64):
        with pytest.raises(MalformedFrame):
            read_update_header(build(bad))


@pytest.mark.parametrize("what", CLOCKS)
def test_clocks_end_where_every_library_can_count_them(what: str) -> None:
    build = CLOCKS[what]
    for good in (2, MAX_CLOCK):
        read_update_header(build(good))
    for bad in (MAX_CLOCK + 2, 2**32 - 2, 2**32, 2**32 + 2, 2**53 - 1):
        with pytest.raises(MalformedFrame, match=rf"clock is beyond {MAX_CLOCK}"):
            read_update_header(build(bad))


@pytest.mark.parametrize("kind", [GC, DELETED])
def test_nothing_has_no_length_of_zero(kind: int) -> None:
    where = b"" if kind == GC else ROOT
    with pytest.raises(MalformedFrame):
        read_update_header(update(bytes([kind]) + where + b"\x00"))
    with pytest.raises(MalformedFrame):
        read_update_header(b"\x00\x01\x09\x01\x00\x00")
    with pytest.raises(MalformedFrame):
        read_update_header(update(keyed(b"\x00")))


@pytest.mark.parametrize("clock", [5, 6, 100])
def test_a_struct_stands_on_nothing_that_its_client_wrote_later(clock: int) -> None:
    """Yjs throws at it in the middle of a transaction; what another client wrote may have any clock."""
    for build in (
        lambda client: update(bytes([STRING | LEFT]) + uint(client) + uint(clock) + TEXT, clock=5),
        lambda client: update(bytes([STRING | RIGHT]) + uint(client) + uint(clock) + TEXT, clock=5),
        lambda client: update(bytes([STRING]) + EMPTY + uint(client) + uint(clock) + TEXT, clock=5),
        lambda client: b"\x01\x01\x09\x05\x84" + uint(client) + uint(clock) + TEXT + EMPTY,
    ):
        read_update_header(build(8))
        with pytest.raises(MalformedFrame, match="stands on itself"):
            read_update_header(build(9))


def test_clients_of_one_update_may_stand_on_each_other_in_any_order() -> None:
    nine = b"\x01\x09\x00" + bytes([STRING | LEFT]) + b"\x08\x03" + TEXT
    eight = b"\x01\x08\x00" + bytes([STRING]) + ROOT + buffer(b"abcd")
    for sections in (nine + eight, eight + nine):
        assert read_update_header(b"\x02" + sections + EMPTY).needs == {8: 4}


def test_a_struct_of_no_content_has_no_flags() -> None:
    for kind in (GC, SKIP):
        for flags in (KEY, RIGHT, LEFT, KEY | LEFT):
            with pytest.raises(MalformedFrame):
                read_update_header(update(bytes([kind | flags]) + b"\x05"))


def test_every_number_of_an_update_has_its_shortest_form_only() -> None:
    """Yjs takes a longer form of any number, yrs of some; so each is refused, wherever it is."""
    whole = [
        (b"\x01", b"\x01", b"\x09", b"\x00", bytes([ANY | KEY]), b"\x01", b"\x05state", b"\x01k"),
        (b"\x01", b"\x77", b"\x01", b"v"),
        (b"\x01", b"\x09", b"\x01", b"\x00", b"\x01"),
    ]
    numbers = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 5), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]
    read_update_header(b"".join(b"".join(part) for part in whole))
    for extra in range(1, 8):
        for part, place in numbers:
            longer = [list(one) for one in whole]
            number = longer[part][place]
            longer[part][place] = bytes([number[0] | 0x80]) + b"\x80" * (extra - 1) + b"\x00"
            with pytest.raises(MalformedFrame):
                read_update_header(b"".join(b"".join(one) for one in longer))


def test_an_integer_is_one_that_a_browser_holds_exactly() -> None:
    for good in (0, 63, 64, -63, -64, 2**31, MAX_NUMBER, -MAX_NUMBER):
        read_update_header(value(signed(good)))
    read_update_header(value(b"\x7d\x40"))  # minus zero
    for bad in (MAX_NUMBER + 1, -MAX_NUMBER - 1, 2**58):
        with pytest.raises(MalformedFrame):
            read_update_header(value(signed(bad)))
    with pytest.raises(MalformedFrame, match="longer than"):
        read_update_header(value(b"\x7d\x85\x00"))


def test_floats_and_big_integers_are_whatever_their_bytes_say() -> None:
    for bits in (bytes(8), b"\x80" + bytes(7), b"\x7f\xf0" + bytes(6), b"\x7f\xf8" + bytes(6), b"\xff" * 8):
        for kind in (b"\x7b", b"\x7a"):
            read_update_header(value(kind + bits))
        read_update_header(value(b"\x7c" + bits[:4]))


def test_a_value_is_nested_as_deep_as_every_reader_can_follow() -> None:
    read_update_header(nested(MAX_DEPTH))
    with pytest.raises(MalformedFrame, match="nested deeper"):
        read_update_header(nested(MAX_DEPTH + 1))
    for kind in (EMBED, FORMAT):
        read_update_header(json_in(kind)("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH))
        for depth in (MAX_DEPTH + 1, 100_000):
            with pytest.raises(MalformedFrame, match="nested"):
                read_update_header(json_in(kind)("[" * depth + "1" + "]" * depth))


PROTO = buffer(b"__proto__")
POLLUTED = [
    value(b"\x76\x01" + PROTO + NULL),
    value(b"\x75\x01\x76\x02\x01a" + NULL + PROTO + b"\x74\x01\xff"),
    value(b"\x76\x01\x01a\x76\x01" + PROTO + NULL),
    update(keyed(b"\x01" + NULL, key=b"__proto__")),
    update(keyed(b"\x01", kind=TYPE, key=b"__proto__")),
    update(keyed(b"\x01x", kind=BINARY, key=b"__proto__")),
    update(bytes([STRING]) + b"\x01" + PROTO + TEXT),
    update(bytes([FORMAT]) + ROOT + PROTO + buffer(b"1")),
    update(bytes([SUBDOCUMENT]) + ROOT + buffer(b"guid") + b"\x76\x01" + PROTO + NULL),
    *(
        json_in(kind)(text)
        for kind in (EMBED, FORMAT)
        for text in ('{"__proto__": 1}', '[{"a": {"__proto__": {}}}]', r'{"\u005f_proto__": 1}')
    ),
]


@pytest.mark.parametrize("polluted", POLLUTED, ids=range(len(POLLUTED)))
def test_a_key_that_sets_a_browsers_prototype_is_refused_wherever_it_is(polluted: bytes) -> None:
    with pytest.raises(MalformedFrame, match="__proto__"):
        read_update_header(polluted)


def test_other_names_of_a_browsers_objects_are_keys_like_any() -> None:
    for name in (
        "constructor",
        "prototype",
        "toString",
        "hasOwnProperty",
        "length",
        "",
        "__proto",
        "\ufeff__proto__",
    ):
        read_update_header(value(b"\x76\x01" + buffer(name.encode()) + NULL))
        read_update_header(update(keyed(b"\x01" + NULL, key=name.encode())))
    read_update_header(value(b"\x77" + PROTO))
    read_update_header(json_in(EMBED)('"__proto__"'))


@pytest.mark.parametrize("kind", [EMBED, FORMAT])
def test_json_in_an_update_is_what_every_reader_takes_for_the_same(kind: int) -> None:
    for good in ("null", "-1.5e308", "[]", '{"a": [1, {"b": "é😀"}]}', r'"\ud83d\ude00"', '" "'):
        read_update_header(json_in(kind)(good))
    for bad in ("", "undefined", "NaN", "-Infinity", "1e999", "9" * 400, "[1,2", '{"a"', r'"\ud800"', "'a'", "1 2"):
        with pytest.raises(MalformedFrame):
            read_update_header(json_in(kind)(bad))


def test_every_string_of_an_update_is_utf8() -> None:
    for bad in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80"):
        text = buffer(b"a" + bad)
        for broken in (
            update(bytes([STRING]) + ROOT + text),
            update(bytes([STRING]) + b"\x01" + text + TEXT),
            update(keyed(b"\x01" + NULL, key=b"a" + bad)),
            value(b"\x77" + text),
            value(b"\x76\x01" + text + NULL),
            update(bytes([TYPE]) + ROOT + b"\x03" + text),
            update(bytes([EMBED]) + ROOT + buffer(b'"' + bad + b'"')),
            update(bytes([FORMAT]) + ROOT + text + buffer(b"1")),
        ):
            with pytest.raises(MalformedFrame):
                read_update_header(broken)


def test_the_options_of_a_subdocument_are_an_object() -> None:
    start = bytes([SUBDOCUMENT]) + ROOT + buffer(b"guid")
    read_update_header(update(start + b"\x76\x00"))
    for bad in (NULL, b"\x7f", b"\x7d\x01", b"\x75\x00"):
        with pytest.raises(MalformedFrame, match="options"):
            read_update_header(update(start + bad))


def test_a_state_vector_names_clients_and_clocks_in_their_ranges() -> None:
    assert decode_state_vector(b"\x01" + uint(MAX_NUMBER) + uint(MAX_CLOCK)) == {MAX_NUMBER: MAX_CLOCK}
    for client, clock in ((MAX_NUMBER + 1, 0), (0, MAX_CLOCK + 1), (0, 2**53)):
        with pytest.raises(MalformedFrame):
            decode_state_vector(b"\x01" + uint(client) + uint(clock))


def test_a_presence_state_has_a_client_and_a_clock_in_their_ranges() -> None:
    def presence(client: int, clock: int, state: str) -> bytes:
        return b"\x01" + uint(client) + uint(clock) + buffer(state.encode())

    (entry,) = decode_awareness(presence(MAX_NUMBER, MAX_AWARENESS_CLOCK, "{}"))
    assert (entry.client, entry.clock) == (MAX_NUMBER, MAX_AWARENESS_CLOCK)
    for client, clock, state in (
        (MAX_NUMBER + 1, 0, "{}"),
        (0, MAX_AWARENESS_CLOCK + 1, "{}"),
        (0, 0, '{"__proto__": {}}'),
        (0, 0, '{"a": NaN}'),
        (0, 0, '{"a": 1e999}'),
        (0, 0, '{"a": ' + "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH + "}"),
    ):
        with pytest.raises(MalformedFrame):
            decode_awareness(presence(client, clock, state))


def test_the_readme_states_the_ranges_that_hold() -> None:
    readme = (Path(cosession.protocol.__file__).parent / "README.md").read_text()
    stated = dict(re.findall(r"^\| ([^|]+) \| [^|]*?`([0-9][^`]*)` \|", readme, re.MULTILINE))
    assert stated == {
        "client id": "2**53 - 1",
        "clock, length, end of a range": "2**31",
        "clock of a presence state": "2**52",
        "integer (type 125)": "2**53 - 1",
        "nesting of a value": "100",
    }
    assert (MAX_NUMBER, MAX_CLOCK, MAX_AWARENESS_CLOCK, MAX_DEPTH) == (2**53 - 1, 2**31, 2**52, 100)
