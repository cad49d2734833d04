"""Requests: a wish under a key of one's own becomes a fact, once, or comes to nothing.

Each kind of request is answered by one function. Whatever comes of it, the request is removed, so that a wish that
can't be granted doesn't wait for ever.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from cosession.auth import Capabilities, Participant
from cosession.document import Request
from cosession.errors import BadDocument

from . import approvals, claims, policy, runs, tools
from .case import Case

_MOST = 256
"""How many are answered of one change."""


def begin(case: Case) -> None:
    """Answer what waits in the document at load: nobody knows any more what who asked may do besides."""
    for request in list(case.document.requests.items()):
        nobody = Participant(request.participant, request.participant, capabilities=Capabilities.parse([]))
        _answer(replace(case, by=nobody), request)


def answer(case: Case) -> None:
    """Answer every request that waits in the document.

    Admission saw that the requests are whose change it was, unless they may write everything. Of more than a client
    has reason to send at once, the rest comes to nothing: each takes its time, and the others wait for it.
    """
    requests = list(case.document.requests.items())
    for request in requests[:_MOST]:
        _answer(case, request)
    for request in requests[_MOST:]:
        case.document.requests.remove(request.key)


def _answer(case: Case, request: Request) -> None:
    act = ANSWERS.get(request.kind)
    with suppress(BadDocument):  # a run whose fields don't fit the schema can't be answered
        if act is not None:
            act(case, request)
    case.document.requests.remove(request.key)


ANSWERS: dict[str, Callable[[Case, Request], None]] = {
    "adopt": runs.adopt,
    "answer": tools.answer,
    "cancel": runs.cancel,
    "claim": claims.ask,
    "policy": policy.change,
    "release": claims.release,
    "steer": runs.steer,
    "vote": approvals.vote,
}
"""By the kind of the request."""
