"""Requests: a wish under a key of one's own becomes a fact, once, or comes to nothing.

Each kind of request is answered by one function. Whatever comes of it, the request is removed, so that a wish that
can't be granted doesn't wait for ever.
"""

from collections.abc import Callable
from contextlib import suppress

from cosession.auth import Participant
from cosession.document import Request, SessionDocument
from cosession.errors import BadDocument

from . import runs


def answer(document: SessionDocument, by: Participant, at: str) -> None:
    """Answer every request that waits in the document.

    Args:
        document: the session.
        by: who just wrote there; admission saw that the requests are theirs, unless they may write everything.
        at: the server's time, RFC 3339.
    """
    for request in list(document.requests.items()):
        act = _ANSWERS.get(request.kind)
        with suppress(BadDocument):  # a run whose fields don't fit the schema can't be answered
            if act is not None:
                act(document, request, by, at)
        document.requests.remove(request.key)


_ANSWERS: dict[str, Callable[[SessionDocument, Request, Participant, str], None]] = {
    "cancel": runs.cancel,
    "steer": runs.steer,
}
"""By the kind of the request."""
