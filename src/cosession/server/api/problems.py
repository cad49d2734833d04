"""Errors as RFC 9457 problem documents."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from cosession.errors import CosessionError, NotAuthenticated
from cosession.logs import get_logger

from ..edge.refusals import log_refusal
from ..edge.security_headers import OF_NOW, SECURITY_HEADERS

_RETRY_AFTER_SECONDS = 5
"""The `Retry-After` of 429 and 503; clients spread their tries by themselves."""

_LOGGED = (400, 401, 403, 410, 413, 429, 503)
"""Statuses of refusals that are logged for an operator; the others are mistakes in a program's request."""

_MOST_DETAIL = 1_000
"""The longest `detail`, in characters; it may quote a request, and is cut there."""

log = get_logger(__name__)


def problem(status: int, code: str, detail: str) -> Response:
    """Return a problem document.

    Args:
        status: the HTTP status.
        code: the stable code of the error.
        detail: a sentence that says what to do; one that is too long is cut.
    """
    if len(detail) > _MOST_DETAIL:
        detail = detail[: _MOST_DETAIL - 1] + "…"
    body = {"type": f"urn:cosession:{code}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = SECURITY_HEADERS | OF_NOW
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["retry-after"] = str(_RETRY_AFTER_SECONDS)
    return JSONResponse(body | {"code": code}, status, headers, "application/problem+json")


async def answer_cosession(request: Request, error: Exception) -> Response:
    """Answer an error of cosession."""
    assert isinstance(error, CosessionError)
    if error.status in _LOGGED:
        log_refusal(request.scope, error)
    answer = problem(error.status, error.code, str(error))
    if isinstance(error, NotAuthenticated):
        answer.headers["www-authenticate"] = 'Bearer realm="cosession"'
    return answer


async def answer_http(_: Request, error: Exception) -> Response:
    """Answer an error of Starlette: no such path, no such method."""
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, f"http.{error.status_code}", error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def answer_nobody(_: Request, error: Exception) -> Response:
    """End a request that its client left incomplete; the answer is not read."""
    assert isinstance(error, ClientDisconnect)
    return problem(400, "request.invalid", "The request did not arrive whole.")


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """Answer a defect; its details go to the log, never to the client."""
    log.error("http.failed", path=request.url.path, exc_info=error)
    return problem(500, "internal", "The server met an error of its own; its log says which.")
