"""What is the same under the same clocks, however a library writes it, and what is another's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text

from cosession.protocol import decode_state_vector
from cosession.protocol.same_content import texts_differ
from cosession.protocol.steps import finish

KEYS = st.sampled_from("abc")
VALUES = st.one_of(st.integers(0, 9), st.text(max_size=3), st.lists(st.integers(0, 3), max_size=2), st.none())
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "take", "push", "drop", "type", "say"]), KEYS, VALUES), max_size=20
)


def written(steps: list[tuple[str, str, Any]], doc: Doc[Any]) -> list[bytes]:
    """What a client sent while it did this."""
    sent: list[bytes] = []
    subscription = doc.observe(lambda event: sent.append(event.update))
    state, items, text = doc.get("state", type=Map), doc.get("list", type=Array), doc.get("text", type=Text)
    for what, key, value in steps:
        match what:
            case "set":
                state[key] = value
            case "take" if key in state:
                del state[key]
            case "push":
                items.insert(len(items) // 2, value)
            case "drop" if len(items):
                del items[len(items) // 2]
            case "type":
                state[key] = Map({"inner": Array([value])})
            case "say":
                text.insert(len(text) // 2, key)
            case _:
                pass
    doc.unobserve(subscription)
    return sent


@given(STEPS, STEPS)
def test_what_is_told_again_is_the_same_whatever_became_of_it(steps: Any, others: Any) -> None:
    doc: Doc[Any] = Doc(client_id=7)
    sent = written(steps, doc)
    other: Doc[Any] = Doc(client_id=8)
    other.apply_update(doc.get_update())
    written(others, other)
    state = other.get_update()
    for update in (*sent, doc.get_update()):
        assert not finish(texts_differ(update, state, decode_state_vector(other.get_state())))


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ([("set", "a", 1)], [("set", "b", 1)]),
        ([("set", "a", 1)], [("push", "a", 1)]),
        ([("set", "a", 1), ("set", "b", 1)], [("set", "a", 1), ("set", "a", 1)]),
        (
            [("push", "a", 1), ("push", "a", 1), ("push", "a", 2)],
            [("push", "a", 1), ("say", "a", 1), ("say", "b", 1)],
        ),
        ([("say", "a", 0)], [("say", "b", 0)]),
        ([("type", "a", 0)], [("type", "b", 0)]),
    ],
)
def test_what_another_wrote_under_the_same_clocks_differs(mine: Any, theirs: Any) -> None:
    one: Doc[Any] = Doc(client_id=7)
    other: Doc[Any] = Doc(client_id=7)
    written(mine, one)
    written(theirs, other)
    ends = decode_state_vector(other.get_state())
    assert finish(texts_differ(one.get_update(), other.get_update(), ends))
