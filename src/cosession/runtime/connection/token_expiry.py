"""A lease: the time that a connection may stay: until its grant ends, unless a new token comes over the same socket.

It is one timer, and a task only while a token is verified. One token is verified at a time, and one a second at most;
of those that come meanwhile the last one counts. While a token can't be verified, because the keys can't be fetched,
what was granted before holds until it ends.
"""

import asyncio
import time
from typing import Protocol

from cosession.auth import Participant
from cosession.errors import CosessionError, KeysUnavailable, NotAuthenticated

from .connection import Connection

_LOOK_SECONDS = 3600.0
"""The longest timer: the machine's clock may be set, or the machine may sleep, while it runs."""

_PAUSE_SECONDS = 1.0
"""The pause between two verifications, which take time from all connections."""


class Grants(Protocol):
    """The verifier of tokens, which knows revoked access."""

    def check(self, participant: Participant, session: str) -> None:
        """Check that a participant may be in a session.

        Raises:
            NotAllowed: it may not any more.
        """
        ...

    async def renew(self, token: str, participant: Participant, session: str) -> Participant:
        """Verify a token, and return the participant with its new rights.

        Raises:
            KeysUnavailable: it can't be verified now.
            NotAllowed: it is another participant's, or gives no access to the session.
            NotAuthenticated: it isn't good.
        """
        ...


class Landlord(Protocol):
    """The methods of a room that a lease needs."""

    session: str

    def regrant(self, connection: Connection, participant: Participant) -> None:
        """Replace the participant of a connection, and send it the new grant."""
        ...


class TokenExpiry:
    """The lease of one connection.

    Args:
        connection: its connection.
        room: the room of the connection.
        grants: verifies tokens; None when the connection can't be renewed.
    """

    __slots__ = ("_connection", "_grants", "_room", "_task", "_timer", "_token", "_trouble")

    def __init__(self, connection: Connection, room: Landlord, grants: Grants | None) -> None:
        self._connection = connection
        self._room = room
        self._grants = grants
        self._token: str | None = None
        self._trouble: KeysUnavailable | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Let the connection in, if its grant still holds: loading a room takes time.

        Raises:
            NotAllowed: it was taken away.
        """
        if self._grants is not None:
            self._grants.check(self._connection.participant, self._room.session)
        self._arm()

    def renew(self, token: str) -> None:
        """Verify a new token; the result is sent to the connection, or ends it."""
        self._token = token
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._verify())

    async def close(self) -> None:
        """End it, with the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _verify(self) -> None:
        """Verify the tokens that come, one by one."""
        connection = self._connection
        try:
            while self._token is not None:
                token, self._token = self._token, None
                self._room.regrant(connection, await self._verified(token))
                self._arm()
                await asyncio.sleep(_PAUSE_SECONDS)
        except CosessionError as error:
            connection.end(error)
        finally:
            self._task = None
        self._arm()

    async def _verified(self, token: str) -> Participant:
        participant = self._connection.participant
        if self._grants is None:
            return participant
        self._trouble = None
        try:
            return await self._grants.renew(token, participant, self._room.session)
        except KeysUnavailable as error:
            self._trouble = error
            return participant

    def _arm(self) -> None:
        """Set the timer anew, or end the connection if its grant is over."""
        if self._timer is not None:
            self._timer.cancel()
        expires_at = self._connection.participant.expires_at
        if expires_at is None:
            return
        left = expires_at - time.time()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(min(left, _LOOK_SECONDS), self._look)
        else:
            over = NotAuthenticated("Your token has expired; connect again with a new one.")
            self._connection.end(self._trouble or over)

    def _look(self) -> None:
        """Check whether the grant is over; a token that is being verified may still renew it."""
        if self._task is None:
            self._arm()
