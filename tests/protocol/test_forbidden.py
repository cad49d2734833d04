"""What not every reader takes alike is taken out of an update, and the rest of the update stays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map

from cosession.errors import MalformedFrame, TooLarge
from cosession.protocol import decode_state_vector, read_update_header
from cosession.protocol.sections import without_forbidden

LIMIT = 1000
FORBIDDEN = {"__proto__": {"a": 1}}


@st.composite
def writes(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Some keys with values of which some are forbidden, and at least one forbidden key or value."""
    keys = draw(st.lists(st.sampled_from(["a", "b", "c", "__proto__"]), min_size=1, max_size=8))
    values = [draw(st.sampled_from([1, "é 😀", {"b": [None]}, FORBIDDEN, [FORBIDDEN]])) for _ in keys]
    return [*zip(keys, values, strict=True), draw(st.sampled_from([("d", FORBIDDEN), ("__proto__", 1)]))]


def is_allowed(key: str, value: Any) -> bool:
    return key != "__proto__" and value not in (FORBIDDEN, [FORBIDDEN])


@given(writes(), st.booleans())
def test_every_replica_ends_with_what_is_allowed(writes: list[tuple[str, Any]], in_list: bool) -> None:
    author: Doc[Any] = Doc()
    entries, values = author.get("state", type=Map), author.get("list", type=Array)
    for key, value in writes:
        entries[key] = value
        if in_list:
            values.append(Map({key: value}))
    update = author.get_update()
    with pytest.raises(MalformedFrame):
        read_update_header(update)

    cleaned = without_forbidden(update, LIMIT)

    [span] = read_update_header(cleaned).brings
    assert {span.client: span.end} == decode_state_vector(author.get_state())
    reader: Doc[Any] = Doc()
    reader.apply_update(cleaned)
    author.apply_update(cleaned)
    last = dict(writes)
    expected = {key: value for key, value in last.items() if is_allowed(key, value)}
    shown = [{key: value} if is_allowed(key, value) else {} for key, value in writes] if in_list else []
    for doc in (reader, author):
        assert doc.get("state", type=Map).to_py() == expected
        assert doc.get("list", type=Array).to_py() == shown


def test_what_is_no_update_stays_refused() -> None:
    for data in (b"\x01", b"\x01\x01\x07\x00\x1f", b"\xff" * 20):
        with pytest.raises(MalformedFrame):
            without_forbidden(data, LIMIT)


def test_the_limit_of_things_in_an_update_holds() -> None:
    doc: Doc[Any] = Doc()
    doc.get("list", type=Array).extend([1] * 20)
    with pytest.raises(TooLarge):
        without_forbidden(doc.get_update(), 10)
