"""Roots that the schema doesn't have, as the session's JSON tells them."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol.test_pieces import edits, written
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment

from cosession.document import SessionDocument, own_roots
from cosession.document.values import plain

BY_YJS = bytes.fromhex(
    "0113aa8aca8d0d00040101740a706c61696e20f09f98800601047269636804626f6c64047472756584aa8aca8d0d08026162"
    "86aa8aca8d0d0a04626f6c64046e756c6c85aa8aca8d0d0b0d7b22696d616765223a2278227d2801016d0161017d01270101"
    "6d016e012800aa8aca8d0d0e016b0175027d017d02080103617272037d01760101787d0277017387aa8aca8d0d12012800aa"
    "8aca8d0d13057469746c650177017807010b70726f73656d6972726f7203097061726167726170680700aa8aca8d0d150604"
    "00aa8aca8d0d160568656c6c6f2800aa8aca8d0d15056c6576656c017d02070104726f6f74060700aa8aca8d0d1d012800aa"
    "8aca8d0d1e065f5f747970650177047465787484aa8aca8d0d1e05776f72647300"
)
"""Written by Yjs: a text, a rich one, a map, a list, XML (as of ProseMirror), and texts in a text (as of Lexical)."""


def read(update: bytes) -> object:
    doc: Doc[object] = Doc()
    doc.apply_update(update)
    return SessionDocument(doc).to_json()["roots"]


def test_each_root_is_read_as_what_its_content_makes_of_it() -> None:
    assert read(BY_YJS) == {
        "arr": [1, {"x": 2}, "s", {"title": "x"}],
        "m": {"a": 1, "n": {"k": [1, 2]}},
        "prosemirror": '<paragraph level="2">hello</paragraph>',
        "rich": [{"insert": "ab", "attributes": {"bold": True}}, {"insert": {"image": "x"}}],
        "root": "words",
        "t": "plain 😀",
    }


@pytest.mark.parametrize("kind", [Text, Array, Map, XmlFragment])
def test_a_root_of_which_the_first_entries_are_deleted_keeps_its_type(kind: type) -> None:
    doc: Doc[object] = Doc()
    root = doc.get("mine", type=kind)
    with doc.transaction():
        if isinstance(root, Text):
            root += "ab"
        elif isinstance(root, Array):
            root.extend([1, 2])
        elif isinstance(root, Map):
            root.update({"a": 1, "b": 2})
        else:
            root.children.append(XmlElement("a"))
            root.children.append(XmlElement("b"))
    with doc.transaction():
        if isinstance(root, XmlFragment):
            del root.children[0]
        elif isinstance(root, Map):
            del root["a"]
        else:
            del root[0]
    wanted = {Text: "b", Array: [2], Map: {"b": 2}, XmlFragment: "<b></b>"}[kind]
    assert read(doc.get_update()) == {"mine": wanted}


def test_a_text_of_the_schema_that_holds_shared_types_is_read_with_them() -> None:
    document = SessionDocument()
    text = document.text("slate").shared
    text.insert_embed(0, Text("é 😀"))
    text.insert_embed(1, {"image": "x"})
    document.text("quill").shared.insert(0, "bold", {"bold": True})
    document.text("quill").shared.insert_embed(4, {"image": "x"})
    shown = document.to_json()["text"]
    assert shown == {"quill": "bold", "slate": [{"insert": "é 😀"}, {"insert": {"image": "x"}}]}


def test_a_session_that_keeps_to_the_schema_has_no_other_roots() -> None:
    document = SessionDocument()
    document.state.set("trip", "Lyon")
    document.text("notes").shared.insert(0, "words")
    assert document.to_json()["roots"] == {}


def test_a_root_that_was_emptied_is_not_told_of() -> None:
    doc: Doc[object] = Doc()
    text = doc.get("mine", type=Text)
    text += "gone"
    del text[0:4]
    assert read(doc.get_update()) == {}


@given(edits, st.integers(20, 400))
@settings(max_examples=200)
def test_roots_of_any_history_are_read_in_pieces_of_any_size(
    steps: list[tuple[int, tuple[str, Any, Any]]], size: int
) -> None:
    doc = written(steps)
    wanted = {
        "t": str(doc.get("t", type=Text)),
        "a": plain(doc.get("a", type=Array)),
        "m": plain(doc.get("m", type=Map)),
        "x": str(doc.get("x", type=XmlFragment)),
    }
    with patch.object(own_roots, "_PIECE", size):
        found = own_roots.read_own_roots(doc.get_update(), list(wanted))
    assert found == {name: value for name, value in sorted(wanted.items()) if value not in ("", [], {})}
