"""Access: who sends a request, and whether they may do what it asks. For sockets and HTTP alike.

The door in front of it knows pages and addresses; here a credential becomes a grant, and in a session a participant.
"""

from starlette.requests import HTTPConnection

from cosession.auth import Grant, Identities, Participant


async def identify(connection: HTTPConnection) -> Grant:
    """Return who sends a request.

    Raises:
        KeysUnavailable: it can't be known now.
        NotAllowed: their token gives no access to anything.
        NotAuthenticated: it isn't known.
    """
    identities: Identities = connection.app.state.identities
    return await identities.identify(connection.headers, connection.query_params)


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
    participant = (await identify(connection)).participant(connection.path_params["session"].strip("/"))
    participant.capabilities.require(capability, *others)
    return participant
