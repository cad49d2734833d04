"""Grants of open sockets: a new token renews a grant, and an operator's revocation ends it."""

from cosession.auth import Identities, Participant
from cosession.errors import CosessionError, NotAllowed, NotAuthenticated
from cosession.runtime import Hub
from cosession.storage import Revocation, Revocations

from .api.authorize import taken_away


class Renewals:
    """Checks and renews the grants of open connections; see `runtime.connection.token_expiry.Grants`.

    Args:
        identities: verifies tokens.
        revocations: the access that was revoked.
    """

    def __init__(self, identities: Identities, revocations: Revocations) -> None:
        self._identities = identities
        self._revocations = revocations

    def check(self, participant: Participant, session: str) -> None:
        """Check that a participant's access was not revoked; raise `NotAllowed` if it was."""
        if self._revocations.is_revoked(participant, session):
            raise taken_away()

    async def renew(self, token: str, participant: Participant, session: str) -> Participant:
        """Return a participant as a new token describes it; where participants name themselves, it stays the same."""
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
    """Close the sockets of participants that a new revocation names.

    The loss of a token, or of all access, closes with 4401: another token may restore it. The loss of a session
    closes with 4403.
    """
    error: CosessionError = taken_away()
    if news.session is None:
        error = NotAuthenticated(str(error))
    hub.dismiss(lambda who, session: error if revocations.is_revoked(who, session) else None)
