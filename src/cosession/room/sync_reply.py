"""A reply to sync step 1: the frames with the updates that a client's document lacks.

A reply larger than a piece is split into several frames (see `send_queue`), of which the last is the step 2. They are
made when they are first needed. The whole document is encoded once for many readers that open it, also while it
changes: later updates follow as they were logged, merged into few frames.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from weakref import WeakSet, ref

from pycrdt import merge_updates

from cosession.errors import Unreadable
from cosession.protocol import EMPTY_UPDATE, Encoded, KeptValues, SyncStep2, SyncUpdate, encode_frame, split_update

_UPDATE = encode_frame(SyncUpdate(b""))[:2]
"""The first bytes of a frame that brings an update."""

_KEPT_BYTES = 16_384
"""The size of a document from which on its opening is kept."""

_SHARE = 4
"""When the updates since an opening exceed this fraction of it, it is compared with the document; if it is larger by
more than the fraction, it is made anew."""

_OLD = 6
"""How often `Openings.rest` may be called before an opening that holds deleted content is dropped."""

_MERGED = 256
"""How many updates are merged at once."""

_RUNS = 4
"""How many runs of about one size are merged into one."""

_RUN_BYTES = 16_384
"""The size from which on a run isn't merged any more: so one merge is of less than `_RUNS` times that."""

OWN_BYTES = 64 * 2**20
"""The bytes that all replies of one session that aren't shared may hold together while they are being sent."""


class SharedFrame(bytes):
    """A frame that may be sent to several connections.

    Attributes:
        wire: the encoded form that a channel keeps for the next time; None when it is new.
    """

    wire: object = None


class Reply:
    """The updates that a client's document lacks, as frames.

    Args:
        lacks: these updates.
        piece_bytes: the approximate size of a frame.

    Attributes:
        size: the approximate size in bytes.
        is_large: whether it is sent in pieces.
        has_failed: whether some frame couldn't be made.
    """

    __slots__ = ("__weakref__", "_frames", "_rest", "has_failed", "is_large", "size")

    def __init__(self, lacks: Encoded, piece_bytes: int) -> None:
        self.has_failed = False
        self.size = lacks.size
        self.is_large = self.size > piece_bytes
        self._frames: list[bytes] = []
        self._rest = _in_frames(lacks, piece_bytes) if self.is_large else iter((_last(lacks.update()),))

    def __iter__(self) -> Iterator[bytes]:
        """Yield the frames; an empty one means that the next isn't ready: other tasks may run."""
        position = 0
        while True:
            while position < len(self._frames):
                yield self._frames[position]
                position += 1
            try:
                frame = next(self._rest, None)
            except BaseException:
                self.has_failed = True
                raise
            if frame is None:
                if self.has_failed:  # for another reader
                    raise Unreadable("The session can't be read; the server's log says why.")
                return
            if frame:
                self._frames.append(frame)
            else:
                yield frame


class _Run:
    """Consecutive updates, merged into one.

    Args:
        update: the merged update.
        level: how often runs were merged into it; -1 if it isn't merged any more.
    """

    __slots__ = ("frame", "level", "update")

    def __init__(self, update: bytes, level: int) -> None:
        self.update = update
        self.level = level
        self.frame: SharedFrame | None = None

    def as_frame(self) -> SharedFrame:
        """Return the frame of this update, one object for all readers."""
        if self.frame is None:
            self.frame = SharedFrame(encode_frame(SyncUpdate(self.update)))
        return self.frame


