"""The patterns in which a grant includes a capability: few enough to ask a storage for, and none is left out."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from cosession.auth import Capabilities, Grant, Scope

SESSIONS = st.text("ab", min_size=1, max_size=4)
PATTERNS = st.text("ab", max_size=3).map(lambda begin: begin + "*") | SESSIONS
READ, NOTHING, MEMBER = Capabilities.of("viewer"), Capabilities(), Capabilities.of("member")


def grant(scopes: dict[str, Capabilities]) -> Grant:
    return Grant("ada", "Ada", "human", tuple(Scope(pattern, given) for pattern, given in scopes.items()))


def covers(pattern: str, session: str) -> bool:
    return session.startswith(pattern[:-1]) if pattern.endswith("*") else session == pattern


@given(scopes=st.dictionaries(PATTERNS, st.sampled_from([READ, NOTHING]), max_size=8), session=SESSIONS)
def test_a_session_that_may_be_read_matches_exactly_one_pattern(scopes: dict[str, Capabilities], session: str):
    ada = grant(scopes)
    patterns = ada.patterns("read")
    matching = [pattern for pattern in patterns if covers(pattern, session)]
    assert len(matching) <= 1
    if ada.may("read", session):
        assert matching
    assert {pattern for pattern, given in scopes.items() if given.may("read")} >= set(patterns)


def test_patterns_that_another_covers_or_no_session_can_match_are_left_out():
    scopes = dict.fromkeys(["trip", "trip*", "trip-1", "trip-*", "a", "zoo", "\ud800*", "b\udfff"], READ)
    assert grant(scopes).patterns("read") == ["a", "trip*", "zoo"]
    assert grant({**scopes, "*": READ}).patterns("read") == ["*"]
    assert grant({**scopes, "*": NOTHING}).patterns("read") == ["a", "trip*", "zoo"]
    assert grant(scopes).patterns("admin") == []


@given(scopes=st.dictionaries(PATTERNS, st.sampled_from([READ, NOTHING, MEMBER]), max_size=8), session=SESSIONS)
def test_of_all_patterns_that_match_only_the_longest_applies(scopes: dict[str, Capabilities], session: str):
    def length(pattern: str) -> tuple[int, bool]:
        return len(pattern.removesuffix("*")), not pattern.endswith("*")

    matching = [pattern for pattern in scopes if covers(pattern, session)]
    wanted = scopes[max(matching, key=length)] if matching else None
    assert grant(scopes).capabilities(session) is wanted


def test_a_session_is_looked_up_without_going_through_all_patterns():
    many = grant({f"org-{number:05}-*": READ for number in range(5000)})
    steps = 0

    def count(_frame: object, event: str, _argument: object) -> object:
        nonlocal steps
        steps += event == "line"
        return count

    sys.settrace(count)  # type: ignore[arg-type]
    try:
        assert many.capabilities("org-00007-trip") is READ
        assert many.capabilities("elsewhere") is None
    finally:
        sys.settrace(None)
    assert steps < 50
