"""Edits: changes that other participants make to the text of a participant's messages.

A run polls the edits of its own message. An iteration receives those of all messages of a participant, from `words`.
Edits that aren't fetched yet are merged into one per message: from the text before the first change to the text after
the last one, so a slow reader costs no more memory than its own texts.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from cosession.document.text import difference

from .answer_stream import Answer
from .session_link import SessionLink


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that another participant made to the text of a message.

    Attributes:
        message: the message's id.
        by: the participant that changed it last; None where unknown.
        before: its text as it was written, or as it was at the last edit that was fetched.
        after: its text now; empty where the message was deleted.
        verified: whether the server verified `by`; otherwise it is only the editor's claim.
    """

    message: str
    by: str | None
    before: str
    after: str
    verified: bool = False

    @property
    def index(self) -> int:
        """The index of the first changed character, in both texts."""
        return difference(self.before, self.after)[0]

    @property
    def removed(self) -> str:
        """The text that was replaced: all from the first change to the last one."""
        start, stop, _ = difference(self.before, self.after)
        return self.before[start:stop]

    @property
    def inserted(self) -> str:
        """The text that replaced it."""
        return difference(self.before, self.after)[2]


def edits_of(answer: Answer) -> list[Edit]:
    """Return the edits by other participants in an answer since the last call."""
    before, after = answer.heard()
    message = answer.message
    if message is None or before == after:
        return []
    return [Edit(message.id, message.edited_by, before, after)]


class Edits(AsyncIterator[Edit]):
    """Iterates over the edits by others, and waits for more. Leaving the loop stops it."""

    def __init__(self, link: SessionLink) -> None:
        """Prepare to iterate.

        Args:
            link: the link to the server; its signal fires when there is an edit, or the session ends.
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

    def take_all(self) -> list[Edit]:
        """Return the waiting edits now, without waiting for one."""
        taken = list(self._waiting.values())
        self._waiting.clear()
        return taken

    def add(self, edit: Edit) -> None:
        """Keep an edit until it is fetched, merged with a waiting one of its message; drop it if they cancel out."""
        waiting = self._waiting.get(edit.message)
        before = edit.before if waiting is None else waiting.before
        self._waiting[edit.message] = Edit(edit.message, edit.by, before, edit.after, edit.verified)
        if before == edit.after:
            del self._waiting[edit.message]

    def carry(self, message: str, old: str, new: str) -> None:
        """Rebase a waiting edit on the participant's own change, so that it shows only the changes by others.

        Args:
            message: the message's id.
            old: the text before.
            new: the text after.
        """
        waiting = self._waiting.pop(message, None)
        if waiting is not None:
            before = _carried(waiting.before, old, new)
            self.add(Edit(message, waiting.by, before, new, waiting.verified))


def _carried(before: str, old: str, new: str) -> str:
    """Apply a change that was made to another version of a text, where both versions agree."""
    first, last, others = difference(before, old)
    start, stop, words = difference(old, new)
    if stop <= first:
        return before[:start] + words + before[stop:]
    if start < first + len(others):
        return before  # both changed the same text
    shift = last - first - len(others)
    return before[: start + shift] + words + before[stop + shift :]
