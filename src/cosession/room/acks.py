"""Receipts: they tell a connection that the log holds its writes: an echo to any client, a fence on request.

Invariant: an ack leaves only after `committed` says that the log holds all that it stands for. Bounds: a fence is
small, and `max_fences` of a connection wait; an echo is held as long as its row, and waits with it for the disk.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from cosession.errors import TooFast, TooLarge
from cosession.protocol import Fence, encode_frame

from .effects import Echo, Effect, Send, Update
from .peer import Peer

_FENCE_BYTES = 1024
"""The size of a fence's payload that is allowed: many fences may wait for the disk, so none may be large."""


@dataclass(slots=True)
class _Receipt:
    """An ack that is sent when a version is committed: the connection's own update, or the frame of its fence."""

    version: int
    connection: int
    content: Update | bytes


class Acks:
    """The acks of one room that wait for the disk.

    Args:
        version: the version that the log holds.
        max_fences: how many fences of one connection may wait.

    Attributes:
        committed_version: the version that the log is known to hold.
    """

    __slots__ = ("_max_fences", "_waiting", "committed_version")

    def __init__(self, version: int, max_fences: int) -> None:
        self.committed_version = version
        self._max_fences = max_fences
        self._waiting: list[_Receipt] = []

    def owe_echo(self, version: int, connection: int, update: Update) -> None:
        """Note that a connection gets its update back when it is committed: the newest version of all."""
        self._waiting.append(_Receipt(version, connection, update))

    def fence(self, version: int, connection: int, peer: Peer, payload: bytes) -> list[Effect]:
        """Send a fence back when all before it is committed; it is held while there is a gap before it.

        Args:
            version: the newest version of all.
            connection: the connection that sent it.
            peer: what is known of it.
            payload: what the fence holds.

        Raises:
            TooFast: too many fences of the connection wait.
            TooLarge: the payload is larger than allowed.
        """
        if len(payload) > _FENCE_BYTES:
            raise TooLarge(f"The payload of a fence is larger than {_FENCE_BYTES} bytes; a number is enough.")
        frame = encode_frame(Fence(payload))
        if self.committed_version >= version and not peer.gap:
            return [Send(connection, frame)]
        if peer.fences >= self._max_fences:
            raise TooFast(f"More than {self._max_fences} fences wait for the disk; send one at a time.")
        peer.fences += 1
        if peer.gap:
            peer.held.append(payload)
        else:
            self._waiting.append(_Receipt(version, connection, frame))
        return []

    def release(self, version: int, connection: int, peer: Peer) -> list[Effect]:
        """Send or queue the fences that waited for a gap to be filled: they stand for the newest version now."""
        held, peer.held = peer.held, []
        peer.fences -= len(held)
        return [effect for payload in held for effect in self.fence(version, connection, peer, payload)]

    def committed(self, version: int, peers: Mapping[int, Peer]) -> list[Effect]:
        """Note that the log holds everything up to a version, and send its acks to the connections still open."""
        self.committed_version = version
        count = bisect_right(self._waiting, version, key=lambda ack: ack.version)
        acks, self._waiting = self._waiting[:count], self._waiting[count:]
        effects: list[Effect] = []
        for ack in acks:
            peer = peers.get(ack.connection)
            if peer is None:
                continue
            if isinstance(ack.content, Update):
                effects.append(Echo(ack.content, ack.connection))
            else:
                peer.fences -= 1
                effects.append(Send(ack.connection, ack.content))
        return effects
