"""Log events of refused requests and sockets: one for each, limited per address."""

import time

from starlette.types import Scope

from cosession.errors import CosessionError
from cosession.logs import Sparingly, get_logger

BEARER = "cosession.bearer"
"""The key in a scope of the participant's id, once the request is authenticated."""

_refusals = Sparingly()

log = get_logger(__name__)


def log_refusal(scope: Scope, error: CosessionError) -> None:
    """Log that a request or a socket is refused.

    Args:
        scope: of the request; its query is not logged, because it may contain a token.
        error: the reason.
    """
    is_socket = scope["type"] == "websocket"
    sizes = [value for name, value in scope["headers"] if name == b"content-length"]
    log_refused_address(
        (scope.get("client") or ("", 0))[0],
        code=error.close_code if is_socket else error.status,
        error=error.code,
        session=scope.get("path_params", {}).get("session"),
        participant=scope.get(BEARER),
        path=scope["path"][:200],
        size=int(sizes[0]) if sizes and sizes[0].isdigit() else 0,
    )


def log_refused_address(address: str, **fields: object) -> None:
    """Log a refusal of something from an address, with fields; the events of each address are limited."""
    omitted = _refusals.admit(address, time.monotonic())
    if omitted is not None:
        log.info("connection.refused", address=address, **fields, omitted=omitted)
