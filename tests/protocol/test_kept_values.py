"""Values come out of a document as they went in: their keys in the same order, integers of the same kind."""

import json
from typing import Any

from admission.forge import Item, forge, string
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, merge_updates

from cosession.protocol import EMPTY_VECTOR, ClockRange, KeptValues, decode_state_vector, read_update_header
from cosession.protocol.lib0 import Reader, buffer, uint
from cosession.protocol.structs import read_structs
from cosession.protocol.update_format import ANY, EMBED, FORMAT, skip_any

CLIENTS = (3, 70, 2**40)

keys = st.text(st.sampled_from("abzé"), max_size=3)
plain = st.one_of(
    st.sampled_from([b"\x7e", b"\x7f", b"\x78", b"\x79", b"\x7d\x05", b"\x7d\x40", b"\x7d\x81\x01"]),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b"\x7a" + number.to_bytes(8, "big", signed=True)),
    st.text(max_size=5).map(lambda text: b"\x77" + buffer(text.encode())),
    st.binary(max_size=5).map(lambda data: b"\x74" + buffer(data)),
)


def lists(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(values, max_size=3).map(lambda found: b"\x75" + uint(len(found)) + b"".join(found))


def objects(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.dictionaries(keys, values, max_size=40).map(
        lambda found: (
            b"\x76" + uint(len(found)) + b"".join(buffer(key.encode()) + value for key, value in found.items())
        )
    )


values = st.recursive(plain, lambda inner: st.one_of(lists(inner), objects(inner)), max_leaves=12)
any_items = st.lists(values, min_size=1, max_size=4).map(lambda found: (ANY, uint(len(found)) + b"".join(found)))
json_numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53))
json_values = st.one_of(json_numbers, st.lists(json_numbers, max_size=3))
json_objects = st.dictionaries(keys, st.one_of(st.integers(-9, 9), st.text(max_size=3)), min_size=1, max_size=4)
embeds = (json_objects | json_values).map(
    lambda found: (EMBED, buffer(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()))
)
formats = (json_objects | json_values).map(
    lambda found: (
        FORMAT,
        buffer(b"link") + buffer(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()),
    )
)


def value_bytes(update: bytes) -> set[tuple[int, int, bytes]]:
    """The values that an update holds, with the client and clock of each."""
    found: set[tuple[int, int, bytes]] = set()
    for struct in read_structs(update):
        reader = Reader(update)
        reader.at = struct.content
        if struct.kind == ANY:
            for clock in range(struct.clock, struct.clock + reader.uint()):
                start = reader.at
                skip_any(reader, 0)
                found.add((struct.client, clock, update[start : reader.at]))
        elif struct.kind in (EMBED, FORMAT):
            if struct.kind == FORMAT:
                reader.buffer()
            found.add((struct.client, struct.clock, reader.buffer()))
    return found


@st.composite
def updates(draw: st.DrawFn) -> list[bytes]:
    """Updates of several clients, each an item behind its last one in a text or a list of its own."""
    clocks = dict.fromkeys(CLIENTS, 0)
    made: list[bytes] = []
    for client in draw(st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=8)):
        kind, content = draw(st.one_of(any_items, embeds, formats))
        where: Any = {"left": (client, clocks[client] - 1)} if clocks[client] else {"parent": f"r{client}"}
        item = Item(kind, content, **where) if draw(st.booleans()) else string("some text", **where)
        made.append(forge(client, clocks[client], item))
        clocks[client] = read_update_header(made[-1]).brings[0].end
    return made


def document_of(made: list[bytes]) -> Doc[Any]:
    doc: Doc[Any] = Doc()
    for update in made:
        doc.apply_update(update)
    return doc


