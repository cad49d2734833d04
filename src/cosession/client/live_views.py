"""Views of a session's document that write only while it is open, and only values that the server accepts."""

from collections.abc import Sequence
from typing import Any

from pycrdt import Text

from cosession.document import Counters, Queue, QueuedPrompt, Selections, SharedText
from cosession.document.policy import checked_agents

from .session_link import SessionLink


class LiveSelections(Selections):
    """The selections of each participant. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the link to the server, which has the document.
        """
        super().__init__(link.document.selections.shared)
        self._link = link

    def set(self, participant: str, name: str, value: Any) -> None:
        """Set a selection of a participant.

        Raises:
            InvalidValue: the value isn't JSON.
            TooLarge: the value or the name is larger than the server accepts.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("The name of a selection", participant, name)
        self._link.check_fits(value, "The selection")
        super().set(participant, name, value)

    def clear(self, participant: str, name: str) -> None:
        """Clear a selection of a participant. Raises Disconnected when the session is over."""
        self._link.go_on()
        super().clear(participant, name)


class LiveCounters(Counters):
    """Counters that several increase. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the link to the server, which has the document.
        """
        super().__init__(link.document.counters.shared)
        self._link = link

    def add(self, name: str, writer: str, amount: float = 1, *, device: str = "") -> None:
        """Add to a counter; see `Counters.add`. Raises TooLarge for a name that is too long, and Disconnected."""
        self._link.go_on()
        self._link.check_names("The name of a counter", name, writer, *filter(None, (device,)))
        super().add(name, writer, amount, device=device)


class LiveQueue(Queue):
    """The queue of waiting prompts. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the link to the server, which has the document.
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
        """Move an entry to another position; see `Queue.move`. Raises Disconnected as well."""
        self._link.go_on()
        super().move(id, index)

    def remove(self, id: str) -> bool:  # noqa: A002 - the field's name
        """Remove an entry, and return whether it existed. Raises Disconnected when the session is over."""
        self._link.go_on()
        return super().remove(id)


class LiveText(SharedText):
    """A shared text. Writing raises Disconnected when the session is over."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink, shared: Text) -> None:
        """Prepare.

        Args:
            link: the link to the server.
            shared: the pycrdt Text behind it.
        """
        super().__init__(shared)
        self._link = link

    def append(self, text: str) -> None:
        """Append text. Raises Disconnected when the session is over."""
        self._link.go_on()
        super().append(text)

    def replace(self, start: int, stop: int, text: str) -> None:
        """Replace a range with a text; see `SharedText.replace`. Raises Disconnected as well."""
        self._link.go_on()
        super().replace(start, stop, text)
