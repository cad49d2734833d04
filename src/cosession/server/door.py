"""The door: who may not even ask. It knows addresses, sizes and web pages; who somebody is, is asked behind it.

A connection beyond the limits is told so here (`lobby` counts them). The rest is about pages: programs that are no
browsers pass.

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

from cosession.errors import CosessionError, NotAllowed, TooLarge

from .lobby import Tally, too_many_connections
from .problems import answer_cosession
from .request import REFUSAL
from .sync import turn_away


class Door:
    """ASGI middleware that turns other sites' pages away.

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
        self._allowed = {origin.rstrip("/").lower() for origin in allowed_origins}
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
            self._check(scope, address)
        except CosessionError as error:
            await _refuse(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)
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
        self._check_page(Headers(scope=scope))

    def _check_page(self, headers: Headers) -> None:
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


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
