"""Paths of requests, percent-encoded as they were sent, and the names in them.

A name may contain any character, also `/` (`%2F`): paths are matched as they were sent, and names decoded then.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import quote, unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from cosession.errors import BadSessionId

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

_KEPT = "!$&'()*+,;=:@~"
"""Characters of a name that a path may contain unencoded."""


class Resource(Route):
    """A path with a handler for each method; the names in the path are decoded.

    Args:
        path: the path in Starlette's syntax, with names in braces.
        methods: the handlers by method; the handler of GET also answers HEAD.
    """

    def __init__(self, path: str, **methods: Handler) -> None:
        self._handlers = methods
        super().__init__(path, self._act, methods=list(methods))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path with any method: else the mount at `/` would answer methods that the path lacks.

        Raises:
            BadSessionId: a name in it is no UTF-8.
        """
        match, child = super().matches(scope)
        if match is not Match.NONE:
            parameters = child["path_params"]
            child["path_params"] = parameters | {name: decode(parameters[name]) for name in self.param_convertors}
            match = Match.FULL
        return match, child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or reject a method that the path lacks."""
        if self.methods and scope["method"] not in self.methods:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(self.methods))})
        await super().handle(scope, receive, send)

    async def _act(self, request: Request) -> Response:
        return await self._handlers["GET" if request.method == "HEAD" else request.method](request)


def path_as_sent(scope: Scope) -> str:
    """Return the path of a request without the application's own prefix, percent-encoded in one form, in ASCII.

    Servers differ in whether `raw_path` exists and has the prefix; if it contradicts `path`, `path` is used. A proxy
    that strips its prefix leaves `path` without that part of the application's, which is `app_root_path` then.
    """
    root: str = scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    outer: str = scope.get("app_root_path", "").rstrip("/")
    roots = (root, root[len(outer) :] if root.startswith(outer) else root)
    own = next((one for one in roots if one and (path == one or path.startswith(one + "/"))), "")
    behind = path[len(own) :]
    raw: bytes = scope.get("raw_path") or b""
    parts = raw.split(b"/")
    for sent in (*(b"/".join([b"", *parts[one.count("/") + 1 :]]) for one in roots), raw):
        if unquote_to_bytes(sent).decode(errors="replace") == behind:
            return "/".join(quote(unquote_to_bytes(name), safe=_KEPT) for name in sent.split(b"/"))
    return quote(behind, safe="/" + _KEPT)


def decode(name: str) -> str:
    """Return a percent-encoded name of a path, decoded.

    Raises:
        BadSessionId: it is no UTF-8.
    """
    try:
        return unquote_to_bytes(name).decode()
    except UnicodeDecodeError as error:
        raise BadSessionId("A name in the address is no UTF-8; encode it as encodeURIComponent does.") from error
