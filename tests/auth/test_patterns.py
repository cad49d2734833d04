"""The patterns in which a grant includes a capability: few enough to ask a storage for, and none is left out."""

from hypothesis import given
from hypothesis import strategies as st

from cosession.auth import Capabilities, Grant, Scope

SESSIONS = st.text("ab", min_size=1, max_size=4)
PATTERNS = st.text("ab", max_size=3).map(lambda begin: begin + "*") | SESSIONS
READ, NOTHING = Capabilities.of("viewer"), Capabilities()


def grant(scopes: dict[str, Capabilities]) -> Grant:
    return Grant("ada", "Ada", "human", tuple(Scope(pattern, given) for pattern, given in scopes.items()))


@given(scopes=st.dictionaries(PATTERNS, st.sampled_from([READ, NOTHING]), max_size=8), session=SESSIONS)
def test_a_session_that_may_be_read_matches_exactly_one_pattern(scopes: dict[str, Capabilities], session: str):
    ada = grant(scopes)
    patterns = ada.patterns("read")
    matching = [pattern for pattern in patterns if Scope(pattern, READ).covers(session)]
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
