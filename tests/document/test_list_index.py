"""The index of a list: whatever is done to the list, it finds what looking through the list finds."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map

from cosession.document import SessionDocument
from cosession.document.list_index import SHORT, ListIndex

IDS = ["a", "b", "c", "d", ""]
entries = st.sampled_from([None, 5, "text", {"id": "a"}, *((id_,) for id_ in IDS)])
"""A tuple stands for a Map of that id; an empty one for a Map without."""
steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 99), st.lists(entries, min_size=1, max_size=3)),
        st.tuples(st.just("delete"), st.integers(0, 99), st.integers(1, 3)),
        st.tuples(st.just("name"), st.integers(0, 99), st.sampled_from(IDS)),
    ),
    max_size=6,
)


def made(entry: Any) -> Any:
    if not isinstance(entry, tuple):
        return entry
    return Map({"id": entry[0]} if entry[0] else {"role": "user"})


def act(array: Array[Any], step: Any) -> None:
    what, place, value = step
    place = min(place, len(array))
    if what == "insert":
        for item in reversed(value):
            array.insert(place, made(item))
    elif what == "delete":
        del array[place : min(place + value, len(array))]
    elif place < len(array) and isinstance(array[place], Map) and "id" not in array[place]:
        array[place]["id"] = value


@settings(deadline=None)
@given(st.lists(steps, max_size=8), st.booleans())
def test_it_finds_what_is_there_whatever_was_done(transactions: list[Any], asks: bool) -> None:
    doc: Doc[Any] = Doc()
    array = doc.get("messages", type=Array)
    index = ListIndex(array)
    for changes in transactions:
        with doc.transaction():
            for step in changes:
                act(array, step)
        if asks:
            index.get("a")
    assert len(index) == len(array)
    for id_ in IDS[:4]:
        there = [item for item in array if isinstance(item, Map) and item.get("id") == id_]
        found = index.get(id_)
        assert (found is None) == (not there)
        assert found is None or found.to_py() in [item.to_py() for item in there]
    for place in range(len(array)):
        item, indexed = array[place], index[place]
        assert (indexed.to_py() if indexed is not None else None) == (item.to_py() if isinstance(item, Map) else None)


def test_of_two_with_one_id_the_last_is_found_until_it_goes() -> None:
    array = Doc().get("messages", type=Array)
    index = ListIndex(array)
    array.extend([Map({"id": "a", "n": 1}), Map({"id": "a", "n": 2})])
    assert index.get("a")["n"] == 2
    del array[1]
    assert index.get("a")["n"] == 1
    del array[0]
    assert index.get("a") is None


def test_what_arrived_is_told_once_and_not_when_it_is_gone_again() -> None:
    array = Doc().get("messages", type=Array)
    index = ListIndex(array)
    array.extend([Map({"id": "a"}), 5, Map({"id": "b"})])
    del array[0]
    assert [item["id"] for item in index.take_arrived()] == ["b"]
    assert index.take_arrived() == []


def test_a_list_that_grows_long_is_indexed_from_what_was_done_to_it() -> None:
    array = Doc().get("messages", type=Array)
    array.extend([Map({"id": f"old{number}"}) for number in range(SHORT)])
    told: list[Any] = []
    array.observe(lambda event: told.extend(event.delta))
    with array.doc.transaction():
        del array[3]
        array.insert(2, Map({"id": "new"}))
        array.append(5)
    index = ListIndex.after(array, told)
    assert [item and item["id"] for item in index] == [
        item["id"] if isinstance(item, Map) else None for item in array
    ]
    assert index.get("new") is not None
    assert index.get("old3") is None


def test_messages_are_found_alike_with_and_without_an_index() -> None:
    document, other = SessionDocument(), SessionDocument()
    for number in range(2 * SHORT):
        document.messages.append(
            "user", [{"type": "text", "text": "hi"}], id=f"m{number}", author="ada", created_at=""
        )
    other.messages.index = ListIndex(other.messages.shared)
    other.doc.apply_update(document.doc.get_update())
    for id_ in ("m0", "m63", "m64", "m127", "m128"):
        assert document.messages.get(id_) == other.messages.get(id_)
    assert list(document.messages) == list(other.messages)
    assert document.messages.at(7) == other.messages.at(7)
