"""The tables of the server's decisions: at load, after a change that touched a root, and when a timer rings.

A decision is a function of the case; it writes its result in one transaction of the server's with the others. Its
writes may touch a root with decisions in turn, its own included; so a decision that finds nothing to do must write
nothing, and the decisions come to an end.
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
"""Each decision with the roots whose changes ask for it, in the order in which they are made."""

DECIDED_ON = frozenset[str]().union(*DECISIONS.values())
"""The roots whose changes ask for a decision."""

BEGINNINGS: Mapping[Callable[[DecisionContext], None], str] = {
    runs.begin: "runs",
    claims.begin: "claims",
    approvals.begin: "approvals",
}
"""The work that a room resumes when it is loaded, each with its root, before it answers requests."""

RINGS: dict[str, Callable[[DecisionContext, str], None]] = {
    "lease/run": runs.lapse,
    "lease/claim": claims.lapse,
    "until": claims.expire,
    "approval": approvals.expire,
}
"""The functions that handle timers, by the prefix of the timer's name; they get the rest of the name."""


def begin(case: DecisionContext) -> None:
    """Resume a session that was just loaded, and answer its open requests."""
    there = frozenset(case.document.doc.keys())  # access to a root creates it, and it takes memory
    for take_up, root in BEGINNINGS.items():
        if root in there:
            take_up(case)
    case.memory.prompts.begin(case)
    if "requests" in there:
        requests.begin(case)
    queue.begin(case)
    _tell(case)


def decide(case: DecisionContext) -> None:
    """Make the decisions that a change asks for."""
    for decision, roots in DECISIONS.items():
        if not roots.isdisjoint(case.changed):
            decision(case)
    _tell(case)


def arrived(case: DecisionContext, messages: Sequence[Message]) -> None:
    """Handle messages that were just stamped."""
    for message in messages:
        case.memory.prompts.arrived(case, message)
    _tell(case)


def promoted(case: DecisionContext, messages: Sequence[Message]) -> None:
    """Handle messages that were made of entries of the queue."""
    queue.promoted(case, messages)
    _tell(case)


def completed(case: DecisionContext, messages: Sequence[Message]) -> None:
    """Handle messages that got more content after they had arrived."""
    for message in messages:
        case.memory.prompts.completed(case, message)
    _tell(case)


def remind(case: DecisionContext, what: str) -> None:
    """Handle a timer that rings, which is only a hint to look again."""
    for name, act in RINGS.items():
        if what.startswith(f"{name}/"):
            act(case, what.removeprefix(f"{name}/"))
    _tell(case)


def _tell(case: DecisionContext) -> None:
    """Report the agents for which work waits, if they have changed."""
    now = demand(case)
    if now is not None and now != case.memory.told:
        case.memory.told = now
        case.effects.append(Waiting(*now))
