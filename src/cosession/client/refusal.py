"""Refused writes: their close codes, and the writes that are lost with them. No I/O."""

from dataclasses import dataclass

from cosession.errors import ClientIdTaken, CosessionError, MalformedFrame, NotAllowed, TooLarge

OF_WRITING = frozenset(error.close_code for error in (MalformedFrame, NotAllowed, ClientIdTaken, TooLarge))
"""Close codes after which the session continues with a fresh document, when there were unsaved writes."""

MOST_REFUSALS = 8
"""Refusals in a minute; more end the session, as a program probably repeats the same write."""

REFUSALS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write of this client that the server refused.

    Attributes:
        code: the close code, e.g. 4403.
        error: the server's name of the error, e.g. `auth.forbidden`; empty when it gave none.
        reason: a sentence that says what to do.
        touched: the path in the document that may not be changed, e.g. `messages/*/stamp`; empty when there is none.
        lost: the texts that were written here and that the server doesn't have; they exist only here.
        update: all lost writes, as a Yjs update, for a program that needs more than the texts.
        final: whether writes were lost; False for a request that the server declined, and for a presence state that
            it rejected: then nothing else changes.
    """

    code: int
    error: str
    reason: str
    touched: str = ""
    lost: tuple[str, ...] = ()
    update: bytes = b""
    final: bool = True


def error_of(code: str, reason: str) -> CosessionError:
    """Return the error for a code from a notice or a problem document."""
    for kind in CosessionError.__subclasses__():
        if kind.code == code and kind.__init__ in (CosessionError.__init__, NotAllowed.__init__):
            return kind(reason)
    return CosessionError(reason)
