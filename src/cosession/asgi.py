"""cosession inside another ASGI application, under any prefix, beside its own routes.

    collab = cosession_app()
    app = FastAPI(lifespan=collab.lifespan)
    app.mount("/collab", collab)

A mounted application gets no lifespan events, so the outer application passes them on, as above. The same object can
also be served alone (`uvicorn module:collab`). It makes no difference to correctness which server runs it; that of
`cosession serve` is faster, and limits what connections cost before their first frame (see the server's README).
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from cosession import auth
from cosession.auth import Capabilities, Kind
from cosession.errors import BadRequest, CosessionError, NotAllowed, NotAuthenticated, ServerBusy, ServerFull
from cosession.logs import get_logger
from cosession.server.app import Application, open_app
from cosession.server.edge.http_protocol import REFUSAL
from cosession.server.edge.websocket_protocol import EXTENSION
from cosession.settings import Settings

__all__ = ["CosessionApp", "Grant", "Settings", "cosession_app"]

_FRAME_BYTES: Final = 16 * 2**20
"""The largest frame, where the settings name none: the usual servers take no larger one, and close with 1009, after
which clients would send it again for ever."""

_SENTENCE: Final = (
    "cosession runs under a server of another kind than its own: correct, and slower, as each frame passes through "
    "ASGI. What the server and the proxy in front must limit is in the README of cosession.server."
)

_NOT_STARTED: Final = (
    "cosession is not started, because a mounted application gets no lifespan events. Pass its lifespan to the "
    "application that mounts it, FastAPI(lifespan=collab.lifespan), or enter it in a lifespan of your own: "
    "`async with collab.lifespan(app): yield`."
)

log = get_logger(__name__)


@dataclass(frozen=True)
class Grant:
    """The identity of a participant, and what it may do, as the outer application knows them.

    Attributes:
        participant: the participant's id, stable, at most 128 characters.
        name: the name that people see; empty for the id.
        kind: `human`, `agent` or `operator`.
        role: a role that stands for capabilities; empty for none.
        capabilities: further capabilities, as in tokens.
        sessions: the ids of the sessions, or beginnings of ids with a `*`.
        expires_at: when the grant ends, in seconds since 1970; its sockets are closed then. None is never.
    """

    participant: str
    name: str = ""
    kind: Kind = "human"
    role: str = ""
    capabilities: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ("*",)
    expires_at: float | None = None


Authorize: TypeAlias = Callable[[HTTPConnection], Awaitable[Grant | None]]


class CosessionApp:
    """The ASGI application; made by `cosession_app`.

    Args:
        settings: the data folder, the keys, the limits.
        authorize: the outer application's own authentication, or None.
    """

    def __init__(self, settings: Settings, authorize: Authorize | None) -> None:
        self._settings = settings
        self._authorize = authorize
        self._lifespan = Router(lifespan=self.lifespan)
        self._app: Application | None = None
        self._is_starting = False
        self._open = 0
        self._was_noted = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a socket, or the lifespan where nothing is mounted.

        Raises:
            RuntimeError: the application is not started; see `lifespan`.
        """
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if self._app is None:
            raise RuntimeError(_NOT_STARTED)
        if scope["type"] == "websocket" and not self._was_noted and EXTENSION not in scope.get("extensions", {}):
            self._was_noted = True
            logging.getLogger(__name__).warning(_SENTENCE)
        if self._open >= self._settings.max_connections:
            full = ServerFull(f"The server has its limit of {self._open} connections; come back in a moment.")
            scope["state"] = {**scope.get("state", {}), REFUSAL: full}
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:  # noqa: ARG002 - of the outer application
        """Open the storage and serve until the block ends; on return everything is on the disk.

        Args:
            app: the outer application, as frameworks pass it; not used.

        Raises:
            BadKey: the keys that the settings name can't be used.
            RuntimeError: the application is started already.
            StorageError: the data folder or the database can't be used.
        """
        if self._is_starting:
            raise RuntimeError("cosession is started already: one lifespan at a time.")
        self._is_starting = True
        authorize = None if self._authorize is None else _checked(self._authorize)
        try:
            async with open_app(self._settings, authorize=authorize) as self._app:
                if authorize is None and not self._settings.authenticates:
                    log.info("auth.off", reason="participants name themselves and may do everything: for development")
                yield
        finally:
            self._app, self._is_starting = None, False


def cosession_app(settings: Settings | None = None, *, authorize: Authorize | None = None) -> CosessionApp:
    """Make an ASGI application that can be mounted under a prefix of another one.

    Args:
        settings: the data folder, the keys, the limits; by default those of the `COSESSION_*` variables. Where
            `max_frame_bytes` is not set, it is 16 MB here: more than that the usual servers don't take.
        authorize: returns the grant of a request or a socket; None where it doesn't know the sender, whose token is
            then looked at. An `HTTPException` of it refuses the request. It is called for each request, and once for
            each socket, at its beginning.
    """
    settings = Settings.model_validate({}) if settings is None else settings
    if "max_frame_bytes" not in settings.model_fields_set:
        most = min(settings.max_value_bytes, _FRAME_BYTES * 3 // 4)
        settings = settings.model_copy(update={"max_frame_bytes": _FRAME_BYTES, "max_value_bytes": most})
    return CosessionApp(settings, authorize)


def _checked(authorize: Authorize) -> Callable[[HTTPConnection], Awaitable[auth.Grant | None]]:
    """Return the callable with its grants checked, and its exceptions as errors that sockets can be closed with."""

    async def identify(connection: HTTPConnection) -> auth.Grant | None:
        try:
            given = await authorize(connection)
            return None if given is None else _grant(given)
        except CosessionError:
            raise
        except HTTPException as error:
            raise _refusal(error) from error
        except Exception as error:
            log.exception("authorize.failed")
            raise ServerBusy("The sender can't be authenticated now; come back in a moment.") from error

    return identify


def _grant(given: Grant) -> auth.Grant:
    """Return a grant as sessions use it.

    Raises:
        NotAuthenticated: a field of it is not valid.
    """
    return auth.grant_of(
        given.participant,
        given.name,
        given.kind,
        Capabilities.parse(given.capabilities) | (Capabilities.of(given.role) if given.role else Capabilities()),
        given.sessions,
        given.expires_at,
    )


def _refusal(error: HTTPException) -> CosessionError:
    """Return the error that stands for a framework's: clients come back after 429 and 5xx only."""
    if error.status_code == 401:
        return NotAuthenticated(error.detail)
    if error.status_code == 403:
        return NotAllowed(error.detail)
    if error.status_code == 429 or error.status_code >= 500:
        return ServerBusy(error.detail)
    return BadRequest(error.detail)
