"""What the server writes by its own hand: who takes part, and requests of participants turned into facts, once.

A request is a wish under a key of one's own; the fact is written by the server alone.
Each kind of request has one function here. Whatever comes of it, the request is removed, so that a wish that
can't be granted doesn't wait for ever. Pure: the time comes in.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from cosession.auth import ANONYMOUS, Participant
from cosession.document import Request, Run, SessionDocument
from cosession.errors import BadDocument


def decide(document: SessionDocument, by: Participant, at: str) -> None:
    """Answer every request that waits in the document.

    Args:
        document: the session.
        by: who just wrote there; admission saw that the requests are theirs, unless they may write everything.
        at: the server's time, RFC 3339.
    """
    for request in list(document.requests.items()):
        answer = _ANSWERS.get(request.kind)
        with suppress(BadDocument):  # a run whose fields don't fit the schema can't be answered
            if answer is not None:
                answer(document, request, by, at)
        document.requests.remove(request.key)


def introduce(document: SessionDocument, who: Participant, at: str) -> None:
    """Note who somebody is, so that a name outlives its presence; what is known already is not written again.

    Args:
        document: the session.
        who: whoever joins; the anonymous leave no trace.
        at: the server's time, RFC 3339.
    """
    if who.id == ANONYMOUS.id:
        return
    known = document.participants.get(who.id)
    if known is None:
        here = (
            {"online": True, "devices": 1, "looking": assume_looking(who)} if who.capabilities.may("presence") else {}
        )
        document.participants.set(who.id, name=who.name, kind=who.kind, since=at, **here)
    elif (known.get("name"), known.get("kind")) != (who.name, who.kind):
        document.participants.set(who.id, name=who.name, kind=who.kind)
    if who.kind == "agent" and document.agents.get(who.id) is None:
        document.agents.declare(who.id, name=who.name)


def attend(document: SessionDocument, here: Mapping[str, Sequence[bool]], at: Mapping[str, str]) -> None:
    """Note who is here now; what is known already is not written again.

    Args:
        document: the session.
        here: of each participant's connections, whether somebody looks at it.
        at: when that last changed, RFC 3339.
    """
    for id_, looks in here.items():
        known = document.participants.get(id_)
        if known is None or not (looks or known.online):
            continue
        left = {"last_seen": at[id_]} if known.online and not looks else {}
        document.participants.set(id_, online=bool(looks), devices=len(looks), looking=any(looks), **left)


def assume_looking(who: Participant) -> bool:
    """Whether somebody looks at a connection whose presence doesn't say: a program does not, a person does."""
    return who.kind != "agent"


def is_own_run(document: SessionDocument, run: Run, participant: str) -> bool:
    """Whether a run is a participant's to cancel: it does the work, or it answers what they wrote."""
    if run.agent == participant:
        return True
    message = document.messages.get(run.reply_to) if run.reply_to is not None else None
    return message is not None and (message.stamp or {"by": message.author}).get("by") == participant


def _cancel(document: SessionDocument, request: Request, by: Participant, at: str) -> None:
    run = document.runs.get(request.subject[0]) if request.subject else None
    if run is None or not (by.capabilities.may("cancel-any") or is_own_run(document, run, request.participant)):
        return
    if not run.ended and run.cancel is None:
        run.record_cancel(by=request.participant, at=at, reason=str(request.value.get("reason") or ""))


def _steer(document: SessionDocument, request: Request, _by: Participant, at: str) -> None:
    run = document.runs.get(request.subject[0]) if len(request.subject) == 2 else None
    text = str(request.value.get("text") or "")
    if run is not None and not run.ended and text:
        run.record_steer(id=request.subject[1], by=request.participant, text=text, at=at)


_ANSWERS: dict[str, Callable[[SessionDocument, Request, Participant, str], None]] = {
    "cancel": _cancel,
    "steer": _steer,
}
