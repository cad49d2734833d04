"""Access: who sends a request, and whether they may do what it asks. For sockets and HTTP alike.

The door in front of it knows pages and addresses; here a credential becomes a grant, and in a session a participant.
"""

import time

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from cosession.auth import TOKEN_PROTOCOL, Grant, Identities, Participant, check_session_id
from cosession.errors import NotAllowed, NotAuthenticated
from cosession.storage import Revocations

from ..edge.refusals import BEARER


async def accept(websocket: WebSocket) -> None:
    """Accept a socket with the first subprotocol that it offers, as browsers want; a token isn't sent back."""
    offered: list[str] = websocket.scope.get("subprotocols", [])
    await websocket.accept(next((one for one in offered if not one.startswith(TOKEN_PROTOCOL)), None))


async def identify(connection: HTTPConnection) -> Grant:
    """Return who sends a request.

    Raises:
        KeysUnavailable: it can't be known now.
        NotAllowed: their token gives no access to anything.
        NotAuthenticated: it isn't known.
    """
    identities: Identities = connection.app.state.identities
    grant = await identities.identify(connection.headers, connection.query_params)
    connection.scope[BEARER] = grant.id
    return grant


async def enter(connection: HTTPConnection, capability: str = "read", *others: str) -> Participant:
    """Return who sends a request to the session that its path names, if they may do what it asks.

    Args:
        connection: the request or socket.
        capability: what they need,
        others: or one of these instead.

    Raises:
        KeysUnavailable: who it is can't be known now.
        NotAllowed: they may not.
        NotAuthenticated: who it is isn't known.
    """
    participant = admit(connection, await identify(connection), connection.path_params["session"])
    participant.capabilities.require(capability, *others)
    return participant


def admit(connection: HTTPConnection, grant: Grant, session: str) -> Participant:
    """Return who somebody is in a session.

    Raises:
        BadSessionId: no session can be called so.
        NotAllowed: they have no access to it, or not any more.
    """
    participant = grant.participant(check_session_id(session))
    check_revoked(connection, participant, session)
    return participant


def check_access(connection: HTTPConnection, who: Grant | Participant, session: str | None = None) -> None:
    """Go on only if somebody's access still holds: to be asked again after every wait, right before the act.

    Raises:
        NotAllowed: it was taken away meanwhile.
        NotAuthenticated: it has expired meanwhile.
    """
    if who.expires_at is not None and time.time() >= who.expires_at:
        raise NotAuthenticated("The token has expired; get a new one.")
    check_revoked(connection, who, session)


def may_read(connection: HTTPConnection, grant: Grant, session: str) -> bool:
    """Whether a session is in somebody's list."""
    revocations: Revocations = connection.app.state.revocations
    return grant.may("read", session) and not revocations.is_revoked(grant, session)


def check_revoked(connection: HTTPConnection, who: Grant | Participant, session: str | None = None) -> None:
    """Go on only if somebody's access was not taken away.

    Raises:
        NotAllowed: it was.
    """
    revocations: Revocations = connection.app.state.revocations
    if revocations.is_revoked(who, session):
        raise taken_away()


def taken_away() -> NotAllowed:
    """What somebody is told whose access was taken away."""
    return NotAllowed("Your access was taken away by an operator; ask them about it.")
