"""Creation of sessions: all creations that wait at the same time share one commit.

A commit waits for the disk, and thousands of clients may open new sessions in the same second, e.g. after a proxy has
restarted. So the first creation on the writer's thread creates all sessions that were requested by then.
"""

import sqlite3
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from cosession.errors import SessionDeleted

from . import transactions

_Outcome: TypeAlias = bool | SessionDeleted | Exception


class Creations:
    """Creations without another write between them, so that one transaction can do them all.

    Requested on the event loop, executed on the writer's thread; a deque may be used from both.
    """

    def __init__(self) -> None:
        self._wanted: deque[tuple[_Creation, tuple[str, str, str]]] = deque()

    def add(self, session: str, title: str, at: str) -> Callable[[sqlite3.Connection], bool]:
        """Request a session.

        Returns:
            A function to run on the writer's thread before any other write: it returns whether this call has
            created the session, and raises as `Storage.create` does.
        """
        creation = _Creation(self)
        self._wanted.append((creation, (session, title, at)))
        return creation

    def carry_out(self, db: sqlite3.Connection) -> None:
        """Create all sessions that were requested until now."""
        together = [self._wanted.popleft() for _ in range(len(self._wanted))]
        outcomes: list[bool | SessionDeleted] | list[Exception]
        try:
            outcomes = transactions.create(db, [wanted for _, wanted in together])
        except Exception as error:
            outcomes = [error] * len(together)
        for (creation, _), outcome in zip(together, outcomes, strict=True):
            creation.outcome = outcome


class _Creation:
    """One requested creation."""

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
