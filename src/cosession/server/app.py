"""The ASGI application: routes and middleware."""

import mimetypes
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
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
from cosession.storage import Revocations, SqliteStorage

from . import hocuspocus_socket, sync_socket, worker_socket
from .api import ai_sdk, invitations, problems, revocations, sessions
from .api.authorize import Authorize
from .edge.addresses import Resource, path_as_sent
from .edge.answers import Answers
from .edge.arrivals import Arrivals
from .edge.connection_limits import Tally, exempt_addresses
from .edge.origin_policy import Door
from .edge.security_headers import SecurityHeaders
from .static_files import Pages
from .token_renewal import Renewals, close_revoked

_CLIENT = Path(__file__).parent / "static"
"""Folder of the built JavaScript client; the package contains it, so that an installation needs no Node."""

_DOCS = (Path(__file__).parents[1] / "_docs", Path(__file__).parents[2] / "docs" / "site")
"""Folders of the documentation: in an installed package, and where a checkout builds it."""


class Application(Starlette):
    """Starlette for requests; a socket passes the origin policy and then goes straight to its endpoint.

    Starlette's wrappers around an endpoint stay in memory as long as the endpoint runs. For a request that is short,
    but a socket would keep them until it closes, and never use them again.

    Attributes:
        sockets: the ASGI application that serves sockets.
    """

    sockets: ASGIApp
    begin: Callable[[], None] | None = None
    """Called once before the first request; a program that mounts the application may never start its lifespan."""

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


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    authorize: Authorize | None = None,
    static: Path | None = None,
    page: str = "",
) -> AsyncGenerator[Application]:
    """Open keys, storage and hub, and serve sessions until the block ends; on return everything is on the disk.

    Args:
        settings: the data folder, the keys, the limits.
        authorize: authenticates participants before tokens do; see `create_app`.
        static: a folder of pages to serve at `/`, or None for none.
        page: the path in it to which `/` redirects.

    Raises:
        BadKey: the keys that the settings name can't be used.
        StorageError: the data folder or the database can't be used.
    """
    async with (
        Identities.open(settings) as identities,
        SqliteStorage.open(settings.database) as storage,
        Hub.open(storage, settings) as hub,
    ):
        revoked = storage.revocations
        yield create_app(hub, identities, revoked, settings, authorize=authorize, static=static, page=page)


def create_app(
    hub: Hub,
    identities: Identities,
    revoked: Revocations,
    settings: Settings,
    *,
    authorize: Authorize | None = None,
    static: Path | None = None,
    page: str = "",
) -> Application:
    """Create the application, to be served as it is, or mounted under a prefix of another one.

    It closes the sockets of participants that lose their access, and keeps tokens out of the server's access log.

    Args:
        hub: an open hub; the caller closes it.
        identities: authenticates participants; open as well.
        revoked: the revocations.
        settings: the allowed origins, and the limits.
        authorize: returns the grant of a request or a socket; None where it doesn't know the sender, whose token is
            then looked at. With it, participants don't name themselves.
        static: a folder of pages to serve at `/`, or None for none.
        page: the path in it to which `/` redirects; empty where the folder itself has a page.
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
        Resource("/ai", POST=ai_sdk.chat),
        Resource("/ai/{session}", POST=ai_sdk.chat),
        Resource("/ai/{session}/stream", GET=ai_sdk.resume),
        Resource("/healthz", GET=_healthz),
        Resource("/readyz", GET=_readyz),
        Resource(sync_socket.PATH + "{session:path}", GET=_upgrade),
        Resource(worker_socket.PATH + "{agent:path}", GET=_upgrade),
        Resource(hocuspocus_socket.PATH, GET=_upgrade),
        Mount("/client", Pages(directory=_CLIENT, check_dir=False, shared=True)),
        Resource("/docs", GET=partial(_lead, "docs/")),
        *(
            Mount("/docs", Pages(directory=folder, html=True, inline_styles=True))
            for folder in _DOCS
            if folder.is_dir()
        ),
    ]
    if page:
        routes.append(Resource("/", GET=partial(_lead, page)))
    if static is not None:
        routes.append(Mount("/", Pages(directory=static, html=True, besides=settings.data)))
    tally = Tally(settings.max_connections_per_address, exempt_addresses(settings))
    door = partial(
        Door,
        allowed_origins=settings.allowed_origins,
        any_host=settings.insecure or settings.authenticates or authorize is not None,
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
    app.router.redirect_slashes = False  # its redirects contain the host, and lack the prefix that a proxy cut off
    app.sockets = door(sync_socket.serve_socket)
    app.state.hub = hub
    app.state.identities = identities
    app.state.authorize = authorize
    app.state.revocations = revoked
    app.state.uploads = Arrivals(max(settings.max_arriving_bytes, 2 * settings.max_body_bytes), tally.key)
    app.state.answers = Answers(settings.max_answering_bytes, tally.key, settings.slow_reader_seconds)
    app.state.renewals = Renewals(identities, revoked)
    app.begin = partial(revoked.follow, partial(close_revoked, hub, revoked)) if revoked else None
    hide_tokens()
    return app


async def _lead(page: str, request: Request) -> Response:
    """Redirect to the page by a relative path, because a proxy may add a prefix; the query is kept."""
    page = f"./{page.lstrip('/')}"
    return RedirectResponse(f"{page}?{request.url.query}" if request.url.query else page)


async def _upgrade(_: Request) -> Response:
    """Reject a request that should have been a WebSocket handshake."""
    raise HTTPException(
        426,
        "This is the address of a WebSocket, and the request asks for none. A proxy in front of the server must pass "
        "the headers Upgrade and Connection on; the server's README shows how.",
        headers={"upgrade": "websocket", "connection": "upgrade"},
    )


async def _no_route(scope: Scope, _receive: Receive, _send: Send) -> None:
    """Reject a request that no route matches."""
    hint = " A `/` in a session's id is written `%2F`." if scope["path"].count("/") > 2 else ""
    raise HTTPException(404, f"Nothing is served at {unquote(scope['path'])}.{hint}")


async def _healthz(_: Request) -> Response:
    """Answer that the process runs."""
    return JSONResponse({"status": "ok"})


async def _readyz(request: Request) -> Response:
    """Answer that the process can serve sessions: its storage can be written."""
    hub: Hub = request.app.state.hub
    await hub.check_ready()
    return JSONResponse({"status": "ready"})
