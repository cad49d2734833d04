"""Revocations: access that was revoked before its expiry. Kept in the database, so that a restart keeps them.

All of them are in memory too, so that a check is cheap: there are only as many as operators made. A revocation holds
until it is lifted. It names a participant, a token, a session, or several of these, and then applies only where all
of them match: `ada` in `trip`, and not in other sessions. Only an admin can revoke a grant with `admin`.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from .database import DatabaseConnection


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation of access.

    Attributes:
        id: its id.
        participant: the participant that loses access; None is every participant.
        token: the `jti` of a token; None is every token.
        session: the session; None is every session.
        reason: the reason, for later readers.
        by: the participant that made it.
        at: the time, RFC 3339.
        by_admin: whether an admin made it: then it also applies to admins.
    """

    id: str
    participant: str | None
    token: str | None
    session: str | None
    reason: str
    by: str
    at: str
    by_admin: bool

    def names(self, who: "Bearer", session: str | None) -> bool:
        """Return whether everything that it names matches a bearer and a session."""
        return (
            self.participant in (None, who.id)
            and self.token in (None, who.token_id)
            and self.session in (None, session)
        )


class Bearer(Protocol):
    """A holder of access that can be revoked: a participant, or a grant."""

    @property
    def id(self) -> str:
        """The participant's id."""
        ...

    @property
    def token_id(self) -> str | None:
        """The `jti` of the token, if it has one."""
        ...

    def is_admin(self, session: str | None) -> bool:
        """Return whether it includes `admin` in a session; None is any session."""
        ...


class Revocations:
    """All revocations. Made by `Revocations.load`."""

    def __init__(self, writer: DatabaseConnection, known: dict[str, Revocation]) -> None:
        self._writer = writer
        self._known = known
        self._observers: list[Callable[[Revocation], None]] = []
        self._index()

    @classmethod
    async def load(cls, writer: DatabaseConnection) -> "Revocations":
        """Read all revocations from the database."""
        return cls(writer, {one.id: one for one in await writer.run(read_revocations)})

    def __iter__(self) -> Iterator[Revocation]:
        """Iterate over all, the oldest first."""
        return iter(sorted(self._known.values(), key=lambda one: (one.at, one.id)))

    def get(self, id: str) -> Revocation | None:  # noqa: A002
        """Return the revocation of an id, or None."""
        return self._known.get(id)

    def is_revoked(self, who: Bearer, session: str | None = None) -> bool:
        """Return whether access is revoked.

        Args:
            who: the holder of access.
            session: the session; None considers only revocations for all sessions.
        """
        taken = self._by_admins if who.is_admin(session) else self._taken
        if not taken:
            return False
        return any(
            (participant, token, place) in taken
            for participant in {who.id, None}
            for token in {who.token_id, None}
            for place in {session, None}
        )

    async def add(self, revocation: Revocation) -> None:
        """Revoke access, durably, then notify the observers.

        Raises:
            StorageError: the revocation could not be stored, and has no effect.
        """
        await self._writer.run(lambda db: write_revocation(db, revocation))
        self._known[revocation.id] = revocation
        self._index()
        for observer in tuple(self._observers):
            observer(revocation)

    async def lift(self, id: str) -> bool:  # noqa: A002
        """Lift a revocation, durably; return False if it doesn't exist."""
        lifted = await self._writer.run(
            lambda db: db.execute("DELETE FROM revocations WHERE id = ?", (id,)).rowcount > 0
        )
        self._known.pop(id, None)
        self._index()
        return lifted

    def follow(self, observer: Callable[[Revocation], None]) -> None:
        """Call an observer at every new revocation from now on, on the loop, at once; it must not raise."""
        self._observers.append(observer)

    @contextmanager
    def observe(self, observer: Callable[[Revocation], None]) -> Generator[None]:
        """Call an observer at every new revocation during a block, on the loop, at once; it must not raise."""
        self._observers.append(observer)
        try:
            yield
        finally:
            self._observers.remove(observer)

    def _index(self) -> None:
        known = self._known.values()
        self._taken = {(one.participant, one.token, one.session) for one in known}
        self._by_admins = {(one.participant, one.token, one.session) for one in known if one.by_admin}


def read_revocations(db: sqlite3.Connection) -> list[Revocation]:
    """Read all rows."""
    rows = db.execute("SELECT id, participant, token, session, reason, by, at, by_admin FROM revocations").fetchall()
    return [Revocation(*row[:-1], by_admin=bool(row[-1])) for row in rows]


def write_revocation(db: sqlite3.Connection, revocation: Revocation) -> None:
    """Write one row, in a transaction of its own."""
    one = revocation
    db.execute(
        "INSERT INTO revocations (id, participant, token, session, reason, by, at, by_admin) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (one.id, one.participant, one.token, one.session, one.reason, one.by, one.at, one.by_admin),
    )
