"""How large a document is: what was deleted counts for less, and it is seldom measured."""

from typing import Any

import pytest
from pycrdt import Doc, Map

from cosession.admission.quota import GONE_BYTES, STRUCT_BYTES, Quota
from cosession.errors import TooLarge

LIMIT = 400_000


def replaced(times: int) -> Doc[Any]:
    """Two values, replaced in turn: Yjs keeps each of the old ones."""
    doc: Doc[Any] = Doc()
    state = doc.get("state", type=Map)
    for number in range(times):
        state[f"k{number % 2}"] = number
    return doc


def measured(doc: Doc[Any]) -> tuple[Quota, list[int]]:
    """The size of a document, and how often it was asked for."""
    asked: list[int] = []

    def state() -> bytes:
        asked.append(1)
        return doc.get_update()

    size = Quota(state, LIMIT)
    for _ in size.measure_in_steps(doc.get_update()):
        pass
    return size, asked


def test_a_session_outlives_more_deletions_than_it_has_place_for_things() -> None:
    doc = replaced(LIMIT // STRUCT_BYTES * 2)
    size, _ = measured(doc)
    size.check(10_000)
    assert size.left < LIMIT - len(doc.get_update()) - GONE_BYTES * 6_000


def test_a_full_session_is_not_measured_for_every_little_thing_that_is_deleted() -> None:
    doc = replaced(LIMIT // (GONE_BYTES + 6))
    size, asked = measured(doc)
    refused = 0
    for _ in range(300):
        size.changed(3, shrinks=True)
        try:
            size.check(50_000)
        except TooLarge:
            refused += 1
    assert refused == 300
    assert 30 <= len(asked) <= 75, "each time takes ten thousand steps"


def test_a_full_session_has_place_when_something_large_was_deleted() -> None:
    doc: Doc[Any] = Doc()
    state = doc.get("state", type=Map)
    state["photo"] = "A" * 390_000
    size, _ = measured(doc)
    with pytest.raises(TooLarge):
        size.check(20_000)
    del state["photo"]
    size.changed(3, shrinks=True)
    size.check(20_000)
