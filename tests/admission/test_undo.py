"""Undo and redo, as an editor's undo manager does them, are admitted to whoever may do what they undo."""

from collections.abc import Callable
from typing import Any

import pytest
from admission.forge import Item, forge, shared, value
from admission.scene import AT, Client, Scene, participant, say, text_of
from pycrdt import Map, UndoManager

from cosession.document import SessionDocument
from cosession.errors import NotAllowed
from cosession.protocol.lib0 import buffer
from cosession.protocol.structs import ANY

CHANGES: dict[str, tuple[Callable[[SessionDocument], Any], Callable[[SessionDocument], object]]] = {
    "typing in the shared notes": (lambda d: d.text("notes").shared, lambda d: d.text("notes").insert(3, "🦊 ")),
    "deleting in them": (lambda d: d.text("notes").shared, lambda d: d.text("notes").delete(0, 4)),
    "typing in one's own message": (lambda d: text_of(d, "m-eve"), lambda d: text_of(d, "m-eve").insert(0, "so ")),
    "setting some state": (lambda d: d.state.shared, lambda d: d.state.set("trip.hotel.name", "Adlon")),
    "taking some state away": (lambda d: d.state.shared, lambda d: d.state.delete("trip")),
    "selecting": (lambda d: d.selections.shared, lambda d: d.selections.set("eve", "row", 1)),
    "counting": (lambda d: d.counters.shared, lambda d: d.counters.add("likes", "eve")),
    "giving a title": (lambda d: d.meta.shared, lambda d: d.meta.set_title("Journey")),
}

LIAR = 7
MINE = 7
"""The origin of what is written here; what others wrote isn't undone, as in an editor."""


def undo_manager(scope: Any) -> UndoManager:
    manager = UndoManager(scopes=[scope], capture_timeout_millis=0)
    manager.include_origin(MINE)
    return manager


def written(client: Client, change: Callable[[SessionDocument], object]) -> None:
    with client.document.doc.transaction(origin=MINE):
        change(client.document)


def sent(client: Client, act: Callable[[], object]) -> None:
    before = client.document.doc.get_state()
    act()
    client.scene.receive(client.document.doc.get_update(before), client.who)
    client.sync()


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_member_did_is_undone_and_done_again(scene: Scene, what: str) -> None:
    scope, change = CHANGES[what]
    eve = scene.client(participant("eve", role="member"))
    manager = undo_manager(scope(eve.document))
    first = scene.document.to_json()
    sent(eve, lambda: written(eve, change))
    second = scene.document.to_json()
    assert second != first

    sent(eve, manager.undo)
    undone = scene.document.to_json()
    sent(eve, manager.redo)

    assert undone != second
    assert scene.document.to_json() == eve.document.to_json()


def test_a_message_that_its_writer_took_back_comes_back_as_it_was(scene: Scene) -> None:
    eve = scene.client(participant("eve", role="member"))
    manager = undo_manager(eve.document.messages.shared)
    before = scene.document.messages.to_json()
    sent(eve, lambda: written(eve, lambda d: say(d, "m-new", "eve")))
    after = scene.document.messages.to_json()

    for _ in range(3):
        sent(eve, manager.undo)
        assert scene.document.messages.to_json() == before
        sent(eve, manager.redo)
        assert scene.document.messages.to_json() == eve.document.messages.to_json() == after


def test_a_message_that_its_writer_removed_comes_back_by_undo(scene: Scene) -> None:
    eve = scene.client(participant("eve", role="member"))
    manager = undo_manager(eve.document.messages.shared)
    before = scene.document.messages.to_json()
    sent(eve, lambda: written(eve, lambda d: d.messages.shared.__delitem__(2)))

    sent(eve, manager.undo)

    assert scene.document.messages.to_json() == before


STAMP = {"by": "eve", "at": AT, "seq": 1}


@pytest.mark.parametrize(
    ("id_", "stamp"),
    [
        ("m-eve", {**STAMP, "seq": 0}),
        ("m-eve", {**STAMP, "at": "1999-01-01T00:00:00.000Z"}),
        ("m-eve", {**STAMP, "by": "bob"}),
        ("m-eve", {**STAMP, "more": 1}),
        ("m-eve", "eve"),
        ("m-new", STAMP),
        ("m-bob", {**STAMP, "by": "bob"}),
    ],
)
def test_no_message_comes_back_with_another_stamp_than_its_own(scene: Scene, id_: str, stamp: object) -> None:
    """Nor a new one with one, nor another's."""
    eve = scene.client(participant("eve", role="member"))
    eve.write(lambda d: d.messages.shared.__delitem__(2))
    scene.client(participant("olga", role="operator")).write(lambda d: d.messages.shared.__delitem__(1))
    eve.sync()
    known = scene.known()

    with pytest.raises(NotAllowed, match="messages/"):
        eve.write(lambda d: d.messages.shared.append(Map({"stamp": stamp, "id": id_, "role": "user"})))
    assert scene.known() == known


def test_an_old_stamp_hides_no_other_behind_it_nor_under_another_id(scene: Scene) -> None:
    eve = participant("eve", role="member")
    scene.client(eve).write(lambda d: d.messages.shared.__delitem__(2))
    made, role = shared(1, parent="messages"), value("user", parent=(LIAR, 0), key="role")
    old, new = (value(id_, parent=(LIAR, 0), key="id") for id_ in ("m-eve", "m-new"))
    true, false = (Item(ANY, encoded(seq), parent=(LIAR, 0), key="stamp") for seq in (1, 0))

    for lies in ((old, true, false), (old, false, true), (old, new, true), (new, old, true), (true,), (new, true)):
        with pytest.raises(NotAllowed):
            scene.receive(forge(LIAR, 0, made, role, *lies), eve)
    scene.receive(forge(LIAR, 0, made, true, old, role), eve)

    assert scene.document.messages.get("m-eve").stamp == STAMP


def encoded(seq: int) -> bytes:
    """A stamp of eve's, as one value."""
    fields = b"\x02by\x77\x03eve\x02at\x77" + buffer(AT.encode()) + b"\x03seq\x7d" + bytes([seq])
    return b"\x01\x76\x03" + fields
