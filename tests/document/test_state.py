"""Trees of JSON-like values: the application's state, and what a surface shows."""

import json
from typing import Any

import pytest
from document.samples import copy_of, exchange, keys, values
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Map, Text

from cosession.document import SessionDocument
from cosession.errors import BadDocument


@given(st.lists(keys.filter(bool), min_size=1, max_size=4), values)
def test_what_is_set_is_got(path: list[str], value: Any) -> None:
    session = SessionDocument()
    session.state.set(path, value)
    replica = copy_of(session)
    assert replica.state.get(path) == value
    assert path in replica.state


def test_whole_numbers_come_back_as_whole_numbers(session: SessionDocument) -> None:
    session.state.set("trip", {"nights": 3, "price": 120.0, "rate": 1.5, "paid": True})
    trip = copy_of(session).state.get("trip")
    assert [type(trip[key]) for key in ("nights", "price", "rate", "paid")] == [int, int, float, bool]


def test_paths_reach_into_objects_and_lists(session: SessionDocument) -> None:
    state = session.state
    state.set("trip.days", [{"city": "Bern"}, {"city": "Chur"}])
    state.set("trip.days.1.city", "Zug")
    state.set(["trip", "days", 2], "home")
    state.set("trip.a.b", 1)
    assert state.to_json() == {"trip": {"days": [{"city": "Bern"}, {"city": "Zug"}, "home"], "a": {"b": 1}}}
    assert state.get("trip.days.0.city") == "Bern"
    assert state.get("trip.days.7", "nothing") == "nothing"
    assert state.delete("trip.days.0")
    assert not state.delete("trip.days.9")
    assert not state.delete("nowhere.at.all")
    assert not state.delete("trip.a.b.c")
    assert state.get("trip.days") == [{"city": "Zug"}, "home"]


def test_two_who_write_different_leaves_both_keep_them(session: SessionDocument) -> None:
    session.state.set("hotel", {"name": "Krone", "stars": 4})
    other = copy_of(session)
    session.state.set("hotel.name", "Adler")
    other.state.set("hotel.stars", 5)
    exchange(session, other)
    assert session.state.to_json() == other.state.to_json() == {"hotel": {"name": "Adler", "stars": 5}}


def test_setting_what_is_there_writes_nothing(session: SessionDocument) -> None:
    session.state.set("paid", True)
    session.state.set("nights", 2)
    before = session.doc.get_update()
    session.state.set("paid", True)
    session.state.set("nights", 2.0)
    assert session.doc.get_update() == before
    session.state.set("paid", 1)
    assert session.state.get("paid") is not True


@pytest.mark.parametrize("path", ["", [], "a..b", ".", [""], [True], [1.5], [None]])
def test_a_path_that_is_none_is_refused(session: SessionDocument, path: Any) -> None:
    with pytest.raises(BadDocument):
        session.state.set(path, 1)
    with pytest.raises(BadDocument):
        session.state.get(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("number.deeper", 1),
        ("list.5", 1),
        ("list.first", 1),
        ([0], 1),
        ("x", {1: 2}),
        ("x", b"bytes"),
        ("x", float("nan")),
        ("x", "\udc00"),
        ("x", {"\udc00": 1}),
        ("x", 2**53),
        ("x", object()),
    ],
)
def test_what_cannot_be_written_is_refused_and_changes_nothing(
    session: SessionDocument, path: Any, value: Any
) -> None:
    session.state.set("number", 3)
    session.state.set("list", [1])
    before = session.doc.get_update()
    with pytest.raises(BadDocument):
        session.state.set(path, value)
    assert session.doc.get_update() == before


def test_a_value_nested_too_deep_is_refused(session: SessionDocument) -> None:
    value: Any = 1
    for _ in range(70):
        value = [value]
    with pytest.raises(BadDocument):
        session.state.set("x", value)


def test_whatever_is_read_can_be_written(session: SessionDocument) -> None:
    """A browser's BigInt is more than its number can hold; it reads as what the browser would make of it."""
    state = session.state
    state.shared["big"], state.shared["map"] = 2**60, Map({"big": -(2**60), "fine": 2**53 - 1})
    for key in ("big", "map"):
        state.set("again", state.get(key))
        assert state.get("again") == state.get(key)
    assert state.get("map") == {"big": float(-(2**60)), "fine": 2**53 - 1}


