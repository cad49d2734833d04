"""The hocuspocus endpoint, `/hocuspocus`: one WebSocket with many documents, each a connection of its own in the hub.

A credential is verified before its document is opened. Frames of a document that isn't open are dropped: the sync
that follows its token brings all of their content.
"""

import asyncio
from contextlib import suppress

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from cosession.auth import Participant
from cosession.errors import CosessionError, NotAuthenticated, TooSlow
from cosession.protocol.hocuspocus import (
    Authenticate,
    Body,
    Close,
    Denied,
    DocumentFrame,
    Message,
    Ping,
    Pong,
    decode_message,
    encode_message,
)
from cosession.runtime import DirectChannel, Hub, RateLimit

from .api.authorize import accept, enter
from .edge.refusals import log_refusal
from .hocuspocus_document import HocuspocusDocument
from .token_renewal import Renewals

PATH = "/hocuspocus"
"""The path of the endpoint."""

_MOST_DOCUMENTS = 256
"""The documents of one socket; one more is denied."""

_STRANGER_SECONDS = 60.0
"""The time until a first document must be authenticated; then the socket is closed."""

_DENIED_SECONDS = 0.1
"""The pause of a socket after a denied credential, before the next one is verified: guesses must not take the
server's time."""

_OPENING_BYTES = 65_536
"""Opening a document counts as a frame of this size against the rate of the socket."""

_REASON_BYTES = 120


class HocuspocusSocket:
    """One socket of a provider.

    Args:
        websocket: the socket, accepted. Its headers are kept: each document may need the credential in them.
        channel: the messages of the socket.
    """

    def __init__(self, websocket: WebSocket, channel: DirectChannel) -> None:
        self._websocket = websocket
        self._channel = channel
        self._hub: Hub = websocket.app.state.hub
        self._renewals: Renewals = websocket.app.state.renewals
        self._documents: dict[str, HocuspocusDocument] = {}
        self._served = 0
        self._pace = RateLimit(self._hub.settings.max_frames_per_second)
        self._verifying = asyncio.Lock()
        self._deadline = asyncio.timeout(_STRANGER_SECONDS)
        self._tasks = asyncio.TaskGroup()
        self._receiver: asyncio.Task[None] | None = None
        self._is_closed = False

    async def serve(self) -> None:
        """Serve the socket until it closes; what it sent before is handled."""
        try:
            async with self._deadline, self._tasks:
                self._receiver = self._tasks.create_task(self._receive())
        except TimeoutError:
            error = NotAuthenticated("No document was opened; connect again, and send a token.")
            log_refusal(self._websocket.scope, error)
            await self._close(error.close_code, str(error))

    async def _receive(self) -> None:
        """Pass messages to their documents, in their order, until the socket closes."""
        try:
            async for data in self._channel:
                await self._pace.wait(len(data))
                message = decode_message(data)
                if isinstance(message.body, Ping):
                    await self._send(encode_message(Message(message.address, Pong())))
                elif message.address is not None:
                    await self._take(message.address, message.body)
        except CosessionError as error:
            log_refusal(self._websocket.scope, error)
            await self._close(error.close_code, str(error))
        finally:
            for document in self._documents.values():
                document.finish()

    async def _take(self, address: str, body: Body) -> None:
        """Handle a message of a document; stateless ones, and those that only a server sends, are ignored."""
        document = self._documents.get(address)
        match body:
            case Authenticate(token) if document is None:
                await self._open(address, token)
            case Authenticate(token) if document is not None and token:
                await document.renew(token)
            case DocumentFrame(data) if document is not None:
                await document.put(data)
            case Close() if document is not None:
                del self._documents[address]
                document.finish()
            case _:
                pass

    async def _open(self, address: str, token: str) -> None:
        if self._served >= _MOST_DOCUMENTS:
            reason = f"A socket opens {_MOST_DOCUMENTS} documents; open another socket for more."
            await self._send(encode_message(Message(address, Denied(reason))))
            return
        await self._pace.wait(_OPENING_BYTES)
        document = self._documents[address] = HocuspocusDocument(address, self._send, self._end)
        self._served += 1
        self._tasks.create_task(self._serve(document, token))

    async def _serve(self, document: HocuspocusDocument, token: str) -> None:
        """Serve one document, however it ends."""
        headers = self._websocket.scope["headers"]
        if token:
            headers = [(name, value) for name, value in headers if name != b"authorization"]
            headers.append((b"authorization", b"Bearer " + token.encode()))
        scope = {**self._websocket.scope, "headers": headers, "path_params": {"session": document.path}}
        try:
            participant = await self._identify(HTTPConnection(scope))
            await document.serve(self._hub, participant, self._renewals)
        except CosessionError as error:
            log_refusal(scope, error)
            await document.close(error.close_code, str(error))
        finally:
            document.drop()
            self._served -= 1
            if self._documents.get(document.address) is document:
                del self._documents[document.address]

    async def _identify(self, connection: HTTPConnection) -> Participant:
        """Return the participant of a document; one credential of the socket is verified at a time."""
        async with self._verifying:
            try:
                participant = await enter(connection)
            except CosessionError:
                await asyncio.sleep(_DENIED_SECONDS)
                raise
        if not self._deadline.expired():
            self._deadline.reschedule(None)
        return participant

    async def _send(self, message: bytes) -> None:
        """Send a message; the receiver notices a socket that is gone."""
        with suppress(ConnectionError):
            await self._channel.send(message)

    async def _end(self, code: int, reason: str) -> None:
        """Close the socket for the sake of one document: the provider connects again and opens all of them."""
        await self._close(code, reason)
        if code == TooSlow.close_code:
            self._channel.abort()
        if self._receiver is not None:
            self._receiver.cancel()

    async def _close(self, code: int, reason: str) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(WebSocketDisconnect, RuntimeError, ConnectionError):
            await self._websocket.close(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))


async def serve_documents(websocket: WebSocket, channel: DirectChannel) -> None:
    """Serve a socket at `/hocuspocus` until it closes.

    Args:
        websocket: the socket, not accepted yet.
        channel: its messages.
    """
    await accept(websocket)
    await HocuspocusSocket(websocket, channel).serve()
