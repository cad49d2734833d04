"""Pieces and parts of an update: each fits when it comes, and together they are it, for documents of any history."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from cosession.errors import MalformedFrame
from cosession.protocol import (
    EMPTY_UPDATE,
    ClockRange,
    decode_state_vector,
    lib0,
    parts,
    read_update_header,
    split_update,
)
from cosession.protocol.parts import RecordSize, split_work
from cosession.protocol.pieces import cut_long, in_transactions
from cosession.protocol.structs import read_structs

WRITERS = (3, 2**31 + 7, 170_000_001)
words = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["😀é" * 20, "👩🏽‍🚀" * 9, "plain " * 30]
)
values = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | words | st.binary(max_size=30)
edits = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(
            st.tuples(st.just("type"), st.integers(0, 200), words),
            st.tuples(st.just("erase"), st.integers(0, 200), st.integers(1, 20)),
            st.tuples(st.just("set"), st.sampled_from("abc"), values),
            st.tuples(st.just("push"), st.lists(values, max_size=20), st.none()),
            st.tuples(st.just("cut"), st.integers(0, 50), st.none()),
            st.tuples(st.just("nest"), words, values),
            st.tuples(st.just("xml"), words, st.none()),
            st.tuples(st.just("hear"), st.integers(0, 2), st.none()),
        ),
    ),
    max_size=40,
)


def place(text: Text, number: int) -> int:
    """A place in a text that is between two code points, in bytes."""
    points = str(text)
    return len(points[: number % (len(points) + 1)].encode())


def perform(docs: list[Doc[Any]], writer: int, edit: tuple[str, Any, Any]) -> None:
    doc = docs[writer]
    text, array, root = doc.get("t", type=Text), doc.get("a", type=Array), doc.get("m", type=Map)
    match edit:
        case ("type", at, word) if word:
            text.insert(place(text, at), word)
        case ("erase", at, length) if len(str(text)):
            first = at % len(str(text))
            start, end = (len(str(text)[:point].encode()) for point in (first, first + length))
            del text[start:end]
        case ("set", key, value):
            root[key] = value
        case ("push", several, _):
            array.extend(several)
        case ("cut", at, _) if len(array):
            del array[at % len(array)]
        case ("nest", word, value):
            array.insert(0, Map({"text": Text(word), "list": Array([value])}))
        case ("xml", word, _):
            doc.get("x", type=XmlFragment).children.append(XmlElement("p", {"k": word}, [XmlText(word)]))
        case ("hear", other, _) if other != writer:
            doc.apply_update(docs[other].get_update(doc.get_state()))
        case _:
            pass


def written(steps: list[tuple[int, tuple[str, Any, Any]]]) -> Doc[Any]:
    """What three writers, who hear of each other now and then, come to."""
    docs: list[Doc[Any]] = [Doc(client_id=client) for client in WRITERS]
    for writer, edit in steps:
        perform(docs, writer, edit)
    for other in docs[1:]:
        docs[0].apply_update(other.get_update())
    return docs[0]


def content(doc: Doc[Any]) -> list[Any]:
    return [
        doc.get("t", type=Text).to_py(),
        doc.get("a", type=Array).to_py(),
        doc.get("m", type=Map).to_py(),
        str(doc.get("x", type=XmlFragment)),
    ]


def clocks(ranges: tuple[ClockRange, ...]) -> set[tuple[int, int]]:
    return {(span.client, clock) for span in ranges for clock in range(span.clock, span.end)}


def pieces_of(update: bytes, max_bytes: int) -> list[bytes]:
    return [piece for piece in split_update(update, max_bytes) if piece != EMPTY_UPDATE]


def parts_of(update: bytes, most: int) -> list[bytes]:
    return [part.update for part in split_work(update, read_update_header(update), most) if part is not None]


def parts_of_cut_texts(update: bytes, most: int) -> list[bytes]:
    with patch.object(parts, "_TEXT_BITS", 1):
        return parts_of(update, most)


def cut_in_place(update: bytes, most: int) -> list[bytes]:
    return [cut_long(update, most)]


@pytest.mark.parametrize("split", [pieces_of, parts_of, parts_of_cut_texts, cut_in_place])
@given(edits, st.integers(1, 400), st.integers(0, 40))
@settings(max_examples=300)
def test_pieces_come_to_the_same_document_and_each_fits_when_it_comes(
    split: Callable[[bytes, int], list[bytes]],
    steps: list[tuple[int, tuple[str, Any, Any]]],
    size: int,
    known: int,
) -> None:
    doc, reader, whole = written(steps), written(steps[:known]), written(steps[:known])
    vector = decode_state_vector(reader.get_state())
    update = doc.get_update(reader.get_state())
    deleted: set[tuple[int, int]] = set()
    for piece in split(update, size):
        header = read_update_header(piece)
        assert header.fits(vector)
        for span in header.brings:
            assert span.clock == vector.get(span.client, 0)
            vector[span.client] = span.end
        deleted |= clocks(header.deletes)
        reader.apply_update(piece)
    whole.apply_update(update)
    assert vector == decode_state_vector(doc.get_state()) == decode_state_vector(reader.get_state())
    assert deleted == clocks(read_update_header(update).deletes)
    assert content(reader) == content(whole) == content(doc)
    assert clocks(read_update_header(reader.get_update()).deletes) == clocks(
        read_update_header(doc.get_update()).deletes
    )


@given(edits, st.integers(1, 200), edits)
@settings(max_examples=150)
def test_a_document_made_of_pieces_goes_on_like_any_other(
    steps: list[tuple[int, tuple[str, Any, Any]]], max_bytes: int, later: list[tuple[int, tuple[str, Any, Any]]]
) -> None:
    doc, reader = written(steps), Doc(client_id=99)
    for piece in pieces_of(doc.get_update(), max_bytes):
        reader.apply_update(piece)
    for writer, edit in later:
        perform([doc, reader, doc], writer, edit)
    reader.apply_update(doc.get_update(reader.get_state()))
    doc.apply_update(reader.get_update(doc.get_state()))
    assert content(reader) == content(doc)


@given(words.filter(bool), st.integers(1, 60), st.integers(0, 200))
def test_what_is_typed_between_two_pieces_of_a_text_lands_at_the_same_place_for_all(
    word: str, max_bytes: int, at: int
) -> None:
    doc, reader = Doc(client_id=7), Doc(client_id=5)
    doc.get("t", type=Text).insert(0, word * 5)
    for piece in pieces_of(doc.get_update(), max_bytes):
        reader.apply_update(piece)
        text = reader.get("t", type=Text)
        text.insert(place(text, at), "|")
    doc.apply_update(reader.get_update(doc.get_state()))
    assert str(doc.get("t", type=Text)) == str(reader.get("t", type=Text))


def one_text(word: str) -> Callable[[Doc[Any]], None]:
    return lambda doc: doc.get("t", type=Text).insert(0, word)


@pytest.mark.parametrize(
    ("change", "largest"),
    [
        (one_text("a" * 100_000), 1100),
        (one_text("é😀" * 20_000), 1100),
        (lambda doc: doc.get("a", type=Array).extend([float(n) for n in range(5000)]), 1100),
        (lambda doc: [doc.get("a", type=Array).insert(0, n) for n in range(3000)], 1100),
        (lambda doc: doc.get("m", type=Map).update({"one": b"x" * 50_000}), 50_100),
    ],
    ids=["a text", "a text of pairs", "a list", "many structs", "one value can't be cut"],
)
def test_a_piece_is_about_as_large_as_was_asked_for(change: Callable[[Doc[Any]], object], largest: int) -> None:
    doc: Doc[Any] = Doc(client_id=2**40)
    with doc.transaction():
        change(doc)
    pieces = pieces_of(doc.get_update(), 1000)
    assert max(map(len, pieces)) <= largest
    assert len(pieces) <= 2 * len(doc.get_update()) / 1000 + 2


def log_of(*changes: Callable[[Doc[Any]], object]) -> list[bytes]:
    """The updates that some changes make."""
    doc: Doc[Any] = Doc(client_id=7)
    log: list[bytes] = []
    watch = doc.observe(lambda event: log.append(event.update))
    for change in changes:
        with doc.transaction():
            change(doc)
    doc.unobserve(watch)
    return log


def erase_every_second(doc: Doc[Any], of: range) -> None:
    text, array = doc.get("t", type=Text), doc.get("a", type=Array)
    for index in of:  # what was before it is gone by then
        del text[index]
        del array[index]


def test_scattered_deletions_are_replayed_with_short_parts_of_what_they_are_in() -> None:
    """The library copies what is right of each in one text or list: very many would take the square of its length."""
    log = log_of(
        lambda doc: doc.get("t", type=Text).insert(0, "ab" * 20_000),
        lambda doc: doc.get("a", type=Array).extend(["some words"] * 4_000),
        *(partial(erase_every_second, of=range(first, first + 20)) for first in range(0, 2_000, 20)),
    )
    [group] = in_transactions(log)
    structs = [struct for update in group for struct in read_structs(update)]
    assert max(struct.length for struct in structs) <= 4_097
    replayed, doc = Doc(), Doc()
    with replayed.transaction():
        for update in group:
            replayed.apply_update(update)
    for update in log:
        doc.apply_update(update)
    assert replayed.get_update() == doc.get_update()


def test_updates_that_bring_something_are_replayed_in_few_at_once() -> None:
    log = log_of(*(one_text(f"{number} ") for number in range(100)))
    groups = list(in_transactions(log))
    assert [len(group) for group in groups] == [32, 32, 32, 4]
    assert [update for group in groups for update in group] == log
    assert list(in_transactions([b"\x00\x00", b"no update"])) == [[b"\x00\x00", b"no update"]]


def test_many_deletions_are_split_as_well() -> None:
    doc: Doc[Any] = Doc(client_id=1)
    text = doc.get("t", type=Text)
    text.insert(0, "ab" * 5000)
    for at in range(1, 3000):
        del text[at : at + 1]
    pieces = pieces_of(doc.get_update(), 1000)
    assert max(map(len, pieces)) <= 1100
    reader: Doc[Any] = Doc()
    for piece in pieces:
        reader.apply_update(piece)
    assert str(reader.get("t", type=Text)) == str(text)


def test_what_comes_before_the_first_piece_takes_few_calls_for_a_text_with_many_edits() -> None:
    """A Yjs client hangs up when it hears nothing for long, and comes again, to wait as long again."""
    doc: Doc[Any] = Doc(client_id=9)
    with doc.transaction():
        doc.get("t", type=Text).insert(0, "ab" * 5000)
        doc.get("u", type=Text).insert(0, "é" * 50)
    doc.apply_update(b"\x01\x01\x03\x00\x28\x01\x01s\x01k\x01\x7d\x01\x00")  # of a client that comes behind
    text = doc.get("t", type=Text)
    with doc.transaction():
        for at in range(1, 4000):
            del text[at : at + 1]
    update, calls = doc.get_update(), 0

    def note(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    pieces = split_update(update, 1000)
    sys.setprofile(note)
    try:
        while next(pieces) == EMPTY_UPDATE:
            pass
    finally:
        sys.setprofile(None)
    assert calls < 8000, f"{calls} for 8,000 structs"


def test_a_small_update_stays_as_it_is() -> None:
    doc: Doc[Any] = Doc()
    doc.get("t", type=Text).insert(0, "hello")
    update = doc.get_update()
    assert list(split_update(update, 1000)) == [update]


def test_others_have_their_turn_while_a_large_update_is_split() -> None:
    doc: Doc[Any] = Doc(client_id=1)
    array = doc.get("a", type=Array)
    with doc.transaction():
        for number in range(4000):
            array.insert(0, number)
    assert list(split_update(doc.get_update(), 10_000)).count(EMPTY_UPDATE) >= 5


@given(edits.filter(bool), st.integers(1, 100), st.data())
def test_a_truncated_update_is_refused(
    steps: list[tuple[int, tuple[str, Any, Any]]], max_bytes: int, data: st.DataObject
) -> None:
    update = written(steps).get_update()
    cut = update[: data.draw(st.integers(0, len(update) - 1))]
    if len(cut) > max_bytes:
        with pytest.raises(MalformedFrame):
            list(split_update(cut, max_bytes))


def things(update: bytes) -> int:
    reader = lib0.Reader(update)
    clients = reader.uint()
    header = read_update_header(update)
    return sum(span.length for span in header.brings) + len(header.deletes) if clients else len(header.deletes)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(1, 60))
def test_a_group_is_in_one_part_and_is_cut_only_where_it_is_no_record(sizes: list[int], most: int) -> None:
    doc: Doc[Any] = Doc(client_id=7)
    messages = doc.get("messages", type=Array)
    with doc.transaction():
        for size in sizes:
            messages.append(Map({f"k{number}": number for number in range(size)}))
    update = doc.get_update()
    for is_record in (True, False):
        reader: Doc[Any] = Doc()
        split = split_work(update, read_update_header(update), most, is_record=lambda _, answer=is_record: answer)
        for part in split:
            if part is None:
                continue
            assert things(part.update) <= max(4 * most, max(sizes) + 1 if is_record else 0)
            reader.apply_update(part.update)
            seen = [len(entry) for entry in reader.get("messages", type=Array)]
            for size, found in zip(sizes, seen, strict=False):
                assert found == size or (not is_record and 2 * size + 1 > most)


def test_a_record_with_something_collected_in_it_is_in_one_part() -> None:
    doc: Doc[Any] = Doc(client_id=7)
    with doc.transaction():
        record = doc.get("messages", type=Array)
        record.append(Map({"parts": Array()}))
        for number in range(60):
            record[0]["parts"].append(Map({"text": Text(f"{number}")}))
    for number in range(50, 0, -7):
        del record[0]["parts"][number]
    assert doc.get_update().count(b"\x00\x03") > 3
    for part in parts_of(doc.get_update(), 8):
        reader: Doc[Any] = Doc()
        reader.apply_update(part)
        assert reader.get("messages", type=Array).to_py() == record.to_py()


def test_records_that_are_filled_in_turns_are_in_one_part() -> None:
    doc: Doc[Any] = Doc(client_id=7)
    messages = doc.get("messages", type=Array)
    with doc.transaction():
        for _ in range(5):
            messages.append(Map({}))
        for number in range(20):
            for message in messages:
                message[f"k{number}"] = number
    first = parts_of(doc.get_update(), 8)[0]
    reader: Doc[Any] = Doc()
    reader.apply_update(first)
    assert reader.get("messages", type=Array).to_py() == messages.to_py()


def test_what_was_taken_out_of_a_new_record_is_never_seen() -> None:
    doc: Doc[Any] = Doc(client_id=7, skip_gc=True)
    text = doc.get("messages", type=Array).append(Map({"text": Text("secret " * 40)}))
    text = doc.get("messages", type=Array)[0]["text"]
    for number in range(40):
        del text[number : number + 6]
    for part in parts_of(doc.get_update(), 8):
        reader: Doc[Any] = Doc()
        reader.apply_update(part)
        assert str(reader.get("messages", type=Array)[0]["text"]) == " " * 40


def test_a_record_that_is_too_large_is_left_out_and_its_neighbours_keep_their_places() -> None:
    doc: Doc[Any] = Doc(client_id=7)
    messages = doc.get("messages", type=Array)
    with doc.transaction():
        for size in (3, 90, 3):
            messages.append(Map({f"k{number}": number for number in range(size)}))
    update, reader = doc.get_update(), Doc[Any]()
    refused: list[RecordSize] = []
    for part in split_work(update, read_update_header(update), 8, largest=RecordSize(50, 10_000)):
        if part is not None:
            reader.apply_update(part.update)
            refused += [part.refused] if part.refused else []
    assert [len(entry) for entry in reader.get("messages", type=Array)] == [3, 3]
    assert [size.structs for size in refused] == [91]
    assert reader.get_state() == doc.get_state()
    doc.apply_update(reader.get_update())
    assert [len(entry) for entry in messages] == [3, 3], "nor is it on the replica that wrote it"


def test_what_was_written_and_deleted_again_is_never_seen() -> None:
    doc: Doc[Any] = Doc(client_id=7, skip_gc=True)
    messages = doc.get("messages", type=Array)
    with doc.transaction():
        for number in range(9):
            messages.append(f"m{number}")
            doc.get("m", type=Map)[f"k{number}"] = number
    del messages[3:6]
    reader: Doc[Any] = Doc()
    for part in parts_of(doc.get_update(), 4):
        reader.apply_update(part)
        assert not {"m3", "m4", "m5"} & set(reader.get("messages", type=Array).to_py() or ())
    assert reader.get("messages", type=Array).to_py() == messages.to_py()


def test_a_list_of_many_values_comes_in_parts() -> None:
    doc: Doc[Any] = Doc()
    doc.get("a", type=Array).extend(list(range(1000)))
    parts = parts_of(doc.get_update(), 100)
    assert len(parts) > 9
    reader: Doc[Any] = Doc()
    for part in parts:
        reader.apply_update(part)
    assert reader.get("a", type=Array).to_py() == list(range(1000))
    assert reader.get_state() == doc.get_state()


def test_clients_that_stand_on_each_other_in_a_chain_come_in_order() -> None:
    clients = [b"\x01" + lib0.uint(2000 - number) + b"\x00\x84" for number in range(1000)]
    chain = [client + lib0.uint(1999 - number) + b"\x00\x01a" for number, client in enumerate(clients)]
    update = lib0.uint(1000) + b"".join(chain) + b"\x00"
    assert b"".join(parts_of(update, 10)).count(b"\x01a") == 1000


@pytest.mark.parametrize("content", [b"\x24", b"\x28"], ids=["a text", "a list"])
def test_what_is_at_a_key_is_not_cut_for_of_its_parts_only_the_last_would_stay(content: bytes) -> None:
    many = lib0.buffer(b"abcd" * 500) if content == b"\x24" else lib0.uint(500) + b"\x7d\x01" * 500
    update = b"\x01\x01\x07\x00" + content + b"\x01" + lib0.buffer(b"m") + lib0.buffer(b"k") + many + b"\x00"
    assert parts_of_cut_texts(update, 8) == [update]
