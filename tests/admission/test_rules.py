"""The table of rules is complete, and reads from the closest place to the widest; the documentation shows it."""

from cosession.admission.rules import KIND, REQUESTS, ROOT, RULES, STATE, TEXT
from cosession.auth import CAPABILITIES
from cosession.document.session import ROOTS


def test_every_root_of_the_schema_has_a_rule() -> None:
    assert {rule.where.split("/")[0] for rule in RULES} == {*ROOTS, "text:NAME", "xml:NAME", "root:NAME"}


def test_every_capability_that_a_rule_needs_exists() -> None:
    named = {need for rule in RULES for need in (*rule.own, *rule.others)} | set(sum(REQUESTS.values(), ()))

    assert {part for need in named - {STATE, TEXT, ROOT, KIND} for part in need.split("+")} <= CAPABILITIES.keys()


def test_a_closer_place_stands_above_the_wider_one() -> None:
    """So that the table reads from top to bottom."""
    places = [rule.where for rule in RULES]
    for number, place in enumerate(places):
        if place.endswith("/**"):
            below = place.removesuffix("**")
            assert not any(later.startswith(below) and later != place for later in places[number + 1 :])
