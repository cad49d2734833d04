"""uvicorn's HTTP/1.1 protocol with a timeout for each phase of a request.

A client has `head_seconds` to send a request's head, `body_seconds` to send the body, and `slow_reader_seconds` to
read the answer. Between requests uvicorn's keep-alive timeout applies; the first byte ends that, and `head_seconds`
begins again. After an upgrade the WebSocket protocol handles the connection.
"""

import asyncio
import sys
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from cosession.errors import NotAuthenticated
from cosession.settings import Settings

from ..api.problems import problem
from .answers import ABORT
from .connection_limits import ConnectionLimits
from .refusals import log_refused_address

REFUSAL = "cosession.refusal"
"""The key in the ASGI scope's state of the error for a connection beyond a limit."""

_LINE = 8192
_HEADERS = 128
"""The WebSocket library's limits on a handshake: bytes of a line, and headers. Beyond them it doesn't answer."""

_NEEDED = frozenset(
    (
        *(b"host", b"origin", b"upgrade", b"connection", b"authorization", b"user-agent"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"sec-websocket-key", b"sec-websocket-version"),
        *(b"sec-websocket-protocol", b"sec-websocket-extensions"),
    )
)
"""The headers of a handshake that the server reads."""

HEAD_ROOM = 4
"""Heads are read up to this many times our limit, so that a WebSocket gets the reason of its refusal; larger ones get
a 431."""

_SLIVER = 256
_MOST_SLIVERS = 1024
"""A body may have `_MOST_SLIVERS` chunks of fewer than `_SLIVER` bytes: each costs as much work as a large one."""

Phase: TypeAlias = Literal["head", "body"]


def _line(name: bytes, value: bytes) -> int:
    """Return the length of a header on the wire."""
    return len(name) + len(value) + len(": \r\n")


class _Parser(h11.Connection):
    """h11 that rejects a body of very many small chunks: 256 KB of them blocked the loop for more than a second."""

    _slivers = 0

    def next_event(self) -> Any:
        """Return the next event; see h11.

        Raises:
            RemoteProtocolError: the received bytes are no HTTP, or a body has too many small chunks.
        """
        event = super().next_event()
        if isinstance(event, h11.Data):
            if event.chunk_start and event.chunk_end and len(event.data) < _SLIVER:
                self._slivers += 1
                if self._slivers > _MOST_SLIVERS:
                    raise h11.RemoteProtocolError("The body has too many small chunks.")
        elif isinstance(event, h11.Request):
            self._slivers = 0
        return event


class RequestProtocol(H11Protocol):
    """An HTTP connection.

    Args:
        config: uvicorn's configuration.
        server_state: uvicorn's state.
        app_state: the state that each request's scope gets.
        settings: the timeouts and limits.
        lobby: counts the connection.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        settings: Settings,
        lobby: ConnectionLimits,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.conn = _Parser(h11.SERVER, settings.max_head_bytes * HEAD_ROOM)
        self._settings = settings
        self._lobby = lobby
        self._phase: Phase | None = None
        self._heard = False
        self._arrival: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        refusal = self._lobby.refusal(self.client[0]) if self.client else None
        if refusal is not None:
            self.app_state = self.app_state | {REFUSAL: refusal}
        self.app_state = self.app_state | {ABORT: transport.abort}
        self._await("head")

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        self._await(None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, and update the timers."""
        self._heard = True
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Continue with the next request; part of it may have arrived already."""
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Pass the connection to the WebSocket protocol."""
        target, headers = bytes(event.target), self.headers
        if len(headers) > _HEADERS or any(_line(*one) > _LINE for one in headers):
            headers = [(name, value) for name, value in headers if name in _NEEDED]  # cookies aren't read
        fitting = [one for one in headers if _line(*one) <= _LINE][:_HEADERS]
        if len(target) > _LINE - len("GET  HTTP/1.1\r\n") or len(fitting) < len(headers):
            # The handshake is completed, because a page can't see why a handshake is refused.
            refusal = NotAuthenticated(
                f"The address and each header of a handshake have {_LINE} bytes at most; get a shorter token."
            )
            self.app_state = self.app_state | {REFUSAL: self.app_state.get(REFUSAL, refusal)}
            target = b"/sync/" + (b"?ext=1" if b"ext=1" in target.partition(b"?")[2].split(b"&") else b"")
            event = h11.Request(
                method=event.method, target=target, headers=event.headers, http_version=event.http_version
            )
        self.headers = fitting
        super().handle_websocket_upgrade(event)
        socket: Any = self.transport.get_protocol()
        if not socket.handshake_initiated:  # h11 accepts requests that the library doesn't, and waits for another
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer bytes that are no HTTP; uvicorn calls this while it handles h11's error."""
        error = sys.exception()
        if self.cycle and not self.cycle.response_complete:
            self.transport.abort()  # an answer is being sent, and another can't be sent within it
        elif isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            limit = self._settings.max_head_bytes
            self._refuse(431, "limit.too_large", f"The request's head is larger than {limit} bytes.")
        else:
            self._refuse(400, "request.invalid", "This is no HTTP request.")

    def pause_writing(self) -> None:
        """Start the timeout for a reader."""
        super().pause_writing()
        if self._reading is None:
            self._reading = self.loop.call_later(self._settings.slow_reader_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the timeout: the client has read."""
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _watch(self) -> None:
        """Set the timeout for the part of a request that is expected now."""
        their_state = self.conn.their_state
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._await(None)
        elif their_state is h11.IDLE and self.timeout_keep_alive_task is None:
            self._await("head")
        else:
            self._await("body" if their_state is h11.SEND_BODY else None)

    def _await(self, phase: Phase | None) -> None:
        """Start the timeout of a phase when it begins; None stops it."""
        if phase == self._phase:
            return
        self._phase = phase
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
        if phase is not None:
            seconds = self._settings.head_seconds if phase == "head" else self._settings.body_seconds
            self._arrival = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        """Answer 408 if part of a head has arrived; else drop the connection."""
        if self._phase == "head" and self._heard:
            seconds = self._settings.head_seconds
            self._refuse(408, "limit.too_slow", f"The request's head did not arrive within {seconds:g} s.")
        else:
            self.transport.abort()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer with a problem document, and close the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        log_refused_address(self.client[0] if self.client else "", code=status, error=code)
        answer = problem(status, code, detail)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        head = h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode())
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
