"""No value that is written through the document has a key that browsers don't read as one."""

from typing import Any

import pytest
from pycrdt import Doc

from cosession.document import SessionDocument
from cosession.document.values import FORBIDDEN_KEY, checked, checked_key
from cosession.errors import BadDocument
from cosession.protocol import json_text

KEY = "__proto__"


def test_the_document_and_the_wire_refuse_the_same_key() -> None:
    assert FORBIDDEN_KEY == json_text.FORBIDDEN_KEY == KEY


@pytest.mark.parametrize("value", [{KEY: 1}, [{"a": {KEY: None}}], {"a": ({KEY: []},)}])
def test_a_value_has_the_key_at_no_depth(value: Any) -> None:
    with pytest.raises(BadDocument, match=KEY):
        checked(value)


@pytest.mark.parametrize("key", ["constructor", "prototype", "toString", "hasOwnProperty", "proto", "__proto"])
def test_other_names_of_a_browsers_objects_are_keys(key: str) -> None:
    assert checked({key: 1}) == {key: 1}
    assert checked_key(key, "The key") == key


def test_no_place_of_the_document_is_named_so() -> None:
    document = SessionDocument(Doc())
    for write in (
        lambda: document.state.set(("a", KEY), 1),
        lambda: document.state.set("a", {KEY: 1}),
        lambda: document.runs.start(KEY, agent="bot", started_at=""),
        lambda: document.approvals.ask(KEY, question="?", created_at="", run="r"),
        lambda: document.surfaces.create(KEY, catalog_id="basic", components=[{"id": "root"}]),
        lambda: document.surfaces.create("s", catalog_id="basic", components=[{"id": KEY}]),
        lambda: document.participants.set(KEY, name="x"),
        lambda: document.agents.declare(KEY, name="x"),
        lambda: document.claims.grant(KEY, by="ada", client=1, epoch=1, at=""),
    ):
        with pytest.raises(BadDocument, match=KEY):
            write()
