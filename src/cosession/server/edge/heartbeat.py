"""The heartbeat of a socket: detects a dead peer, which a broken network doesn't report.

Every beat reads TCP's counters: the bytes received, and our bytes that the peer's kernel has acknowledged. Every
other beat sends a ping. A peer from which something arrives is alive. When nothing arrived since the last beat, and
the ping was sent before that:

- The ping has not arrived yet, because it is queued behind data for a slow reader: the peer is alive as long as its
  kernel acknowledges something, or at least answers that its window is full. A dead network does neither.
- The ping has arrived, at the peer's kernel or at a proxy: the reader gets one beat to answer it, and longer the more
  data was queued before it.

So a silent peer is detected within three beats, and a peer that reads slowly, but reads, is left to the room.
"""

import fcntl
import socket
import struct
import termios
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Verdict: TypeAlias = Literal["wait", "ask", "gone"]

_SLOWEST_BYTES_PER_SECOND: Final = 65_536
"""The lowest rate assumed of a reader for data that its kernel or a proxy buffers, also on a bad mobile network."""

_UNANSWERED: Final = 2
"""TCP retransmissions and probes without an answer after which the peer is considered gone; one may be lost."""

_TCP_INFO: Final = struct.Struct("=2xBB116xQQ")
"""Fields of Linux's `struct tcp_info`: retransmits, probes, bytes_acked, bytes_received."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The state of a socket at a beat.

    Attributes:
        received: bytes that have arrived.
        taken: our bytes that the peer's kernel has acknowledged.
        waiting: our bytes that it hasn't acknowledged.
        unanswered: TCP retransmissions and probes since its last answer.
        held: whether this side doesn't read.
    """

    received: int
    taken: int
    waiting: int
    unanswered: int
    held: bool


class Heartbeat:
    """The last known state of the peer.

    Args:
        beat_seconds: the length of a beat.
        patience_seconds: the longest time that a reader may take to answer a ping that has arrived.
    """

    __slots__ = (
        "_ask_next",
        "_asked_at",
        "_beat",
        "_heard_at",
        "_patience",
        "_question",
        "_read",
        "_received",
        "_taken",
    )

    def __init__(self, beat_seconds: float, patience_seconds: float) -> None:
        self._beat = beat_seconds
        self._patience = patience_seconds
        self._received: int = -1
        self._heard_at = 0.0
        self._asked_at: float | None = None
        self._ask_next = False
        self._question = 0
        """The end of the last ping, as an offset in all bytes sent."""
        self._read = 0
        """The offset up to which the peer has surely read."""
        self._taken = 0

    def answered(self) -> None:
        """Record the answer to a ping."""
        self._asked_at = None
        self._read = self._question

    def beat(self, signs: Signs, now: float) -> Verdict:
        """Judge the peer; called once a beat.

        Returns:
            `ask` to send a ping now, `gone` to drop the socket, `wait` to do nothing.
        """
        if signs.received != self._received or signs.held:
            self._received, self._heard_at = signs.received, now
        elif self._asked_at is not None and self._is_gone(signs, self._asked_at, now):
            return "gone"
        self._taken = signs.taken
        if self._asked_at is not None:
            return "wait"
        self._ask_next = not self._ask_next
        if not self._ask_next:
            return "wait"
        self._asked_at = now
        self._question = signs.taken + signs.waiting
        return "ask"

    def _is_gone(self, signs: Signs, asked_at: float, now: float) -> bool:
        if signs.taken < self._question:
            if signs.taken > self._taken or signs.unanswered < _UNANSWERED:
                self._heard_at = now
                return False
            return True
        unread = max(0, self._question - self._read)
        allowed = min(self._beat + unread / _SLOWEST_BYTES_PER_SECOND, max(self._patience, self._beat))
        return now - max(asked_at, self._heard_at) >= allowed * 0.99  # timers are not that exact


def can_look(sock: Any) -> bool:
    """Whether this system has the TCP counters that a heartbeat needs: Linux does."""
    if not hasattr(socket, "TCP_INFO"):
        return False
    try:
        return len(_tcp_info(sock)) == _TCP_INFO.size
    except OSError:
        return False


def look(sock: Any, buffered: int, held: bool) -> Signs:
    """Read TCP's counters of a socket.

    Args:
        sock: the socket.
        buffered: bytes that wait in this process to be written to it.
        held: whether this side doesn't read from it.

    Raises:
        OSError: it is closed.
    """
    retransmits, probes, taken, received = _TCP_INFO.unpack(_tcp_info(sock))
    queued = int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), "little")
    return Signs(received, taken, queued + buffered, retransmits + probes, held)


def _tcp_info(sock: Any) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
