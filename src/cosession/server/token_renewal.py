"""The life of a grant on an open socket: it is renewed by a new token, and ends when an operator takes it away."""

from cosession.auth import Identities, Participant
from cosession.errors import CosessionError, NotAllowed, NotAuthenticated
from cosession.runtime import Hub
from cosession.storage import Revocation, Revocations

from .api.authorize import taken_away


class Renewals:
    """What rooms ask about grants; see `rooms.lease.Grants`.

    Args:
        identities: who verifies tokens.
        revocations: whose access was taken away.
    """

    def __init__(self, identities: Identities, revocations: Revocations) -> None:
        self._identities = identities
        self._revocations = revocations

    def check(self, participant: Participant, session: str) -> None:
        """Go on only if a participant's access was not taken away."""
        if self._revocations.is_revoked(participant, session):
            raise taken_away()

    async def renew(self, token: str, participant: Participant, session: str) -> Participant:
        """Return what a new token makes of a participant; where they name themselves, it makes nothing of them."""
        if not self._identities.verified:
            return participant
        grant = await self._identities.identify({}, {"token": token})
        if grant.id != participant.id:
            raise NotAllowed("The new token is another participant's; open a connection of their own for them.")
        renewed = grant.participant(session)
        renewed.capabilities.require("read")
        self.check(renewed, session)
        return renewed


def close_revoked(hub: Hub, revocations: Revocations, news: Revocation) -> None:
    """Close the sockets of those whose access was just taken away.

    Who lost a token, or all access, gets 4401: another token may give it back. Who lost a session gets 4403.
    """
    error: CosessionError = taken_away()
    if news.session is None:
        error = NotAuthenticated(str(error))
    hub.dismiss(lambda who, session: error if revocations.is_revoked(who, session) else None)
