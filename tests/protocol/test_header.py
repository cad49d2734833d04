"""Update headers agree with pycrdt about real documents, and never fail in any way but MalformedFrame."""

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText, merge_updates

from cosession.errors import MalformedFrame, TooLarge
from cosession.protocol import KeptValues, UpdateHeader, decode_state_vector, header, lib0, read_update_header
from cosession.protocol.token_header import read_between, read_deletion, read_token

keys = st.text().filter(lambda key: key != "__proto__")
leaves = (
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.floats(allow_nan=False) | st.text() | st.binary()
)
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3), max_leaves=8)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("abc"), values),
        st.tuples(st.just("type"), st.text(max_size=5), st.integers(0, 9)),
        st.tuples(st.just("push"), values, st.none()),
        st.tuples(st.just("nest"), st.sampled_from("abc"), values),
        st.tuples(st.just("cut"), st.integers(0, 9), st.none()),
        st.tuples(st.just("xml"), st.text(max_size=5), st.none()),
    ),
    max_size=12,
)


def perform(doc, edit):
    what, first, second = edit
    text, array, root = doc.get("t", type=Text), doc.get("a", type=Array), doc.get("m", type=Map)
    match what:
        case "set":
            root[first] = second
        case "type":
            text.insert(min(second, len(str(text)[:second].encode())) if str(text).isascii() else 0, first)
        case "push":
            array.append(first)
        case "nest":
            root[first] = Map({"inner": Array([second]), "text": Text("é😀")})
        case "cut":
            if len(array):
                del array[first % len(array)]
        case "xml":
            fragment = doc.get("x", type=XmlFragment)
            fragment.children.append(XmlElement("p", {"k": first}, [XmlText(first)]))


def history(edits_of_one, doc):
    updates = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for edit in edits_of_one:
        perform(doc, edit)
    doc.unobserve(subscription)
    return updates


@given(edits, edits)
@settings(max_examples=150)
def test_the_header_says_what_the_document_learns(first, second):
    one, two = Doc(client_id=1), Doc(client_id=2)
    history(first, one)
    two.apply_update(one.get_update())
    history(second, two)
    header = read_update_header(two.get_update())
    learned = {}
    for span in header.brings:
        learned[span.client] = max(learned.get(span.client, 0), span.end)
    assert learned == decode_state_vector(two.get_state())
    assert header.fits({})


@given(edits)
@settings(max_examples=100)
def test_updates_fit_in_order_and_a_left_out_one_shows(steps):
    doc = Doc(client_id=7)
    vector = {}
    updates = history(steps, doc)
    for index, update in enumerate(updates):
        header = read_update_header(update)
        assert header.fits(vector)
        assert header.is_news(vector) == bool(header.brings)
        if header.brings and index + 1 < len(updates):
            following = read_update_header(updates[index + 1])
            assert not following.brings or not following.fits(vector)
        for span in header.brings:
            assert span.clock == vector.get(span.client, 0)
            vector[span.client] = span.end
        assert header.is_known(vector)
        assert not header.is_news(vector)


def test_a_merged_update_with_a_hole_does_not_fit():
    doc = Doc(client_id=7)
    updates = history([("type", "ab", 0), ("type", "cd", 0), ("type", "ef", 0)], doc)
    header = read_update_header(merge_updates(updates[0], updates[2]))
    assert [(span.clock, span.length) for span in header.brings] == [(0, 2), (4, 2)]
    assert not header.fits({})
    assert header.fits({7: 4})


def test_a_deletion_of_the_unknown_does_not_fit():
    doc = Doc(client_id=7)
    updates = history([("push", 1, None), ("cut", 0, None)], doc)
    header = read_update_header(updates[1])
    assert not header.brings
    assert not header.fits({})
    assert header.fits({7: 1})


