"""The writing half of a connection: outgoing frames, and the closing notice.

As long as its socket accepts all, broadcasts go straight to it (`write`), and frames for it alone through the outbox
at once (`flush`). A task writes only while frames wait for a slow reader; there is one at a time. A connection that
is closing still sends the frames that must arrive, then a notice if the client understands it, then the close code.
Bounds: those of the outbox; one frame waits `slow_reader_seconds`, and the closing `_CLOSING_SECONDS`.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from pycrdt import Channel

from cosession.errors import CosessionError, TooSlow
from cosession.logs import get_logger
from cosession.protocol import KEEP_ALIVE
from cosession.room.send_queue import SendQueue
from cosession.settings import Settings

from .channel import Pack, Write, direct, refuse
from .ticker import Ticker

_CLOSING_SECONDS = 5.0
"""The time to send the reason of the end; a reader that has stopped reading must not hold up a shutdown."""

Take: TypeAlias = Callable[[SendQueue], list[bytes]]
"""A function that empties an outbox and returns the frames to send."""

log = get_logger(__name__)


class FrameWriter:
    """Writes to one connection.

    Args:
        number: the number of the connection.
        channel: the channel that frames are sent to.
        extended: whether it understands notices.
        settings: the limits.
        pulse: the ticker of keep-alive frames: many clients take silence for a lost network.
        rollup_seconds: how long frames are gathered before they are sent; 0 sends at once.

    Attributes:
        outbox: the frames that wait for it.
        write: puts packed frames on the wire past the outbox; None when they must be queued.
        pack: makes frames into bytes for `write`.
    """

    # A process has ten thousand of these, and one token goes through hundreds of them.
    __slots__ = (
        "_channel",
        "_cut_off",
        "_deadline",
        "_direct",
        "_done",
        "_end",
        "_ending",
        "_extended",
        "_gathering",
        "_given_up",
        "_group",
        "_number",
        "_place",
        "_pulse",
        "_rollup_seconds",
        "_sent",
        "_settings",
        "_take",
        "_task",
        "_way",
        "outbox",
        "pack",
        "write",
    )

    def __init__(
        self,
        number: int,
        channel: Channel,
        extended: bool,
        settings: Settings,
        pulse: Ticker,
        rollup_seconds: float = 0.0,
    ) -> None:
        self.outbox = SendQueue(settings.max_waiting_bytes, settings.max_merged_updates, settings.max_piece_bytes)
        self.write: Write | None = None
        self._number = number
        self._channel = channel
        self._direct = direct(channel)
        self.pack: Pack = b"".join if self._direct is None else self._direct.pack
        self._extended = extended
        self._settings = settings
        self._rollup_seconds = rollup_seconds
        self._way: Write | None = None
        self._take: Take | None = None
        self._end: Callable[[CosessionError], None] | None = None
        self._done: Callable[[], None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None
        self._sent: asyncio.Event | None = None
        self._gathering: asyncio.Event | None = None
        self._pulse = pulse
        self._place: int | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._ending: CosessionError | None = None
        self._cut_off = False
        """Whether frames were dropped: later frames would leave a gap, so only the reason may follow."""
        self._given_up = False

    def open(
        self,
        group: asyncio.TaskGroup,
        take: Take,
        end: Callable[[CosessionError], None],
        done: Callable[[], None],
    ) -> None:
        """Begin to write.

        Args:
            group: the task group of its task.
            take: empties the outbox.
            end: is called with the error that must end the connection.
            done: is called when the closing notice is sent, or the other side is gone.
        """
        self._group, self._take, self._end, self._done = group, take, end, done
        if self._direct is not None:
            self._direct.follow(self._follow)
        self._place = self._pulse.join(self._beat)
        if self._ending is not None:
            self._say_why()
        elif self.outbox:
            self.flush()

    def flush(self) -> None:
        """Send the outbox: at once if possible, else as fast as it is read."""
        if self.write is None or self._take is None or self.outbox.is_large:
            self._start()
            return
        try:
            frames = self._take(self.outbox)
        except CosessionError as error:
            self._fail(error)
        else:
            if frames:
                self.write(self.pack(frames))

    async def caught_up(self) -> None:
        """Wait until the other side has read what it asked for."""
        while self.outbox.is_full:
            self._sent = asyncio.Event()
            await self._sent.wait()

    def finish(self, error: CosessionError) -> bool:
        """Write the waiting frames and then the reason of the end; return False if an earlier reason stands."""
        if self._ending is not None:
            return False
        self._ending = error
        if self._gathering is not None:
            self._gathering.set()
        if self._take is not None:
            self._say_why()
        return True

    def leave(self) -> None:
        """Start no task, and stop a running one unless it sends the reason of the end: the other side hung up."""
        self._group = None  # a broadcast must not fail at a group that ends
        if self._ending is None and self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Release the channel and the room."""
        if self._direct is not None:
            self._direct.follow(None)
        self._take = self._end = self._done = self._way = self.write = None
        self._ending = None  # its frames hold the connection in turn
        if self._place is not None:
            self._pulse.leave(self._place, self._beat)
        if self._deadline is not None:
            self._deadline.cancel()

    def _follow(self, way: Write | None) -> None:
        self._way = way
        self._open_way()

    def _open_way(self) -> None:
        """Write past the outbox from now on, if no frame waits there."""
        is_free = self._task is None and self._ending is None and not self._rollup_seconds
        self.write = self._way if is_free and self._group is not None else None

    def _beat(self) -> None:
        if self._task is None:
            self.outbox.put_frame(KEEP_ALIVE)
            self.flush()

    def _start(self) -> None:
        if self._task is None and self._group is not None and self._take is not None:
            self._task = self._group.create_task(self._run(self._take))
            self._open_way()

    async def _run(self, take: Take) -> None:
        """Send waiting frames until there are none; when the connection is closing, send the reason."""
        try:
            while self.outbox and self._ending is None:
                if self._rollup_seconds and not self.outbox.is_split:
                    await self._gather()
                await asyncio.sleep(0)  # a large reply is split in steps, and other tasks run between them
                if not await self._send_waiting(take):
                    self._finished()
                    return
            if self._ending is not None:
                if self._cut_off or await self._send_waiting(take):
                    await refuse(self._channel, self._ending, extended=self._extended)
                self._finished()
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            self._finished()
        finally:
            self._task = None
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

    async def _send_waiting(self, take: Take) -> bool:
        """Send the waiting frames; return False when the other side is gone."""
        try:
            for frame in take(self.outbox):
                async with asyncio.timeout(self._settings.slow_reader_seconds):
                    await self._channel.send(frame)
        except TimeoutError:
            self._cut_off = True
            seconds = self._settings.slow_reader_seconds
            self._fail(TooSlow(f"Nothing was read for {seconds:g} s; connect again to catch up."))
        except CosessionError as error:
            self._fail(error)
        except Exception as error:
            if isinstance(error, OSError) or self._direct is None:  # other channels may raise any error
                log.debug("connection.lost", connection=self._number, error=repr(error))
            else:
                log.exception("connection.failed", connection=self._number)
            return False
        finally:
            if self._sent is not None:
                self._sent.set()
        return True

    def _say_why(self) -> None:
        """Send the reason of the end, within the time that is allowed."""
        self._start()
        self._open_way()
        self._deadline = asyncio.get_running_loop().call_later(_CLOSING_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Drop a connection whose other side doesn't read why it ends."""
        self._given_up = True
        if self._task is not None:
            self._task.cancel()
        if self._direct is not None:
            self._direct.abort()

    def _fail(self, error: CosessionError) -> None:
        if self._end is not None:
            self._end(error)

    def _finished(self) -> None:
        if self._done is not None:
            self._done()
