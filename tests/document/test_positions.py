"""Positions in a text: they stay with their character, and Yjs and we mean the same place by them."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from document.samples import AT, copy_of, exchange, said, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc

from cosession.document import SessionDocument, SharedText
from cosession.errors import BadDocument

SCRIPT = Path(__file__).parent.parent / "node" / "relative-positions.mjs"


def yjs(document: SessionDocument, positions: list[bytes]) -> dict[str, Any]:
    """What Yjs says of the text `note`, the root `text:note`."""
    node = os.environ.get("COSESSION_TEST_NODE") or shutil.which("node")
    modules = Path(os.environ.get("COSESSION_TEST_MODULES", SCRIPT.parent)) / "node_modules" / "yjs"
    missing = not node or not modules.is_dir()
    assert not missing, "This test needs Node.js and its packages: run `python3 tests/run.py`, which gets them."
    asked = {
        "update": document.doc.get_update().hex(),
        "name": "text:note",
        "positions": [position.hex() for position in positions],
    }
    result = subprocess.run([node, SCRIPT], input=json.dumps(asked), capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def written_by_two(edits: list[tuple[int, int, int, str]]) -> tuple[SessionDocument, SessionDocument]:
    """Two replicas that have the same `note`, written by both, with edits of other roots in between."""
    replicas = SessionDocument(), SessionDocument()
    for writer, place, width, piece in edits:
        text = replicas[writer].text("note")
        start = min(place, len(text))
        text.replace(start, min(start + width, len(text)), piece)
        replicas[writer].text("other").append(piece)
        replicas[writer].state.set("x", place)
        if place % 3 == 0:
            exchange(*replicas)
    exchange(*replicas)
    return replicas


edits = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 3), texts), max_size=12)


@settings(deadline=None)
@given(edits)
def test_every_position_is_where_it_was_made(script: list[tuple[int, int, int, str]]) -> None:
    first, second = written_by_two(script)
    collecting = SessionDocument(Doc())
    collecting.doc.apply_update(first.doc.get_update())
    mine, theirs, servers = (document.text("note") for document in (first, second, collecting))
    for index in range(len(mine) + 1):
        position = mine.position(index)
        assert mine.index_of(position) == theirs.index_of(position) == servers.index_of(position) == index
        assert mine.index_of(servers.position(index)) == index


@settings(deadline=None)
@given(edits, st.data())
def test_a_position_stays_behind_its_character(script: list[tuple[int, int, int, str]], data: st.DataObject) -> None:
    document, _ = written_by_two(script)
    text = document.text("note")
    index = data.draw(st.integers(0, len(text)))
    position = text.position(index)
    place, piece = data.draw(st.integers(0, len(text))), data.draw(texts)
    text.insert(place, piece)
    assert text.index_of(position) == (index + len(piece) if place < index else index)


def test_yjs_and_we_mean_the_same_place() -> None:
    script = [
        *((0, 0, 0, "a😀b"), (1, 0, 0, "é"), (0, 1, 0, "👩‍👩‍👧"), (1, 3, 1, "日本"), (0, 5, 0, "x"), (0, 6, 0, "y")),
        *((1, 9, 2, "ü"), (0, 4, 0, "🇨🇭"), (1, 2, 0, "plain"), (0, 12, 3, ""), (1, 0, 0, "e\u0301")),
    ]
    document, _ = written_by_two(script)
    text = document.text("note")
    content = str(text)
    units = [len(content[:index].encode("utf-16-le")) // 2 for index in range(len(content) + 1)]
    theirs = yjs(document, [text.position(index) for index in range(len(content) + 1)])
    assert theirs["text"] == content
    assert theirs["indices"] == units
    for index, unit in enumerate(units):
        assert text.index_of(bytes.fromhex(theirs["before"][unit])) == index
        assert text.index_of(bytes.fromhex(theirs["behind"][unit])) == index


@settings(max_examples=8, deadline=None)
@given(edits)
def test_yjs_agrees_whatever_was_written(script: list[tuple[int, int, int, str]]) -> None:
    document, _ = written_by_two(script)
    text = document.text("note")
    content = str(text)
    theirs = yjs(document, [text.position(index) for index in range(len(content) + 1)])
    assert theirs["indices"] == [len(content[:index].encode("utf-16-le")) // 2 for index in range(len(content) + 1)]


@pytest.mark.parametrize("content", ["ascii", "é😀z"])
def test_a_position_in_a_part_of_a_message(content: str) -> None:
    session = SessionDocument()
    said(session, content)
    text = session.messages[0].parts[0].text
    assert text is not None
    position = text.position(2)
    text.insert(0, "👋 ")
    there = copy_of(session).messages[0].parts[0].text
    assert there is not None
    assert there.index_of(position) == 4
    assert str(there)[4:] == content[2:]


def test_a_position_beside_what_was_deleted_or_embedded() -> None:
    text = SessionDocument().text("note")
    text.append("é😀z")
    behind = [text.position(index) for index in range(4)]
    text.delete(1, 2)
    assert [text.index_of(position) for position in behind] == [0, 1, 1, 2]
    text.shared.insert_embed(2, {"image": "cat.png"})
    assert [text.index_of(text.position(index)) for index in range(3)] == [0, 1, 2]
    assert [text.index_of(position) for position in behind] == [0, 1, 1, 2]


def test_a_position_of_another_text_is_refused() -> None:
    session = SessionDocument()
    first, second = session.text("first"), session.text("second")
    for text in (first, second):
        text.append("é😀")
    stranger = SharedText(SessionDocument().text("second").shared)
    stranger.append("é")
    for position in (
        first.position(1),
        first.position(0),
        stranger.position(1),
        b"",
        b"\x00",
        b"\x07\x01\x02",
        b"\xff\xff",
    ):
        with pytest.raises(BadDocument):
            second.index_of(position)


def test_a_text_in_a_message_of_every_type_has_its_places() -> None:
    from document.samples import EVERY_PART

    session = SessionDocument()
    session.initialise(created_at=AT)
    session.messages.append("assistant", EVERY_PART, id="m", author="a", created_at=AT)
    session.state.set("x", {"n": None, "t": True, "f": 1.5, "i": -70000, "s": "é", "l": [1, [2**40]], "o": {}})
    session.state.shared["b"] = b"bytes"
    session.xml("page").children.append("hello")
    text = session.messages[0].parts[0].text
    assert text is not None
    assert [text.index_of(text.position(index)) for index in range(len(text) + 1)] == list(range(len(text) + 1))