@pytest.mark.parametrize("where", ["left", "right", "parent", "deleted"])
@pytest.mark.parametrize("clock", [0, 1, 200])
def test_what_stands_on_the_first_unknown_clock_does_not_fit_and_on_the_last_known_one_does(where, clock):
    at = lib0.uint(7) + lib0.uint(clock)
    starts = {"left": b"\x84" + at, "right": b"\x44" + at, "parent": b"\x04\x00" + at}
    deletes = b"\x01\x07\x01" + lib0.uint(clock) + b"\x01" if where == "deleted" else b"\x00"
    update = b"\x01\x01\x09\x00" + starts.get(where, b"\x04\x01\x01t") + b"\x01x" + deletes
    header = read_update_header(update)
    assert not header.fits({})
    assert not header.fits({7: clock})
    assert header.fits({7: clock + 1})
    assert header.fits({7: clock + 2, 9: 1})


@pytest.mark.parametrize("length", [1, 3])
def test_what_begins_behind_the_first_unknown_clock_does_not_fit(length):
    header = read_update_header(b"\x01\x01\x09\x05" + b"\x04\x01\x01t" + lib0.buffer(b"x" * length) + b"\x00")
    assert [header.fits({9: known}) for known in (0, 4, 5, 6)] == [False, False, True, True]
    assert [header.is_news({9: known}) for known in (4, 5, 6)] == [True, True, False]
    assert [header.is_known({9: known}) for known in (5, 5 + length - 1, 5 + length)] == [False, False, True]


@pytest.mark.parametrize("empty", [b"\x00\x00", b"\x04\x01\x01t\x00", b"\x08\x01\x01t\x00", b"\x01\x01\x01t\x00"])
def test_a_struct_of_no_length_is_refused(empty):
    for number, more in ((1, b""), (2, b"\x04\x01\x01t\x01x")):
        with pytest.raises(MalformedFrame, match="empty struct"):
            read_update_header(b"\x01" + lib0.uint(number) + b"\x09\x00" + empty + more + b"\x00")


def test_text_counts_utf16_units():
    doc = Doc(client_id=7)
    (update,) = history([("type", "a😀é", 0)], doc)
    assert read_update_header(update).brings[0].length == 4


@given(st.binary(max_size=60))
def test_any_bytes_are_an_update_or_refused(data):
    with suppress(MalformedFrame):
        read_update_header(data)


@given(edits.filter(bool), st.data())
@settings(max_examples=100)
def test_a_truncated_update_is_refused(steps, data):
    doc = Doc(client_id=7)
    history(steps, doc)
    update = doc.get_update()
    with pytest.raises(MalformedFrame):
        read_update_header(update[: data.draw(st.integers(0, len(update) - 1))])


def test_a_value_nested_too_deep_is_refused():
    doc = Doc(client_id=7)
    deep = json.loads("[" * 150 + "]" * 150)
    doc.get("m", type=Map)["deep"] = deep
    with pytest.raises(MalformedFrame, match="deeper"):
        read_update_header(doc.get_update())


