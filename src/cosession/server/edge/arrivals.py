"""Large frames on their way in, of all sockets of a process: their memory has one bound, `max_arriving_bytes`.

The bodies of requests have one of their own, of the same size: there a frame is a body, and a socket a request.

A frame counts from its first `SMALL_BYTES` until it has been taken in. Beyond half of the bound another large frame
has to wait, and TCP holds its sender back; next is one of the address with the fewest frames in. Beyond the bound the
slowest unfinished frame of the address that holds most is given up; while frames wait, so are those that stand
still. A socket that loses its frame is closed with 4503, after which clients try again. Small frames always go on;
a socket's next large one waits until its last is taken.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

SMALL_BYTES = 2**16
"""What each socket may hold of a frame without being counted."""

_LOOK_SECONDS = 1.0
_LEAST_BYTES = 2**15
_PATIENCE = 3
"""While others wait, a frame must grow by so many bytes between two looks; so many may find that it didn't."""


class Sender(Protocol):
    """A socket, as far as its large frames are concerned."""

    @property
    def address(self) -> str:
        """Where it comes from."""
        ...

    def go_on(self) -> None:
        """Read on: there is room for the frame."""
        ...

    def give_up(self) -> None:
        """Forget the unfinished frame, and close the socket with a code that clients try again."""
        ...


@dataclass(slots=True)
class _Frame:
    """A large frame.

    Attributes:
        address: what its sender counts as.
        since: when it was let in, by the loop's clock.
        size: its bytes so far.
        seen: how many there were at the last look.
        stood: how many looks in a row have found that it hardly grew.
        is_whole: whether all of it has come.
    """

    address: str
    since: float
    size: int = 0
    seen: int = 0
    stood: int = 0
    is_whole: bool = False


class Arrivals:
    """The large frames that are on their way in.

    Args:
        most: the bytes that they may have together; room for two of the largest frames at least.
        key: what an address counts as; None counts by itself.
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
        """Note how large the unfinished frame of a socket has become.

        Returns:
            False when the socket may not be read on: until its `go_on` is called, or for good after its `give_up`.
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
        """Note that the frame of a socket is whole: it stays until it is taken in."""
        if (frame := self._frames.get(sender)) is not None:
            frame.is_whole = True

    def release(self, sender: Sender) -> None:
        """Forget the frame of a socket: it was taken in, or the socket is gone."""
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
        """Let those go on that wait, as far as there is room."""
        while self._waiting and self._sum < self._most // 2:
            sender, address = min(self._waiting.items(), key=lambda one: self._count[one[1]])
            del self._waiting[sender]
            self._let_in(sender, address)
            sender.go_on()

    def _slowest(self) -> Sender:
        """The socket of which the unfinished frame is given up first; there is one, for only such a frame grows."""
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
        """Look again soon, as long as any frame waits."""
        if self._look is None and self._waiting:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_at_all)

    def _look_at_all(self) -> None:
        """Give up the frames that stand still and hold others up."""
        self._look = None
        for sender, frame in list(self._frames.items()):
            grew, frame.seen = frame.size - frame.seen, frame.size
            frame.stood = 0 if frame.is_whole or grew >= _LEAST_BYTES else frame.stood + 1
            if frame.stood >= _PATIENCE:
                self._give_up(sender)
        self._watch()
