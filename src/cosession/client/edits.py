"""Edits: what people change in the words of an agent."""

from dataclasses import dataclass

from .answer import Answer


@dataclass(frozen=True, slots=True)
class Edit:
    """The words of a message that somebody else changed.

    Attributes:
        message: the message's id.
        by: who changed it last, as they say; None where they don't.
        before: its text as it was written, or was when it was asked for last.
        after: its text now.
    """

    message: str
    by: str | None
    before: str
    after: str


def edits_of(answer: Answer) -> list[Edit]:
    """Return what others have changed in an answer since the last call."""
    message = answer.message
    if message is None:
        return []
    answer.flush()
    before, after = "".join(answer.said), message.text
    answer.said = [after]
    return [] if before == after else [Edit(message.id, message.edited_by, before, after)]
