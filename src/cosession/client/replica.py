"""The replica: one Yjs document and the sync protocol around it, bytes in and bytes out. No I/O and no clock.

    open ─→ our step 1, our presence
    server's step 1 ─→ step 2 with everything that it lacks; from here on our updates are sent as they are made
    server's step 2 ─→ synced; updates before it are pieces of it, and are applied together with it
    server's update ─→ applied when it fits the state vector; when it leaves a gap, step 1 instead
    close ─→ nothing is kept to resend: at the next open the state vectors show the missing updates

Invariants: a gap is never applied (yrs would accept it silently and diverge permanently); writes without a connection
are not queued, as the document itself is the queue; at most one fence is in flight, so "saved" costs one small frame
per commit of the server however fast the document grows. A write is saved when a fence covers it: at each fence the
clock of the document is compared with the clocks that were sent, and a transaction that no observer reported, or that
failed in its commit, is sent from the document itself.

No frame is larger than the server accepts. A larger update is sent in pieces, see `backlog`, and the fence after it.
"""

from asyncio import CancelledError
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pycrdt import Doc, TransactionEvent, merge_updates

from cosession.errors import MalformedFrame, is_crdt_error
from cosession.logs import get_logger
from cosession.protocol import (
    EMPTY_UPDATE,
    Awareness,
    Fence,
    Foreign,
    Frame,
    Granted,
    KeptValues,
    Limits,
    Notice,
    PermissionDenied,
    QueryAwareness,
    Renewal,
    SurrogatePairs,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    UpdateHeader,
    decode_frame,
    decode_state_vector,
    delete_pairs,
    encode_frame,
    encode_state_vector,
    find_left,
    lib0,
    move_ahead,
    read_update_header,
    replace_pairs,
    split_update,
)
from cosession.protocol.structs import Id
from cosession.protocol.surrogates import Cuts

from .backlog import fits, piece_bytes, pieces_of
from .presence import Presence
from .watched import WatchedDoc

log = get_logger(__name__)

_MERGE_AT = 64
"""The number of waiting updates at which they are merged: merging thousands at once would block the loop."""

_MOST_WAITING = 8 * 2**20
"""Bytes of updates that wait for the writer; beyond that they are dropped and later read from the document."""

_MAX_ASKS = 4
"""Step 1 frames in a row without a fitting answer; after that the server is taken for broken."""


class DocumentBroken(Exception):
    """An update broke the local document, which has to be replaced by a fresh one."""


@dataclass(frozen=True, slots=True)
class _Covered:
    """A fence in flight, and the local edits that it covers.

    Attributes:
        payload: the payload of the fence, unique to it.
        edits: the number of local edits that were sent before it.
        clock: the end of our clocks that were sent before it.
    """

    payload: bytes
    edits: int
    clock: int


