"""What waits for one connection, merged while it waits. Pure: no loop, no socket.

Three kinds wait: frames that must arrive as they are (sync replies, fences), updates, and presence. While a
reader is busy, updates merge into few frames and of presence only the latest state of each client is kept, so
load makes frames fewer and larger, not later.

Bound: when more than `max_bytes` of updates wait, they are all dropped, and the reader is sent one diff of the
document from where it was when it can read again: it loses its queue, never its data. Frames that must arrive
are replies to what the connection itself asked, one for one, and their number is bounded by the room.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from pycrdt import merge_updates

from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    SyncUpdate,
    encode_awareness,
    encode_frame,
    encode_state_vector,
)

from .effects import Update

_MERGED_AT_ONCE = 256
"""Merging grows faster than linearly and holds the loop: more than this go out as several frames."""


class Outbox:
    """The queue of one connection.

    Args:
        max_bytes: how many bytes of updates may wait.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._frames: deque[bytes] = deque()
        self._updates: list[Update] = []
        self._update_bytes = 0
        self._behind: dict[int, int] | None = None
        self._presence: dict[int, AwarenessEntry] = {}

    def __bool__(self) -> bool:
        return bool(self._frames or self._updates or self._presence or self._behind is not None)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of updates wait."""
        return self._update_bytes

    def put_frame(self, frame: bytes) -> None:
        """Queue a frame that must arrive as it is."""
        self._frames.append(frame)

    def put_update(self, update: Update, vector: Mapping[int, int]) -> None:
        """Queue an update.

        Args:
            update: the update.
            vector: the document's state vector with the update in it; read only when the queue overflows.
        """
        if self._behind is not None:
            return
        self._updates.append(update)
        self._update_bytes += len(update.update)
        if self._update_bytes > self._max_bytes:
            self._fall_behind(vector)

    def put_presence(self, entries: Iterable[AwarenessEntry]) -> None:
        """Queue presence; a newer state of a client replaces the one that waits."""
        for entry in entries:
            self._presence[entry.client] = entry

    def take(self, diff: Callable[[bytes], bytes]) -> list[bytes]:
        """Empty the queue into frames, in the order in which they must be sent.

        Args:
            diff: gives what a document at an (encoded) state vector lacks.
        """
        frames = list(self._frames)
        self._frames.clear()
        if self._behind is not None:
            frames.append(encode_frame(SyncUpdate(diff(encode_state_vector(self._behind)))))
            self._behind = None
        frames.extend(
            _merge(self._updates[start : start + _MERGED_AT_ONCE])
            for start in range(0, len(self._updates), _MERGED_AT_ONCE)
        )
        self._updates.clear()
        self._update_bytes = 0
        if self._presence:
            frames.append(encode_frame(Awareness(encode_awareness(self._presence.values()))))
            self._presence.clear()
        return frames

    def _fall_behind(self, vector: Mapping[int, int]) -> None:
        behind = dict(vector)
        for update in self._updates:
            for span in update.brings:
                behind[span.client] = min(behind.get(span.client, 0), span.clock)
        self._behind = {client: clock for client, clock in behind.items() if clock}
        self._updates.clear()
        self._update_bytes = 0


def _merge(updates: list[Update]) -> bytes:
    if len(updates) == 1:
        return updates[0].frame
    return encode_frame(SyncUpdate(merge_updates(*(update.update for update in updates))))