def test_foreign_values_are_read_as_far_as_they_go(session: SessionDocument) -> None:
    shared = session.state.shared
    shared["nan"], shared["bytes"], shared["text"] = float("nan"), b"\x01\x02", Text("so é")
    shared["json"] = {"inner": [1, {"leaf": 2}]}
    shared["mixed"] = Array([Map({"a": Text("t")}), None, 2**60])
    replica = copy_of(session)
    assert replica.to_json()["state"] == {
        "nan": None,
        "bytes": [1, 2],
        "text": "so é",
        "json": {"inner": [1, {"leaf": 2}]},
        "mixed": [{"a": "t"}, None, 2**60],
    }
    assert replica.state.get("json.inner.1.leaf") == 2
    assert replica.state.get("nan", 7) is None
    replica.state.set("json.inner.1.leaf", 3)
    replica.state.set("json.inner.0", 0)
    assert replica.state.get("json") == {"inner": [0, {"leaf": 3}]}
    assert not replica.state.delete("bytes.0")


def test_what_is_nested_too_deep_is_shown_as_far_as_it_goes(session: SessionDocument) -> None:
    session.state.set("fine", 1)
    inner = session.state.shared
    with session.transaction():
        for _ in range(3000):
            inner["in"] = Array([3, Map()])
            inner = inner["in"][1]
    shown = copy_of(session).to_json()["state"]
    assert shown["fine"] == 1
    assert shown["in"][1]["in"][0] == 3
    json.dumps(shown)


def test_a_surface_is_made_changed_and_removed(session: SessionDocument) -> None:
    surface = session.surfaces.create(
        "booking",
        catalog_id="basic",
        agent="bot",
        theme={"color": "teal"},
        components=[{"id": "root", "component": "Text", "text": {"path": "/name"}}],
        data={"name": "Ada", "guests": [{"age": 3}]},
    )
    surface.update_components([{"id": "ok", "component": "Button"}, {"id": "root", "component": "Column"}])
    surface.update_data("/name", "Bob")
    surface.update_data("/guests/0/age", 4)
    surface.update_data("/a~1b", 1)
    replica = copy_of(session).surfaces.get("booking")
    assert replica is not None
    assert (replica.catalog_id, replica.agent, replica.theme) == ("basic", "bot", {"color": "teal"})
    assert replica.components == {
        "root": {"id": "root", "component": "Column"},
        "ok": {"id": "ok", "component": "Button"},
    }
    assert replica.data is not None
    assert replica.data.to_json() == {"name": "Bob", "guests": [{"age": 4}], "a/b": 1}
    surface.update_data("/", {"name": "Cy"})
    assert surface.to_json()["data"] == {"name": "Cy"}
    assert [name for name, _ in session.surfaces] == ["booking"]
    session.surfaces.delete("booking")
    session.surfaces.delete("booking")
    assert session.surfaces.to_json() == {}


def test_a_surface_that_does_not_fit_is_refused(session: SessionDocument) -> None:
    session.surfaces.create("s", catalog_id="basic")
    foreign = Map({"catalogId": 3, "components": "none"})
    session.surfaces.shared["foreign"] = foreign
    bad = session.surfaces.get("foreign")
    assert bad is not None
    assert (bad.catalog_id, bad.theme, bad.components, bad.data) == ("", None, {}, None)
    for change in (
        lambda: session.surfaces.create("s", catalog_id="basic"),
        lambda: session.surfaces.create("t", catalog_id="basic", components=[{"component": "Text"}]),
        lambda: session.surfaces.create("t", catalog_id=""),
        lambda: bad.update_components([{"id": "x"}]),
        lambda: bad.update_data("/x", 1),
    ):
        with pytest.raises(BadDocument):
            change()
    assert sorted(session.surfaces.to_json()) == ["foreign", "s"]


def test_a_list_has_no_place_before_its_first(session: SessionDocument) -> None:
    session.state.set("list", ["a", "b"])
    assert session.state.get(["list", -1]) is None
    assert ["list", -1] not in session.state
    assert not session.state.delete(["list", -1])
    with pytest.raises(BadDocument):
        session.state.set(["list", -1], "c")
    assert session.state.to_json() == {"list": ["a", "b"]}


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_does_not_have_is_read_as_nothing(session: SessionDocument, number: float) -> None:
    session.state.shared["n"] = number
    session.state.shared["list"] = [number, 1.0]
    assert session.state.get("n") is None
    assert session.state.get("list") == [None, 1]
