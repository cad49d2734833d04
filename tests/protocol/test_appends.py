"""An update that appends one Map to a list is known by its bytes, and does the same in three."""

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, TransactionEvent

from cosession.protocol import decode_state_vector, read_update_header
from cosession.protocol.appends import read_append, write_last

acts = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(["messages", "queue"]), st.integers(0, 3)),
        st.tuples(st.just("insert"), st.sampled_from(["messages", "queue"]), st.integers(0, 3)),
        st.tuples(st.just("value"), st.sampled_from(["messages", "queue"]), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.sampled_from(["messages", "queue"]), st.integers(0, 3)),
        st.tuples(st.just("set"), st.sampled_from(["runs", "state"]), st.integers(0, 3)),
        st.tuples(st.just("type"), st.just("text"), st.integers(0, 3)),
        st.tuples(st.just("edit"), st.sampled_from(["messages", "queue"]), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=3,
)


def message(parts: int) -> Map[Any]:
    return Map({"id": "m", "parts": Array([Map({"text": Text("word" * 50)}) for _ in range(parts)])})


def perform(doc: Doc[Any], act: Any) -> None:
    what, root, number = act
    if what == "set":
        doc.get(root, type=Map)[f"{number}"] = Map({"messages": Array([f"m{number}"])})
        return
    if what == "type":
        doc.get(root, type=Text).insert(0, f"{number}")
        return
    array = doc.get(root, type=Array)
    match what:
        case "append":
            array.append(message(number) if number else Map())
        case "insert":
            array.insert(min(number, len(array)), message(1))
        case "value":
            array.append(number)
        case "delete" if len(array):
            del array[number % len(array)]
        case "edit" if len(array) and isinstance(array[number % len(array)], Map):
            array[number % len(array)]["new"] = Map()
        case _:
            pass


def history(transactions: list[Any]) -> list[bytes]:
    doc: Doc[Any] = Doc()
    updates: list[bytes] = []

    def note(event: TransactionEvent) -> None:
        updates.append(event.update)

    subscription = doc.observe(note)
    for one in transactions:
        with doc.transaction():
            for act in one:
                perform(doc, act)
    doc.unobserve(subscription)
    return updates


def entries(doc: Doc[Any]) -> list[int]:
    return [len(doc.get(name, type=Array)) for name in ("messages", "queue")]


@given(st.lists(acts, min_size=1, max_size=6))
def test_in_three_it_does_the_same_and_one_entry_comes_first(transactions: list[Any]) -> None:
    one, two = Doc[Any](), Doc[Any]()
    for update in history(transactions):
        found = read_append(update)
        event("an append" if found else "something else")
        if found is None:
            one.apply_update(update)
            two.apply_update(update)
            continue
        assert read_update_header(found.first).fits(decode_state_vector(two.get_state()))
        before = entries(two)
        two.apply_update(found.first)
        between = entries(two)
        if between != before:  # else it replaced the Map of a key
            assert sorted(after - known for after, known in zip(between, before, strict=True)) == [0, 1]
            list_ = two.get("messages" if between[0] > before[0] else "queue", type=Array)
            assert len(list_[len(list_) - 1]) == 0
        told: list[Any] = []
        list_ = two.get("messages", type=Array)
        watch = list_.observe_deep(told.extend)
        two.apply_update(found.filled)
        list_.unobserve(watch)
        if between[0] > before[0]:
            assert [event.path for event in told] == [[before[0]]], "only the new entry changes"
        two.apply_update(found.rest)
        one.apply_update(update)
        if not read_update_header(update).deletes:
            assert entries(two) == between
        assert decode_state_vector(one.get_state()) == decode_state_vector(two.get_state())
        for name, kind in (("messages", Array), ("queue", Array), ("runs", Map), ("text", Text)):
            assert one.get(name, type=kind).to_py() == two.get(name, type=kind).to_py()


def last_update(*transactions: list[Any]) -> bytes:
    return history(list(transactions))[-1]


BEGUN = [("append", "messages", 1)]


@pytest.mark.parametrize(
    ("acts", "is_one"),
    [
        ([("append", "messages", 1)], True),
        ([("append", "messages", 3)], True),
        ([("set", "runs", 1), ("append", "messages", 2)], True),
        ([("append", "messages", 2), ("set", "runs", 1)], True),
        ([("append", "messages", 0)], False),
        ([("append", "messages", 0), ("edit", "messages", 0)], False),
        ([("append", "messages", 1), ("append", "messages", 1)], False),
        ([("insert", "messages", 0)], False),
        ([("value", "messages", 1)], False),
        ([("append", "messages", 1), ("append", "queue", 1)], False),
        ([("type", "text", 1), ("append", "messages", 1)], False),
        ([("set", "runs", 1)], False),
    ],
)
def test_one_message_is_an_append_and_nothing_else_is(acts: list[Any], is_one: bool) -> None:
    assert (read_append(last_update(BEGUN, acts)) is not None) == is_one


def test_the_first_entry_of_a_list_is_behind_nothing() -> None:
    assert read_append(last_update(BEGUN)) is None


@given(st.integers(0, 300), st.integers(0, 300), st.booleans())
def test_what_is_written_behind_a_last_entry_that_is_known_alone_is_behind_it(
    clock: int, more: int, is_own: bool
) -> None:
    writer = 7 if is_own else 9
    known = clock + 1 + more if is_own else more
    doc: Doc[Any] = Doc(client_id=7)
    doc.apply_update(write_last("messages", (writer, clock), 7, known))
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    doc.get("messages", type=Array).append(message(1))
    found = read_append(updates[0])
    assert found is not None
    assert (found.left, found.id) == ((writer, clock), (7, known))
