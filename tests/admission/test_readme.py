"""The README's tables are the rules, row by row."""

from pathlib import Path

import cosession.admission as package
from cosession.admission.rules import KIND, REQUESTS, ROOT, RULES, STATE, TEXT, Rule, Whose
from cosession.admission.value_checks import CHECKS
from cosession.auth import CAPABILITIES
from cosession.document.session import ROOTS

README = Path(package.__file__).with_name("README.md").read_text()

WHOSE: dict[Whose, str] = {
    "record": "",
    "unowned": "nobody's is one's own",
    "first": "the key begins with one's id",
    "second": "one's id is second in the key",
    "last": "the key ends in one's id",
    "all": "",
}


def needs(capabilities: tuple[str, ...]) -> str:
    return " or ".join(f"`{one}`" for one in capabilities) or "–"


def row(rule: Rule) -> str:
    notes = [WHOSE[rule.whose], CHECKS[rule.check][1] if rule.check else "", rule.note]
    own, others = needs(rule.own), needs(rule.others)
    if not rule.own:
        own = others = "server"
    elif rule.whose == "all":
        own = "everybody's:"
    what = ", ".join(rule.what)
    return f"| `{rule.where}` | {what} | {own} | {others} | {'; '.join(note for note in notes if note)} |"


def test_the_readme_shows_every_rule_as_it_is() -> None:
    shown = [line for line in README.splitlines() if line.startswith("| `") and line.count("|") == 6]

    assert shown == [row(rule) for rule in RULES]


def test_the_readme_shows_every_kind_of_request() -> None:
    table = README.split("| kind | one of |\n|---|---|\n")[1].split("\n\n")[0]

    assert table.splitlines() == [f"| `{kind}` | {needs(capabilities)} |" for kind, capabilities in REQUESTS.items()]


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
