"""Views of a session's document that write only while the session goes on, and only what the server takes."""

from collections.abc import Sequence
from typing import Any

from pycrdt import Text

from cosession.document import Counters, Queue, QueuedPrompt, Selections, SharedText
from cosession.document.policy import checked_agents

from .session_link import SessionLink


class LiveSelections(Selections):
    """What each participant has selected. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the tie to the server, which has the document.
        """
        super().__init__(link.document.selections.shared)
        self._link = link

    def set(self, participant: str, name: str, value: Any) -> None:
        """Say what a participant has selected.

        Raises:
            BadDocument: the value isn't JSON.
            TooLarge: it is larger than the server takes, or the name is.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("The name of a selection", participant, name)
        self._link.check_fits(value, "The selection")
        super().set(participant, name, value)

    def clear(self, participant: str, name: str) -> None:
        """Say that a participant has selected nothing. Raises Disconnected when the session is over."""
        self._link.go_on()
        super().clear(participant, name)


class LiveCounters(Counters):
    """Counters that several increase. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the tie to the server, which has the document.
        """
        super().__init__(link.document.counters.shared)
        self._link = link

    def add(self, name: str, writer: str, amount: float = 1, *, device: str = "") -> None:
        """Add to a counter; see `Counters.add`. Raises TooLarge for a name that no key holds, and Disconnected."""
        self._link.go_on()
        self._link.check_names("The name of a counter", name, writer, *filter(None, (device,)))
        super().add(name, writer, amount, device=device)


class LiveQueue(Queue):
    """The prompts that wait. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the tie to the server, which has the document.
        """
        super().__init__(link.document.queue.shared)
        self._link = link

    def append(
        self,
        text: str,
        *,
        id: str,  # noqa: A002 - the field's name
        author: str,
        created_at: str,
        to: Sequence[str] = (),
    ) -> QueuedPrompt:
        """Add a prompt to the end of the queue; see `Queue.append`. Raises TooLarge and Disconnected as well."""
        self._link.go_on()
        self._link.check_fits(text, "The prompt", ())
        self._link.check_names("An id in a prompt", id, author, *checked_agents(to))
        return super().append(text, id=id, author=author, created_at=created_at, to=to)

    def move(self, id: str, index: int) -> None:  # noqa: A002 - the field's name
        """Put an entry at a place of the queue; see `Queue.move`. Raises Disconnected as well."""
        self._link.go_on()
        super().move(id, index)

    def remove(self, id: str) -> bool:  # noqa: A002 - the field's name
        """Take an entry out, and return whether it was there. Raises Disconnected when the session is over."""
        self._link.go_on()
        return super().remove(id)


class LiveText(SharedText):
    """A text that is written together. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink, shared: Text) -> None:
        """Prepare.

        Args:
            link: the tie to the server.
            shared: the pycrdt Text behind it.
        """
        super().__init__(shared)
        self._link = link

    def append(self, text: str) -> None:
        """Add to the end; costs the same however long the text is. Raises Disconnected when the session is over."""
        self._link.go_on()
        super().append(text)

    def replace(self, start: int, stop: int, text: str) -> None:
        """Put a text in the place of a range; see `SharedText.replace`. Raises Disconnected as well."""
        self._link.go_on()
        super().replace(start, stop, text)