@given(updates(), st.data())
def test_every_reader_gets_the_bytes_that_came(made: list[bytes], data: st.DataObject) -> None:
    doc, kept = document_of(made), KeptValues(made)
    known = decode_state_vector(doc.get_state())
    vector = {client: data.draw(st.integers(0, clock)) for client, clock in known.items()}
    whole = kept.encode(doc.get_update, known, {}).update()
    for update in made:
        header = read_update_header(update).brings[0]
        if header.clock >= vector.get(header.client, 0):
            assert value_bytes(update) <= value_bytes(kept.encode(doc.get_update, known, vector).update())
        assert value_bytes(update) <= value_bytes(whole)
    assert decode_state_vector(document_of([whole]).get_state()) == known
    again = KeptValues([whole]).encode(document_of([whole]).get_update, known, {})
    assert value_bytes(again.update()) == value_bytes(whole)


@given(updates())
def test_a_merge_keeps_them(made: list[bytes]) -> None:
    merged = KeptValues(made).restore(merge_updates(*made)) if len(made) > 1 else made[0]
    assert value_bytes(merged) == set[Any]().union(*(value_bytes(update) for update in made))


def test_what_is_deleted_is_forgotten() -> None:
    item = Item(ANY, b"\x01\x76\x02\x01b\x78\x01a\x78", parent="list")
    kept, other = KeptValues([forge(3, 0, item)]), Doc()
    other.apply_update(forge(3, 0, item))
    kept.forget(read_update_header(forge(9, 0, deletes=((3, 0, 1),))).deletes)
    update = other.get_update()
    assert kept.restore(update) is update
    whole = kept.encode(other.get_update, {3: 1}, decode_state_vector(EMPTY_VECTOR)).update()
    assert whole in (update, other.get_update())


def test_a_bigint_comes_back_that_the_library_writes_as_a_float() -> None:
    update = forge(3, 0, Item(ANY, b"\x01\x7a\x80" + bytes(7), parent="list"))
    doc = document_of([update])
    assert KeptValues([update]).encode(doc.get_update, {3: 1}, {}).update() == update


def test_a_value_that_comes_while_the_whole_is_made_in_steps_is_not_forgotten() -> None:
    first, later = (forge(of, 0, Item(ANY, b"\x01\x7a\x80" + bytes(7), parent="list")) for of in (3, 70))
    doc, kept = document_of([first]), KeptValues([first])
    whole = kept.encode(doc.get_update, {3: 1}, {})
    doc.apply_update(later)
    kept.learn(later)
    assert whole.update() == first
    both = kept.encode(doc.get_update, {3: 1, 70: 1}, {}).update()
    assert value_bytes(both) == value_bytes(first) | value_bytes(later)


def test_the_values_of_a_long_update_are_read_in_steps_or_when_needed() -> None:
    values = b"".join(b"\x76\x02\x01b\x7d\x01\x01a\x7d" + uint(number % 60) for number in range(5_000))
    update = b"\x01\x01\x03\x00\x08\x01" + buffer(b"list") + uint(5_000) + values + b"\x00"
    kept = KeptValues()
    kept.learn(update)
    assert sum(1 for _ in kept.read()) > 10
    again = KeptValues()
    again.learn(update)
    for _ in zip(range(3), again.read(), strict=False):
        pass
    doc = document_of([update])
    assert kept.encode(doc.get_update, {3: 5_000}, {}).update() == update
    assert again.encode(doc.get_update, {3: 5_000}, {}).update() == update


def test_what_comes_behind_a_long_update_is_learned_and_forgotten_in_its_order() -> None:
    values = b"".join(b"\x76\x02\x01b\x7d\x01\x01a\x7d" + uint(number % 60) for number in range(5_000))
    long = b"\x01\x01\x03\x00\x08\x01" + buffer(b"list") + uint(5_000) + values + b"\x00"
    short = forge(4, 0, Item(ANY, b"\x01\x76\x02\x01b\x7d\x01\x01a\x7d\x02", parent="list"))
    kept = KeptValues()
    kept.learn(long)
    kept.learn(short)
    kept.forget([ClockRange(3, 0, 4_999)])
    assert kept.ids() == []
    assert sum(1 for _ in kept.read()) > 10
    assert sorted(kept.ids()) == [(3, 4_999), (4, 0)]
