"""Prompts: the messages that want an answer, each given once in this process.

A prompt is a message of the role `user` that is complete, not deleted, and that no run answers. Which of them
wait is read from the document alone, so those that were written before the agent came are found like those that
come later. Two agents of one session both see a prompt that neither has answered yet.

The whole list is read once; after that only what changes is looked at, because a place in a shared list costs the
more the further in it is, and a session lasts.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from cosession.document import Change, Message, SessionDocument
from cosession.errors import Disconnected

from .bell import Bell

_LATE = frozenset({"id", "role"})
"""Keys of a message that come with it; a foreign client that sets them later makes us read the list again."""

_TELLING = frozenset({"status", "deleted", "metadata"})
"""Keys that can make a message a prompt; streamed text isn't among them."""


class Inbox:
    """Keeps the messages that are, or may become, prompts, in the order in which they came."""

    def __init__(self, document: SessionDocument, bell: Bell) -> None:
        """Watch a document.

        Args:
            document: the session.
            bell: rung when there may be a prompt.
        """
        self._bell = bell
        self._given: set[str] = set()
        self._answered: set[str] = set()
        self._open: dict[str, Message | None] = {}
        self._stale = True
        self._document = document
        self._watch = document.observe(self._on_change, "messages", "runs")

    def move(self, document: SessionDocument) -> None:
        """Go on with another document of the same session; what was given isn't given again."""
        self._watch.close()
        self._document = document
        self._watch = document.observe(self._on_change, "messages", "runs")
        self._stale = True
        self._bell.ring()

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def take(self) -> Message | None:
        """Return the first prompt that waits, or None; it is not given again."""
        with self._document.transaction():  # one for all that is read; without it each field would open its own
            if self._stale:
                self._read_all()
            for id_, known in list(self._open.items()):
                message = known or self._document.messages.get(id_)
                if message is None or id_ in self._answered or message.role != "user":
                    del self._open[id_]
                elif message.status == "complete" and not message.deleted and message.id:
                    del self._open[id_]
                    self._given.add(id_)
                    return message
                else:
                    self._open[id_] = message
        return None

    def _read_all(self) -> None:
        self._stale = False
        self._answered.update(run.reply_to for run in self._document.runs if run.reply_to)
        self._open = {
            message.id: message
            for message in self._document.messages
            if message.role == "user" and message.id not in self._answered and message.id not in self._given
        }

    def _on_change(self, changes: list[Change]) -> None:
        for change in changes:
            match change.path:
                case ("runs",):
                    self._note_runs(change.keys)
                case ("runs", str(run)) if "reply_to" in change.keys:
                    self._note_runs((run,))
                case ("messages",):
                    self._note_messages(change.inserted)
                case ("messages", _) if not _LATE.isdisjoint(change.keys):
                    self._stale = True
                    self._bell.ring()
                case ("messages", *_) if not _TELLING.isdisjoint(change.keys):
                    self._bell.ring()
                case _:
                    pass

    def _note_runs(self, ids: tuple[str, ...]) -> None:
        for run_id in ids:
            run = self._document.runs.get(run_id)
            if run is not None and run.reply_to:
                self._answered.add(run.reply_to)

    def _note_messages(self, inserted: str | list[Any] | None) -> None:
        for item in inserted or ():
            fields = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
            id_ = fields.get("id")
            if fields.get("role") == "user" and isinstance(id_, str) and id_ not in self._given:
                self._open.setdefault(id_, None)
        self._bell.ring()


class Prompts(AsyncIterator[Message]):
    """Iterates over the prompts of an inbox and waits for more. Leaving the loop leaves nothing behind."""

    def __init__(self, inbox: Inbox, *, bell: Bell, ended: Callable[[], Disconnected | None]) -> None:
        """Prepare to iterate.

        Args:
            inbox: where prompts come in; shared by all iterators of a session.
            bell: rung when there may be one, or the session ends.
            ended: returns why the session is over, or None.
        """
        self._inbox = inbox
        self._bell = bell
        self._ended = ended

    async def __anext__(self) -> Message:
        """Return the next prompt; wait until there is one.

        Raises:
            Disconnected: the session is over.
        """
        while True:
            if (why := self._ended()) is not None:
                raise why
            if (prompt := self._inbox.take()) is not None:
                return prompt
            await self._bell.wait()
