"""A reply to sync step 1: what somebody's document lacks, in the frames that bring it.

What is larger than a piece goes in several frames (see `outbox`), of which the last is the step 2. They are made as
they are first needed, and once for all who are sent the same reply: a hundred people who open a large session
together cost little more than one.
"""

from collections.abc import Iterator

from cosession.protocol import EMPTY_UPDATE, SyncStep2, SyncUpdate, encode_frame, split_update


class SharedFrame(bytes):
    """A frame that many are sent.

    Attributes:
        wire: what a channel made of it, to be used for the next one as well; None when it is new.
    """

    wire: object = None


class Reply:
    """What a document lacks.

    Args:
        update: it, as one update.
        piece_bytes: how much is sent in one frame, about.

    Attributes:
        update: it, as one update.
        is_large: whether it goes in pieces.
    """

    __slots__ = ("_frames", "_rest", "is_large", "update")

    def __init__(self, update: bytes, piece_bytes: int) -> None:
        self.update = update
        self.is_large = len(update) > piece_bytes
        self._frames: list[bytes] = []
        self._rest = _in_frames(update, piece_bytes) if self.is_large else iter((_last(update),))

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


def in_pieces(update: bytes, piece_bytes: int) -> Iterator[bytes]:
    """Turn a large update into frames with smaller ones; an empty one is none yet."""
    for piece in split_update(update, piece_bytes):
        yield b"" if piece == EMPTY_UPDATE else encode_frame(SyncUpdate(piece))


def _in_frames(update: bytes, piece_bytes: int) -> Iterator[bytes]:
    """The same, of which the last one is the answer: by it the other side knows that it has all of them."""
    before = EMPTY_UPDATE
    for piece in split_update(update, piece_bytes):
        if piece == EMPTY_UPDATE:
            yield b""
            continue
        if before != EMPTY_UPDATE:
            yield SharedFrame(encode_frame(SyncUpdate(before)))
        before = piece
    yield _last(before)


def _last(update: bytes) -> SharedFrame:
    return SharedFrame(encode_frame(SyncStep2(update)))
