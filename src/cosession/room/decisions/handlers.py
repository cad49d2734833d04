"""What the server decides when a room is loaded, a change has touched a root, or a timer rings: the tables of it.

A decision is a function of the case; it writes what it decides by the server's hand, in one transaction with the
others. What it writes may touch a root that is decided on in turn, its own included; so a decision that finds nothing
to do writes nothing, and all of it comes to an end.
"""

from collections.abc import Callable, Mapping, Sequence, Set

from cosession.document import Message

from ..effects import Waiting
from . import approvals, claims, queue, requests, runs
from .context import DecisionContext
from .jobs import demand

DECISIONS: Mapping[Callable[[DecisionContext], None], Set[str]] = {
    runs.look: {"runs"},
    claims.restore: {"claims"},
    approvals.look: {"approvals"},
    requests.answer: {"requests"},
    queue.look: {"queue", "meta", "runs", "claims"},
}
"""Each with the roots in which a change asks for it, in the order in which they are made."""

DECIDED_ON = frozenset[str]().union(*DECISIONS.values())
"""The roots in which a change asks for any."""

BEGINNINGS: Mapping[Callable[[DecisionContext], None], str] = {
    runs.begin: "runs",
    claims.begin: "claims",
    approvals.begin: "approvals",
}
"""What a room takes up when it is loaded, each from its root, before it answers requests."""

RINGS: dict[str, Callable[[DecisionContext, str], None]] = {
    "lease/run": runs.lapse,
    "lease/claim": claims.lapse,
    "until": claims.expire,
    "approval": approvals.expire,
}
"""By how the name of a timer begins, what its ring asks for; it gets the rest of the name."""


def begin(case: DecisionContext) -> None:
    """Take up a session that was just loaded, and answer what nobody has answered."""
    there = frozenset(case.document.doc.keys())  # to ask for a root makes it, and it takes memory
    for take_up, root in BEGINNINGS.items():
        if root in there:
            take_up(case)
    case.memory.prompts.begin(case)
    if "requests" in there:
        requests.begin(case)
    queue.begin(case)
    _tell(case)


def decide(case: DecisionContext) -> None:
    """Decide what a change asks for."""
    for decision, roots in DECISIONS.items():
        if not roots.isdisjoint(case.changed):
            decision(case)
    _tell(case)


def arrived(case: DecisionContext, messages: Sequence[Message]) -> None:
    """Hear of messages that were just stamped."""
    for message in messages:
        case.memory.prompts.arrived(case, message)
    _tell(case)


def promoted(case: DecisionContext, messages: Sequence[Message]) -> None:
    """Hear of messages that entries of the queue have become."""
    queue.promoted(case, messages)
    _tell(case)


def completed(case: DecisionContext, messages: Sequence[Message]) -> None:
    """Hear of messages of which something came later than they."""
    for message in messages:
        case.memory.prompts.completed(case, message)
    _tell(case)


def remind(case: DecisionContext, what: str) -> None:
    """Look again at what a timer was for: that it rings is no more than a hint."""
    for name, act in RINGS.items():
        if what.startswith(f"{name}/"):
            act(case, what.removeprefix(f"{name}/"))
    _tell(case)


def _tell(case: DecisionContext) -> None:
    """Say of whom something is waiting, where that has changed."""
    now = demand(case)
    if now is not None and now != case.memory.told:
        case.memory.told = now
        case.effects.append(Waiting(*now))
