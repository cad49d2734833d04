"""The shared state of a session: remains valid after a refusal, and can be watched at any path."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pycrdt import Map

from cosession.document import State
from cosession.document.tree import Path

from .session_link import SessionLink, leaves


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change at a path of the state.

    Attributes:
        path: the path, as it was given to `watch`.
        before: the value before, as plain JSON; None where there was none.
        after: the value now.
    """

    path: Path
    before: Any
    after: Any


class SharedState(State):
    """The application's shared state."""

    __slots__ = ("_link",)

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the link to the server, which has the document.
        """
        self._link = link

    @property
    def shared(self) -> Map[Any]:  # type: ignore[override]
        """The current pycrdt Map behind it; a refusal replaces it by another one."""
        return self._link.document.state.shared

    def set(self, path: Path, value: Any) -> None:
        """Write a value; see `Tree.set`.

        Raises:
            InvalidValue: the path isn't one, or the value isn't JSON.
            TooLarge: the value is larger than the server accepts.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_fits(value, "The value", leaves(value))
        keys = path.split(".") if isinstance(path, str) else path
        self._link.check_names("A key of the path", *(key for key in keys if isinstance(key, str)))
        super().set(path, value)

    def delete(self, path: Path) -> bool:
        """Remove the value at a path; see `Tree.delete`. Raises as `set` does."""
        self._link.go_on()
        return super().delete(path)

    def watch(self, path: Path) -> "StateChanges":
        """Iterate over the changes at a path: `async for change in session.state.watch("trip.flight"):`.

        It begins with this call. Changes while the loop's body runs are merged into one; equal JSON is no change.

        Raises:
            InvalidValue: the path isn't one.
            Disconnected: the session is over; raised from the iteration.
        """
        return StateChanges(self, self._link, path)


class StateChanges(AsyncIterator[StateChange]):
    """Iterates over the changes at a path, and waits for more. Leaving the loop leaves no task behind."""

    def __init__(self, state: SharedState, link: SessionLink, path: Path) -> None:
        """Begin with the current value; raises as `SharedState.watch` does.

        Args:
            state: the shared state.
            link: the link to the server.
            path: the path.
        """
        self._state = state
        self._link = link
        self._path = path
        self._before = state.get(path)

    async def __anext__(self) -> StateChange:
        """Return the next change; wait until there is one. A cancelled wait loses none.

        Raises:
            Disconnected: the session is over.
        """
        while True:
            document = self._link.document
            with document.observe(lambda _: self._link.bell.ring(), "state"):
                while document is self._link.document:
                    self._link.go_on()
                    before, after = self._before, self._state.get(self._path)
                    if after != before or type(after) is not type(before):
                        self._before = after
                        return StateChange(self._path, before, after)
                    await self._link.bell.wait()
