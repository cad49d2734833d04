"""The door: who may not even ask. It knows addresses, sizes and web pages; who somebody is, is asked behind it.

A connection beyond the limits is told so here (`connection_limits` counts them). The rest is about pages: programs
that are no browsers pass.

A browser lets any page open a WebSocket to any address, also to this machine, and says in `Origin` which page it
is. So a page is let in when it came from the server itself, from this machine to this machine (a development
server on another port), or from an origin that the settings name. And a page may come from a name that its owner
points at this machine, and then it is of the server's own origin; so a server that only this machine reaches wants
to be called by this machine's names (DNS rebinding).
"""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from cosession.errors import CosessionError, NotAllowed, TooLarge

from ..api.problems import answer_cosession
from ..sync_socket import turn_away
from .connection_limits import Tally, too_many_connections
from .http_protocol import REFUSAL

_WANTED = "access-control-request-method"
"""The header by which a browser asks before it sends a page's request."""

_PORTS = {"http": 80, "https": 443}

_READABLE = "cosession-version, retry-after, www-authenticate"
"""Headers of answers that pages may read besides those that they always may."""


class Door:
    """ASGI middleware that turns other sites' pages away, and lets those that may come in read the answers.

    Args:
        app: the application behind it.
        allowed_origins: origins whose pages may come in, besides the server's own.
        any_host: whether the server may be called by any name.
        max_head_bytes: how large a request's head may be.
        tally: counts what each address has under way; behind a proxy, this is where the limit is.
    """

    def __init__(
        self, app: ASGIApp, allowed_origins: Sequence[str], any_host: bool, max_head_bytes: int, tally: Tally
    ) -> None:
        self._app = app
        self._allowed = {_as_sent(origin) for origin in allowed_origins}
        self._any_host = any_host
        self._max_head_bytes = max_head_bytes
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("", 0))[0]
        self._tally.add(address)
        try:
            headers = Headers(scope=scope)
            page = self._check_page(headers)
            if scope["type"] == "http":
                send = _telling(send, page)
            self._check(scope, address)
        except CosessionError as error:
            await _refuse(error, scope, receive, send)
        else:
            asks = page is not None and scope.get("method") == "OPTIONS" and _WANTED in headers
            await (_preflight(headers) if asks else self._app)(scope, receive, send)
        finally:
            self._tally.remove(address)

    def _check(self, scope: Scope, address: str) -> None:
        refusal: CosessionError | None = scope.get("state", {}).get(REFUSAL)
        if refusal is not None:
            raise refusal
        if self._tally.excess(address) > 0:
            raise too_many_connections(self._tally.most)
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._max_head_bytes:
            raise TooLarge(f"The request's head is larger than {self._max_head_bytes} bytes.")

    def _check_page(self, headers: Headers) -> str | None:
        """Return the origin of the page that a request comes from, if it comes from one; it may read the answer.

        Raises:
            NotAllowed: its pages may not use the server.
        """
        host = _hostname("//" + headers.get("host", ""))
        if not self._any_host and not is_loopback(host):
            raise NotAllowed(
                f"The server is for this machine and is not called {host!r}; use 127.0.0.1 or localhost."
            )
        origin = headers.get("origin")
        if origin is None or origin.rstrip("/").lower() in self._allowed:
            return origin
        page = _hostname(origin)
        if not page or (page != host and not (is_loopback(page) and is_loopback(host))):
            raise NotAllowed(f"Pages of {origin} may not use this server; name it in COSESSION_ALLOWED_ORIGINS.")
        return origin


def _telling(send: Send, page: str | None) -> Send:
    """Return a way to answer on which a browser is told that a page of another origin may read the answer (CORS)."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.add_vary_header("Origin")
            if page is not None:
                headers["access-control-allow-origin"] = page
                headers["access-control-allow-credentials"] = "true"  # a proxy in front may want its cookie
                headers["access-control-expose-headers"] = _READABLE
                headers["cross-origin-resource-policy"] = "cross-origin"
        await send(message)

    return answer


def _preflight(headers: Headers) -> Response:
    """Make the answer to a browser that asks whether a page may send a request; what it may do is decided then."""
    allowed = {
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": headers.get("access-control-request-headers", ""),
        "access-control-max-age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    answer = Response(status_code=204, headers=allowed)
    answer.headers.add_vary_header("Access-Control-Request-Headers")
    return answer


async def _refuse(error: CosessionError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with an error; the connection isn't kept for another request."""
    if scope["type"] == "websocket":
        await turn_away(WebSocket(scope, receive, send), error)
    else:
        answer = await answer_cosession(Request(scope), error)
        answer.headers["connection"] = "close"
        await answer(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _as_sent(origin: str) -> str:
    """Return an origin as browsers write it: in small letters of ASCII, without the port that its scheme implies."""
    parts = urlsplit(origin.lower())
    host = parts.hostname or ""
    with suppress(UnicodeError):  # a name that DNS doesn't have is compared as it is
        host = host.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
