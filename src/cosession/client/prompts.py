"""Prompts: the messages that want an answer, each given once in this process.

A prompt is a message of the role `user` that is complete, not deleted, and that no run answers. Which of them
wait is read from the document alone, so those that were written before the agent came are found like those that
come later. Two agents of one session both see a prompt that neither has answered yet.
"""

from collections.abc import AsyncIterator, Callable

from cosession.document import Change, Message, SessionDocument
from cosession.errors import Disconnected

from .bell import Bell

_TELLING = frozenset({"status", "deleted", "role", "metadata", "reply_to"})
"""The keys that can make a message a prompt, or a prompt answered; streamed text isn't among them."""


class Prompts(AsyncIterator[Message]):
    """Iterates over prompts and waits for more; the same prompt is never given twice.

    Leaving the loop leaves nothing behind: the document is watched only while `__anext__` waits.
    """

    def __init__(
        self, document: SessionDocument, given: set[str], *, bell: Bell, ended: Callable[[], Disconnected | None]
    ) -> None:
        """Prepare to iterate.

        Args:
            document: where the messages are.
            given: ids that have been given, shared by all iterators of a session.
            bell: rung when the session ends.
            ended: returns why the session is over, or None.
        """
        self._document = document
        self._given = given
        self._bell = bell
        self._ended = ended

    async def __anext__(self) -> Message:
        """Return the next prompt, in the order of the messages; wait until there is one.

        Raises:
            Disconnected: the session is over.
        """
        fresh = True

        def look_again(changes: list[Change]) -> None:
            nonlocal fresh
            if any(_may_matter(change) for change in changes):
                fresh = True
                self._bell.ring()

        with self._document.observe(look_again, "messages", "runs"):
            while True:
                if (why := self._ended()) is not None:
                    raise why
                if fresh:
                    fresh = False
                    if (prompt := self._first_waiting()) is not None:
                        self._given.add(prompt.id)
                        return prompt
                await self._bell.wait()

    def _first_waiting(self) -> Message | None:
        with self._document.transaction():  # one for all that is read; without it each field would open its own
            answered = {run.reply_to for run in self._document.runs}
            for message in self._document.messages:
                if message.role != "user" or message.id in self._given or message.id in answered:
                    continue
                if message.status == "complete" and not message.deleted:
                    return message
        return None


def _may_matter(change: Change) -> bool:
    if len(change.path) == 1:
        return True
    return change.kind == "map" and not _TELLING.isdisjoint(change.keys)
