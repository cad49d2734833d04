"""Invitations over HTTP: a participant with the capability `invite` makes a token for one session.

An invitation gives at most the inviter's own capabilities, and never outlasts the inviter's access: else a token
could extend itself. Its holder gets a fresh id, so it can't act under the id of another participant. The token is
only in the answer; the log has its id, by which it can be revoked.
"""

import secrets
import time

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cosession.auth import ROLES, Capabilities, Identities, Issuer, Kind, Participant, check_session_id
from cosession.errors import BadRequest, CannotSign, NotAllowed
from cosession.logs import get_logger
from cosession.runtime import Hub

from .authorize import check_access, enter
from .bodies import Body, read_body

log = get_logger(__name__)

_KINDS: dict[str, Kind] = {"agent": "agent", "operator": "operator"}
"""The kind of participant for a role; holders of any other role are `human`."""


class NewInvitation(Body):
    """The body of POST /sessions/{session}/invitations: the role, the holder's name, and the longest validity."""

    role: str
    name: str = Field("", max_length=128)
    seconds: int | None = Field(None, ge=60)  # a shorter one would be over before it was sent


async def list_roles(request: Request) -> Response:
    """GET /sessions/{session}/invitations: the roles that the participant may invite for."""
    by = await enter(request, "invite")
    _issuer(request)
    roles = [role for role in ROLES if by.capabilities.include(Capabilities.of(role))]
    return JSONResponse({"roles": roles})


async def invite(request: Request) -> Response:
    """POST /sessions/{session}/invitations."""
    by = await enter(request, "invite")
    session = check_session_id(request.path_params["session"])
    body = await read_body(request, NewInvitation)
    check_access(request, by, session)
    if body.role not in ROLES:
        raise BadRequest(f"The role {body.role[:64]!r} is unknown; there are {', '.join(ROLES)}.")
    if not by.capabilities.include(Capabilities.of(body.role)):
        raise NotAllowed(
            f"The role {body.role!r} includes more than your own access to this session; invite for less, or ask "
            "the person who gave you yours."
        )
    issuer, now = _issuer(request), time.time()
    claims = {
        "sub": f"guest-{_fresh_id()}",
        "name": body.name or None,
        "kind": _KINDS.get(body.role, "human"),
        "sessions": [session],
        "role": body.role,
        "jti": _fresh_id(),
    }
    expires_at = _end(request, by, body.seconds, now)
    token = issuer.issue(claims, now=now, expires_at=expires_at)
    made = {"id": claims["jti"], "participant": claims["sub"], "role": body.role, "expires_at": expires_at}
    log.info("session.invited", session=session, by=by.id, **made)
    return JSONResponse({"token": token, **made}, status_code=201, headers={"cache-control": "no-store"})


def _fresh_id() -> str:
    """Return an unguessable id; it is short, because the token becomes part of a link that a camera reads."""
    return secrets.token_urlsafe(12)


def _end(request: Request, by: Participant, seconds: int | None, now: float) -> int:
    """Return when an invitation expires.

    The inviter's own expiry includes the leeway for clocks; it is subtracted, because it would add up.
    """
    hub: Hub = request.app.state.hub
    longest = hub.settings.max_invitation_seconds
    end = now + (longest if seconds is None else min(seconds, longest))
    return int(end if by.expires_at is None else min(end, by.expires_at - hub.settings.auth_leeway_seconds))


def _issuer(request: Request) -> Issuer:
    """Return the issuer that signs invitations.

    Raises:
        CannotSign: this server has no key to sign with.
    """
    identities: Identities = request.app.state.identities
    if identities.issuer is not None:
        return identities.issuer
    if identities.verified:
        raise CannotSign(
            "This server knows tokens by the public keys of an issuer and can't make any; ask that issuer for one."
        )
    raise CannotSign(
        "Participants name themselves here, so the session's address is enough to take part. To give roles, "
        "start the server with a secret: COSESSION_AUTH_SECRET=$(openssl rand -hex 32)"
    )
