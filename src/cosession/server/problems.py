"""Errors as RFC 9457 problem documents."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cosession.errors import CosessionError
from cosession.logs import get_logger

log = get_logger(__name__)


def problem(status: int, code: str, detail: str) -> Response:
    """Make a problem document.

    Args:
        status: the HTTP status.
        code: the stable name of the error.
        detail: a sentence that says what to do.
    """
    body = {"type": f"urn:cosession:{code}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body | {"code": code}, status_code=status, media_type="application/problem+json")


async def answer_cosession(_: Request, error: Exception) -> Response:
    """Answer what cosession raised on purpose."""
    assert isinstance(error, CosessionError)
    return problem(error.status, error.code, str(error))


async def answer_http(_: Request, error: Exception) -> Response:
    """Answer what Starlette raised: no such path, no such method."""
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, f"http.{error.status_code}", error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """Answer a defect; what it was goes to the log and not to the network."""
    log.error("http.failed", path=request.url.path, exc_info=error)
    return problem(500, "internal", "The server met an error of its own; its log says which.")
