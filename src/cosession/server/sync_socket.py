"""The sync endpoint: a WebSocket as a channel, authorized before it reaches the hub.

A refusal accepts the handshake first, then closes with a code: to a client a refused handshake looks like a
network failure, and the client would try again for ever.
"""

from collections.abc import Callable, Sequence

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from cosession.errors import CosessionError, NoSuchSession
from cosession.protocol.lib0 import MAX_NUMBER
from cosession.runtime import DirectChannel, Hub, Write, refuse

from . import hocuspocus_socket, worker_socket
from .api.authorize import accept, enter
from .api.bodies import read_flag, read_number
from .edge.addresses import decode, path_as_sent
from .edge.refusals import log_refusal
from .edge.websocket_protocol import EXTENSION, SyncProtocol, pack
from .token_renewal import Renewals

PATH = "/sync/"
"""The path prefix of the sessions."""

_TEXT = b"\x7f"
"""The prefix of a text message, which is no part of the protocol: rooms ignore frames of this type."""

_MAX_ROLLUP = 1000
"""The longest rollup in milliseconds; a reader that waits longer than a second isn't following any more."""


class WebSocketChannel(DirectChannel):
    """A Starlette WebSocket with pycrdt's `Channel` interface, a close code, and direct writes on our own server."""

    def __init__(self, websocket: WebSocket, path: str) -> None:
        self._websocket = websocket
        self._path = path
        self._socket: SyncProtocol | None = websocket.scope.get("extensions", {}).get(EXTENSION)

    @property
    def path(self) -> str:
        """The session's id."""
        return self._path

    async def __anext__(self) -> bytes:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise StopAsyncIteration
        data: bytes | None = message.get("bytes")
        return _TEXT + message["text"].encode() if data is None else data

    async def send(self, message: bytes) -> None:
        """Send one binary message; wait while the socket is full.

        Raises:
            ConnectionError: the other side is gone, or the socket closes.
        """
        if self._socket is not None:
            await self._socket.send_binary(message)
            return
        try:
            await self._websocket.send({"type": "websocket.send", "bytes": message})
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError("The socket is closed.") from error

    @staticmethod
    def pack(frames: Sequence[bytes]) -> bytes:
        """Return binary messages as bytes for the wire."""
        return pack(frames)

    def follow(self, on_change: Callable[[Write | None], None] | None) -> None:
        """Pass the function for direct writes to `on_change`, now and at every change, if the server supports it."""
        if self._socket is not None:
            self._socket.follow(on_change)

    def abort(self) -> None:
        """Drop the socket without waiting for what is still to be sent."""
        if self._socket is not None:
            self._socket.transport.abort()

    def listen(self, receiver: Callable[[bytes], bool] | None) -> None:
        """Pass binary messages to the receiver as they arrive, if the server supports it."""
        if self._socket is not None:
            self._socket.listen(receiver)

    async def recv(self) -> bytes:
        """Receive one binary message."""
        return await self.__anext__()

    async def close(self, code: int, reason: str) -> None:
        """Close the socket with a code and a reason."""
        await self._websocket.close(code, reason)


async def serve_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve `/sync/{session}`, `/work/{agent}` and `/hocuspocus`; refuse a socket with any other path."""
    path = path_as_sent(scope)
    websocket = WebSocket(scope, receive, send)
    if path.rstrip("/") == hocuspocus_socket.PATH:
        await hocuspocus_socket.serve_documents(websocket, WebSocketChannel(websocket, ""))
        return
    for prefix, name, serve in ((PATH, "session", _sync), (worker_socket.PATH, "agent", worker_socket.serve_work)):
        if path.startswith(prefix):
            try:
                # y-websocket doesn't encode a room's name: a `/` within it is part of it, one around it is not.
                scope["path_params"] = {name: decode(path.removeprefix(prefix).strip("/"))}
            except CosessionError as error:
                await turn_away(websocket, error)
            else:
                await serve(websocket)
            break
    else:
        await turn_away(websocket, NoSuchSession("Nothing is served here; a session is at /sync/SESSION."))


async def _sync(websocket: WebSocket) -> None:
    hub: Hub = websocket.app.state.hub
    extended = websocket.query_params.get("ext") == "1"
    channel = WebSocketChannel(websocket, websocket.path_params["session"])
    await accept(websocket)
    try:
        read_flag(websocket, "ext")
        participant = await enter(websocket)
        rollup = read_number(websocket, "rollup", 0, 0, _MAX_ROLLUP) / 1000
        client = read_number(websocket, "client", 0, 0, MAX_NUMBER)
        websocket.scope["headers"] = ()  # not needed any more, and a socket stays open for long
        renewals: Renewals = websocket.app.state.renewals
        await hub.serve(
            channel, participant, extended=extended, rollup_seconds=rollup, grants=renewals, client=client
        )
    except CosessionError as error:
        log_refusal(websocket.scope, error)
        await refuse(channel, error, extended=extended)


async def turn_away(websocket: WebSocket, error: CosessionError) -> None:
    """Accept a socket only to close it with the reason."""
    log_refusal(websocket.scope, error)
    await accept(websocket)
    extended = websocket.query_params.get("ext") == "1"
    await refuse(WebSocketChannel(websocket, ""), error, extended=extended)
