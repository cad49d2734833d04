"""What may be asked of a run: to cancel it, to steer it."""

from cosession.auth import Participant
from cosession.document import Request, Run, SessionDocument


def is_own_run(document: SessionDocument, run: Run, participant: str) -> bool:
    """Whether a run is a participant's to cancel: it does the work, or it answers what they wrote."""
    return run.agent == participant or _answers(document, run, participant)


def _answers(document: SessionDocument, run: Run, participant: str) -> bool:
    message = document.messages.get(run.reply_to) if run.reply_to is not None else None
    return message is not None and (message.stamp or {"by": message.author}).get("by") == participant


def cancel(document: SessionDocument, request: Request, by: Participant, at: str) -> None:
    run = document.runs.get(request.subject[0]) if request.subject else None
    if run is None or not (by.capabilities.may("cancel-any") or is_own_run(document, run, request.participant)):
        return
    if not run.ended and run.cancel is None:
        run.record_cancel(by=request.participant, at=at, reason=str(request.value.get("reason") or ""))


def steer(document: SessionDocument, request: Request, by: Participant, at: str) -> None:
    run = document.runs.get(request.subject[0]) if len(request.subject) == 2 else None
    text = str(request.value.get("text") or "")
    if run is None or not (by.capabilities.may("steer") or _answers(document, run, request.participant)):
        return
    if not run.ended and text:
        run.record_steer(id=request.subject[1], by=request.participant, text=text, at=at)
