"""JSON text: how many keys and values it holds, counted without reading it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cosession.protocol.json_text import count_entries

MARKS = st.text('",:[{}]\\a\u00e9', max_size=12)
VALUES = st.recursive(
    st.none() | st.integers() | MARKS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MARKS, inner, max_size=4),
    max_leaves=12,
)


def entries(value: Any) -> int:
    """The keys and values in a value; a list or an object without any counts as one."""
    if isinstance(value, dict):
        return max(2 * len(value), 1) + sum(map(entries, value.values()))
    if isinstance(value, list):
        return max(len(value), 1) + sum(map(entries, value))
    return 0


@given(value=VALUES, ascii_only=st.booleans())
def test_keys_and_values_are_counted_and_marks_in_strings_are_not(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert count_entries(b"[," + text + b",[", 2, 2 + len(text), 0) == entries(value)


def test_up_to_the_limit_marks_in_strings_may_count() -> None:
    text = json.dumps({"csv": "1,1,1"}).encode()
    assert count_entries(text, 0, len(text), 3) == 2
    assert count_entries(text, 0, len(text), 100) == 4
