"""A connection: one reader and one writer around a channel, with a bound on everything that waits.

The reader hands frames to the room one by one; the writer sends what the outbox merged while it was busy. A
channel is pycrdt's `Channel` (`path`, `send`, `recv`, iteration), with an optional `close(code, reason)`; what
it raises when it is used means that the other side is gone. A `DirectChannel` also hands frames over and takes
them without a task in between, as long as nothing waits: that is the path of a token.

Life: open → closing (with the error that says why) → closed. A connection that is closing still sends the
frames that must arrive, then a notice to who understands it, then the close code.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from pycrdt import Channel

from cosession.auth import Participant
from cosession.errors import CosessionError, TooSlow
from cosession.logs import get_logger
from cosession.protocol import KEEP_ALIVE, Notice, encode_frame
from cosession.settings import Settings

from .outbox import Outbox
from .pace import Pace

_CLOSING_SECONDS = 5.0
"""What a connection gets to hear why it ends; a reader that has stopped reading must not hold up a shutdown."""

_REASON_BYTES = 123
"""A close frame has 125 bytes, two of which are the code."""

log = get_logger(__name__)


class Host(Protocol):
    """What a connection needs of the room it is in."""

    @property
    def has_room(self) -> bool:
        """Whether another frame may be taken in now."""
        ...

    async def ready(self) -> None:
        """Wait until another frame may be taken in."""
        ...

    def receive(self, connection: int, data: bytes) -> None:
        """Take in a frame; raises a CosessionError when the connection must end for it."""
        ...

    def take(self, outbox: Outbox) -> list[bytes]:
        """Empty an outbox into the frames to be sent."""
        ...


@runtime_checkable
class DirectChannel(Protocol):
    """A channel that can be used without a task of one's own: the fast way in and out."""

    def send_now(self, frames: Sequence[bytes]) -> bool:
        """Send frames if the other side reads them as fast as they come; else send none of them."""
        ...

    def abort(self) -> None:
        """Drop the connection without waiting for the other side."""
        ...

    def listen(self, receiver: Callable[[bytes], None] | None) -> None:
        """Hand the next frames to the receiver as they come, unless some wait to be iterated; None: keep them."""
        ...


