"""What would cut a character of two clocks is known before it is applied, and nothing else is taken for it."""

import pytest
from admission.forge import forge, shared, string, value
from hypothesis import assume, given
from hypothesis import strategies as st
from pycrdt import Doc, Text

from cosession.protocol import SurrogatePairs, decode_state_vector, read_update_header

ANN, BEN = 5, 9
words = st.text(st.sampled_from("ab é中🐙🇪𝕏"), min_size=1, max_size=8)


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def is_inside(text: str, clock: int) -> bool:
    """Whether a clock is the second one of a character of the text."""
    ends = [units(text[:at]) for at in range(len(text) + 1)]
    return 0 < clock < ends[-1] and clock not in ends


def cuts(document: list[bytes], update: bytes) -> bool:
    """What `SurrogatePairs` says of an update to a document that is made of these."""
    doc, pairs = Doc(), SurrogatePairs()
    for earlier in document:
        doc.apply_update(earlier)
        pairs.add(earlier)
    return pairs.cut_by(update, read_update_header(update), decode_state_vector(doc.get_state())) is not None


def stays_whole(document: list[bytes], update: bytes) -> bool:
    """Whether a copy of the document says the same as the document, once the update was applied."""
    doc, copy = Doc(), Doc()
    for one in (*document, update):
        doc.apply_update(one)
    copy.apply_update(doc.get_update())
    vectors = [decode_state_vector(one.get_state()) for one in (doc, copy)]
    return vectors[0] == vectors[1] and str(doc.get("text:n", type=Text)) == str(copy.get("text:n", type=Text))


@given(words, st.data())
def test_who_writes_in_a_text_cuts_it_where_a_character_of_two_clocks_is(text: str, data: st.DataObject) -> None:
    document = [forge(ANN, 0, string(text, parent="text:n"))]
    at = data.draw(st.integers(0, units(text)))
    left = {"left": (ANN, at - 1)} if at else {}
    right = {"right": (ANN, at)} if at < units(text) else {}
    for place in (left, right, {**left, **right}):
        for written in (string("x", **place), shared(1, **place)):
            if place:
                update = forge(BEN, 0, written)
                assert cuts(document, update) == is_inside(text, at)
                assert is_inside(text, at) or stays_whole(document, update)


@given(words, st.data())
def test_who_deletes_a_part_cuts_what_begins_or_ends_inside_of_a_character(text: str, data: st.DataObject) -> None:
    document = [forge(ANN, 0, string(text, parent="text:n"))]
    start = data.draw(st.integers(0, units(text) - 1))
    end = data.draw(st.integers(start + 1, units(text)))
    update = forge(BEN, 0, deletes=((ANN, start, end - start),))
    is_cut = is_inside(text, start) or is_inside(text, end)
    assert cuts(document, update) == is_cut
    assert is_cut or stays_whole(document, update)


@pytest.mark.parametrize("rest", ["", "x" * 1_000], ids=["full of them", "with one now and then"])
@given(words, st.integers(1, 40), st.data())
def test_it_is_known_of_a_long_text_too(rest: str, text: str, known: int, data: st.DataObject) -> None:
    text = (text + rest) * (20_000 // len(text + rest) + 1)
    ends = [units(text) * known // 40, units(text)]
    start = bytes(text.encode("utf-16-le")[: 2 * ends[0]]).decode("utf-16-le", "ignore")
    document = [forge(ANN, 0, string(start, parent="text:n"))] if start else []
    document.append(forge(ANN, 0, string(text, parent="text:n")))
    at = data.draw(st.integers(0, ends[1] - 2))
    halves = text.encode("utf-16-le")[2 * at : 2 * at + 4]
    is_cut = 0xD8 <= halves[1] <= 0xDB
    assert cuts(document, forge(BEN, 0, string("y", left=(ANN, at)))) == is_cut
    assert cuts(document, forge(BEN, 0, deletes=((ANN, 0, at + 1),))) == is_cut


@given(st.lists(words, min_size=1, max_size=5), st.data())
def test_it_is_known_of_every_piece_that_came(texts: list[str], data: st.DataObject) -> None:
    document = [forge(ANN, 0, string(texts[0], parent="text:n"))]
    for number, text in enumerate(texts[1:], 1):
        end = units("".join(texts[:number]))
        document.append(forge(ANN, end, string(text, left=(ANN, end - 1))))
        assert not cuts(document[:-1], document[-1])
    at = data.draw(st.integers(0, units("".join(texts)) - 1))
    assert cuts(document, forge(BEN, 0, string("y", left=(ANN, at)))) == is_inside("".join(texts), at + 1)


@given(st.integers(0, 3), words)
def test_a_long_text_is_read_to_its_end(before: int, text: str) -> None:
    whole = "a" * before + "plain " * 200 + text
    document = [forge(ANN, 0, string(whole, parent="text:n"))]
    for at in range(units(whole) - units(text), units(whole)):
        assert cuts(document, forge(BEN, 0, string("y", left=(ANN, at - 1)))) == is_inside(whole, at)


@given(words)
def test_two_deletions_that_touch_are_one(text: str) -> None:
    assume(any(is_inside(text, at) for at in range(units(text))))
    document = [forge(ANN, 0, string(text, parent="text:n"))]
    halves = tuple((ANN, at, 1) for at in reversed(range(units(text))))
    assert not cuts(document, forge(BEN, 0, deletes=halves))


@pytest.mark.parametrize(
    "update",
    [
        forge(ANN, 0, string("a🐙b", parent="text:n"), string("x", left=(ANN, 1))),
        forge(ANN, 0, string("a🐙b", parent="text:n"), value("v", right=(ANN, 2))),
        forge(ANN, 0, string("a🐙b", parent="text:n"), deletes=((ANN, 2, 1),)),
    ],
    ids=["written behind half of it", "written before half of it", "half of it deleted"],
)
def test_an_update_that_cuts_a_character_of_its_own(update: bytes) -> None:
    assert cuts([], update)


def test_the_rest_of_a_string_of_which_half_a_character_is_known() -> None:
    document = [forge(ANN, 0, string("x", parent="text:n"))]
    assert cuts(document, forge(ANN, 0, string("🐙", parent="text:n")))
    assert not cuts(document, forge(ANN, 0, string("x🐙", parent="text:n")))
    document.append(forge(ANN, 1, string("y", left=(ANN, 0))))
    assert cuts(document, forge(ANN, 1, string("🐙", left=(ANN, 0))))
