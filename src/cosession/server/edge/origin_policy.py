"""The origin policy: checks addresses, sizes and web pages before any authentication.

A connection beyond the limits is refused here (`connection_limits` counts them). All other rules concern web pages:
programs that are no browsers pass.

A browser lets any page open a WebSocket to any address, also to this machine, and sends the page's origin in
`Origin`. A page is accepted when it came from the server itself, from this machine to this machine (a development
server on another port), or from an origin that the settings name. An attacker may point a domain at this machine, and
a page of that domain then has the server's own origin (DNS rebinding). So a server that only this machine reaches
must be called by one of this machine's names.
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
"""The header of a browser's preflight request."""

_PORTS = {"http": 80, "https": 443}

_READABLE = "cosession-version, retry-after, www-authenticate"
"""Headers of answers that pages may read in addition to the CORS-safelisted ones."""


class Door:
    """ASGI middleware that refuses pages of other sites, and lets allowed pages read the answers.

    Args:
        app: the wrapped application.
        allowed_origins: origins of allowed pages, besides the server's own.
        any_host: whether the server may be called by any host name.
        max_head_bytes: the largest head of a request.
        tally: counts the requests and sockets that each address has open; behind a proxy, the limit is applied here.
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
            page = self._check_page(scope, headers)
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

    def _check_page(self, scope: Scope, headers: Headers) -> str | None:
        """Return the origin of the page that sends a request, None without one; the page may read the answer.

        Raises:
            NotAllowed: pages of the origin may not use the server, or the host name is not this machine's, or the
                request came in by an address that isn't.
        """
        host = _hostname("//" + headers.get("host", ""))
        server = (scope.get("server") or ("", None))[0]
        if not self._any_host and not is_loopback(server):
            raise NotAllowed(
                f"The server is reached at {server!r}, beyond this machine, and participants name themselves here: "
                "its operator must set COSESSION_AUTH_SECRET or give an `authorize`."
            )
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
    """Return a `send` that adds the CORS headers by which a page of another origin may read the answer."""

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
    """Return the answer to a preflight request; it allows all, and the request itself is authorized later."""
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
    """Answer with an error, and close the connection."""
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
    """Return an origin as browsers send it: in lower-case ASCII, without the default port of its scheme."""
    parts = urlsplit(origin.lower())
    host = parts.hostname or ""
    with suppress(UnicodeError):  # a name that is not valid in DNS is compared as it is
        host = host.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
