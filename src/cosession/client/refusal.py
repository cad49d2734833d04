"""Refused writes: their close codes, and the writes that are lost with them. No I/O."""

from collections.abc import Iterator

from cosession import errors
from cosession.errors import ClientIdTaken, CosessionError, MalformedFrame, NotAllowed, TooLarge

OF_WRITING = frozenset(error.close_code for error in (MalformedFrame, NotAllowed, ClientIdTaken, TooLarge))
"""Close codes after which the session continues with a fresh document, when there were unsaved writes."""

MOST_REFUSALS = 8
"""Refusals in a minute; more end the session, as a program probably repeats the same write."""

REFUSALS_SECONDS = 60.0

_OWN = frozenset({errors.WriteRefused, errors.Disconnected, errors.RunCancelled})
"""Errors that the server doesn't send, and that are made of more than a message."""


def _classes(kind: type[CosessionError]) -> Iterator[type[CosessionError]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from _classes(sub)


_CLASSES = {kind.code: kind for kind in _classes(CosessionError) if kind not in _OWN}

_FAMILIES = {
    kind.status: kind
    for kind in (
        errors.InvalidValue,
        errors.NotAuthenticated,
        errors.NotAllowed,
        errors.NotFound,
        errors.Conflict,
        errors.Gone,
        errors.TooLarge,
        errors.TooFast,
        errors.Unavailable,
    )
}


def error_of(code: str, reason: str, *, status: int = 0, id: str = "") -> CosessionError:  # noqa: A002
    """Return the error for a code from a notice or a problem document.

    Args:
        code: the code; one of a later server gives the family of the status.
        reason: the message.
        status: the HTTP status; 0 if there is none.
        id: the id that the request was about; empty if it was about none.
    """
    unavailable = errors.Unavailable if status >= 500 else CosessionError
    error = _CLASSES.get(code, _FAMILIES.get(status, unavailable))(reason)
    if isinstance(error, errors.NotFound):
        error.id = id
    return error
