"""Lies: what a participant writes who may not, each with the mark `LIE` wherever something can carry it.

A lie is told to one's own replica first, as Yjs makes it; the server hears of it like of everything else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pycrdt import Map, TransactionEvent

from cosession.auth import Participant
from cosession.document import Approval, Message, SessionDocument
from cosession.protocol import EMPTY_UPDATE

LIE = "LIE"
"""What no log and no document of an honest participant may ever hold."""

AT = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Liar:
    """Somebody who is about to lie.

    Attributes:
        document: their replica.
        who: themselves.
        other: somebody else's participant id.
        random: decides about whom.
    """

    document: SessionDocument
    who: Participant
    other: str
    random: Random

    def message(self) -> Message | None:
        """A message of somebody else's that one may not change."""
        everybodys = [] if self.who.capabilities.may("edit-any") else self.document.messages
        theirs = [one for one in everybodys if one.author != self.who.id and not one.id.startswith(LIE)]
        return self.random.choice(theirs) if theirs else None

    def approval(self) -> Approval | None:
        """Some question."""
        ids = list(self.document.approvals.to_json())
        return self.document.approvals.get(self.random.choice(sorted(ids))) if ids else None


def tell_some_lie(liar: Liar) -> bool:
    """Tell a lie, if there is one that can be told; return whether it was."""
    lies = [_SCRIBBLE] if not liar.who.capabilities.may_text("notes") and liar.random.random() < 0.5 else _LIES
    if liar.approval() is not None and liar.random.random() < 0.3:
        lies = _LIES_ABOUT_VOTES
    told: list[TransactionEvent] = []
    watch = liar.document.doc.observe(told.append)
    with liar.document.transaction():
        liar.random.choice(lies)(liar)
    liar.document.doc.unobserve(watch)
    return any(event.update != EMPTY_UPDATE for event in told)


def _scribble(liar: Liar) -> None:
    """Write where one may only read."""
    liar.document.text("notes").append(LIE)


def _put_words_into_a_mouth(liar: Liar) -> None:
    message = liar.message()
    text = message.parts[0].text if message and message.parts else None
    if text is not None:
        text.shared.insert(0, LIE)


def _take_away_a_message(liar: Liar) -> None:
    message = liar.message()
    if message is not None:
        ids = [one.id for one in liar.document.messages]
        del liar.document.messages.shared[ids.index(message.id)]


def _say_as_somebody_else(liar: Liar) -> None:
    part = {"type": "text", "text": LIE}
    liar.document.messages.append(
        "user", [part], id=f"{LIE} {liar.random.random()}", author=liar.other, created_at=AT
    )


def _say_in_the_wrong_role(liar: Liar) -> None:
    role = "user" if not liar.who.capabilities.may("prompt") else "system"
    part = {"type": "text", "text": LIE}
    name = f"{LIE} {liar.random.random()}"
    liar.document.messages.append(role, [part], id=name, author=liar.who.id, created_at=AT)


def _forge_a_stamp(liar: Liar) -> None:
    messages = list(liar.document.messages)
    if messages:
        liar.random.choice(messages).set_stamp(by=liar.random.choice((liar.who.id, liar.other)), at=LIE, seq=1)


def _rename_somebody(liar: Liar) -> None:
    liar.document.participants.set(liar.random.choice((liar.who.id, liar.other)), name=LIE)


def _change_what_a_session_is(liar: Liar) -> None:
    liar.document.meta.shared[liar.random.choice(("schema", "created_at", "policy"))] = LIE


def _wish_for_somebody_else(liar: Liar) -> None:
    liar.document.requests.ask_steer("run", f"{LIE} {liar.random.random()}", liar.other, LIE)


def _decide(liar: Liar) -> None:
    liar.document.claims.grant(LIE, by=liar.who.id, client=1, epoch=1, at=AT)


def _stop_a_run(liar: Liar) -> None:
    run = liar.document.runs.get("run")
    if run is not None:
        run.record_cancel(by=liar.who.id, at=AT, reason=LIE)


def _work_as_somebody_else(liar: Liar) -> None:
    liar.document.runs.start(f"{LIE} {liar.random.random()}", agent=liar.other, started_at=AT)


def _select_for_somebody_else(liar: Liar) -> None:
    liar.document.selections.set(liar.other, LIE, True)


def _vote_without_a_say(liar: Liar) -> None:
    if not liar.who.capabilities.may("approve"):
        liar.document.requests.ask_vote(LIE, liar.who.id, "approved")


def _vote_for_somebody_else(liar: Liar) -> None:
    liar.document.requests.ask_vote(LIE, liar.other, "approved")


def _stuff_the_ballot(liar: Liar) -> None:
    approval = liar.approval()
    if approval is not None:
        approval.record_vote(liar.random.choice((liar.who.id, liar.other)), "approved", LIE, AT)


def _decide_alone(liar: Liar) -> None:
    approval = liar.approval()
    if approval is not None:
        approval.write({"decision": {"by": [liar.who.id], "decision": "approved", "value": LIE, "at": AT}})


def _make_a_root(liar: Liar) -> None:
    """Write into a root that is kept for later versions; every other one is the application's."""
    liar.document.doc.get(f"cosession {LIE}", type=Map)[LIE] = LIE


_SCRIBBLE: Callable[[Liar], None] = _scribble

_LIES: list[Callable[[Liar], None]] = [
    _put_words_into_a_mouth,
    _take_away_a_message,
    _say_as_somebody_else,
    _say_in_the_wrong_role,
    _forge_a_stamp,
    _rename_somebody,
    _change_what_a_session_is,
    _wish_for_somebody_else,
    _decide,
    _stop_a_run,
    _work_as_somebody_else,
    _select_for_somebody_else,
    _make_a_root,
]

_LIES_ABOUT_VOTES: list[Callable[[Liar], None]] = [
    _vote_without_a_say,
    _vote_for_somebody_else,
    _stuff_the_ballot,
    _decide_alone,
]
