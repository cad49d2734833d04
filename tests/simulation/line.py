"""A connection between a simulated client and the server, with delays, breaks and readers that stand still."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from pycrdt import Channel


class Caller(Protocol):
    """Whose line it is."""

    def hear(self, line: "Line", frame: bytes) -> None:
        """Take a frame in."""
        ...

    def hung_up(self, line: "Line", code: int, reason: str) -> None:
        """Learn that the line is gone; 1006 when it broke."""
        ...


class Line(Channel):
    """The server's end is a pycrdt `Channel`; the client's end is `say`, `cut` and `pause`.

    Frames of one line arrive in order, as on TCP; those of two lines in any order.

    Args:
        caller: the client.
        session: what it asks for.
        random: decides every delay.
        window: how many bytes may be on their way to the client before the server has to wait.
    """

    def __init__(self, caller: Caller, session: str, random: Random, window: int) -> None:
        self._caller = caller
        self._session = session
        self._random = random
        self._window = window
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._latest = {"in": 0.0, "out": 0.0}
        self._pace = random.choice((0.0, 0.005, 0.05, 0.3))
        self._on_the_way = 0
        self._held: deque[bytes] = deque()
        self._moved = asyncio.Event()
        self._broken = False
        self._ended = False
        self.open = True
        self.paused = False
        self.heard_at = self._loop.time()
        self.stuck_at: float | None = None

    @property
    def path(self) -> str:
        """The session's id."""
        return self._session

    # --- the client's end -------------------------------------------------------------------------------------

    def say(self, frame: bytes) -> None:
        """Send a frame to the server."""
        if self.open:
            self._later("in", lambda: self._arrive(frame))

    def cut(self, *, noticed_after: float = 0.0, losing: bool = True) -> None:
        """Break the line: what is on its way to the client is lost, and the client knows.

        Args:
            noticed_after: when the server learns of it.
            losing: whether what is on its way to the server is lost too.
        """
        if not self.open:
            return
        self.open = False
        self._broken = losing
        self._moved.set()
        at = max(self._latest["in"] + 1e-5, self._loop.time() + noticed_after)
        self._loop.call_at(at, self._inbox.put_nowait, None)

    def pause(self, paused: bool) -> None:
        """Stop reading, or read again."""
        self.paused = paused
        while self._held and not self.paused:
            self._hand_over(self._held.popleft())

    def _arrive(self, frame: bytes) -> None:
        if not self._broken:
            self._inbox.put_nowait(frame)

    # --- the server's end -------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether the server must wait before it sends more."""
        return self._on_the_way > self._window

    async def send(self, message: bytes) -> None:
        """Send a frame to the client, once there is room for it."""
        self.stuck_at = self._loop.time() if self.full else None
        while self.full and self.open:
            self._moved.clear()
            await self._moved.wait()
        self.stuck_at = None
        self._send(message)

    async def recv(self) -> bytes:
        """Receive a frame of the client."""
        return await self.__anext__()

    async def __anext__(self) -> bytes:
        frame = await self._inbox.get()
        if frame is None:
            self._inbox.put_nowait(None)
            raise StopAsyncIteration
        return frame

    async def close(self, code: int, reason: str) -> None:
        """Close the line, saying why."""
        self._ended, self.stuck_at = True, None
        self._later("out", lambda: self._closed(code, reason))
        self._inbox.put_nowait(None)

    def die(self) -> None:
        """The server's process is gone: nothing more is sent, and the client learns of it."""
        self._ended, self.stuck_at = True, None
        self._later("out", lambda: self._closed(1006, ""))

    def _send(self, message: bytes) -> None:
        self._on_the_way += len(message)
        self._later("out", lambda: self._deliver(message))

    def _deliver(self, frame: bytes) -> None:
        if self.paused:
            self._held.append(frame)
        else:
            self._hand_over(frame)

    def _hand_over(self, frame: bytes) -> None:
        self._on_the_way -= len(frame)
        self._moved.set()
        self.heard_at = self._loop.time()
        if self.open:
            self._caller.hear(self, frame)

    def _closed(self, code: int, reason: str) -> None:
        if self.open:
            self.pause(False)
            self.open = False
            self._inbox.put_nowait(None)
            self._caller.hung_up(self, code, reason)

    def _later(self, way: str, act: Callable[[], None]) -> None:
        at = self._loop.time() + self._pace * self._random.random()
        self._latest[way] = at = max(at, self._latest[way] + 1e-5)
        self._loop.call_at(at, act)


class DirectLine(Line):
    """A line that can also be used without a task, as our own sockets can."""

    _receiver: Callable[[bytes], None] | None = None
    _on_change: Callable[[Callable[[bytes], None] | None], None] | None = None

    @staticmethod
    def pack(frames: Sequence[bytes]) -> bytes:
        """Make one piece of bytes out of frames."""
        return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)

    def follow(self, on_change: Callable[[Callable[[bytes], None] | None], None] | None) -> None:
        """Tell how to write at once, now and at every change."""
        self._on_change = on_change
        self._tell()

    def pause(self, paused: bool) -> None:
        """Stop reading, or read again."""
        super().pause(paused)
        self._tell()

    def cut(self, *, noticed_after: float = 0.0, losing: bool = True) -> None:
        """Break the line; see `Line.cut`."""
        super().cut(noticed_after=noticed_after, losing=losing)
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change(None if self.full or self.paused or not self.open else self._write)

    def _write(self, packed: bytes) -> None:
        while packed:
            end = 4 + int.from_bytes(packed[:4], "big")
            self._send(packed[4:end])
            packed = packed[end:]

    def _send(self, message: bytes) -> None:
        super()._send(message)
        self._tell()

    def _hand_over(self, frame: bytes) -> None:
        super()._hand_over(frame)
        self._tell()

    def listen(self, receiver: Callable[[bytes], None] | None) -> None:
        """Hand frames over as they come, unless some wait."""
        self._receiver = receiver

    def _arrive(self, frame: bytes) -> None:
        if self._receiver is None or not self._inbox.empty() or self._broken or self._ended:
            super()._arrive(frame)
        else:
            self._receiver(frame)
