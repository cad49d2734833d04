"""What the server decides once a change has touched a root of the document: the table of it.

A decision is a pure function of the document, of who changed it and when; it writes what it decides by the server's
hand, in one transaction with the others. What it writes may touch a root that is decided on in turn, its own
included; so a decision that finds nothing to do writes nothing, and all of it comes to an end.

That somebody left is a change of `participants`, by the server's hand.
"""

from collections.abc import Callable, Mapping, Set
from typing import TypeAlias

from cosession.auth import Participant
from cosession.document import SessionDocument

from . import requests

Decision: TypeAlias = Callable[[SessionDocument, Participant, str], None]
"""Gets the document, whose change it was, and the server's time, RFC 3339."""

DECISIONS: Mapping[Decision, Set[str]] = {
    requests.answer: {"requests"},
}
"""Each with the roots in which a change asks for it, in the order in which they are made."""

DECIDED_ON = frozenset[str]().union(*DECISIONS.values())
"""The roots in which a change asks for any."""


def decide(document: SessionDocument, touched: Set[str], by: Participant, at: str) -> None:
    """Decide what a change asks for.

    Args:
        document: the session.
        touched: the roots in which something has changed.
        by: whose change it was.
        at: the server's time, RFC 3339.
    """
    for decision, roots in DECISIONS.items():
        if not roots.isdisjoint(touched):
            decision(document, by, at)
