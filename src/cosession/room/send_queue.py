"""The queue of frames for one connection, merged while they wait. Pure: no loop, no socket.

It holds three kinds: frames that must arrive as they are (sync replies, fences), updates, and presence. While a
reader is busy, updates merge into few frames and of presence only the latest state of each client is kept, so
load makes frames fewer and larger, not later.

A reply larger than a piece (a first sync, the diff of a reader that was far behind) is sent in pieces, because a
client that receives no whole frame for long disconnects. Meanwhile updates wait for the last piece, because they
depend on it; all other frames are sent in between. The presence of very many clients takes several frames as well.

Bound: when more than `max_bytes` of updates wait, they are all dropped, and the reader is sent one diff of the
document from its last state when it can read again: it loses its queue, never its data. Frames that must arrive
answer frames of the connection itself: while more than `max_bytes` of them wait (`is_full`), it is not read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pycrdt import merge_updates

from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    KeptValues,
    SyncUpdate,
    encode_awareness,
    encode_frame,
    encode_state_vector,
)

from .effects import Update
from .sync_reply import Reply, in_pieces

_LARGE_BYTES = 65_536
"""The bytes that a socket buffers before it reports that it is full."""


_MERGED_BYTES = 16_384
"""The bytes that are merged into one frame: larger updates are sent one by one, which is hardly more bytes; merging
them takes long if they are values, because each is read."""


class SendQueue:
    """The queue of one connection.

    Args:
        max_bytes: how many bytes of updates may wait.
        merged: how many updates become one frame at most.
        piece_bytes: the approximate size of a frame.
    """

    __slots__ = (
        "_echoes",
        "_frame_bytes",
        "_frames",
        "_large",
        "_max_bytes",
        "_merged",
        "_missed",
        "_piece_bytes",
        "_pieces",
        "_presence",
        "_presence_size",
        "_update_bytes",
        "_updates",
    )

    def __init__(self, max_bytes: int, merged: int, piece_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._merged = merged
        self._piece_bytes = piece_bytes
        self._frames: list[bytes] = []
        self._frame_bytes = 0
        self._updates: list[Update] = []
        self._update_bytes = 0
        self._echoes: list[Update] = []
        self._missed: dict[int, int] | None = None
        self._large: list[tuple[int, Iterator[bytes]]] = []
        self._pieces: Iterator[bytes] | None = None
        self._presence: dict[int, AwarenessEntry] = {}
        self._presence_size = 0

    def __bool__(self) -> bool:
        return bool(
            self._frames or self._updates or self._echoes or self._presence or self.is_behind or self.is_split
        )

    @property
    def waiting_bytes(self) -> int:
        """The bytes of the updates that wait."""
        return self._update_bytes

    @property
    def is_behind(self) -> bool:
        """Whether the reader has missed updates, and gets a diff in their place."""
        return self._missed is not None

    @property
    def is_large(self) -> bool:
        """Whether so much waits that it should be sent piece by piece, as it is read."""
        if self._presence_size > min(_LARGE_BYTES, self._piece_bytes):
            return True
        return self._frame_bytes + self._update_bytes > _LARGE_BYTES or self.is_behind or self.is_split

    @property
    def is_split(self) -> bool:
        """Whether something large is being sent in pieces, and `take` gives no more than the next of them."""
        return bool(self._large) or self._pieces is not None

    @property
    def is_full(self) -> bool:
        """Whether so many answers wait that the connection shouldn't be read: they can't be merged or dropped."""
        return self._frame_bytes > self._max_bytes

    def put_frame(self, frame: bytes) -> None:
        """Queue a frame that must arrive as it is."""
        self._frames.append(frame)
        self._frame_bytes += len(frame)

    def put_reply(self, reply: Reply) -> None:
        """Queue the reply to a sync step 1."""
        if reply.is_large:
            self._put_large(reply.size, iter(reply))
        else:
            self.put_frame(next(iter(reply)))

    def put_updates(self, updates: Sequence[Update]) -> None:
        """Queue updates, in their order; when too many wait, only note the clocks where the gap begins."""
        if self._missed is None:
            self._updates += updates
            self._update_bytes += sum(len(update.update) for update in updates)
            if self._update_bytes <= self._max_bytes:
                return
            updates, self._updates, self._update_bytes = self._updates, [], 0
            self._missed = {}
        for update in updates:
            for span in update.brings:
                self._missed[span.client] = min(span.clock, self._missed.get(span.client, span.clock))

    def put_echo(self, update: Update) -> None:
        """Queue an update of the connection's own, which is committed now.

        It is kept apart: a diff in place of it would also bring back updates that aren't committed yet.
        """
        if len(update.update) > self._piece_bytes:
            self._put_large(len(update.update), in_pieces(update.update, self._piece_bytes))
            return
        self._echoes.append(update)
        self._frame_bytes += len(update.frame)

    def put_presence(self, entries: Iterable[AwarenessEntry]) -> None:
        """Queue presence; a newer state of a client replaces the one that waits."""
        for entry in entries:
            before = self._presence.get(entry.client)
            self._presence_size += len(entry.state) - (0 if before is None else len(before.state))
            self._presence[entry.client] = entry

    def take(self, diff: Callable[[bytes], bytes], vector: Mapping[int, int]) -> list[bytes]:
        """Return the queued frames, in the order in which they must be sent; of a large reply, one piece.

        Args:
            diff: returns the update that a document at an (encoded) state vector lacks.
            vector: the room's state vector now.
        """
        frames, self._frames, self._frame_bytes = self._frames, [], 0
        if self._pieces is None and self._large:
            _, self._pieces = self._large.pop(0)
        self._frame_bytes = sum(size for size, _ in self._large)
        if self._missed is not None and self._pieces is None:
            behind = {client: min(clock, self._missed.get(client, clock)) for client, clock in vector.items()}
            self._pieces = in_pieces(diff(encode_state_vector(behind)), self._piece_bytes)
            self._missed = None
        frames += self._next_piece()
        if not self.is_split:
            frames += merge(self._updates, self._merged)
            self._updates.clear()
            self._update_bytes = 0
        frames += merge(self._echoes, self._merged)
        self._echoes.clear()
        if self._presence:
            frames.append(encode_frame(Awareness(encode_awareness(self._next_presence()))))
        return frames

    def _next_presence(self) -> list[AwarenessEntry]:
        """Return the entries of the next frame; the rest waits as entries, which all connections share."""
        if self._presence_size <= self._piece_bytes:
            entries = list(self._presence.values())
            self._presence.clear()
            self._presence_size = 0
            return entries
        entries, size = list[AwarenessEntry](), 0
        for entry in self._presence.values():
            size += len(entry.state)
            if entries and size > self._piece_bytes:
                break
            entries.append(entry)
        for entry in entries:
            self._presence_size -= len(self._presence.pop(entry.client).state)
        return entries

    def _put_large(self, size: int, pieces: Iterator[bytes]) -> None:
        self._large.append((size, pieces))
        self._frame_bytes += size

    def _next_piece(self) -> list[bytes]:
        """Return the next frame of the reply that is sent in pieces, if it is ready."""
        if self._pieces is None:
            return []
        piece = next(self._pieces, None)
        if piece is None:
            self._pieces = None
        return [piece] if piece else []


def merge(updates: Sequence[Update], at_once: int) -> list[bytes]:
    """Turn updates into sync frames, merging up to `at_once` small ones that follow each other into each."""
    frames: list[bytes] = []
    batches: list[list[Update]] = []
    size = _MERGED_BYTES
    for update in updates:
        size += len(update.update)
        if size > _MERGED_BYTES or len(batches[-1]) >= at_once:
            batches.append([])
            size = len(update.update)
        batches[-1].append(update)
    for batch in batches:
        if len(batch) == 1:
            frames.append(batch[0].frame)
        else:
            parts = [update.update for update in batch]
            frames.append(encode_frame(SyncUpdate(KeptValues(parts).restore(merge_updates(*parts)))))
    return frames