class _Since:
    """The updates since some moment, in their order.

    They are merged into runs, and `_RUNS` runs of a level into one. So there are few, and each update is merged a few
    times at most, however many readers open the session between them.

    Args:
        kept: the values that the library gives back otherwise than they came.
        piece_bytes: the size of a run that is allowed; a larger single update isn't merged.

    Attributes:
        size: the bytes of all of them.
    """

    __slots__ = ("_fresh", "_fresh_bytes", "_kept", "_run_bytes", "_runs", "size")

    def __init__(self, kept: KeptValues, piece_bytes: int) -> None:
        self.size = 0
        self._kept = kept
        self._run_bytes = min(_RUN_BYTES, piece_bytes // _RUNS)
        self._fresh: list[bytes] = []
        self._fresh_bytes = 0
        self._runs: list[_Run] = []

    def add(self, update: bytes) -> None:
        """Add the next update."""
        size = len(update)
        if self._fresh and self._fresh_bytes + size > self._run_bytes:
            self._gather()
        self._fresh.append(update)
        self._fresh_bytes += size
        self.size += size
        if len(self._fresh) >= _MERGED:
            self._gather()

    def runs(self) -> list[_Run]:
        """Return all of them in runs."""
        if self._fresh:
            self._gather()
        return self._runs.copy()

    def _gather(self) -> None:
        runs, self._fresh, self._fresh_bytes, fresh = self._runs, [], 0, self._fresh
        runs.append(self._merge(fresh, 0))
        while (level := runs[-1].level) >= 0 and [run.level for run in runs[-_RUNS:]] == [level] * _RUNS:
            runs[-_RUNS:] = [self._merge([run.update for run in runs[-_RUNS:]], level + 1)]

    def _merge(self, updates: Sequence[bytes], level: int) -> _Run:
        update = updates[0] if len(updates) == 1 else self._kept.restore(merge_updates(*updates))
        return _Run(update, level if len(update) < self._run_bytes else -1)


class _Opening:
    """A document in frames as it was at some moment, and the updates since then.

    Args:
        first: the reply of that moment.
        piece_bytes: the approximate size of a frame.
        kept: the values that the library gives back otherwise than they came.

    Attributes:
        first: see above.
    """

    __slots__ = ("__weakref__", "_kept", "_last", "_piece_bytes", "_reply", "_since", "first")

    def __init__(self, first: Reply, piece_bytes: int, kept: KeptValues) -> None:
        self.first = first
        self._piece_bytes = piece_bytes
        self._kept = kept
        self._last: SharedFrame | None = None
        self._since = _Since(kept, piece_bytes)
        self._reply: ref[Reply] | None = None

    @property
    def size(self) -> int:
        """The approximate size of the document and these updates, in bytes."""
        return self.first.size + self._since.size

    @property
    def has_outgrown(self) -> bool:
        """Whether the updates since are a large part of it."""
        return self._since.size * _SHARE > self.first.size

    def add(self, update: bytes) -> bool:
        """Add the next update; return False if it is too large, and the document must be encoded anew."""
        if len(update) > self._piece_bytes or self._since.size + len(update) > self.first.size:
            return False
        self._since.add(update)
        self._reply = None
        return True

    def reply(self) -> Reply:
        """Return the reply with the document as of now."""
        reply = self._reply and self._reply()
        if reply is None:
            runs = self._since.runs()
            is_large = self.first.is_large or bool(runs)
            reply = _OpeningReply(self.in_frames(runs), self.size, is_large=is_large, opening=self)
            self._reply = ref(reply)
        return reply

    def grown(self) -> "_Opening":
        """Return an opening as of now: the same frames, then the updates since, merged into frames as large."""
        frames = self.in_frames(self._since.runs(), self._piece_bytes)
        return _Opening(_OpeningReply(frames, self.size, is_large=True), self._piece_bytes, self._kept)

    def in_frames(self, runs: Sequence[_Run], merged_bytes: int = 0) -> Iterator[bytes]:
        """Yield the frames up to some of the updates; an empty one means that the next isn't ready.

        Args:
            runs: these updates.
            merged_bytes: the size up to which runs are merged.
        """
        if not runs:
            yield from self.first
            return
        before = b""
        for frame in self.first:
            if frame and before:
                yield before
            elif not frame:
                yield frame
            before = frame or before
        if self._last is None:
            self._last = SharedFrame(_as_update(before))
        yield self._last
        start = 0
        while start < len(runs):
            end, size = start + 1, len(runs[start].update)
            while end < len(runs) and size + len(runs[end].update) <= merged_bytes:
                size += len(runs[end].update)
                end += 1
            run = runs[start]
            if end > start + 1:
                yield b""
                merged = merge_updates(*(one.update for one in runs[start:end]))
                yield b""
                run = _Run((yield from _empty(self._kept.restore_in_steps(merged, None))), -1)
            yield _last(run.update) if end == len(runs) else run.as_frame()
            start = end


class _OpeningReply(Reply):
    """The reply to a reader that opens a session, and has nothing of it yet.

    Args:
        frames: its frames.
        size: their approximate size in bytes.
        is_large: whether there are several.
        opening: the opening that is kept alive as long as this is sent.
    """

    __slots__ = ("_opening",)

    def __init__(
        self, frames: Iterator[bytes], size: int, *, is_large: bool, opening: _Opening | None = None
    ) -> None:
        self._opening = opening
        self.has_failed = False
        self.size = size
        self.is_large = is_large
        self._frames: list[bytes] = []
        self._rest = frames


class Openings:
    """The replies to readers that open a session and have none of it: one for all while it is being sent.

    When a second reader comes soon after the first, the opening is kept for the next ones. It isn't kept for a lone
    reader: a thousand sessions that are opened at once, each by one reader, would all be kept.

    Bound: an opening is as large as the document was, and twice the updates since, which are no larger than that;
    earlier openings live on while they are being sent. An opening is made anew when it has become larger than the
    document by a quarter, and soon after a participant deleted something.

    Args:
        kept: the values that the library gives back otherwise than they came.
        piece_bytes: the approximate size of a frame.
        own_bytes: the bytes that large replies to readers with some of the document may hold together.

    Attributes:
        follows: whether each update must be passed to `add`.
    """

    __slots__ = (
        "_age",
        "_has_deleted",
        "_is_soon",
        "_is_used",
        "_kept",
        "_opening",
        "_own",
        "_own_bytes",
        "_piece_bytes",
        "_sent",
        "follows",
    )

    def __init__(self, kept: KeptValues, piece_bytes: int, own_bytes: int = OWN_BYTES) -> None:
        self.follows = False
        self._kept = kept
        self._piece_bytes = piece_bytes
        self._own_bytes = own_bytes
        self._own = WeakSet[Reply]()
        self._sent: ref[_Opening] | None = None
        self._opening: _Opening | None = None
        self._is_soon = self._is_used = self._has_deleted = False
        self._age = 0

    def reply(self, whole: Callable[[], Encoded]) -> tuple[Reply, bool]:
        """Return the reply with the whole document, and whether `rest` must be called after a while.

        Args:
            whole: returns the document.
        """
        opening = self._sent and self._sent()
        if opening is None or opening.first.has_failed or opening.has_outgrown:
            encoded = whole()
            if encoded.size < _KEPT_BYTES:
                self.renew()
                return Reply(encoded, self._piece_bytes), False
            opening = self._begin(opening, encoded)
        is_first, self._is_soon, self._is_used = not self._is_soon, True, True
        if not is_first:
            self._opening = opening
        return opening.reply(), is_first

    def own(self, diff: Encoded, whole: Callable[[], Encoded]) -> tuple[Reply, bool]:
        """Return the reply to a client with some of the document, and whether `rest` must be called after a while.

        Replies to readers that stopped reading stay in memory. If these are too large together, the next readers are
        sent the whole document, which is shared.

        Args:
            diff: the updates that the client lacks.
            whole: returns the whole document.
        """
        reply = Reply(diff, self._piece_bytes)
        if not reply.is_large:
            return reply, False
        if sum(one.size for one in self._own) + diff.size > self._own_bytes:
            return self.reply(whole)
        self._own.add(reply)
        return reply, False

    def add(self, update: bytes) -> None:
        """Add the next update of the document."""
        opening = self._sent and self._sent()
        if opening is None or not opening.add(update):
            self.renew()

    def deleted(self) -> None:
        """Note that a participant deleted something: its bytes aren't sent for long after that."""
        self._has_deleted = True

    def renew(self) -> None:
        """Drop the opening: the next reply is made of the document anew."""
        self._sent, self._opening, self.follows = None, None, False

    def rest(self) -> bool:
        """Note that a while has passed, and return whether to be called again after another one.

        If no reader came meanwhile, the opening is kept only while it is being sent: the next reader is a first one.
        """
        self._age += self._has_deleted
        if self._age >= _OLD:
            self.renew()
        is_used, self._is_used = self._is_used, False
        if not is_used:
            self._is_soon, self._opening = False, None
            if self._has_deleted:  # its age isn't counted from now on
                self.renew()
        return is_used

    def _begin(self, before: _Opening | None, whole: Encoded) -> _Opening:
        """Begin a new opening: of the old frames, if they hold little that the document doesn't have any more."""
        if before is not None and not before.first.has_failed and before.size * _SHARE <= whole.size * (_SHARE + 1):
            opening = before.grown()
        else:
            opening = _Opening(Reply(whole, self._piece_bytes), self._piece_bytes, self._kept)
            self._has_deleted, self._age = False, 0
        self._sent, self.follows = ref(opening), True
        return opening


def in_pieces(update: bytes, piece_bytes: int) -> Iterator[bytes]:
    """Split a large update into frames with smaller ones; an empty one means that the next isn't ready."""
    for piece in split_update(update, piece_bytes):
        yield b"" if piece == EMPTY_UPDATE else encode_frame(SyncUpdate(piece))


def _in_frames(lacks: Encoded, piece_bytes: int) -> Iterator[bytes]:
    """Split a reply into frames; the last is the step 2, which tells the client that it has everything."""
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


def _as_update(step_2: bytes) -> bytes:
    """Turn a step 2 into an update that isn't the last."""
    return _UPDATE + step_2[len(_UPDATE) :]
