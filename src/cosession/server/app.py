"""The ASGI application: which path leads where."""

import mimetypes
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cosession.auth import Identities
from cosession.errors import CosessionError
from cosession.rooms import Hub
from cosession.settings import Settings
from cosession.storage import Revocations

from . import http, invitations, problems, revocations
from .door import Door
from .headers import SecurityHeaders
from .lobby import Tally, exempt_addresses
from .pages import Pages
from .renewal import Renewals
from .sync import serve_socket

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a socket."""
        if scope["type"] == "websocket":
            scope["app"] = self
            await self.sockets(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    hub: Hub,
    identities: Identities,
    revoked: Revocations,
    settings: Settings,
    *,
    static: Path | None = None,
    page: str = "",
) -> Application:
    """Make the application.

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
        Route("/sessions", http.list_sessions, methods=["GET"]),
        Route("/sessions", http.create_session, methods=["POST"]),
        Route(session, http.read_session, methods=["GET"]),
        Route(session, http.delete_session, methods=["DELETE"]),
        Route(session + "/messages", http.append_message, methods=["POST"]),
        Route(session + "/runs/{run}/cancel", http.cancel_run, methods=["POST"]),
        Route(session + "/runs/{run}/steer", http.steer_run, methods=["POST"]),
        Route(session + "/approvals/{approval:path}", http.vote, methods=["POST"]),
        Route(session + "/invitations", invitations.list_roles, methods=["GET"]),
        Route(session + "/invitations", invitations.invite, methods=["POST"]),
        Route("/revocations", revocations.list_revocations, methods=["GET"]),
        Route("/revocations", revocations.revoke, methods=["POST"]),
        Route("/revocations/{revocation}", revocations.lift, methods=["DELETE"]),
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Mount("/client", Pages(directory=_CLIENT, check_dir=False)),
    ]
    if page:
        routes.append(Route("/", partial(_lead, page)))
    if static is not None:
        routes.append(Mount("/", Pages(directory=static, html=True)))
    door = partial(
        Door,
        allowed_origins=settings.allowed_origins,
        any_host=settings.insecure or settings.authenticates,
        max_head_bytes=settings.max_head_bytes,
        tally=Tally(settings.max_connections_per_address, exempt_addresses(settings)),
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
    app.sockets = door(serve_socket)
    app.state.hub = hub
    app.state.identities = identities
    app.state.revocations = revoked
    app.state.renewals = Renewals(identities, revoked)
    return app


async def _lead(page: str, request: Request) -> Response:
    """Show the way to the page; what the address says of the session goes along."""
    return RedirectResponse(f"{page}?{request.url.query}" if request.url.query else page)


async def _no_route(scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer what no route matches."""
    raise HTTPException(404, f"Nothing is served at {scope['path']}.")


async def _healthz(_: Request) -> Response:
    """The process runs."""
    return JSONResponse({"status": "ok"})


async def _readyz(request: Request) -> Response:
    """The process can take work: the storage can be written."""
    hub: Hub = request.app.state.hub
    await hub.check_ready()
    return JSONResponse({"status": "ready"})
