"""A reply to sync step 1: what somebody's document lacks, in the frames that bring it.

What is larger than a piece goes in several frames (see `outbox`), of which the last is the step 2. They are made as
they are first needed, and once for all who are sent the same reply: a hundred people who open a large session
together cost little more than one.
"""

from collections.abc import Callable, Generator, Iterator
from weakref import WeakSet, ref

from cosession.protocol import EMPTY_UPDATE, Encoded, SyncStep2, SyncUpdate, encode_frame, split_update

_KEPT_BYTES = 16_384
"""From which size on a reply is kept."""


OWN_BYTES = 64 * 2**20
"""What the replies of one session that aren't shared may hold while they are being read."""


class SharedFrame(bytes):
    """A frame that several may be sent.

    Attributes:
        wire: what a channel keeps of having sent it, for the next time; None when it is new.
    """

    wire: object = None


class Reply:
    """What a document lacks.

    Args:
        lacks: it.
        piece_bytes: how much is sent in one frame, about.

    Attributes:
        size: its bytes, about.
        is_large: whether it goes in pieces.
    """

    __slots__ = ("__weakref__", "_frames", "_rest", "is_large", "size")

    def __init__(self, lacks: Encoded, piece_bytes: int) -> None:
        self.size = lacks.size
        self.is_large = self.size > piece_bytes
        self._frames: list[bytes] = []
        self._rest = _in_frames(lacks, piece_bytes) if self.is_large else iter((_last(lacks.update()),))

    def __iter__(self) -> Iterator[bytes]:
        """The frames; an empty one is none yet: others may have their turn."""
        position = 0
        while True:
            while position < len(self._frames):
                yield self._frames[position]
                position += 1
            frame = next(self._rest, None)
            if frame is None:
                return
            if frame:
                self._frames.append(frame)
            else:
                yield frame


class Openings:
    """The replies to who opens a session, with nothing of it yet: one for all while somebody is being sent it.

    When a second reader comes soon after the first, it is kept for the next ones. Not for the first alone: a thousand
    sessions that are opened at once, each by one reader, would all be kept.

    Args:
        piece_bytes: how much is sent in one frame, about.
        own_bytes: how much large replies to those that have some of it may hold together.
    """

    __slots__ = ("_is_soon", "_kept", "_own", "_own_bytes", "_piece_bytes", "_sent", "_version")

    def __init__(self, piece_bytes: int, own_bytes: int = OWN_BYTES) -> None:
        self._piece_bytes = piece_bytes
        self._own_bytes = own_bytes
        self._own = WeakSet[Reply]()
        self._version = -1
        self._sent: ref[Reply] | None = None
        self._is_soon = False
        self._kept: Reply | None = None

    def reply(self, version: int, whole: Callable[[], Encoded]) -> tuple[Reply, bool]:
        """The reply with the whole document, and whether `forget` must be called after a while.

        Args:
            version: of the document.
            whole: gives it.
        """
        if version != self._version:
            self.forget()
            self._version, self._sent = version, None
        reply = (self._sent and self._sent()) or Reply(whole(), self._piece_bytes)
        if reply.size < _KEPT_BYTES:
            return reply, False
        self._sent = ref(reply)
        is_first, self._is_soon = not self._is_soon, True
        if not is_first:
            self._kept = reply
        return reply, is_first

    def own(self, version: int, diff: Encoded, whole: Callable[[], Encoded]) -> tuple[Reply, bool]:
        """The reply to a client that has some of the document, and whether `forget` must be called after a while.

        Readers that read nothing hold what they were to be sent. Where that comes to too much, the next ones are sent
        the whole document, which is one for all.

        Args:
            version: of the document.
            diff: what the client lacks.
            whole: gives the whole document.
        """
        reply = Reply(diff, self._piece_bytes)
        if not reply.is_large:
            return reply, False
        if sum(one.size for one in self._own) + diff.size > self._own_bytes:
            return self.reply(version, whole)
        self._own.add(reply)
        return reply, False

    def forget(self) -> None:
        """Keep it no longer than it is being sent: who comes now doesn't come soon after another."""
        self._is_soon, self._kept = False, None


def in_pieces(update: bytes, piece_bytes: int) -> Iterator[bytes]:
    """Turn a large update into frames with smaller ones; an empty one is none yet."""
    for piece in split_update(update, piece_bytes):
        yield b"" if piece == EMPTY_UPDATE else encode_frame(SyncUpdate(piece))


def _in_frames(lacks: Encoded, piece_bytes: int) -> Iterator[bytes]:
    """Turn it into frames of which the last is the step 2: by it the other side knows that it has all."""
    update = yield from _empty(lacks.in_steps())
    before = EMPTY_UPDATE
    for piece in split_update(update, piece_bytes):
        if piece == EMPTY_UPDATE:
            yield b""
            continue
        if before != EMPTY_UPDATE:
            yield SharedFrame(encode_frame(SyncUpdate(before)))
        before = piece
    yield _last(before)


def _empty(work: Generator[None, None, bytes]) -> Generator[bytes, None, bytes]:
    """Do work in steps, with an empty frame for each."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return ended.value
        yield b""


def _last(update: bytes) -> SharedFrame:
    return SharedFrame(encode_frame(SyncStep2(update)))
