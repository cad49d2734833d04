"""Authentication and authorization of requests and sockets.

The origin policy before it checks pages and addresses; here a credential becomes a grant, and in a session a
participant.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from cosession.auth import TOKEN_PROTOCOL, Grant, Identities, Participant, check_session_id
from cosession.errors import NotAllowed, NotAuthenticated
from cosession.storage import Revocations

from ..edge.refusals import BEARER

Authorize: TypeAlias = Callable[[HTTPConnection], Awaitable[Grant | None]]
"""An outer application's own authentication: the grant of a request's sender, or None where it doesn't know it."""


async def accept(websocket: WebSocket) -> None:
    """Accept a socket with the first subprotocol that it offers, as browsers require; a token isn't sent back."""
    offered: list[str] = websocket.scope.get("subprotocols", [])
    await websocket.accept(next((one for one in offered if not one.startswith(TOKEN_PROTOCOL)), None))


async def identify(connection: HTTPConnection) -> Grant:
    """Return the grant of a request's credential.

    Raises:
        KeysUnavailable: the credential can't be verified now.
        NotAllowed: the token gives no access to anything.
        NotAuthenticated: there is no valid credential.
    """
    identities: Identities = connection.app.state.identities
    authorize: Authorize | None = connection.app.state.authorize
    grant = None if authorize is None else await authorize(connection)
    if grant is None:
        if authorize is not None and not identities.verified:
            raise NotAuthenticated("The application doesn't know the sender of this request; sign in there.")
        grant = await identities.identify(connection.headers, connection.query_params)
    connection.scope[BEARER] = grant.id
    return grant


async def enter(connection: HTTPConnection, capability: str = "read", *others: str) -> Participant:
    """Return the participant of a request, in the session that its path names, if it has a capability.

    Args:
        connection: the request or socket.
        capability: the capability that the participant needs.
        others: capabilities of which one is enough instead.

    Raises:
        KeysUnavailable: the credential can't be verified now.
        NotAllowed: the participant has none of the capabilities, or no access to the session.
        NotAuthenticated: there is no valid credential.
    """
    participant = admit(connection, await identify(connection), connection.path_params["session"])
    participant.capabilities.require(capability, *others)
    return participant


def admit(connection: HTTPConnection, grant: Grant, session: str) -> Participant:
    """Return the participant that a grant makes in a session.

    Raises:
        BadSessionId: no session can have this id.
        NotAllowed: the grant doesn't cover the session, or is revoked.
    """
    participant = grant.participant(check_session_id(session))
    check_revoked(connection, participant, session)
    return participant


def check_access(connection: HTTPConnection, who: Grant | Participant, session: str | None = None) -> None:
    """Check that access still holds: to be called again after every wait, right before the action.

    Raises:
        NotAllowed: it was revoked meanwhile.
        NotAuthenticated: it has expired meanwhile.
    """
    if who.expires_at is not None and time.time() >= who.expires_at:
        raise NotAuthenticated("The token has expired; get a new one.")
    check_revoked(connection, who, session)


def may_read(connection: HTTPConnection, grant: Grant, session: str) -> bool:
    """Whether a grant allows reading a session, and is not revoked."""
    revocations: Revocations = connection.app.state.revocations
    return grant.may("read", session) and not revocations.is_revoked(grant, session)


def check_revoked(connection: HTTPConnection, who: Grant | Participant, session: str | None = None) -> None:
    """Check that access was not revoked.

    Raises:
        NotAllowed: it was.
    """
    revocations: Revocations = connection.app.state.revocations
    if revocations.is_revoked(who, session):
        raise taken_away()


def taken_away() -> NotAllowed:
    """Return the error for a participant that lost its access."""
    return NotAllowed("Your access was taken away by an operator; ask them about it.")
