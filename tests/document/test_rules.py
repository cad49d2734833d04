"""What both sides reckon with: a run's life, the policy, times, and JSON Schema at a bounded cost."""

import itertools
import math
from typing import Any

import pytest
from document.samples import AT
from hypothesis import given
from hypothesis import strategies as st

from cosession.document import (
    ENDED,
    RUN_STATUSES,
    Policy,
    SessionDocument,
    checked_policy,
    later,
    may_become,
    misfit,
    seconds_until,
)
from cosession.document.json_schema import MAX_SCHEMA_BYTES, check_schema
from cosession.errors import BadDocument

ACTIVE = {"queued", "running", "suspended"}
FINAL = set(ENDED) - {"lost"}


def test_an_agent_makes_the_transitions_of_the_table_only() -> None:
    by_agent = {pair for pair in itertools.product(("", *RUN_STATUSES), RUN_STATUSES) if may_become(*pair)}
    assert by_agent == {
        *itertools.product({""}, ACTIVE | FINAL),
        *itertools.product(ACTIVE, {"running", "suspended"} | FINAL),
        *itertools.product({"lost"}, FINAL),
    }
    assert not may_become("of its own", "running")


def test_a_policy_is_read_whatever_is_there(session: SessionDocument) -> None:
    assert session.meta.rules == Policy()
    for written in (
        7,
        {"agents": 7, "double_texting": "shout"},
        {"agents": [7, "", None], "double_texting": ["queue"]},
    ):
        session.meta.shared["policy"] = written
        assert session.meta.rules == Policy()
    session.meta.shared["policy"] = {"agents": ["a", "b", "a"], "double_texting": "reject", "more": 1}
    assert session.meta.rules == Policy(("a", "b"), "reject")


def test_a_policy_that_is_none_is_refused() -> None:
    assert checked_policy({}) == Policy()
    assert checked_policy({"agents": ["a"], "double_texting": "steer"}) == Policy(("a",), "steer")
    for wrong in ({"agents": "a"}, {"agents": [""]}, {"agents": [7]}, {"double_texting": "shout"}, {"agent": ["a"]}):
        with pytest.raises(BadDocument):
            checked_policy(wrong)


def test_times_add_up() -> None:
    assert later(AT, 1.5) == "2026-11-21T08:00:01.500Z"
    assert later("2026-11-21T10:00:00+02:00", 0) == "2026-11-21T08:00:00.000Z"
    assert later(AT, -5) == later(AT, math.nan) == "2026-11-21T08:00:00.000Z"
    assert seconds_until(AT, "2026-11-21T09:00:00+01:00") == 0
    assert seconds_until("2026-11-21T08:00:10Z", AT) == -10
    assert later(AT, math.inf) == later(AT, 1e300) == later("9999-12-31T23:59:59Z", 9) != AT


@given(st.text() | st.sampled_from(["2026", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]))
def test_a_time_that_cannot_be_read_never_comes(written: str) -> None:
    assert later(later(AT, 5), 5) == later(AT, 10)
    left = seconds_until(AT, written)
    assert isinstance(left, float)
    assert isinstance(later(written, 1), str)


@given(st.floats(0, 1e9))
def test_what_is_later_is_that_far_away(seconds: float) -> None:
    assert seconds_until(AT, later(AT, seconds)) == pytest.approx(seconds, abs=0.001)


PRICE = {
    "type": "object",
    "properties": {"limit": {"type": "number", "maximum": 500}, "city": {"type": "string", "pattern": "^[A-Z]"}},
    "required": ["limit"],
    "additionalProperties": False,
}


def test_a_value_fits_a_schema_or_is_told_why_not() -> None:
    assert misfit({"limit": 200, "city": "Rome"}, PRICE) is None
    assert misfit({"limit": 900}, PRICE) == "limit: 900 is greater than the maximum of 500"
    for value in (None, [], {}, {"limit": "200"}, {"limit": 1, "city": "rome"}, {"limit": 1, "hotel": 1}):
        assert misfit(value, PRICE)


def test_a_schema_refers_to_its_own_definitions() -> None:
    city = {"$ref": "#/$defs/city"}
    schema = {"type": "object", "properties": {"from": city, "to": city}, "$defs": {"city": {"type": "string"}}}
    check_schema(schema)
    assert misfit({"from": "Rome", "to": "Turin"}, schema) is None
    assert misfit({"from": "Rome", "to": 7}, schema)


def doubling(depth: int) -> dict[str, Any]:
    """A small schema that takes 2 to the power of its depth steps."""
    definitions: dict[str, Any] = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(depth)
    }
    return {"$defs": {**definitions, f"d{depth}": {"type": "string"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"pattern": "("},
        {"pattern": "((a{100}){100}){100}"},
        {"$ref": "https://example.org/schema"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#"},
        {"$ref": 7},
        {"$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}}}, "$ref": "#/$defs/tree"},
        {"$id": "https://example.org/", "$ref": "#/$defs/a", "$defs": {"a": {}}},
        {"description": "x" * MAX_SCHEMA_BYTES},
        {"enum": [[]] * 3000},
        doubling(40),
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_schema_that_cannot_be_used_is_refused_and_nothing_fits_it(schema: dict[str, Any]) -> None:
    with pytest.raises(BadDocument):
        check_schema(schema)
    assert misfit("x", schema)


def test_a_pattern_takes_linear_time() -> None:
    assert misfit("a" * 10_000 + "b", {"pattern": "^(a+)+$"})


def test_a_value_that_is_too_large_fits_nothing() -> None:
    assert "larger" in (misfit("x" * 20_000, {}) or "")
    every = {"items": {"not": {"anyOf": [{"const": number} for number in range(900)]}}}
    assert misfit([-1] * 100, every) is None
    assert "smaller" in (misfit([-1] * 5000, every) or "")
