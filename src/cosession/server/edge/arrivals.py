"""Large frames that are arriving on the sockets of a process: their memory has one limit, `max_arriving_bytes`.

The bodies of requests have a limit of their own, of the same size: there a frame is a body, and a socket a request.

A frame counts from its first `SMALL_BYTES` until it has been processed. Beyond half of the limit another large frame
has to wait, and TCP holds its sender back; the address with the fewest frames is next. Beyond the limit the slowest
unfinished frame of the address that holds most is dropped; while frames wait, stalled frames are dropped too. A
socket that loses its frame is closed with 4503, after which clients try again. Small frames are never delayed; a
socket's next large frame waits until the one before is processed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

SMALL_BYTES = 2**16
"""The size up to which the frame of a socket isn't counted."""

_LOOK_SECONDS = 1.0
_LEAST_BYTES = 2**15
_PATIENCE = 3
"""While other frames wait, a frame must grow by `_LEAST_BYTES` between two checks; after `_PATIENCE` checks in a row
without that, it is dropped."""


class Sender(Protocol):
    """The interface of a socket that receives large frames."""

    @property
    def address(self) -> str:
        """The client's address."""
        ...

    def go_on(self) -> None:
        """Continue to read: there is room for the frame."""
        ...

    def give_up(self) -> None:
        """Drop the unfinished frame, and close the socket with a code after which clients try again."""
        ...


@dataclass(slots=True)
class _Frame:
    """A large frame.

    Attributes:
        address: the key that its sender's address counts as.
        since: when it was admitted, by the loop's clock.
        size: its bytes so far.
        seen: its size at the last check.
        stood: the number of checks in a row that found too little growth.
        is_whole: whether it has arrived completely.
    """

    address: str
    since: float
    size: int = 0
    seen: int = 0
    stood: int = 0
    is_whole: bool = False


class Arrivals:
    """The large frames that are arriving.

    Args:
        most: the bytes that they may have together; room for two of the largest frames at least.
        key: returns the key that an address counts as; where it returns None, the address is the key.
    """

    def __init__(self, most: int, key: Callable[[str], str | None]) -> None:
        self._most = most
        self._key = key
        self._frames: dict[Sender, _Frame] = {}
        self._bytes: Counter[str] = Counter()
        self._count: Counter[str] = Counter()
        self._sum = 0
        self._waiting: dict[Sender, str] = {}
        self._look: asyncio.TimerHandle | None = None

    def grow(self, sender: Sender, size: int) -> bool:
        """Record the size of a socket's unfinished frame.

        Returns:
            False when the socket must not be read: until its `go_on` is called, or for good after its `give_up`.
        """
        frame = self._frames.get(sender)
        if frame is None:
            address = self._key(sender.address) or sender.address
            if self._sum >= self._most // 2:
                self._waiting[sender] = address
                self._watch()
                return False
            frame = self._let_in(sender, address)
        self._add(frame, size - frame.size)
        while self._sum > self._most:
            self._give_up(self._slowest())
        return sender in self._frames

    def finish(self, sender: Sender) -> None:
        """Record that the frame of a socket is complete: it counts until `release`."""
        if (frame := self._frames.get(sender)) is not None:
            frame.is_whole = True

    def release(self, sender: Sender) -> None:
        """Remove the frame of a socket: it was processed, or the socket is closed."""
        self._waiting.pop(sender, None)
        if (frame := self._frames.pop(sender, None)) is not None:
            self._add(frame, -frame.size)
            self._count[frame.address] -= 1
            if not self._count[frame.address]:
                del self._count[frame.address], self._bytes[frame.address]
            self._admit()

    def _let_in(self, sender: Sender, address: str) -> _Frame:
        frame = self._frames[sender] = _Frame(address, asyncio.get_running_loop().time())
        self._count[address] += 1
        self._add(frame, SMALL_BYTES)
        return frame

    def _add(self, frame: _Frame, more: int) -> None:
        frame.size += more
        self._bytes[frame.address] += more
        self._sum += more

    def _admit(self) -> None:
        """Admit waiting frames, as far as there is room."""
        while self._waiting and self._sum < self._most // 2:
            sender, address = min(self._waiting.items(), key=lambda one: self._count[one[1]])
            del self._waiting[sender]
            self._let_in(sender, address)
            sender.go_on()

    def _slowest(self) -> Sender:
        """Return the socket whose unfinished frame is dropped first; one exists, because only such a frame grows."""
        now = asyncio.get_running_loop().time()
        unfinished = ((sender, frame) for sender, frame in self._frames.items() if not frame.is_whole)

        def rank(one: tuple[Sender, _Frame]) -> tuple[int, float]:
            frame = one[1]
            return -self._bytes[frame.address], frame.size / max(now - frame.since, 0.001)

        return min(unfinished, key=rank)[0]

    def _give_up(self, sender: Sender) -> None:
        self.release(sender)
        sender.give_up()

    def _watch(self) -> None:
        """Schedule the next check, as long as any frame waits."""
        if self._look is None and self._waiting:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_at_all)

    def _look_at_all(self) -> None:
        """Drop the frames that are stalled while others wait."""
        self._look = None
        for sender, frame in list(self._frames.items()):
            grew, frame.seen = frame.size - frame.seen, frame.size
            frame.stood = 0 if frame.is_whole or grew >= _LEAST_BYTES else frame.stood + 1
            if frame.stood >= _PATIENCE:
                self._give_up(sender)
        self._watch()