@given(
    st.integers(0, 2**53),
    st.integers(0, 2**31) | st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.integers(0, 2**31) | st.integers(0, 2**53),
    st.none() | st.tuples(st.integers(0, 2**53), st.integers(0, 2**31)),
    st.text(max_size=200) | st.binary(max_size=9),
    st.sampled_from((b"\x00", b"\x01", b"", b"\x00\x00")),
)
def test_the_update_of_a_token_is_read_alike_by_its_short_way_and_the_long_one(
    client, clock, origin, before, right, text, end
):
    content = lib0.buffer(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    start = b"\x01\x01" + lib0.uint(client) + lib0.uint(clock)
    beside = lib0.uint(origin) + lib0.uint(before)
    place = b"\x84" + beside if right is None else b"\xc4" + beside + b"".join(map(lib0.uint, right))
    update = start + place + content + end
    nobody = b"\x00" + lib0.uint(1 if client == 0 else 0) + b"\x00"  # a second client that brings nothing
    long_way = b"\x02" + update[1:-1] + nobody + b"\x00"
    try:
        token = read_token(update) or read_between(update)
        header = read_update_header(update) if token else None
    except MalformedFrame:
        with pytest.raises(MalformedFrame):
            read_update_header(long_way)
        return
    event(f"token: {token is not None}")
    if header is None:
        return
    longer = read_update_header(long_way)
    assert (header.brings, header.needs, header.deletes) == (longer.brings, longer.needs, longer.deletes)


@given(st.integers(0, 2**53), st.integers(0, 2**31) | st.integers(0, 2**53), st.integers(0, 2**31))
def test_one_deletion_is_read_alike_by_its_short_way_and_the_long_one(client, clock, length):
    ranges = lib0.uint(client) + b"\x01" + lib0.uint(clock) + lib0.uint(length)
    update, long_way = b"\x00\x01" + ranges, b"\x00\x02" + ranges + lib0.uint(client ^ 1) + b"\x00"
    try:
        header = read_update_header(update)
    except MalformedFrame:
        with pytest.raises(MalformedFrame):
            read_update_header(long_way)
        return
    assert read_deletion(update) is not None
    assert header == read_update_header(long_way)


def test_each_keystroke_inside_a_text_is_read_the_short_way():
    doc = Doc()
    text = doc.get("text:a", type=Text)
    text += "as"
    updates = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    text.insert(1, "w")
    del text[0:1]
    doc.unobserve(subscription)
    assert [read_between(update) is not None for update in updates] == [True, False]
    assert [read_deletion(update) is not None for update in updates] == [False, True]


def test_each_word_of_a_growing_text_is_read_the_short_way():
    doc = Doc()
    text = doc.get("text:a", type=Text)
    updates = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for word in ("one", "two ", "🇵🇹", "é\n", "x" * 1000):
        text += word
    doc.unobserve(subscription)
    assert [read_token(update) is not None for update in updates] == [False, True, True, True, True]


def outcome(update, limit):
    try:
        return read_update_header(update, limit)
    except (MalformedFrame, TooLarge) as error:
        return type(error)


plain = st.none() | st.booleans() | st.integers(0, 63) | st.sampled_from(["", "a", "word"])
several = st.sampled_from([{"b": None, "a": None}, [{"b": 1, "a": "word"}]])
other = plain | several | st.integers(-70, 70) | st.sampled_from(["é", "z" * 130]) | values
nested = st.one_of(
    st.dictionaries(st.sampled_from(["", "id", "__proto_", "k" * 127]), plain, max_size=6),
    st.dictionaries(st.sampled_from(["", "id", "__proto_", "é", "k" * 130]), other, max_size=6),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(nested, min_size=1, max_size=3),
    st.sampled_from([3, 200, 2**40]),
    st.sampled_from([0, 200]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2),
    st.sampled_from([8, 10**6]),
)
def test_plain_structs_are_read_alike_by_their_short_way_and_the_long_one(
    monkeypatch, maps, client, before, changed, limit
):
    doc = Doc(client_id=client)
    doc.get("t", type=Text).insert(0, "x" * before)
    known = doc.get_state()
    for number, fields in enumerate(maps):
        doc.get("m", type=Map)[f"{number}"] = Map({**fields, "inner": Map({"a": Array([1]), "b": Text("word")})})
    update = bytearray(doc.get_update(known))
    for at, byte in changed:
        update[at % len(update)] = byte
    update = bytes(update)
    with monkeypatch.context() as patch:
        patch.setattr(header, "skip_plain", lambda *_: -1)
        long = outcome(update, limit)
    short = outcome(update, limit)
    if isinstance(long, UpdateHeader) and isinstance(short, UpdateHeader):
        event("plain" if short.is_plain else "with values")
        if short.is_plain:
            assert KeptValues([update]).ids() == []
        long.is_plain = short.is_plain
    assert short == long
