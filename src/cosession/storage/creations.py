"""Sessions that are to be created: those that wait for the disk together are one commit.

A commit waits for the disk, and thousands may come to new sessions in the same second, after a restart of whatever
is in front of them. So whoever is first on the writer's thread creates them for all who have asked by then.
"""

import sqlite3
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from cosession.errors import SessionDeleted

from . import transactions

_Outcome: TypeAlias = bool | SessionDeleted | Exception


class Creations:
    """Creations with no other write between them, which may so happen together.

    Asked for on the event loop, carried out on the writer's thread; a deque may be used from both.
    """

    def __init__(self) -> None:
        self._wanted: deque[tuple[_Creation, tuple[str, str, str]]] = deque()

    def add(self, session: str, title: str, at: str) -> Callable[[sqlite3.Connection], bool]:
        """Ask for a session.

        Returns:
            What is to be handed to the writer's thread for it, before any other write: it returns whether this
            call has made the session, and raises what `Storage.create` raises.
        """
        creation = _Creation(self)
        self._wanted.append((creation, (session, title, at)))
        return creation

    def carry_out(self, db: sqlite3.Connection) -> None:
        """Create all that were asked for until now."""
        together = [self._wanted.popleft() for _ in range(len(self._wanted))]
        outcomes: list[bool | SessionDeleted] | list[Exception]
        try:
            outcomes = transactions.create(db, [wanted for _, wanted in together])
        except Exception as error:
            outcomes = [error] * len(together)
        for (creation, _), outcome in zip(together, outcomes, strict=True):
            creation.outcome = outcome


class _Creation:
    """One of them."""

    __slots__ = ("_all", "outcome")

    def __init__(self, all_of_them: Creations) -> None:
        self._all = all_of_them
        self.outcome: _Outcome | None = None

    def __call__(self, db: sqlite3.Connection) -> bool:
        if self.outcome is None:
            self._all.carry_out(db)
        assert self.outcome is not None
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome
