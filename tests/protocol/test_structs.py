"""The structs of an update, read one by one, against the header's reading of the same and what was written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, TransactionEvent, XmlElement, XmlFragment

from cosession.errors import MalformedFrame
from cosession.protocol import ClockRange, read_update_header
from cosession.protocol.structs import Struct, read_structs, read_values
from cosession.protocol.update_format import ANY, STRING, TYPE

keys = st.text().filter(lambda key: key != "__proto__")
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def written(doc: Doc) -> tuple[bytes, list[Struct]]:
    update = doc.get_update()
    return update, list(read_structs(update))


@given(values)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    doc = Doc()
    doc.get("state", type=Map)["key"] = value

    update, (struct,) = written(doc)

    assert (struct.kind, struct.parent, struct.key, struct.length) == (ANY, "state", "key", 1)
    assert _same(read_values(update, struct), [value])


def test_where_a_struct_is_and_what_it_stands_on() -> None:
    doc = Doc(client_id=5)
    text = doc.get("text", type=Text)
    text += "ab"
    text.insert(1, "🦊")
    array = doc.get("list", type=Array)
    array.append(Map({"a": b"\x01\x02"}))
    doc.get("page", type=XmlFragment).children.append(XmlElement("p", {"x": "1"}))

    update, structs = written(doc)

    first, second, fox, entry, inner, element, _ = structs
    assert (first.kind, first.parent, first.left, first.right) == (STRING, "text", None, None)
    assert (second.left, second.right) == ((5, 0), None)
    assert (fox.left, fox.right, fox.length) == ((5, 0), (5, 1), 2)
    assert (entry.kind, entry.type, entry.parent) == (TYPE, 1, "list")
    assert (inner.parent, inner.key, read_values(update, inner)) == ((5, entry.clock), "a", [b"\x01\x02"])
    assert (element.kind, element.type) == (TYPE, 3)


@given(st.lists(st.tuples(st.integers(0, 20), st.text(max_size=4), st.integers(0, 3)), max_size=20))
def test_the_structs_are_those_that_the_header_tells_of(edits: list[tuple[int, str, int]]) -> None:
    doc = Doc()
    text = doc.get("text", type=Text)
    updates: list[bytes] = []

    def note(event: TransactionEvent) -> None:
        updates.append(event.update)

    watch = doc.observe(note)
    for place, inserted, deleted in edits:
        length = len(str(text))
        if str(text).isascii() and deleted and length:
            del text[min(place, length - 1) : min(place + deleted, length)]
        text.insert(0, inserted)
    doc.unobserve(watch)

    for update in [*updates, doc.get_update()]:
        clocks = [ClockRange(struct.client, struct.clock, struct.length) for struct in read_structs(update)]
        assert sum(span.length for span in clocks) == sum(span.length for span in read_update_header(update).brings)


@given(st.binary(max_size=40))
def test_what_is_no_update_raises_nothing_but_our_own_error(noise: bytes) -> None:
    try:
        read_update_header(noise)
    except MalformedFrame:
        return
    for struct in read_structs(noise):
        try:
            read_values(noise, struct)
        except MalformedFrame:
            return


def test_an_update_that_ends_in_the_middle_is_refused() -> None:
    doc = Doc()
    doc.get("state", type=Map)["key"] = "value"

    with pytest.raises(MalformedFrame):
        list(read_structs(doc.get_update()[:8]))


def _same(one: object, other: object) -> bool:
    """Equal, where numbers are what JavaScript has."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(float(one), float(other), rel_tol=1e-15)
    return one == other
