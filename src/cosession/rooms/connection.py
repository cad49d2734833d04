"""A connection: a channel of one participant, with a bound on everything that waits for it.

A channel is pycrdt's `Channel` (`path`, `send`, `recv`, iteration), with an optional `close(code, reason)`; what it
raises when it is used means that the other side is gone. A `DirectChannel` also hands frames over and takes them
without a task in between, as long as nothing waits: that is the path of a token. The task of the connection reads;
a second one writes, only while something waits for a reader that is slower than what it gets.

Life: open → closing (with the error that says why) → closed. A connection that is closing still sends the
frames that must arrive, then a notice to who understands it, then the close code.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from pycrdt import Channel

from cosession.auth import Participant
from cosession.errors import CosessionError, NotAllowed, TooSlow
from cosession.logs import get_logger
from cosession.protocol import KEEP_ALIVE, Notice, encode_frame
from cosession.settings import Settings

from .outbox import Outbox
from .pace import Pace

if TYPE_CHECKING:
    from .lease import Lease

_CLOSING_SECONDS = 5.0
"""What a connection gets to hear why it ends; a reader that has stopped reading must not hold up a shutdown."""

_SHORT_BYTES = 1024
"""What is in a shorter frame can't take long: nobody looks at the clock for it."""

_REASON_BYTES = 123
"""A close frame has 125 bytes, two of which are the code."""

Write: TypeAlias = Callable[[bytes], None]
"""Puts bytes on the wire at once."""

