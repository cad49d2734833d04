"""Requests: records under a key of the participant's own that the server carries out once, or declines.

Each kind of request is answered by one function, which raises to decline it. The request is removed in both cases; if
it is declined, the participant's connections get a notice with its key before that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from cosession.auth.capabilities import Capabilities
from cosession.auth.participant import Participant
from cosession.document import RequestRecord
from cosession.errors import BadRequest, CosessionError, TooFast, TooLarge
from cosession.protocol import Notice, encode_frame

from ..effects import Send
from . import approvals, claims, client_tools, policy, runs
from .context import MAX_KEY, DecisionContext, decidable

_MOST = 256
"""How many requests of one change are answered."""

_SHOWN = 64
"""The characters of a key that is too long which a notice repeats."""

_Declined: TypeAlias = tuple[str, str, CosessionError]
"""The key of a request that was declined, its participant, and the reason."""


def begin(case: DecisionContext) -> None:
    """Answer the requests that wait at load, without capabilities: those of their participants aren't known."""
    for request in list(case.document.requests.among(decidable(case.document.requests.shared.keys()))):
        nobody = Participant(request.participant, request.participant, capabilities=Capabilities.parse([]))
        _answer(replace(case, by=nobody), request)


def answer(case: DecisionContext) -> None:
    """Answer the requests that just came; no other waits.

    Admission has checked that the requests belong to the author of the change, unless that has full write access. If
    a client sends more at once than it has reason to, the rest is declined: others wait while each is answered.
    """
    requests = case.document.requests
    keys = [key for key in case.touched("requests") if key in requests.shared]
    answers = [(request, _answer(case, request)) for request in list(requests.among(keys[:_MOST]))]
    declined = [(request.key, request.participant, error) for request, error in answers if error is not None]
    for key in keys[_MOST:]:
        requests.remove(key)
        error = TooFast(f"More than {_MOST} requests came at once; ask again for this one.")
        declined.append((key, requests.participant(key), error))
    for key in sorted(case.changed.get("requests", ())):
        if len(key) > MAX_KEY and key in requests.shared:
            requests.remove(key)
            error = TooLarge(f"The key of a request is longer than {MAX_KEY} characters; shorten it.")
            declined.append((key[:_SHOWN], case.by.id, error))
    if declined:
        _tell(case, declined)


def _answer(case: DecisionContext, request: RequestRecord) -> CosessionError | None:
    """Answer a request and remove it; return the error if it is declined."""
    act, declined = ANSWERS.get(request.kind), None
    try:
        if act is None:
            raise BadRequest(f"There are no requests of the kind {request.kind[:64]!r}; use {', '.join(ANSWERS)}.")
        act(case, request)
    except CosessionError as error:  # also `BadDocument`, by a run with fields that don't fit the schema
        declined = error
    case.document.requests.remove(request.key)
    return declined


def _tell(case: DecisionContext, declined: Sequence[_Declined]) -> None:
    """Send each participant a notice of its requests that were declined."""
    listeners = case.memory.listeners({participant for _, participant, _ in declined})
    for key, participant, error in declined:
        connections = listeners.get(participant, ())
        if connections:
            frame = encode_frame(Notice(error.code, str(error), request=key, final=False))
            case.notices += [Send(connection, frame) for connection in connections]


ANSWERS: dict[str, Callable[[DecisionContext, RequestRecord], None]] = {
    "adopt": runs.adopt,
    "answer": client_tools.answer,
    "cancel": runs.cancel,
    "claim": claims.ask,
    "policy": policy.change,
    "release": claims.release,
    "steer": runs.steer,
    "vote": approvals.vote,
}
"""The functions that answer requests, by the kind of the request."""
