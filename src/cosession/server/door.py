"""The door: which web pages may use the server. Programs that are no browsers pass.

A browser lets any page open a WebSocket to any address, also to this machine, and says in `Origin` which page it
is. So a page is let in when it came from the server itself, from this machine to this machine (a development
server on another port), or from an origin that the settings name. And a page may come from a name that its owner
points at this machine, and then it is of the server's own origin; so a server that only this machine reaches wants
to be called by this machine's names (DNS rebinding).
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from cosession.errors import NotAllowed

from .problems import answer_cosession
from .sync import turn_away


class Door:
    """ASGI middleware that turns other sites' pages away.

    Args:
        app: the application behind it.
        allowed_origins: origins whose pages may come in, besides the server's own.
        any_host: whether the server may be called by any name.
    """

    def __init__(self, app: ASGIApp, allowed_origins: Sequence[str], any_host: bool) -> None:
        self._app = app
        self._allowed = {origin.rstrip("/").lower() for origin in allowed_origins}
        self._any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        try:
            if scope["type"] in ("http", "websocket"):
                self._check(Headers(scope=scope))
        except NotAllowed as error:
            if scope["type"] == "websocket":
                await turn_away(WebSocket(scope, receive, send), error)
            else:
                await (await answer_cosession(Request(scope), error))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        host = _hostname("//" + headers.get("host", ""))
        if not self._any_host and not is_loopback(host):
            raise NotAllowed(
                f"The server is for this machine and is not called {host!r}; use 127.0.0.1 or localhost."
            )
        origin = headers.get("origin")
        if origin is None or origin.rstrip("/").lower() in self._allowed:
            return
        page = _hostname(origin)
        if not page or (page != host and not (is_loopback(page) and is_loopback(host))):
            raise NotAllowed(f"Pages of {origin} may not use this server; name it in COSESSION_ALLOWED_ORIGINS.")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
