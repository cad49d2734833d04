"""uvicorn's WebSocket protocol with direct reads and writes that bypass the ASGI queue.

ASGI moves one message of one socket by one awaited call: a task switch, a state machine and an encoding for each.
Here a room receives a frame as it arrives, and writes the same bytes to hundreds of sockets at once: a server's
frames aren't masked, so they are packed once, and written to every transport that is not full.

Input is parsed a little at a time, and only while the application accepts messages. Pings, pongs and tiny fragments
don't reach the application and so aren't held back by it: a socket that sends too many of them is closed.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request

from cosession.errors import CosessionError, ServerBusy, TooFast, TooLarge
from cosession.logs import get_logger
from cosession.room.sync_reply import SharedFrame
from cosession.runtime import Ticker

from .arrivals import SMALL_BYTES, Arrivals
from .heartbeat import Heartbeat, can_look, look
from .refusals import log_refused_address
from .shared_frames import write_shared

EXTENSION = "cosession.socket"
"""The key in the ASGI scope's extensions of the `SyncProtocol` of a socket."""

_AT_ONCE = 2048
"""Bytes that are parsed at once: three hundred empty frames, which take a few milliseconds."""

_SLIVER = 1024
"""The size below which a fragment counts as tiny: fragments this small serve no purpose, as whole messages are as
small."""

_MOST_IDLE = 1024
_IDLE_SECONDS = 10.0
"""A socket may send `_MOST_IDLE` frames without a message in `_IDLE_SECONDS`; a client sends a handful."""

_GOODBYE_SECONDS = 2.0
"""The time that the peer of a closing socket has to read the reason."""

log = get_logger(__name__)


class FrameInbox:
    """The methods of `asyncio.Queue` that uvicorn uses, for one reader, in a tenth of the memory."""

    __slots__ = ("_messages", "_reader")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        """Whether no message waits."""
        return not self._messages

    def put_nowait(self, message: Any) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Any:
        """Remove and return the first message, once there is one."""
        while not self._messages:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._messages.pop(0)


class SyncProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that can be read and written without a task.

    Args:
        arguments: of uvicorn's protocol.
        pulse: triggers the heartbeat.
        arrivals: counts its large frames.
        options: of uvicorn's protocol.
    """

    _heartbeat: Heartbeat | None = None
    _receiver: Callable[[bytes], bool] | None = None
    _on_change: Callable[[Callable[[bytes], None] | None], None] | None = None
    _rest = b""
    """Received bytes that aren't parsed yet, because the application doesn't accept more messages."""
    _joined = 0
    """The bytes of the received fragments of the current message."""
    _is_counted = False
    """Whether the current message is counted as a large one."""
    _is_held = False
    """Whether the current message waits: for room, or until the large message before it is processed."""
    _owes = False
    """Whether the application has a large message, or is about to get it."""
    _idle = 0
    _idle_since = 0.0
    _is_deaf = False

    def __init__(self, *arguments: Any, pulse: Ticker, arrivals: Arrivals, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pulse = pulse
        self._arrivals = arrivals
        self._place = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the socket, with a small queue in place of uvicorn's."""
        self.queue = FrameInbox()  # type: ignore[assignment]
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, as far as the application accepts messages."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        for start in range(0, len(data), _AT_ONCE):
            if self._is_deaf or self.transport.is_closing():
                return
            if self.read_paused or self._is_held:
                self._rest = data[start:]
                return
            if self.close_sent:
                self._count()
            super().data_received(data[start : start + _AT_ONCE])
            size = self._joined + len(self.conn.reader.buffer)
            if size > SMALL_BYTES and not self._is_deaf and not self._may_grow(size) and not self._is_deaf:
                self._is_held = True
                self.transport.pause_reading()

    async def receive(self) -> Any:
        """Return the next message to the application; until it asks for the second, the peer isn't authenticated."""
        if self._owes and self.queue.empty():
            self._taken()
        if self.read_paused and self.queue.empty():
            self._read_on()
        message = await super().receive()
        if message["type"] == "websocket.connect":
            self.read_paused = True
            self.transport.pause_reading()
        elif self._rest and not self.read_paused:
            self.loop.call_soon(self._go_on)  # not before the application has this message
        return message

    def start_keepalive(self) -> None:
        """Start the heartbeat: the handshake is over, and its request and response are freed."""
        self.request.headers.clear()  # the parser holds the request as well
        del self.request, self.response
        if not can_look(self.transport.get_extra_info("socket")):
            super().start_keepalive()
        elif self.ping_interval is not None and self.ping_timeout is not None:
            self._heartbeat = Heartbeat(self.ping_interval, self.ping_timeout)
            self._place = self._pulse.join(self._beat)

    def stop_keepalive(self) -> None:
        """Stop the heartbeat."""
        super().stop_keepalive()
        if self._heartbeat is not None:
            self._pulse.leave(self._place, self._beat)
            self._heartbeat = None

    def _beat(self) -> None:
        """Check whether the peer is alive, and drop the socket if it is not."""
        heartbeat, transport = self._heartbeat, self.transport
        if heartbeat is None or self.close_sent or transport.is_closing():
            return
        held = not transport.is_reading()
        signs = look(transport.get_extra_info("socket"), transport.get_write_buffer_size(), held)
        verdict = heartbeat.beat(signs, self.loop.time())
        if verdict == "gone":
            log.debug("socket.gone", waiting=signs.waiting)
            transport.abort()
            return
        if verdict == "ask":
            self.conn.send_ping(b"")
            transport.write(b"".join(self.conn.data_to_send()))

    def handle_ping(self) -> None:
        """Answer a ping, unless the peer doesn't read earlier answers."""
        self._count()
        if self.writable.is_set() and not self._is_deaf:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_bytes(self, event: Frame) -> None:
        """Handle a binary message, or its first fragment."""
        self._joined = len(event.data)
        super().handle_bytes(event)
        event.data = b""  # the parser holds the frame until the next one

    def handle_text(self, event: Frame) -> None:
        """Handle a text message, or its first fragment."""
        self._joined = len(event.data)
        super().handle_text(event)
        event.data = b""

    def handle_cont(self, event: Frame) -> None:
        """Handle a further fragment of a message."""
        if not event.fin and len(event.data) < _SLIVER:
            self._count()
        self._joined += len(event.data)
        super().handle_cont(event)
        event.data = b""

    def handle_pong(self, event: Frame) -> None:
        """Record the answer to a ping."""
        self._count()
        super().handle_pong(event)
        if self._heartbeat is not None:
            self._heartbeat.answered()

    def handle_connect(self, event: Request) -> None:
        """Start the application, with this protocol in its scope."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]  # type: ignore[assignment]
            extensions[EXTENSION] = self

    def send_receive_event_to_app(self) -> None:
        """Pass a complete message to the receiver; to the queue, if there is none or other messages wait there."""
        is_large = self._is_counted or self._joined > SMALL_BYTES
        self._is_counted, self._joined = False, 0
        if self.close_sent:  # the message is ignored, also by an application that has ended
            self._count()
            super().send_receive_event_to_app()
            if is_large and not self._owes:
                self._arrivals.release(self)
            return
        if is_large:
            self._arrivals.finish(self)
            self._owes = True
        if self._receiver is None or self.curr_msg_data_type == "text" or not self.queue.empty():
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if not self._receiver(data):
            self.frames = [data]
            super().send_receive_event_to_app()
        elif is_large:
            self._taken()

    async def send_binary(self, message: bytes) -> None:
        """Send one binary message, once the socket is not full.

        Raises:
            ConnectionError: the other side is gone, or the socket closes.
        """
        await self.writable.wait()
        if not self._is_open:
            raise ConnectionError("The socket is closed.")
        if isinstance(message, SharedFrame):
            write_shared(self.transport, message, pack)
        else:
            self.transport.write(pack((message,)))

    def listen(self, receiver: Callable[[bytes], bool] | None) -> None:
        """Set the receiver of binary messages; with None they wait in the queue, and the peer is held back."""
        self._receiver = receiver

    def handle_parser_exception(self) -> None:
        """Close on bytes that are no WebSocket frames; a message beyond all limits gets our final code."""
        if isinstance(self.conn.parser_exc, PayloadTooBig) and not self.close_sent:
            self._say(TooLarge("The frame is far larger than the server takes; send less at once."))
            self.transport.close()
        else:
            super().handle_parser_exception()

    def follow(self, on_change: Callable[[Callable[[bytes], None] | None], None] | None) -> None:
        """Pass the function for writes to `on_change`, now and at every change; None while full or closing."""
        self._on_change = on_change
        self._tell()

    def pause_writing(self) -> None:
        """Report that the socket is full."""
        super().pause_writing()
        self._tell()

    def resume_writing(self) -> None:
        """Report that the socket is not full any more."""
        super().resume_writing()
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report that the socket is closed, and free its memory."""
        super().connection_lost(exc)
        self._tell()
        self._forget()
        if not self._owes:
            self._arrivals.release(self)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Release the application's large message: its task has ended."""
        super().on_task_complete(task)
        self._taken()

    @property
    def address(self) -> str:
        """The client's address."""
        return self.client[0] if self.client else ""

    def go_on(self) -> None:
        """Continue to read: there is room for the large frame that waits."""
        self._is_held = False
        self.transport.resume_reading()
        self.loop.call_soon(self._go_on)

    def give_up(self) -> None:
        """Drop the large frame that is arriving, and close the socket with a code after which clients try again."""
        self._forget()
        self._go_deaf(ServerBusy("The server has as many large frames under way as it takes; come back in a moment."))

    def handle_close(self, event: Frame) -> None:
        """Answer the peer's close; nothing may be written after it."""
        super().handle_close(event)
        self._tell()

    def _read_on(self) -> None:
        self.read_paused = False
        self.transport.resume_reading()
        self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Parse the waiting bytes, unless reading is paused again."""
        if not self.read_paused:
            self.data_received(b"")

    def _count(self) -> None:
        """Count a frame without a message; too many in a short time close the socket."""
        now = self.loop.time()
        if now - self._idle_since > _IDLE_SECONDS:
            self._idle, self._idle_since = 0, now
        self._idle += 1
        if self._idle > _MOST_IDLE and not self._is_deaf:
            self._go_deaf(TooFast(f"More than {_MOST_IDLE} frames in {_IDLE_SECONDS:g} s that bring no message."))

    def _go_deaf(self, error: CosessionError) -> None:
        """Stop reading, close with an error, and drop the socket after `_GOODBYE_SECONDS`."""
        self._is_deaf, self.read_paused, self._is_held = True, False, False
        self.transport.pause_reading()
        if not self.close_sent:
            self._say(error)
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(_GOODBYE_SECONDS, self.transport.abort)

    def _may_grow(self, size: int) -> bool:
        """Count the large message that is arriving, one at a time per socket; return False while it must wait."""
        if self._owes:
            return False
        self._is_counted = True
        return self._arrivals.grow(self, size)

    def _taken(self) -> None:
        """Record that the application has processed a large message; the next one may arrive."""
        self._owes = False
        self._arrivals.release(self)
        if self._is_held:
            self.go_on()

    def _forget(self) -> None:
        """Free the memory of a message that never becomes complete."""
        self._rest, self.frames, self._joined = b"", [], 0
        self.conn.reader.discard()

    def _say(self, error: CosessionError) -> None:
        """Close the socket with an error; nothing may be written after it."""
        log_refused_address(
            self.address,
            code=error.close_code,
            error=error.code,
            path=self.scope["path"][:200],
        )
        self.conn.data_to_send()  # drops the library's own close: after its codes clients would try again for ever
        self.transport.write(
            Frame(Opcode.CLOSE, Close(error.close_code, str(error)).serialize()).serialize(mask=False)
        )
        self.queue.put_nowait({"type": "websocket.disconnect", "code": error.close_code, "reason": str(error)})
        self.close_sent = True
        self._tell()

    @property
    def _is_open(self) -> bool:
        return self.handshake_complete and not self.close_sent and not self.transport.is_closing()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change(self.transport.write if self._is_open and self.writable.is_set() else None)


def pack(messages: Sequence[bytes]) -> bytes:
    """Return binary messages as frames of the server: not masked, so they are the same for every socket."""
    return b"".join(Frame(Opcode.BINARY, message).serialize(mask=False) for message in messages)
