"""The heartbeat of a socket: whether somebody is still at its other end. A network that dies tells nobody.

At every beat it is looked what TCP knows: how much has come, how much of ours the other kernel has taken. Every other
beat the other side is asked for a sign of life (a ping). While something comes, it lives. When nothing came since the
last beat and it was asked before that:

- The question has not arrived yet, because it waits behind what a slow reader still has to take: it lives as long as
  its kernel takes something, or at least answers that it can't now. A network that is dead does neither.
- The question has arrived, at the other kernel or at a proxy: its reader gets a beat to come to it, and longer the
  more stood before it.

So who is silent is known to be gone within three beats, and who reads slowly, but reads, is left to the room.
"""

import fcntl
import socket
import struct
import termios
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Verdict: TypeAlias = Literal["wait", "ask", "gone"]

_SLOWEST_BYTES_PER_SECOND: Final = 65_536
"""What a reader takes at least of what its kernel, or a proxy, holds for it, also on a bad mobile network."""

_UNANSWERED: Final = 2
"""How often TCP asks in vain before the other kernel is taken to be gone; one packet may be lost on its way."""

_TCP_INFO: Final = struct.Struct("=2xBB116xQQ")
"""Of Linux's `struct tcp_info`: retransmits, probes, bytes_acked, bytes_received."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a socket.

    Attributes:
        received: how many bytes have come.
        taken: how many of ours the other kernel has acknowledged.
        waiting: how many of ours it hasn't.
        unanswered: how often TCP has asked it in vain since it last answered.
        held: whether it is we who don't read.
    """

    received: int
    taken: int
    waiting: int
    unanswered: int
    held: bool


class Heartbeat:
    """What was last known of the other end.

    Args:
        beat_seconds: how long a beat is.
        patience_seconds: how long it may take a reader to come to a question that has arrived.
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
        """Where in all that was sent the question ends."""
        self._read = 0
        """How much of it has surely been read."""
        self._taken = 0

    def answered(self) -> None:
        """Hear the answer to a question."""
        self._asked_at = None
        self._read = self._question

    def beat(self, signs: Signs, now: float) -> Verdict:
        """Judge, once a beat.

        Returns:
            `ask` to send a ping now, `gone` to drop the socket.
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
    """Whether this system tells what a heartbeat needs: Linux does."""
    if not hasattr(socket, "TCP_INFO"):
        return False
    try:
        return len(_tcp_info(sock)) == _TCP_INFO.size
    except OSError:
        return False


def look(sock: Any, buffered: int, held: bool) -> Signs:
    """Look what TCP knows of a socket.

    Args:
        sock: the socket.
        buffered: how many bytes wait in this process to be written to it.
        held: whether we don't read from it.

    Raises:
        OSError: it is closed.
    """
    retransmits, probes, taken, received = _TCP_INFO.unpack(_tcp_info(sock))
    queued = int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), "little")
    return Signs(received, taken, queued + buffered, retransmits + probes, held)


def _tcp_info(sock: Any) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