class Connection:
    """One socket of a participant, in a room.

    Args:
        number: tells it from the others of this process.
        channel: where frames come from and go to.
        participant: whose it is.
        extended: whether it understands notices and fences.
        settings: the limits.
        rollup_seconds: how long what it gets is gathered before it is sent; 0 sends at once.
    """

    def __init__(
        self,
        number: int,
        channel: Channel,
        participant: Participant,
        extended: bool,
        settings: Settings,
        rollup_seconds: float = 0.0,
    ) -> None:
        self.number = number
        self.participant = participant
        self.extended = extended
        self.outbox = Outbox(settings.max_waiting_bytes, settings.max_merged_updates)
        self._channel = channel
        self._direct = channel if isinstance(channel, DirectChannel) else None
        self._rollup_seconds = rollup_seconds
        self._settings = settings
        self._pace = Pace(settings.max_frames_per_second, settings.flood_seconds)
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._sending = False
        self._cut_off = False
        """Whether frames were dropped: what comes after them would be a gap, so only the reason may follow."""
        self._ending: CosessionError | None = None
        self._gathering: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Tell the writer that the outbox has something."""
        self._wake.set()

    def send_now(self, frames: Sequence[bytes]) -> bool:
        """Send frames past the outbox, if nothing waits in it; False when they must be queued."""
        if self._direct is None or self._rollup_seconds or self._ending is not None or self._sending or self.outbox:
            return False
        return self._direct.send_now(frames)

    def end(self, error: CosessionError) -> None:
        """Close the connection, saying why; the first reason stands."""
        if self._ending is not None:
            return
        self._ending = error
        self._keep()
        self._wake.set()
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)
        self._set_deadline()

    async def serve(self, host: Host) -> None:
        """Carry frames until either side ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._writer = group.create_task(self._write(host))
                if self._ending is not None:
                    self._set_deadline()
                reader = group.create_task(self._read(host))
                await asyncio.wait({reader, self._writer}, return_when=asyncio.FIRST_COMPLETED)
                if self._ending is None:
                    self._writer.cancel()
                else:
                    await asyncio.wait({self._writer})
                reader.cancel()
        finally:
            self._keep()
            if self._deadline is not None:
                self._deadline.cancel()

    async def _read(self, host: Host) -> None:
        """Take frames in: one by one while the room or the pace holds them back, else as they come."""
        frames = aiter(self._channel)
        while True:
            self._listen(host)
            try:
                data = await anext(frames)
                self._keep()
                await self._pace.wait(len(data))
                await self._answered()
                await host.ready()
                if self._ending is not None:
                    return
                host.receive(self.number, data)
            except StopAsyncIteration:
                return
            except CosessionError as error:
                self.end(error)
                return
            except Exception as error:
                log.debug("connection.lost", connection=self.number, error=repr(error))
                return

    async def _answered(self) -> None:
        """Wait until the other side has read what it asked for."""
        while self.outbox.is_full:
            self._sent.clear()
            await self._sent.wait()

    def _listen(self, host: Host) -> None:
        if self._direct is None:
            return

        def receive(data: bytes) -> None:
            try:
                host.receive(self.number, data)
            except CosessionError as error:
                self._keep()
                self.end(error)
            else:
                if not self._pace.take(len(data)) or self.outbox.is_full or not host.has_room:
                    self._keep()

        self._direct.listen(receive)

    def _keep(self) -> None:
        if self._direct is not None:
            self._direct.listen(None)

    async def _write(self, host: Host) -> None:
        while self._ending is None:
            try:
                async with asyncio.timeout(self._settings.keep_alive_seconds):
                    await self._wake.wait()
            except TimeoutError:
                self.outbox.put_frame(KEEP_ALIVE)
            if self._rollup_seconds:
                await self._gather()
            self._wake.clear()
            if not await self._send_waiting(host):
                return
        if self._cut_off or await self._send_waiting(host):
            await refuse(self._channel, self._ending, extended=self.extended)

    async def _gather(self) -> None:
        """Wait while more comes in for a reader that wants it rolled up; not for one that is to be closed."""
        if self._ending is None:
            self._gathering = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._gathering,), timeout=self._rollup_seconds)
            self._gathering = None

    def _set_deadline(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(_CLOSING_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Drop a connection whose other side doesn't read why it ends."""
        if self._writer is not None:
            self._writer.cancel()
        if self._direct is not None:
            self._direct.abort()

    async def _send_waiting(self, host: Host) -> bool:
        """Send what waits; False when nobody is there to read it."""
        self._sending = True
        try:
            for frame in host.take(self.outbox):
                async with asyncio.timeout(self._settings.slow_reader_seconds):
                    await self._channel.send(frame)
        except TimeoutError:
            self._cut_off = True
            seconds = self._settings.slow_reader_seconds
            self.end(TooSlow(f"Nothing was read for {seconds:g} s; connect again to catch up."))
        except CosessionError as error:
            self.end(error)
        except Exception as error:
            log.debug("connection.lost", connection=self.number, error=repr(error))
            return False
        finally:
            self._sending = False
            self._sent.set()
        return True


async def refuse(channel: Channel, error: CosessionError, *, extended: bool) -> None:
    """Tell the other side of a channel why it is closed, and close it.

    Args:
        channel: where it can be closed with a code, its `close(code, reason)` is called.
        error: the reason.
        extended: whether it understands a notice.
    """
    close: Callable[[int, str], Awaitable[None]] | None = getattr(channel, "close", None)
    try:
        if extended:
            await channel.send(encode_frame(Notice(error.code, str(error))))
        if close is not None:
            await close(error.close_code, _close_reason(error))
    except Exception as failure:
        log.debug("connection.lost", error=repr(failure))


def _close_reason(error: CosessionError) -> str:
    """The sentence of an error, cut to what a close frame holds."""
    return str(error).encode()[:_REASON_BYTES].decode(errors="ignore")
