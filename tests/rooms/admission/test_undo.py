"""Undo and redo, as an editor's undo manager does them, are admitted to whoever may do what they undo."""

from collections.abc import Callable
from typing import Any

import pytest
from pycrdt import UndoManager
from rooms.admission.scene import Client, Scene, participant, say, text_of

from cosession.document import SessionDocument
from cosession.errors import NotAllowed

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


def test_sending_is_undone_but_no_writer_brings_back_the_stamp_with_the_message(scene: Scene) -> None:
    eve = scene.client(participant("eve", role="member"))
    manager = undo_manager(eve.document.messages.shared)
    before = scene.document.messages.to_json()
    sent(eve, lambda: written(eve, lambda d: say(d, "m-new", "eve")))
    sent(eve, manager.undo)
    assert scene.document.messages.to_json() == before

    with pytest.raises(NotAllowed, match="stamp"):
        sent(eve, manager.redo)
