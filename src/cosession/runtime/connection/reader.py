"""The reading half of a connection: frames in, as fast as the connection may send and the room can take them.

Where the channel can, frames come straight from the socket's callback. When the connection is too fast, takes long to
serve, hasn't read what it asked for, or the disk is behind, they are kept and taken one by one, with a wait before
each: TCP holds the other side back meanwhile. So does a long frame, which is taken in steps.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from pycrdt import Channel

from cosession.errors import CosessionError
from cosession.logs import get_logger
from cosession.settings import Settings

from .channel import direct
from .rate_limit import RateLimit
from .writer import FrameWriter

log = get_logger(__name__)


class Receiver(Protocol):
    """The handler of incoming frames: the room."""

    @property
    def has_room(self) -> bool:
        """Whether another frame may be handled now."""
        ...

    async def ready(self) -> None:
        """Wait until another frame may be handled."""
        ...

    def is_quick(self, connection: int, data: bytes) -> bool:
        """Return whether a frame may be handled at once, and needs no steps."""
        ...

    def receive(self, connection: int, data: bytes) -> None:
        """Handle a frame; raise a CosessionError when the connection must end for it."""
        ...

    def receive_in_steps(self, connection: int, data: bytes) -> AsyncGenerator[float, None]:
        """Handle a frame in steps, and yield the seconds of each; raise as `receive` does."""
        ...


class FrameReader:
    """Reads one connection.

    Args:
        number: tells the connection from others.
        channel: where frames come from.
        writer: the other half: while too much that was asked for waits there, nothing is read.
        settings: the limits.

    Attributes:
        size: the bytes of the frame for which the connection ended; 0 where it was none.
    """

    __slots__ = (
        "_channel",
        "_closed",
        "_direct",
        "_end",
        "_number",
        "_pace",
        "_reading",
        "_receiver",
        "_writer",
        "size",
    )

    def __init__(self, number: int, channel: Channel, writer: FrameWriter, settings: Settings) -> None:
        self._number = number
        self._channel = channel
        self._direct = direct(channel)
        self._writer = writer
        self._pace = RateLimit(settings.max_frames_per_second)
        self._receiver: Receiver | None = None
        self._end: Callable[[CosessionError], None] | None = None
        self._reading: asyncio.Timeout | None = None
        self._closed = False
        self.size = 0

    async def run(self, receiver: Receiver, end: Callable[[CosessionError], None]) -> None:
        """Take frames in until the other side hangs up or `stop` is called.

        Args:
            receiver: gets them.
            end: is told why the connection must end.
        """
        self._receiver, self._end = receiver, end
        try:
            async with asyncio.timeout(None) as self._reading:
                await self._read(receiver, end)
        except TimeoutError:
            return  # see `stop`
        finally:
            self._receiver = self._end = self._reading = None
            self.close()

    @property
    def is_closed(self) -> bool:
        """Whether no more frames are passed to the room."""
        return self._closed

    def stop(self) -> None:
        """Make `run` return: nothing more will be sent, so it needn't wait for the other side to hang up."""
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(asyncio.get_running_loop().time())

    def close(self) -> None:
        """Pass no more frames to the room; go on waiting for the other side to hang up."""
        self._closed = True
        self._keep()

    async def _read(self, receiver: Receiver, end: Callable[[CosessionError], None]) -> None:
        """Handle frames: one by one while the room or the pace holds them back, else as they come."""
        frames = aiter(self._channel)
        data = b""
        while True:
            self._listen()
            try:
                data = await anext(frames)
                self._keep()
                await self._pace.wait(len(data))
                await self._writer.caught_up()
                await receiver.ready()
                if self._closed:
                    return
                if receiver.is_quick(self._number, data):
                    self._hand_in(receiver, data)
                else:
                    await self._hand_in_steps(receiver, data)
                data = b""  # a large one isn't held until the next comes
            except StopAsyncIteration:
                return
            except CosessionError as error:
                self.size = len(data)
                end(error)
                return
            except Exception as error:
                log.debug("connection.lost", connection=self._number, error=repr(error))
                return

    def _listen(self) -> None:
        if self._direct is not None and not self._closed:
            self._direct.listen(self._receive)

    def _keep(self) -> None:
        if self._direct is not None:
            self._direct.listen(None)

    def _receive(self, data: bytes) -> bool:
        """Handle a frame as it comes; return False if it must wait to be iterated."""
        receiver, end = self._receiver, self._end
        if receiver is None or end is None:
            return True
        if not receiver.is_quick(self._number, data):
            self._keep()
            return False
        try:
            was_short = self._hand_in(receiver, data)
        except CosessionError as error:
            self.size = len(data)
            end(error)
            return True
        in_time = self._pace.take(len(data))
        if not (was_short and in_time) or self._writer.outbox.is_full or not receiver.has_room:
            self._keep()
        return True

    async def _hand_in_steps(self, receiver: Receiver, data: bytes) -> None:
        """Pass a long frame to the room; the rest is dropped when the connection ends."""
        seconds = 0.0
        async with aclosing(receiver.receive_in_steps(self._number, data)) as steps:
            async for took in steps:
                seconds += took
                if self._closed:
                    return
        self._pace.spend(seconds)

    def _hand_in(self, receiver: Receiver, data: bytes) -> bool:
        """Pass a frame to the room, and count the time that it takes: a few bytes may ask for much.

        Returns:
            Whether the next frame may be handled before other tasks run.
        """
        began = self._pace.now()
        receiver.receive(self._number, data)
        return self._pace.worked(began)
