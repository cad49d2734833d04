"""Revocations: access that was taken away before its time. Kept in the database, so that no restart gives it back.

All of them are in memory too, so that asking costs nothing: there are as many as operators made. A revocation holds
until it is lifted. It names a participant, a token, a session, or several of these, and then means only where all
of them meet: `ada` in `trip`, and not in other sessions. A grant with `admin` loses access only to another admin.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from .database import DatabaseConnection


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was taken away.

    Attributes:
        id: its own.
        participant: whose access; None is everybody's.
        token: the `jti` of a token; None is every token.
        session: where; None is everywhere.
        reason: a word to whoever looks later.
        by: who did it.
        at: when, RFC 3339.
        by_admin: whether an admin did it: then it binds admins, too.
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
        """Whether everything that it names meets in a bearer and a session."""
        return (
            self.participant in (None, who.id)
            and self.token in (None, who.token_id)
            and self.session in (None, session)
        )


class Bearer(Protocol):
    """Whose access is asked about: a participant, or a grant."""

    @property
    def id(self) -> str:
        """The participant's id."""
        ...

    @property
    def token_id(self) -> str | None:
        """The `jti` of the token, if it has one."""
        ...

    def is_admin(self, session: str | None) -> bool:
        """Whether it includes `admin` in a session; None is any session."""
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
        """Read what was revoked."""
        return cls(writer, {one.id: one for one in await writer.run(read_revocations)})

    def __iter__(self) -> Iterator[Revocation]:
        """All, the oldest first."""
        return iter(sorted(self._known.values(), key=lambda one: (one.at, one.id)))

    def get(self, id: str) -> Revocation | None:  # noqa: A002
        """One of them, or None."""
        return self._known.get(id)

    def is_revoked(self, who: Bearer, session: str | None = None) -> bool:
        """Whether access is taken away.

        Args:
            who: whose.
            session: where; None asks only for what holds everywhere.
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
        """Revoke, durably, then tell the observers.

        Raises:
            StorageError: it could not be kept, and nothing was revoked.
        """
        await self._writer.run(lambda db: write_revocation(db, revocation))
        self._known[revocation.id] = revocation
        self._index()
        for observer in tuple(self._observers):
            observer(revocation)

    async def lift(self, id: str) -> bool:  # noqa: A002
        """Give access back, durably; False if there is no such revocation."""
        lifted = await self._writer.run(
            lambda db: db.execute("DELETE FROM revocations WHERE id = ?", (id,)).rowcount > 0
        )
        self._known.pop(id, None)
        self._index()
        return lifted

    def follow(self, observer: Callable[[Revocation], None]) -> None:
        """Have every new revocation told from now on, on the loop, at once; it must not raise."""
        self._observers.append(observer)

    @contextmanager
    def observe(self, observer: Callable[[Revocation], None]) -> Generator[None]:
        """Have every new revocation told for the length of a block, on the loop, at once; it must not raise."""
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
