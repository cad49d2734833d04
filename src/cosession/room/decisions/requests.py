"""Requests: a wish under a key of one's own becomes a fact, once, or is declined.

Each kind of request is answered by one function, which raises to decline it. Whatever comes of it, the request is
removed; if it is declined, the participant's connections get a notice with its key before that.
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
"""How many are answered of one change."""

_SHOWN = 64
"""Characters that a notice repeats of a key that is too long."""

_Declined: TypeAlias = tuple[str, str, CosessionError]
"""The key of a request that was declined, its participant, and why."""


def begin(case: DecisionContext) -> None:
    """Answer what waits in the document at load: nobody knows any more what who asked may do besides."""
    for request in list(case.document.requests.among(decidable(case.document.requests.shared.keys()))):
        nobody = Participant(request.participant, request.participant, capabilities=Capabilities.parse([]))
        _answer(replace(case, by=nobody), request)


def answer(case: DecisionContext) -> None:
    """Answer the requests that just came; no other waits.

    Admission saw that the requests are whose change it was, unless they may write everything. Of more than a client
    has reason to send at once, the rest is declined: each takes its time, and the others wait for it.
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
    """Answer a request and remove it; return why it is declined, if it is."""
    act, declined = ANSWERS.get(request.kind), None
    try:
        if act is None:
            raise BadRequest(f"There are no requests of the kind {request.kind[:64]!r}; use {', '.join(ANSWERS)}.")
        act(case, request)
    except CosessionError as error:  # `BadDocument` too: of a run whose fields don't fit the schema
        declined = error
    case.document.requests.remove(request.key)
    return declined


def _tell(case: DecisionContext, declined: Sequence[_Declined]) -> None:
    """Send each participant a notice of the requests that were declined."""
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
"""By the kind of the request."""