class Replica:
    """One document's half of the sync protocol.

    Attributes:
        doc: the document.
        presence: the awareness states of this connection and the others.
        synced: whether the server's answer to our step 1 has arrived on this connection.
        edits: the number of local updates so far.
        saved_edits: the number of them that the server has committed to storage.
        notice: the last notice of the server before it closes, with the reason.
        notices: notices after which the connection continues, until the session removes them.
        grant: our identity and capabilities on this connection; None before the server has sent them.
        answered: whether, on the last connection, the server's step 1 was answered.
        saved_clock: the end of our clocks that the server has committed.
        applying: whether the current change came from the server.
        writers: the Yjs clients that wrote the current change, if it came from the server; deletions name none.
    """

    def __init__(self, doc: "Doc[Any]", presence: Presence, *, wake: Callable[[], None]) -> None:
        """Watch a document.

        Args:
            doc: the document; it must have a client id of its own.
            presence: our presence and the others'.
            wake: called when `take` has frames to return.
        """
        self.doc = doc
        self.presence = presence
        self.synced = False
        self.edits = 0
        self.saved_edits = 0
        self.notice: Notice | None = None
        self.notices: list[Notice] = []
        self.grant: Granted | None = None
        self.answered = False
        self.saved_clock = 0
        self._limits = Limits()
        self.applying = False
        self.writers: set[int] = set()
        self._wake = wake
        self._open = False
        self._asked = False
        self._asks = 0
        self._fences = 0
        self._fence: _Covered | None = None
        self._sent_clock = 0
        """The end of our clocks that were sent without a gap on this connection."""
        self._pieces: list[tuple[bytes, UpdateHeader]] = []
        self._vector: dict[int, int] | None = None
        self._pairs: SurrogatePairs | None = None
        self._kept = KeptValues()  # others' values as they wrote them, in case a server has lost them
        self._cut: dict[Id, Id | None] = {}  # the surrogate pairs that were cut, and the remainder of each
        self._out: list[Frame] = []
        self._updates: list[bytes] = []
        self._waiting = self._unmerged = 0
        self._backlog: Iterator[Frame] | None = None
        self._is_behind = False
        """Whether an unsent write is in no waiting update: it is then read from the document."""
        self._left: tuple[bytes, bool] | None = None
        """The content of the document when it was released, and whether all of it was saved then."""
        self._subscription = doc.observe(self._on_update)
        if isinstance(doc, WatchedDoc):
            doc.on_failed_commit = self._on_failed_commit

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        if self._left is not None:
            content, was_saved = self._left
            return was_saved and self._content() == content
        return self.saved_edits >= self.edits

    @property
    def limits(self) -> Limits:
        """The limits of the server; the defaults until it has sent its own."""
        return self.grant.limits if self.grant is not None else self._limits

    @property
    def is_open(self) -> bool:
        """Whether a transaction of the document is open: its writes don't count as edits yet."""
        return isinstance(self.doc, WatchedDoc) and self.doc.is_open

    @property
    def is_busy(self) -> bool:
        """Whether `take` has more frames to return at once."""
        return self._backlog is not None

    def open(self) -> None:
        """Begin a connection."""
        self.close()
        self._open = True
        self.notice = None
        self._limits = self.limits
        self.grant = None
        self.answered = False
        self._ask()
        self.presence.renew()

    def close(self) -> None:
        """End a connection, if there is one."""
        self._open = self._asked = self._is_behind = self.synced = False
        self._fence = self._backlog = None
        self._asks = 0
        self._pieces.clear()
        self._out.clear()
        self._forget_updates()
        self.presence.forget_others()

    def release(self) -> None:
        """Stop watching the document: later writes into it are never saved."""
        if self._left is not None:
            return
        self.close()
        self._left = self._content(), self.saved
        self.doc.unobserve(self._subscription)
        if isinstance(self.doc, WatchedDoc):
            self.doc.on_failed_commit = None

    def take(self) -> list[bytes]:
        """Return the frames to send now, in order: answers, then writes, then presence, then a fence.

        Raises:
            DocumentBroken: the document can't be read any more; only a new replica helps.
        """
        if not self._open:
            return []
        frames, self._out = self._out, []
        if self.answered:
            with _reading():
                frames += self._written()
        said = self.presence.take()
        if said is not None:
            frames.append(Awareness(said))
        if self._is_fence_due():
            self._fences += 1
            self._fence = _Covered(self._fences.to_bytes(8, "big"), self.edits, self._sent_clock)
            frames.append(Fence(self._fence.payload))
        return [encode_frame(frame) for frame in frames]

    @property
    def pieces(self) -> int:
        """The number of pieces of an incomplete document that have arrived on this connection."""
        return len(self._pieces)

    def confirm(self) -> None:
        """Ask for another fence: when it comes back, the server's own writes are committed as well."""
        self.edits += 1
        if self._open and self.answered:
            self._wake()

    def receive(self, data: bytes) -> None:
        """Process one frame.

        Raises:
            MalformedFrame: the server violated the protocol, or keeps sending gaps.
            DocumentBroken: an update broke the document; only a new replica helps.
        """
        frame = decode_frame(data)
        match frame:
            case SyncUpdate(update):
                if self.synced:
                    self._integrate(update)
                else:
                    self._pieces.append((update, read_update_header(update)))  # a malformed piece is reported at once
            case SyncStep2(update):
                self._asked = False
                if self._integrate_whole(update):
                    self._asks = 0
                    self.synced = True
            case SyncStep1(vector):
                with _reading():
                    self._answer(vector)
            case Awareness(payload):
                self.presence.receive(payload)
            case QueryAwareness():
                self.presence.renew()
            case Fence(payload):
                self._covered(payload)
            case Notice(final=False):
                self.notices.append(frame)
            case Notice():
                self.notice = frame
            case Granted():
                self.grant = frame
            case PermissionDenied(reason):
                self.notice = Notice("auth.forbidden", reason)
            case Foreign():
                return
            case Renewal():
                raise MalformedFrame("The server sent a token; only clients send them.")

    def _covered(self, payload: bytes) -> None:
        """Note that everything before a fence is committed; a fence from before the last offer is ignored."""
        fence = self._fence
        if fence is None or fence.payload != payload:
            return
        self._fence = None
        self.saved_edits, self.saved_clock = fence.edits, fence.clock
        if self.edits > self.saved_edits:
            self._wake()

    def _answer(self, vector: bytes) -> None:
        """Answer a step 1 with everything that the server lacks, including all waiting updates."""
        has = decode_state_vector(vector)
        self.answered = True
        self._backlog = None
        self._out = [frame for frame in self._out if not isinstance(frame, SyncStep2)]
        self._offer(has)
        self._wake()

    def _offer(self, has: Mapping[int, int]) -> None:
        """Send everything that a state vector lacks, read from the document; this includes updates in flight."""
        self._forget_updates()
        self._is_behind = False
        self._fence = None
        self._sent_clock = self._own_clock()
        update = self._kept.restore(self.doc.get_update(encode_state_vector(has)))
        if len(update) <= piece_bytes(self.limits):
            self._out.append(SyncStep2(update))
        else:
            self._backlog = self._in_pieces(update, is_offer=True)

    def _in_pieces(self, update: bytes, *, is_offer: bool = False) -> Iterator[Frame]:
        """Yield an update as frames; an empty one where other tasks should run.

        Writes of this client alone are sent as updates. If others' writes are among them, which the server lost in a
        crash, everything is sent as an offer: the server accepts the part of it that is allowed.
        """
        reader = lib0.Reader(update)
        clients, client = reader.uint(), self.doc.client_id
        if clients:
            reader.uint()
            client = reader.uint()
        if clients <= 1 and client == self.doc.client_id:
            for piece in pieces_of(update, self.limits):
                yield SyncUpdate(piece)
        else:
            for piece in split_update(update, piece_bytes(self.limits)):
                yield SyncStep2(piece) if is_offer and piece != EMPTY_UPDATE else SyncUpdate(piece)
        if is_offer:
            yield SyncStep2(EMPTY_UPDATE)

    def _written(self) -> list[Frame]:
        """Return the next frames with writes: a piece of a backlog, or all waiting updates."""
        if self._backlog is None and self._updates:
            self._compose()
        if self._backlog is None and not self._is_behind and self._has_unheard():
            self.edits += 1
            self._is_behind = True
        if self._backlog is None and self._is_behind:
            self._offer(self._vector_of_sent())
        frames = [*self._out]
        self._out.clear()
        if self._backlog is not None:
            frame = next(self._backlog, None)
            if frame is None:
                self._backlog = None
            elif frame != SyncUpdate(EMPTY_UPDATE):
                frames.append(frame)
            self._wake()
        return frames

    def _compose(self) -> None:
        """Turn the waiting updates into frames: small ones merged, large ones alone, too large ones in pieces."""
        for update in self._updates:
            self._sent_clock = self._end_of(update)
        updates = self._together()
        self._forget_updates()
        if len(updates) == 1 and len(updates[0]) <= piece_bytes(self.limits):
            self._out.append(SyncUpdate(updates[0]))
        else:
            self._backlog = chain.from_iterable(map(self._in_frames, updates))

    def _in_frames(self, update: bytes) -> Iterator[Frame]:
        return iter((SyncUpdate(update),)) if fits(update, self.limits) else self._in_pieces(update)

    def _together(self) -> list[bytes]:
        """Return the waiting updates, with consecutive small ones merged up to the size of a piece."""
        most = piece_bytes(self.limits)
        groups: list[list[bytes]] = [[]]
        size = 0
        for update in self._updates:
            if groups[-1] and size + len(update) > most:
                groups.append([])
                size = 0
            groups[-1].append(update)
            size += len(update)
        return [_merged(group) for group in groups if group]

    def _end_of(self, update: bytes) -> int:
        """Return the end of our clocks that the server has without a gap, once it has this update too."""
        end = self._sent_clock
        for span in read_update_header(update).brings:
            if span.client == self.doc.client_id and span.clock <= end:
                end = max(end, span.end)
        return end

    def _has_unheard(self) -> bool:
        """Return whether the document has committed clocks of ours that no observer reported."""
        return not self.is_open and self._own_clock() > self._sent_clock

    def _content(self) -> bytes:
        """Return the clocks and deletions, to detect later writes; empty for a broken document."""
        try:
            state = self.doc.get_state()
            return state + self.doc.get_update(state)
        except BaseException as error:
            if not is_crdt_error(error):
                raise
            return b""

    def _vector_of_sent(self) -> dict[int, int]:
        return decode_state_vector(self.doc.get_state()) | {self.doc.client_id: self.saved_clock}

    def _is_fence_due(self) -> bool:
        is_all_sent = self._backlog is None and not self._updates and not self._is_behind
        return self.answered and is_all_sent and self._fence is None and self.edits > self.saved_edits

    def _forget_updates(self) -> None:
        self._updates = []
        self._waiting = self._unmerged = 0

    def _ask(self) -> None:
        if self._asked:
            return
        self._asks += 1
        if self._asks > _MAX_ASKS:
            raise MalformedFrame("The server's updates leave a gap that it doesn't fill; connect again.")
        self._asked = True
        self._out.append(SyncStep1(self.doc.get_state()))
        self._wake()

    def _own_clock(self) -> int:
        return decode_state_vector(self.doc.get_state()).get(self.doc.client_id, 0)

    def _integrate_whole(self, update: bytes) -> bool:
        """Apply the answer to our step 1 together with its earlier pieces, so that no reader sees a part of it."""
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return self._integrate(update)
        with self._taking_in(), self.doc.transaction():
            late = [piece for piece in pieces if not self._fits(piece[1]) or not self._integrate(*piece)]
            fitted = self._integrate(update)
            return all(self._integrate(*piece) for piece in late) and fitted
        return True  # an observer failed, and everything was applied

    def _fits(self, header: UpdateHeader) -> bool:
        if self._vector is None:
            self._vector = decode_state_vector(self.doc.get_state())
        return header.fits(self._vector)

    def _integrate(self, update: bytes, header: UpdateHeader | None = None) -> bool:
        """Apply an update if it fits, and return whether it did; the header is read unless it is given."""
        if header is None:
            header = read_update_header(update)
        if self._vector is None:
            self._vector = decode_state_vector(self.doc.get_state())
        vector = self._vector
        if not header.fits(vector):
            self._ask()
            return False
        if header.is_known(vector) and not header.deletes:
            return True
        if self._pairs is None:
            self._pairs = SurrogatePairs()
            self._pairs.add(self.doc.get_update())
        cuts = self._pairs.cut_by(update, header, vector)
        if cuts is not None:
            update = self._without_cuts(update, cuts)
        self._pairs.add(update)
        if not header.is_string:
            self._kept.forget(header.deletes)
            self._kept.learn(update)
        self.writers.update(span.client for span in header.brings if span.end > vector.get(span.client, 0))
        self._apply(update)
        if self._vector is vector:
            for span in header.brings:
                vector[span.client] = max(span.end, vector.get(span.client, 0))
        return True

    def _without_cuts(self, update: bytes, cuts: Cuts) -> bytes:
        """Rewrite an update that cuts surrogate pairs, so that it can be applied and the document reads the same.

        The server has deleted the cut pairs of the document, and written their remainders in their place.
        """
        self._apply(delete_pairs(cuts.held))
        for first in cuts.held:
            if first not in self._cut:
                self._cut[first] = find_left(self.doc.get_update(), update, first)
        return move_ahead(replace_pairs(update, cuts.own), {first: self._cut[first] for first in cuts.held})

    def _apply(self, update: bytes) -> None:
        with self._taking_in():
            self.doc.apply_update(update)

    @contextmanager
    def _taking_in(self) -> Generator[None]:
        """Apply updates of the server. A failing observer doesn't break the sync: the update has been applied."""
        before, self.applying = self.applying, True
        try:
            yield
        except (MalformedFrame, DocumentBroken):
            raise
        except (ExceptionGroup, SystemError, CancelledError):
            # Raised by pycrdt if observers raise; nothing is awaited here, so a cancellation is an observer's too.
            log.exception("client.observer_failed")
        except Exception as error:
            raise MalformedFrame("The server sent an update that can't be applied; connect again.") from error
        except BaseException as error:
            if not is_crdt_error(error):
                raise
            raise DocumentBroken("An update broke the local document; a fresh one takes its place.") from error
        finally:
            self.applying = before
            if not before:
                self.writers.clear()

    def _on_update(self, event: TransactionEvent) -> None:
        if self.applying:
            return
        self._vector = None
        update = event.update
        if update == EMPTY_UPDATE:
            return
        self.edits += 1
        if self._pairs is not None:
            self._pairs.add(update)
        if not (self._open and self.answered) or self._is_behind:
            return
        self._updates.append(update)
        self._waiting += len(update)
        if self._waiting > _MOST_WAITING:
            self._forget_updates()
            self._is_behind = True
        else:
            self._merge_some()
        self._wake()

    def _merge_some(self) -> None:
        """Merge small waiting updates, a few at a time."""
        self._unmerged += 1
        if self._unmerged == _MERGE_AT:
            self._unmerged = 0
            last = self._updates[-_MERGE_AT:]
            if sum(map(len, last)) <= piece_bytes(self.limits):
                self._updates[-_MERGE_AT:] = [_merged(last)]

    def _on_failed_commit(self) -> None:
        """Send a transaction whose commit failed from the document: perhaps no observer reported it."""
        self._vector = None
        if self.applying:
            return
        self.edits += 1
        self._is_behind = self._open and self.answered
        self._wake()


@contextmanager
def _reading() -> Generator[None]:
    """Turn a panic while a document is read into DocumentBroken; a panic has no exception type to import."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if not is_crdt_error(error):
            raise
        raise DocumentBroken("The local document can't be read any more; a fresh one takes its place.") from error


def _merged(updates: list[bytes]) -> bytes:
    return updates[0] if len(updates) == 1 else merge_updates(*updates)
