"""Sessions over HTTP: list them, look one up, create one. For programs that don't hold a connection.

Never opens a WebSocket. An error arrives as a problem document and is raised as the error of `cosession.errors` with
the same code.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlunsplit

import httpx

from cosession.errors import CosessionError

from .address import encoded, split_address
from .credential import bearer
from .refusal import error_of

TIMEOUT_SECONDS = 10.0
"""The time that a request may take; all requests are small."""

PAGE_SIZE = 100
"""The sessions that a list is fetched by."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as the server describes it.

    Attributes:
        id: the session's id.
        title: the title that people see; possibly empty.
        created_at: RFC 3339.
        updated_at: RFC 3339; empty when the server doesn't say.
        version: the position in its log.
        connections: the number of its open sockets.
    """

    id: str
    title: str
    created_at: str
    updated_at: str
    version: int
    connections: int


async def list_sessions(
    url: str, *, token: str | None = None, limit: int | None = None, occupied: bool = False
) -> AsyncGenerator[SessionInfo]:
    """Iterate over the server's sessions, the newest first; they are fetched in pages.

    A session that changes meanwhile is at the front, and is left out if it was still to come.

    Args:
        url: the server's address, e.g. `http://localhost:8765`.
        token: the credential, if the server wants one.
        limit: the largest number of sessions; None is all of them.
        occupied: whether to list only sessions with an open connection, of any age.

    Raises:
        CosessionError: the server refused, or isn't a session server.
        InvalidValue: `url` isn't a server's address.
        httpx.TransportError: the server can't be reached.
    """
    left, after = limit, ""
    while left is None or left > 0:
        size = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
        query = {"limit": str(size), **({"occupied": "1"} if occupied else {}), **({"after": after} if after else {})}
        page = await _call("GET", url, token, query=query)
        listed, following = page.get("sessions"), page.get("next")
        if not isinstance(listed, list) or not isinstance(following, str | None) or following == after:
            raise _not_a_server(url)
        for entry in cast("list[object]", listed)[:size]:
            yield _info(url, entry)
        if not following:
            return
        after = following
        left = None if left is None else left - len(cast("list[object]", listed))


async def find_session(url: str, id: str, *, token: str | None = None) -> SessionInfo:  # noqa: A002
    """Look a session up.

    Args:
        url: the server's address.
        id: the session's id.
        token: the credential, if the server wants one.

    Raises:
        NoSuchSession: no session has this id.
        CosessionError: the server refused, or isn't a session server.
        InvalidValue: `url` isn't a server's address.
        httpx.TransportError: the server can't be reached.
    """
    return _info(url, await _call("GET", url, token, path="/" + encoded(id)))


async def create_session(
    url: str,
    id: str | None = None,  # noqa: A002
    title: str = "",
    *,
    token: str | None = None,
    policy: Mapping[str, Any] | None = None,
) -> SessionInfo:
    """Create a session.

    Args:
        url: the server's address.
        id: the session's id; None lets the server choose one.
        title: the title that people see.
        token: the credential, if the server wants one.
        policy: `agents`, the ids of the session's agents, and `double_texting`; None is the server's default.

    Raises:
        SessionExists: a session with this id exists.
        CosessionError: the server refused, or isn't a session server.
        InvalidValue: `url` isn't a server's address.
        httpx.TransportError: the server can't be reached.
    """
    given = {"id": id, "title": title, "policy": None if policy is None else dict(policy)}
    body = {key: value for key, value in given.items() if value is not None}
    return _info(url, await _call("POST", url, token, body=body))


async def _call(
    method: str,
    url: str,
    token: str | None,
    *,
    path: str = "",
    query: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    parts = split_address(url)
    scheme = "https" if parts.scheme in ("https", "wss") else "http"
    address = urlunsplit(
        (scheme, parts.netloc, f"{parts.path.rstrip('/')}/sessions{path}", urlencode(query or {}), "")
    )
    headers = bearer(token) if token else {}
    # Without TLS no certificate is verified, and loading the certificates would block the loop at every call.
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, verify=scheme != "http") as client:
        response = await client.request(method, address, json=body, headers=headers)
    if response.is_error:
        raise _problem(response)
    try:
        said: Any = response.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _not_a_server(url)
    return cast("dict[str, Any]", said)


def _not_a_server(url: str) -> CosessionError:
    return CosessionError(f"What answers at {url} is no session server; look at the address.")


def _problem(response: httpx.Response) -> CosessionError:
    """Return the error that a problem document describes."""
    try:
        said: Any = response.json()
    except ValueError:
        said = None
    problem = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    detail = str(problem.get("detail") or problem.get("title") or f"The server answered {response.status_code}.")
    return error_of(str(problem.get("code")), detail, status=response.status_code)


def _info(url: str, said: object) -> SessionInfo:
    entry = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    try:
        return SessionInfo(
            id=str(entry["id"]),
            title=str(entry.get("title", "")),
            created_at=str(entry.get("created_at", "")),
            updated_at=str(entry.get("updated_at", "")),
            version=int(entry.get("version", 0)),
            connections=int(entry.get("connections", 0)),
        )
    except (KeyError, TypeError, ValueError):
        raise _not_a_server(url) from None
