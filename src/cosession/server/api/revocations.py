"""Revocations over HTTP: operators revoke access, list revocations, and lift them."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cosession.auth import Grant, Scope, check_session_id
from cosession.errors import NoSuchRevocation, NotAllowed
from cosession.runtime import Hub
from cosession.runtime.hub import utc_now
from cosession.storage import Revocation, Revocations

from .authorize import check_access, identify
from .bodies import Body, read_body


class NewRevocation(Body):
    """The body of POST /revocations: at least one of `participant`, `token` and `session`."""

    participant: str | None = Field(None, min_length=1, max_length=128)
    token: str | None = Field(None, min_length=1, max_length=1024)
    session: str | None = None
    reason: str = Field("", max_length=1000)

    @model_validator(mode="after")
    def _names_something(self) -> "NewRevocation":
        if self.participant is None and self.token is None and self.session is None:
            raise ValueError("give participant, token or session")
        return self


async def revoke(request: Request) -> Response:
    """POST /revocations."""
    grant = await _operator(request)
    body = await read_body(request, NewRevocation)
    if body.session is not None:
        check_session_id(body.session)
    check_access(request, grant)
    if not _may(request, grant, body.session):
        raise NotAllowed(
            "Taking access away needs the capability 'revoke', in the session that the body names or, where it names "
            "none, in all (`*`)."
        )
    revocation = Revocation(
        uuid4().hex,
        body.participant,
        body.token,
        body.session,
        body.reason,
        grant.id,
        utc_now(),
        by_admin=_is_admin(grant, body.session),
    )
    _check_target(request, revocation)
    await _revocations(request).add(revocation)
    return JSONResponse(_json(revocation), status_code=201)


async def list_revocations(request: Request) -> Response:
    """GET /revocations: those that the caller may lift."""
    grant = await _operator(request)
    return JSONResponse(
        {"revocations": [_json(one) for one in _revocations(request) if _may_lift(request, grant, one)]}
    )


async def lift(request: Request) -> Response:
    """DELETE /revocations/{revocation}."""
    grant = await _operator(request)
    revocations, name = _revocations(request), request.path_params["revocation"]
    known = revocations.get(name)
    if known is None or not _may_lift(request, grant, known) or not await revocations.lift(name):
        raise NoSuchRevocation(f"There is no revocation {name!r} that you may lift.")
    return Response(status_code=204)


async def _operator(request: Request) -> Grant:
    grant = await identify(request)
    check_access(request, grant)
    return grant


def _may(request: Request, grant: Grant, session: str | None) -> bool:
    """Whether a grant may revoke access to a session (None is all); if its own is revoked, only by a right to all."""
    at_large = replace(grant, scopes=(Scope("*", grant.everywhere()),))
    everywhere = grant.everywhere().may("revoke") and not _revocations(request).is_revoked(at_large)
    if session is None:
        return everywhere
    return grant.may("revoke", session) and (everywhere or not _revocations(request).is_revoked(grant, session))


def _is_admin(grant: Grant, session: str | None) -> bool:
    """Whether a grant is an admin's in a session; None is all sessions."""
    return grant.everywhere().may("admin") or (session is not None and grant.is_admin(session))


def _check_target(request: Request, revocation: Revocation) -> None:
    """Refuse a revocation by a non-admin that names a connected admin: it would have no effect on an admin.

    Raises:
        NotAllowed: the revocation names an admin, and its author is none.
    """
    if revocation.by_admin or (revocation.participant is None and revocation.token is None):
        return
    hub: Hub = request.app.state.hub
    for who, session in hub.connected():
        if revocation.names(who, session) and who.is_admin(session):
            raise NotAllowed("The access of an admin is taken away by another admin only; ask one.")


def _may_lift(request: Request, grant: Grant, revocation: Revocation) -> bool:
    """Whether a grant may lift a revocation: never its own, and only as an admin one that an admin made."""
    fits = revocation.participant in (None, grant.id) and revocation.token in (None, grant.token_id)
    is_own = fits and not (revocation.participant is None and revocation.token is None)
    is_above = revocation.by_admin and not _is_admin(grant, revocation.session)
    return not is_own and not is_above and _may(request, grant, revocation.session)


def _revocations(request: Request) -> Revocations:
    return request.app.state.revocations


def _json(revocation: Revocation) -> dict[str, Any]:
    said = {
        "id": revocation.id,
        "participant": revocation.participant,
        "token": revocation.token,
        "session": revocation.session,
        "reason": revocation.reason,
        "by": revocation.by,
        "at": revocation.at,
    }
    return {name: value for name, value in said.items() if value is not None}
