"""Edits: what others change in one's words, as it is told.

A run asks what became of its own message, when it likes. Who iterates is told of all of a participant's messages, by
`words`. What isn't fetched yet is kept as one edit a message: from the text before the first change to that after the
last one, so a slow reader costs no more than its own texts.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from cosession.document.text import difference

from .answer_stream import Answer
from .session_link import SessionLink


@dataclass(frozen=True, slots=True)
class Edit:
    """The words of a message that somebody else changed.

    Attributes:
        message: the message's id.
        by: who changed it last; None where nobody says so.
        before: its text as it was written, or was when it was asked for last.
        after: its text now; empty where the message was deleted.
        verified: whether `by` is the server's word, and not only the editor's.
    """

    message: str
    by: str | None
    before: str
    after: str
    verified: bool = False

    @property
    def index(self) -> int:
        """Where the first changed character is, in both texts."""
        return difference(self.before, self.after)[0]

    @property
    def removed(self) -> str:
        """The words that were there: all from the first change to the last one."""
        start, stop, _ = difference(self.before, self.after)
        return self.before[start:stop]

    @property
    def inserted(self) -> str:
        """The words that stand there now."""
        return difference(self.before, self.after)[2]


def edits_of(answer: Answer) -> list[Edit]:
    """Return what others have changed in an answer since the last call."""
    message = answer.message
    if message is None:
        return []
    answer.flush()
    before, after = "".join(answer.said), message.text
    answer.said = [after]
    return [] if before == after else [Edit(message.id, message.edited_by, before, after)]


class Edits(AsyncIterator[Edit]):
    """Iterates over what others change in one's words, and waits for more. Leaving the loop leaves nothing behind."""

    def __init__(self, link: SessionLink) -> None:
        """Prepare to iterate.

        Args:
            link: the tie to the server; its bell rings when there is an edit, or the session ends.
        """
        self._link = link
        self._waiting: dict[str, Edit] = {}

    async def __anext__(self) -> Edit:
        """Return the next edit; wait until there is one. A cancelled wait loses none.

        Raises:
            Disconnected: the session is over.
        """
        while True:
            self._link.go_on()
            if self._waiting:
                return self._waiting.pop(next(iter(self._waiting)))
            await self._link.bell.wait()

    def add(self, edit: Edit) -> None:
        """Keep an edit until it is fetched, as one with what waits of the same message; none if all is as it was."""
        waiting = self._waiting.get(edit.message)
        before = edit.before if waiting is None else waiting.before
        self._waiting[edit.message] = Edit(edit.message, edit.by, before, edit.after, edit.verified)
        if before == edit.after:
            del self._waiting[edit.message]

    def carry(self, message: str, old: str, new: str) -> None:
        """Hear that the participant changed a text: what waits of it is still only what others changed.

        Args:
            message: the message.
            old: the text before.
            new: the text after.
        """
        waiting = self._waiting.pop(message, None)
        if waiting is not None:
            before = _carried(waiting.before, old, new)
            self.add(Edit(message, waiting.by, before, new, waiting.verified))


def _carried(before: str, old: str, new: str) -> str:
    """Make a change to a text that was made to another version of it, where both versions are the same."""
    first, last, others = difference(before, old)
    start, stop, words = difference(old, new)
    if stop <= first:
        return before[:start] + words + before[stop:]
    if start < first + len(others):
        return before  # the same words were changed by both
    shift = last - first - len(others)
    return before[: start + shift] + words + before[stop + shift :]
