"""The ASGI application: which path leads where."""

import mimetypes
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from cosession.auth import Identities
from cosession.errors import CosessionError
from cosession.logs import hide_tokens
from cosession.runtime import Hub
from cosession.settings import Settings
from cosession.storage import Revocations

from . import sync_socket, worker_socket
from .api import invitations, problems, revocations, sessions
from .edge.addresses import Resource, path_as_sent
from .edge.answers import Answers
from .edge.arrivals import Arrivals
from .edge.connection_limits import Tally, exempt_addresses
from .edge.origin_policy import Door
from .edge.security_headers import SecurityHeaders
from .static_files import Pages
from .token_renewal import Renewals, close_revoked

_CLIENT = Path(__file__).parent / "static"
"""The built JavaScript client, which the package carries so that installing it needs no Node."""


class Application(Starlette):
    """Starlette for requests; a socket comes through the door straight to its endpoint.

    What Starlette puts around an endpoint stays as long as the endpoint runs: for a request no time, for a socket for
    its life, in which it is never used again.

    Attributes:
        sockets: where sockets go.
    """

    sockets: ASGIApp
    begin: Callable[[], None] | None = None
    """What is done before the first request; a program that mounts the application may never start its lifespan."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a socket."""
        if self.begin is not None:
            begin, self.begin = self.begin, None
            begin()
        if scope["type"] == "websocket":
            scope["app"] = self
            await self.sockets(scope, receive, send)
        else:
            path = scope.get("root_path", "").rstrip("/") + path_as_sent(scope)
            await super().__call__({**scope, "path": path}, receive, send)


def create_app(
    hub: Hub,
    identities: Identities,
    revoked: Revocations,
    settings: Settings,
    *,
    static: Path | None = None,
    page: str = "",
) -> Application:
    """Make the application, which may be served as it is, or mounted under a prefix of another one.

    It closes the sockets of those whose access is revoked, and keeps tokens out of the server's log of addresses.

    Args:
        hub: an open one; it is the caller's to close.
        identities: how participants are known; open as well.
        revoked: whose access was taken away.
        settings: whose pages may use it.
        static: a folder of pages to serve at `/`, or None for none.
        page: the path in it to which `/` leads; empty where the folder itself has a page.
    """
    mimetypes.init()  # reads files, which must not happen at the first request, on the loop
    session = "/sessions/{session}"
    routes: list[BaseRoute] = [
        Resource("/sessions", GET=sessions.list_sessions, POST=sessions.create_session),
        Resource(session, GET=sessions.read_session, DELETE=sessions.delete_session),
        Resource(session + "/messages", POST=sessions.append_message),
        Resource(session + "/runs/{run}/cancel", POST=sessions.cancel_run),
        Resource(session + "/runs/{run}/steer", POST=sessions.steer_run),
        Resource(session + "/approvals/{approval:path}", POST=sessions.vote),
        Resource(session + "/invitations", GET=invitations.list_roles, POST=invitations.invite),
        Resource("/revocations", GET=revocations.list_revocations, POST=revocations.revoke),
        Resource("/revocations/{revocation}", DELETE=revocations.lift),
        Resource("/healthz", GET=_healthz),
        Resource("/readyz", GET=_readyz),
        Resource(sync_socket.PATH + "{session:path}", GET=_upgrade),
        Resource(worker_socket.PATH + "{agent:path}", GET=_upgrade),
        Mount("/client", Pages(directory=_CLIENT, check_dir=False, shared=True)),
    ]
    if page:
        routes.append(Resource("/", GET=partial(_lead, page)))
    if static is not None:
        routes.append(Mount("/", Pages(directory=static, html=True, besides=settings.data)))
    tally = Tally(settings.max_connections_per_address, exempt_addresses(settings))
    door = partial(
        Door,
        allowed_origins=settings.allowed_origins,
        any_host=settings.insecure or settings.authenticates,
        max_head_bytes=settings.max_head_bytes,
        tally=tally,
    )
    app = Application(
        routes=routes,
        exception_handlers={
            CosessionError: problems.answer_cosession,
            HTTPException: problems.answer_http,
            ClientDisconnect: problems.answer_nobody,
            Exception: problems.answer_unexpected,
        },
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(door),
        ],
    )
    app.router.default = _no_route
    app.router.redirect_slashes = False  # its addresses have the host in them, and lack what a proxy cut off
    app.sockets = door(sync_socket.serve_socket)
    app.state.hub = hub
    app.state.identities = identities
    app.state.revocations = revoked
    app.state.uploads = Arrivals(max(settings.max_arriving_bytes, 2 * settings.max_body_bytes), tally.key)
    app.state.answers = Answers(settings.max_answering_bytes, tally.key)
    app.state.renewals = Renewals(identities, revoked)
    app.begin = partial(revoked.follow, partial(close_revoked, hub, revoked)) if revoked else None
    hide_tokens()
    return app


async def _lead(page: str, request: Request) -> Response:
    """Show the way to the page, from here, wherever that is; what the address says of the session goes along."""
    page = f"./{page.lstrip('/')}"
    return RedirectResponse(f"{page}?{request.url.query}" if request.url.query else page)


async def _upgrade(_: Request) -> Response:
    """Tell a request that should have been a WebSocket's handshake."""
    raise HTTPException(
        426,
        "This is the address of a WebSocket, and the request asks for none. A proxy in front of the server must pass "
        "the headers Upgrade and Connection on; the server's README shows how.",
        headers={"upgrade": "websocket", "connection": "upgrade"},
    )


async def _no_route(scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer what no route matches."""
    hint = " A `/` in a session's id is written `%2F`." if scope["path"].count("/") > 2 else ""
    raise HTTPException(404, f"Nothing is served at {unquote(scope['path'])}.{hint}")


async def _healthz(_: Request) -> Response:
    """The process runs."""
    return JSONResponse({"status": "ok"})


async def _readyz(request: Request) -> Response:
    """The process can take work: the storage can be written."""
    hub: Hub = request.app.state.hub
    await hub.check_ready()
    return JSONResponse({"status": "ready"})
