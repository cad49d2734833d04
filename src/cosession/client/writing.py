"""Writes into a session: messages, queued prompts, edits, counters."""

from collections.abc import Sequence
from typing import Any

from cosession.document import Message, QueuedPrompt
from cosession.document.parts import values_of_parts
from cosession.document.policy import checked_agents
from cosession.errors import InvalidValue

from .ids import fresh_id, now
from .wishes import Wishes


class Writing(Wishes):
    """The writing actions of a participant."""

    async def send(
        self,
        text: str,
        *,
        id: str | None = None,  # noqa: A002
        role: str = "user",
        parts: Sequence[dict[str, Any]] = (),
        parent: str | None = None,
        to: Sequence[str] = (),
    ) -> Message:
        """Append a whole message.

        Args:
            text: the text of the message.
            id: the message's id; None makes one.
            role: `user`, `assistant` or `system`.
            parts: more parts, after the text.
            parent: id of the message it follows, where a session branches.
            to: the agents that shall answer; empty leaves it to the session's policy.

        Raises:
            InvalidValue: an argument is invalid.
            TooLarge: the message is larger than the server accepts.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("The id of a message", *filter(None, (id, parent)))
        self._link.check_names("The id of an agent", *checked_agents(to))
        whole = [{"type": "text", "text": text, "state": "done"}, *parts]
        self._link.check_fits(whole, "The message", values_of_parts(whole))
        return self.document.messages.append(
            role,
            whole,
            id=id or fresh_id(),
            author=self._link.me.id,
            created_at=now(),
            parent=parent,
            to=to,
        )

    def enqueue(self, text: str, *, to: Sequence[str] = ()) -> QueuedPrompt:
        """Add a prompt to the shared queue: people can edit and reorder it there, and it is sent when its turn comes.

        Args:
            text: the text of the prompt.
            to: the agents that shall answer; empty leaves it to the session's policy.

        Raises:
            TooLarge: the prompt is larger than the server accepts.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_fits(text, "The prompt", ())
        self._link.check_names("The id of an agent", *checked_agents(to))
        return self.document.queue.append(text, id=fresh_id(), author=self._link.me.id, created_at=now(), to=to)

    def edit(self, message_id: str, text: str) -> None:
        """Change a message's text with a minimal edit, so that concurrent edits merge.

        Raises:
            InvalidValue: the message doesn't exist, or is deleted.
            Disconnected: the session is over.
        """
        self._find(message_id).edit(text, at=now(), by=self._link.me.id)

    def remove(self, message_id: str) -> None:
        """Delete a message's content; an empty message marked as deleted stays. Raises as `edit` does."""
        self._find(message_id).delete(at=now())

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a shared counter; concurrent additions of several participants are summed.

        Args:
            name: the name of the counter, as in `counters`.
            amount: the amount to add; may be negative.

        Raises:
            InvalidValue: the amount is no number, or the name isn't valid.
            TooLarge: the name is longer than the server accepts.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("The name of a counter", name)
        self.document.counters.add(name, self._link.me.id, amount, device=str(self.document.doc.client_id))

    def _find(self, message_id: str) -> Message:
        self._link.go_on()
        if (message := self.document.messages.get(message_id)) is None:
            raise InvalidValue(f"The session has no message {message_id!r}.")
        return message
