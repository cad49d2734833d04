"""The shared state, as a session shows it: the same over a refusal, and watched where one likes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from pycrdt import Map

from cosession.document import State
from cosession.document.tree import Path

from .link import Link


@dataclass(frozen=True, slots=True)
class StateChange:
    """What changed at a path of the state.

    Attributes:
        path: the path, as it was given to `watch`.
        before: what was there, as plain JSON; None where there was nothing.
        after: what is there now.
    """

    path: Path
    before: Any
    after: Any


class SharedState(State):
    """The application's shared state."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        """Prepare.

        Args:
            link: the tie to the server, which has the document.
        """
        self._link = link

    @property
    def shared(self) -> Map[Any]:  # type: ignore[override]
        """The pycrdt Map behind it now: after a refusal it is another one."""
        return self._link.document.state.shared

    async def watch(self, path: Path) -> AsyncGenerator[StateChange, None]:
        """Iterate over what becomes of a path: `async for change in session.state.watch("trip.flight"):`.

        What changes while the loop's body works is told as one change; equal JSON isn't told.

        Raises:
            BadDocument: the path isn't one.
            Disconnected: the session is over.
        """
        before = self.get(path)
        while True:
            document = self._link.document
            with document.observe(lambda _: self._link.bell.ring(), "state"):
                while document is self._link.document:
                    self._link.go_on()
                    after = self.get(path)
                    if after == before and type(after) is type(before):
                        await self._link.bell.wait()
                    else:
                        yield StateChange(path, before, after)
                        before = after
