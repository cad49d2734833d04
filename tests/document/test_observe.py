"""Watching a document: where it changed, what came, who did it."""

import gc
import weakref
from typing import Any

import pytest
from document.samples import AT, copy_of, exchange, said
from pycrdt import XmlElement

from cosession.document import Change, SessionDocument
from cosession.errors import BadDocument


class Heard(list[list[Change]]):
    """A callback that keeps what it is told."""

    def __call__(self, changes: list[Change]) -> None:
        self.append(changes)


def test_a_token_is_one_change_with_its_path(session: SessionDocument) -> None:
    said(session, "Hallo 😀")
    heard = Heard()
    with session.observe(heard, "messages"):
        text = session.messages[0].parts[0].text
        assert text is not None
        with session.transaction("agent"):
            text.append(" Zürich")
        text.delete(0, 1)
    assert heard == [
        [Change(("messages", 0, "parts", 0, "text"), "text", inserted=" Zürich", origin="agent")],
        [Change(("messages", 0, "parts", 0, "text"), "text", inserted="", removed=1)],
    ]


def test_paths_are_those_after_the_transaction(session: SessionDocument) -> None:
    said(session, "one")
    heard = Heard()
    session.state.set("a.list", [{"x": 1}])
    with session.observe(heard, "messages", "state"), session.transaction():
        text = session.messages[0].parts[0].text
        assert text is not None
        text.append("!")
        said(session, "two", "m2")
        session.messages.shared.insert(0, "foreign")
        session.state.set("a.list.0.x", 2)
    paths = {change.path: change for changes in heard for change in changes}
    assert set(paths) == {("messages",), ("messages", 1, "parts", 0, "text"), ("state", "a", "list", 0)}
    assert paths["state", "a", "list", 0].keys == ("x",)
    inserted: Any = paths[("messages",)].inserted
    assert inserted[0] == "foreign"
    assert inserted[1]["id"] == "m2"


def test_every_root_is_watched_when_none_is_named(session: SessionDocument) -> None:
    session.text("note").append("x")
    session.xml("page")
    heard = Heard()
    with session.observe(heard):
        session.runs.start("r1", agent="agent", started_at=AT)
        session.text("note").append("y")
        session.xml("page").children.append(XmlElement("p"))
        session.requests.ask_cancel("r1", "ada")
    assert [changes[0].path for changes in heard] == [("runs",), ("text:note",), ("xml:page",), ("requests",)]
    assert [changes[0].kind for changes in heard] == ["map", "text", "xml", "map"]
    assert heard[3][0].keys == ("cancel/r1/ada",)


def test_what_another_wrote_is_heard(session: SessionDocument) -> None:
    other = copy_of(session)
    heard = Heard()
    with session.observe(heard, "messages", "text:note"):
        said(other, "hello")
        other.text("note").append("é")
        exchange(session, other)
    assert sorted(changes[0].path for changes in heard) == [("messages",), ("text:note",)]


def test_a_closed_subscription_hears_nothing(session: SessionDocument) -> None:
    heard = Heard()
    subscription = session.observe(heard, "state")
    subscription.close()
    subscription.close()
    session.state.set("x", 1)
    assert heard == []


def test_a_subscription_can_be_closed_from_its_own_callback(session: SessionDocument) -> None:
    heard = Heard()

    def once(changes: list[Change]) -> None:
        heard(changes)
        subscription.close()

    subscription = session.observe(once, "state", "meta")
    session.state.set("x", 1)
    session.state.set("x", 2)
    session.meta.set_title("other")
    assert len(heard) == 1


def test_a_callback_may_read_the_whole_session(session: SessionDocument) -> None:
    shown: list[dict[str, Any]] = []
    other = copy_of(session)
    other.text("unheard of").append("x")
    said(other, "hello")
    with session.observe(lambda _: shown.append(session.to_json()), "messages"):
        exchange(session, other)
    assert shown[0]["messages"][0]["parts"][0]["text"] == "hello"
    assert session.to_json()["text"] == {"unheard of": "x"}


def test_an_error_in_a_callback_undoes_nothing_and_silences_nobody(session: SessionDocument) -> None:
    heard = Heard()

    def fail(_changes: list[Change]) -> None:
        raise ValueError("my own mistake")

    def write(_changes: list[Change]) -> None:
        session.state.set("y", 1)

    with session.observe(fail, "state"), session.observe(write, "state"), session.observe(heard, "state"):
        with pytest.raises(ExceptionGroup) as raised:
            session.state.set("x", 1)
        assert {type(error) for error in raised.value.exceptions} == {ValueError, RuntimeError}
    assert len(heard) == 1
    assert session.state.to_json() == {"x": 1}
    session.state.set("x", 2)
    assert copy_of(session).state.to_json() == {"x": 2}


def test_an_unknown_root_and_a_wrong_origin_are_refused(session: SessionDocument) -> None:
    with pytest.raises(BadDocument):
        session.observe(print, "message")
    with pytest.raises(BadDocument):
        session.transaction(-1)  # type: ignore[arg-type]


def test_transactions_nest(session: SessionDocument) -> None:
    updates: list[bytes] = []
    session.doc.observe(lambda event: updates.append(event.update))
    with session.transaction("ada"):
        session.state.set("a.b", 1)
        with session.transaction():
            said(session, "hello")
            session.messages[0].edit("hello!", at=AT, by="ada")
    assert len(updates) == 1


def test_a_document_that_is_not_observed_any_more_is_freed() -> None:
    session = SessionDocument()
    session.initialise(created_at=AT)
    session.observe(Heard()).close()
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
