"""What of a document a room watches: what is written in, from the first time on."""

import pytest
from pycrdt import Doc, Map

from cosession.document import SessionDocument
from cosession.protocol import read_update_header
from cosession.room.change_tracker import ChangeTracker
from cosession.room.decisions import DECIDED_ON


@pytest.fixture
def document() -> SessionDocument:
    return SessionDocument(Doc())


def test_a_session_that_rests_is_asked_for_no_root_and_watched_in_none(document: SessionDocument) -> None:
    watch = ChangeTracker(document)
    assert not watch._subscriptions
    assert not document.doc.keys()


@pytest.mark.parametrize("root", sorted(DECIDED_ON - {"queue"}))
def test_a_root_is_watched_from_its_first_key_on(document: SessionDocument, root: str) -> None:
    watch, writer = ChangeTracker(document), Doc()
    shared = writer.get(root, type=Map)
    for number, key in enumerate(("one", "two")):
        before = writer.get_state()
        shared[key] = {"plain": number}
        update = writer.get_update(before)
        document.doc.apply_update(update)
        watch.notice(update, read_update_header(update))
        assert watch.take() == {root: {key}}
    assert len(watch._subscriptions) == 1


def test_what_was_there_at_load_is_watched_from_the_start(document: SessionDocument) -> None:
    document.claims.grant("seat", by="ada", client=1, epoch=1, at="2026-01-01T00:00:00.000Z")
    watch = ChangeTracker(document)
    document.claims.release("seat")
    assert watch.take() == {"claims": {"seat"}}


def test_a_word_in_a_text_is_no_root(document: SessionDocument) -> None:
    watch, writer = ChangeTracker(document), Doc()
    shared = writer.get("state", type=Map)
    shared["requests"] = "claims, runs and meta"
    update = writer.get_update()
    document.doc.apply_update(update)
    watch.notice(update, read_update_header(update))
    assert not watch.take()
