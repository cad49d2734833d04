"""Shared text: indices are code points, whatever is in the text and whoever writes at the same time."""

import pytest
from document.samples import copy_of, exchange, texts
from hypothesis import given
from hypothesis import strategies as st

from cosession.document import SessionDocument, SharedText
from cosession.document.text import difference
from cosession.errors import BadDocument

SAMPLES = [
    "",
    "plain",
    "Zürich",
    "😀😀",
    "e\u0301e\u0301",
    "👩‍👩‍👧👨🏽‍🚀",
    "🇨🇭🇩🇪",
    "日本語\r\nenglish",
    "a\u200bb\ufeffc",
]


def text_of(content: str) -> SharedText:
    text = SessionDocument().text("note")
    text.append(content)
    return text


@given(texts, st.data())
def test_a_text_changes_as_a_string_does(content: str, data: st.DataObject) -> None:
    text = text_of(content)
    for _ in range(4):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, len(content)))
        piece = data.draw(texts)
        text.replace(start, stop, piece)
        content = content[:start] + piece + content[stop:]
        assert str(text) == content
        assert len(text) == len(content)


@pytest.mark.parametrize("content", SAMPLES)
def test_every_place_of_a_text_can_be_written_to(content: str) -> None:
    for index in range(len(content) + 1):
        text = text_of(content)
        text.insert(index, "é")
        assert str(text) == content[:index] + "é" + content[index:]
        text.delete(index, index + 1)
        assert str(text) == content


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 3), texts), max_size=12))
def test_what_two_write_at_once_converges_on_whole_characters(edits: list[tuple[int, int, int, str]]) -> None:
    replicas = [SessionDocument(), SessionDocument()]
    for writer, place, width, piece in edits:
        text = replicas[writer].text("note")
        start = min(place, len(text))
        text.replace(start, min(start + width, len(text)), piece)
        if place % 3 == 0:
            exchange(*replicas)
    exchange(*replicas)
    first, second = (str(replica.text("note")) for replica in replicas)
    assert first == second
    assert "\ufffd" not in first.replace("\ufffd", "", sum(piece.count("\ufffd") for *_, piece in edits))


@pytest.mark.parametrize("content", SAMPLES)
def test_a_range_outside_of_the_text_is_refused(content: str) -> None:
    text = text_of(content)
    size = len(content)
    for start, stop in ((-1, 0), (size, size + 1), (1, 0), (size + 1, size + 1)):
        with pytest.raises(BadDocument):
            text.replace(start, stop, "x")
    with pytest.raises(BadDocument):
        text.append("\ud83d")
    with pytest.raises(BadDocument):
        text.position(size + 1)
    assert str(text) == content


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_places_are_right_beside_an_embedded_object(place: int) -> None:
    text = text_of("é😀z")
    text.shared.insert_embed(2, {"image": "cat.png"})
    text.insert(place, "ß")
    assert str(text) == "é😀z"[:place] + "ß" + "é😀z"[place:]
    text.delete(place, place + 1)
    assert str(text) == "é😀z"
    assert [chunk for chunk, _ in text.shared.diff() if isinstance(chunk, dict)] == [{"image": "cat.png"}]


@given(texts, texts)
def test_the_difference_of_two_texts_makes_one_of_the_other(old: str, new: str) -> None:
    start, stop, middle = difference(old, new)
    assert old[:start] + middle + old[stop:] == new


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("same", "same", (4, 4, "")),
        ("abc", "abXc", (2, 2, "X")),
        ("aXbc", "abc", (1, 2, "")),
        ("aa", "aaa", (2, 2, "a")),
        ("x👩‍👩‍👧y", "x👩‍👩‍👦y", (1, 6, "👩‍👩‍👦")),
        ("e\u0301", "e\u0300", (0, 2, "e\u0300")),
        ("👍🏽", "👍🏿", (0, 2, "👍🏿")),
        ("🇨🇭", "🇨🇦", (0, 2, "🇨🇦")),
        ("a\r\nb", "a\rb", (1, 3, "\r")),
    ],
)
def test_a_difference_cuts_no_visible_character(old: str, new: str, expected: tuple[int, int, str]) -> None:
    assert difference(old, new) == expected


def test_setting_a_text_keeps_what_others_write() -> None:
    mine = SessionDocument()
    mine.text("note").append("Das Hotel in Zürich 🏨")
    other = copy_of(mine)
    mine.text("note").set("Das beste Hotel in Zürich 🏨")
    other.text("note").set("Das Hotel in Zürich 🏨🏨")
    exchange(mine, other)
    assert str(mine.text("note")) == str(other.text("note")) == "Das beste Hotel in Zürich 🏨🏨"


def test_a_text_that_another_made_is_found() -> None:
    mine = SessionDocument()
    mine.text("note/1").append("hello")
    other = copy_of(mine)
    assert other.to_json()["text"] == {"note/1": "hello"}
    assert str(other.text("note/1")) == "hello"
