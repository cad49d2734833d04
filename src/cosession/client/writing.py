"""What one writes into a session: messages, prompts for the queue, changes of what was said, counts."""

from collections.abc import Sequence
from typing import Any

from cosession.document import Message, QueuedPrompt
from cosession.document.parts import values_of_parts
from cosession.document.policy import checked_agents
from cosession.errors import BadDocument

from .ids import fresh_id, now
from .wishes import Wishes


class Writing(Wishes):
    """Whoever is in a session."""

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
            text: what it says.
            id: the message's id; None makes one.
            role: `user`, `assistant` or `system`.
            parts: more parts, after the text.
            parent: id of the message it follows, where a session branches.
            to: the agents that are asked; none is whoever answers here.

        Raises:
            BadDocument: it isn't a message.
            TooLarge: it is larger than the server takes.
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
            author=self.participant,
            created_at=now(),
            parent=parent,
            to=to,
        )

    def enqueue(self, text: str, *, to: Sequence[str] = ()) -> QueuedPrompt:
        """Add a prompt to the shared queue: people edit and reorder it there, and it is asked when its turn comes.

        Args:
            text: what it says.
            to: the agents that are asked; none is whoever answers here.

        Raises:
            TooLarge: it is larger than the server takes.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_fits(text, "The prompt", ())
        self._link.check_names("The id of an agent", *checked_agents(to))
        return self.document.queue.append(text, id=fresh_id(), author=self.participant, created_at=now(), to=to)

    def edit(self, message_id: str, text: str) -> None:
        """Change a message's text, as little as possible, so that concurrent edits merge.

        Raises:
            BadDocument: there is no such message, or it is deleted.
            Disconnected: the session is over.
        """
        self._find(message_id).edit(text, at=now(), by=self.participant)

    def remove(self, message_id: str) -> None:
        """Delete what a message says; an empty message marked as deleted stays. Raises as `edit` does."""
        self._find(message_id).delete(at=now())

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a shared counter; the additions of all add up, whoever makes them at once.

        Args:
            name: the counter, as it is read in `counters`.
            amount: how much; negative takes away.

        Raises:
            BadDocument: the amount is no number, or the name isn't one.
            TooLarge: the name is longer than the server takes.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("The name of a counter", name)
        self.document.counters.add(name, self.participant, amount, device=str(self.document.doc.client_id))

    def _find(self, message_id: str) -> Message:
        self._link.go_on()
        if (message := self.document.messages.get(message_id)) is None:
            raise BadDocument(f"The session has no message {message_id!r}.")
        return message
