"""Refusals of what was written: which they are, and what they cost. No I/O."""

from dataclasses import dataclass

from cosession.errors import ClientIdTaken, MalformedFrame, NotAllowed, TooLarge

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
    """

    code: int
    error: str
    reason: str
    touched: str = ""
    lost: tuple[str, ...] = ()
    update: bytes = b""