Pack: TypeAlias = Callable[[Sequence[bytes]], bytes]
"""Makes the bytes for the wire out of frames."""

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

    @staticmethod
    def pack(frames: Sequence[bytes]) -> bytes:
        """Make the bytes for the wire: the same for all channels of this kind, so they are made once for many."""
        ...

    def follow(self, on_change: Callable[[Write | None], None]) -> None:
        """Tell how to write, now and at every change: None while the other side reads slower than it is sent."""
        ...

    def listen(self, receiver: Callable[[bytes], None] | None) -> None:
        """Hand the next frames to the receiver as they come, unless some wait to be iterated; None: keep them."""
        ...

    def abort(self) -> None:
        """Drop the connection without waiting for the other side."""
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

    Attributes:
        lease: how long it may stay, once it is in a room.
        outbox: what waits for it.
        write: puts packed frames on the wire past the outbox; None when they must be queued.
        pack: makes frames into what `write` takes.
    """

    # A process has ten thousand of these, and one token goes through hundreds of them.
    __slots__ = (
        "_channel",
        "_cut_off",
        "_deadline",
        "_direct",
        "_ending",
        "_gathering",
        "_given_up",
        "_group",
        "_host",
        "_pace",
        "_pulse",
        "_reading",
        "_rollup_seconds",
        "_sent",
        "_settings",
        "_way",
        "_writer",
        "extended",
        "lease",
        "number",
        "outbox",
        "pack",
        "participant",
        "write",
    )

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
        self.outbox = Outbox(settings.max_waiting_bytes, settings.max_merged_updates, settings.max_piece_bytes)
        self.lease: Lease | None = None
        self.write: Write | None = None
        self._channel = channel
        self._direct = channel if isinstance(channel, DirectChannel) else None
        self.pack: Pack = b"".join if self._direct is None else self._direct.pack
        self._way: Write | None = None
        self._rollup_seconds = rollup_seconds
        self._settings = settings
        self._pace = Pace(settings.max_frames_per_second, settings.flood_seconds)
        self._cut_off = False
        """Whether frames were dropped: what comes after them would be a gap, so only the reason may follow."""
        self._given_up = False
        self._ending: CosessionError | None = None
        self._host: Host | None = None
        self._group: asyncio.TaskGroup | None = None
        self._reading: asyncio.Timeout | None = None
        self._writer: asyncio.Task[None] | None = None
        self._sent: asyncio.Event | None = None
        self._gathering: asyncio.Event | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._pulse: asyncio.TimerHandle | None = None

    def flush(self) -> None:
        """Send what waits in the outbox: at once where that can be done, else as fast as it is read."""
        if self.write is None or self._host is None or self.outbox.is_large:
            self._start_writing()
            return
        try:
            frames = self._host.take(self.outbox)
        except CosessionError as error:
            self.end(error)
        else:
            if frames:
                self.write(self.pack(frames))

    def end(self, error: CosessionError) -> None:
        """Close the connection, saying why; the first reason stands."""
        if self._ending is not None:
            return
        self._ending = error
        self._keep()
        if self._gathering is not None:
            self._gathering.set()
        if self._host is not None:
            self._close()

    async def serve(self, host: Host) -> None:
        """Carry frames until either side ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group, self._host = group, host
                if self._direct is not None:
                    self._direct.follow(self._follow)
                self._beat()
                if self._ending is not None:
                    self._close()
                elif self.outbox:
                    self.flush()
                try:
                    await self._read_until_ended(host)
                finally:
                    self._group = None  # however it ends: who has news must not fail at a group that ends
                if self._ending is None and self._writer is not None:
                    self._writer.cancel()
        finally:
            self._group = self._host = self.write = self._way = None
            self._keep()
            for timer in (self._deadline, self._pulse):
                if timer is not None:
                    timer.cancel()

    def _follow(self, way: Write | None) -> None:
        self._way = way
        self._open_way()

    def _open_way(self) -> None:
        """Let what comes go past the outbox, if nothing waits there."""
        is_free = self._writer is None and self._ending is None and not self._rollup_seconds
        self.write = self._way if is_free and self._group is not None else None

    def _beat(self) -> None:
        """Say something now and then, whatever else is said: many clients take silence for a lost network."""
        self._pulse = asyncio.get_running_loop().call_later(self._settings.keep_alive_seconds, self._beat_once)

    def _beat_once(self) -> None:
        if self._writer is None:
            self.outbox.put_frame(KEEP_ALIVE)
            self.flush()
        self._beat()

    async def _read_until_ended(self, host: Host) -> None:
        try:
            async with asyncio.timeout(None) as self._reading:
                await self._read(host)
        except TimeoutError:
            return  # see `_stop_reading`
        finally:
            self._reading = None

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def _read(self, host: Host) -> None:
        """Take frames in: one by one while the room or the pace holds them back, else as they come."""
        frames = aiter(self._channel)
        while True:
            self._listen()
            try:
                data = await anext(frames)
                self._keep()
                await self._pace.wait(len(data))
                await self._answered()
                await host.ready()
                if self._ending is not None:
                    return
                self._hand_in(host, data)
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
            self._sent = asyncio.Event()
            await self._sent.wait()

    def _hand_in(self, host: Host, data: bytes) -> None:
        """Give a frame to the room; one that may take long is on account."""
        if len(data) <= _SHORT_BYTES:
            host.receive(self.number, data)
            return
        with self._pace.timed():
            host.receive(self.number, data)

    def _listen(self) -> None:
        if self._direct is not None:
            self._direct.listen(self._receive)

    def _receive(self, data: bytes) -> None:
        """Take a frame in as it comes."""
        host = self._host
        if host is None:
            return
        try:
            self._hand_in(host, data)
        except CosessionError as error:
            self._keep()
            self.end(error)
        else:
            if not self._pace.take(len(data)) or self.outbox.is_full or not host.has_room:
                self._keep()

    def _keep(self) -> None:
        if self._direct is not None:
            self._direct.listen(None)

    def _start_writing(self) -> None:
        if self._writer is None and self._group is not None and self._host is not None:
            self._writer = self._group.create_task(self._write(self._host))
            self._open_way()

    async def _write(self, host: Host) -> None:
        """Send what waits until nothing does; when the connection is closing, say why."""
        try:
            while self.outbox and self._ending is None:
                if self._rollup_seconds and not self.outbox.is_split:
                    await self._gather()
                await asyncio.sleep(0)  # what is large is split in steps, and others have their turn between them
                if not await self._send_waiting(host):
                    self._stop_reading()
                    return
            if self._ending is not None:
                if self._cut_off or await self._send_waiting(host):
                    await refuse(self._channel, self._ending, extended=self.extended)
                self._stop_reading()
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            self._stop_reading()
        finally:
            self._writer = None
            self._open_way()

    async def _gather(self) -> None:
        """Wait while more comes in for a reader that wants it rolled up; not for one that is to be closed."""
        self._gathering = asyncio.Event()
        try:
            async with asyncio.timeout(self._rollup_seconds):
                await self._gathering.wait()
        except TimeoutError:
            return
        finally:
            self._gathering = None

    def _close(self) -> None:
        """Let the writer say why, for as long as that may take."""
        self._start_writing()
        self._open_way()
        self._deadline = asyncio.get_running_loop().call_later(_CLOSING_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Drop a connection whose other side doesn't read why it ends."""
        self._given_up = True
        if self._writer is not None:
            self._writer.cancel()
        if self._direct is not None:
            self._direct.abort()

    async def _send_waiting(self, host: Host) -> bool:
        """Send what waits; False when nobody is there to read it."""
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
            if self._sent is not None:
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
            touched = error.touched if isinstance(error, NotAllowed) else ""
            await channel.send(encode_frame(Notice(error.code, str(error), touched)))
        if close is not None:
            await close(error.close_code, _close_reason(error))
    except Exception as failure:
        log.debug("connection.lost", error=repr(failure))


def _close_reason(error: CosessionError) -> str:
    """The sentence of an error, cut to what a close frame holds."""
    return str(error).encode()[:_REASON_BYTES].decode(errors="ignore")
