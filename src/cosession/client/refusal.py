"""Refusals of what was written: which they are, and what they cost. No I/O."""

from dataclasses import dataclass

from cosession.errors import ClientIdTaken, CosessionError, MalformedFrame, NotAllowed, TooLarge

OF_WRITING = frozenset(error.close_code for error in (MalformedFrame, NotAllowed, ClientIdTaken, TooLarge))
"""Close codes to which a fresh document is the answer, when something was unsaved."""

MOST_REFUSALS = 8
"""In a minute; more would be a program that writes the same again and again."""

REFUSALS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that was written here was refused by the server.

    Attributes:
        code: the close code, e.g. 4403.
        error: the server's name of the error, e.g. `auth.forbidden`; empty when it gave none.
        reason: a sentence that says what to do.
        touched: the place in the document that may not be touched, e.g. `messages/*/stamp`; empty when it was none.
        lost: the texts that were written here and that the server has not; nobody else has them.
        update: all that was lost, as a Yjs update, for who wants more than the texts.
        final: whether it cost what was written; False for a request that the server declined, and for presence that
            it didn't take: then nothing else changes.
    """

    code: int
    error: str
    reason: str
    touched: str = ""
    lost: tuple[str, ...] = ()
    update: bytes = b""
    final: bool = True


def error_of(code: str, reason: str) -> CosessionError:
    """Return the error of a code, as the server gives it in a notice or a problem document."""
    for kind in CosessionError.__subclasses__():
        if kind.code == code and kind.__init__ in (CosessionError.__init__, NotAllowed.__init__):
            return kind(reason)
    return CosessionError(reason)
