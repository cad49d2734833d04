"""The replica: one Yjs document and the sync protocol around it, bytes in and bytes out. No I/O and no clock.

    open ─→ our step 1, our presence
    their step 1 ─→ step 2 with all that they lack; from here on our updates go out as they are made
    their step 2 ─→ synced; updates before it are pieces of it, and are applied with it, at once
    their update ─→ applied when it fits the state vector; when it skips something, step 1 instead
    close ─→ nothing is kept to resend: at the next open the state vectors say what is missing

Invariants: a gap is never applied (yrs would take it in silently and differ for ever); what is written while
there is no connection is not queued, the document itself is the queue; there is at most one fence on its way, so
"saved" costs one small frame per commit of the server however fast the document grows.
"""

from collections.abc import Callable
from typing import Any

from pycrdt import Doc, TransactionEvent, merge_updates

from cosession.errors import Disconnected, MalformedFrame, is_crdt_error
from cosession.logs import get_logger
from cosession.protocol import (
    EMPTY_UPDATE,
    Awareness,
    Fence,
    Foreign,
    Frame,
    Granted,
    Notice,
    PermissionDenied,
    QueryAwareness,
    Renewal,
    SurrogatePairs,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_frame,
    decode_state_vector,
    delete_pairs,
    encode_frame,
    find_left,
    move_ahead,
    read_update_header,
    replace_pairs,
)
from cosession.protocol.structs import Id
from cosession.protocol.surrogates import Cuts

from .presence import Presence

log = get_logger(__name__)

_MERGE_AT = 64
"""Updates that wait are merged when they are this many: merging thousands at once holds the loop for long."""

_MAX_ASKS = 4
"""Step 1 in a row without an answer that fits: more would be a loop with a server that is itself broken."""


class Replica:
    """One document's half of the sync protocol.

    Attributes:
        doc: the document.
        presence: who is here.
        synced: whether the server's answer to our step 1 has come on this connection.
        edits: how many local updates there have been.
        saved_edits: how many of them the server has committed to storage.
        notice: the last notice of the server: why it is about to close.
        grant: who we are on this connection, and what we may do, as the server says; None while it hasn't.
        answered: whether on the last connection the server was sent what it lacked.
        saved_clock: up to which clock of ours the server has committed what was written here.
        applying: whether what changes right now came from the server.
        writers: the Yjs clients that wrote what changes right now, if it came from the server; deletions name nobody.
    """

    def __init__(self, doc: "Doc[Any]", presence: Presence, *, wake: Callable[[], None]) -> None:
        """Watch a document.

        Args:
            doc: the document; it must have a client id of its own.
            presence: our presence and the others'.
            wake: called when `take` has something to give.
        """
        self.doc = doc
        self.presence = presence
        self.synced = False
        self.edits = 0
        self.saved_edits = 0
        self.notice: Notice | None = None
        self.grant: Granted | None = None
        self.answered = False
        self.saved_clock = 0
        self._wake = wake
        self._open = False
        self._asked = False
        self._asks = 0
        self._fence_out = False
        self._sent_edits = 0
        self._fence_clock = 0
        self._pieces: list[bytes] = []
        self.applying = False
        self.writers: set[int] = set()
        self._vector: dict[int, int] | None = None
        self._pairs: SurrogatePairs | None = None
        self._cut: dict[Id, Id | None] = {}  # the pairs that were cut, and what is left of each
        self._out: list[Frame] = []
        self._updates: list[bytes] = []
        self._subscription = doc.observe(self._on_update)

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        return self.saved_edits >= self.edits

    def open(self) -> None:
        """Begin a connection."""
        self.close()
        self._open = True
        self.notice = None
        self.grant = None
        self.answered = False
        self._ask()
        self.presence.renew()

    def close(self) -> None:
        """End a connection, if there is one."""
        self._open = self._asked = self._fence_out = self.synced = False
        self._asks = 0
        self._pieces.clear()
        self._out.clear()
        self._updates.clear()
        self.presence.forget_others()

    def release(self) -> None:
        """Stop watching the document."""
        self.close()
        self.doc.unobserve(self._subscription)

    def take(self) -> list[bytes]:
        """Return the frames to send now, in order: answers, then what was written, then presence, then a fence."""
        if not self._open:
            return []
        frames, self._out = self._out, []
        if self._updates:
            frames.append(SyncUpdate(_merged(self._updates)))
            self._updates = []
            self._sent_edits = self.edits
        said = self.presence.take()
        if said is not None:
            frames.append(Awareness(said))
        if self.answered and not self._fence_out and self._sent_edits > self.saved_edits:
            frames.append(Fence(self._sent_edits.to_bytes(8, "big")))
            self._fence_out = True
            self._fence_clock = self._own_clock()
        return [encode_frame(frame) for frame in frames]

    def confirm(self) -> None:
        """Ask for one more fence: what the server wrote itself is committed as well when it comes back."""
        self.edits += 1
        if self._open and self.answered:
            self._sent_edits = self.edits  # what waits to be sent goes before the fence
            self._wake()

    def receive(self, data: bytes) -> None:
        """Take in one frame.

        Raises:
            MalformedFrame: the server sent something that isn't the protocol, or goes on sending gaps.
            Disconnected: an update broke the document; only a new replica helps.
        """
        frame = decode_frame(data)
        match frame:
            case SyncUpdate(update):
                if self.synced:
                    self._integrate(update)
                else:
                    read_update_header(update)  # what is malformed is said at once
                    self._pieces.append(update)
            case SyncStep2(update):
                self._asked = False
                if self._integrate_whole(update):
                    self._asks = 0
                    self.synced = True
            case SyncStep1(vector):
                self._answer(vector)
            case Awareness(payload):
                self.presence.receive(payload)
            case QueryAwareness():
                self.presence.renew()
            case Fence(payload):
                self.saved_edits = max(self.saved_edits, int.from_bytes(payload, "big"))
                self._fence_out = False
                self.saved_clock = self._fence_clock
                if self._sent_edits > self.saved_edits:
                    self._wake()
            case Notice():
                if frame.final:
                    self.notice = frame
            case Granted():
                self.grant = frame
            case PermissionDenied(reason):
                self.notice = Notice("auth.forbidden", reason)
            case Foreign():
                return
            case Renewal():
                raise MalformedFrame("The server sent a token; only clients send them.")

    def _answer(self, vector: bytes) -> None:
        """Answer a step 1 with all that its sender lacks; that includes every update that waits."""
        decode_state_vector(vector)
        self._out.append(SyncStep2(self.doc.get_update(vector)))
        self._updates.clear()
        self.answered = True
        self._sent_edits = self.edits
        self._wake()

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
        """Apply the answer to our step 1, with the pieces of it that came before, so that nobody sees half of it."""
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return self._integrate(update)
        self.applying = True
        try:
            with self.doc.transaction():
                late = [piece for piece in pieces if not self._fits(piece) or not self._integrate(piece)]
                fitted = self._integrate(update)
                return all(self._integrate(piece) for piece in late) and fitted
        except ExceptionGroup:
            log.exception("client.observer_failed")
            return True
        finally:
            self.applying = False
            self.writers.clear()

    def _fits(self, update: bytes) -> bool:
        if self._vector is None:
            self._vector = decode_state_vector(self.doc.get_state())
        return read_update_header(update).fits(self._vector)

    def _integrate(self, update: bytes) -> bool:
        """Apply an update if it fits; return whether it did."""
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
        self.writers.update(span.client for span in header.brings if span.end > vector.get(span.client, 0))
        self._apply(update)
        if self._vector is vector:
            for span in header.brings:
                vector[span.client] = max(span.end, vector.get(span.client, 0))
        return True

    def _without_cuts(self, update: bytes, cuts: Cuts) -> bytes:
        """Rewrite an update that cuts surrogate pairs, so that it can be applied and the document reads the same.

        The server has deleted those of the document, and written in their place what is left of them.
        """
        self._apply(delete_pairs(cuts.held))
        for first in cuts.held:
            if first not in self._cut:
                self._cut[first] = find_left(self.doc.get_update(), update, first)
        return move_ahead(replace_pairs(update, cuts.own), {first: self._cut[first] for first in cuts.held})

    def _apply(self, update: bytes) -> None:
        before, self.applying = self.applying, True
        try:
            self.doc.apply_update(update)
        except ExceptionGroup:
            # The update is in; an observer of the application failed, and that is no reason to fall out of sync.
            log.exception("client.observer_failed")
        except Exception as error:
            raise MalformedFrame("The server sent an update that can't be applied; connect again.") from error
        except BaseException as error:
            if not is_crdt_error(error):
                raise
            raise Disconnected("An update broke the local document; connect again with a new session.") from error
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
        if not (self._open and self.answered):
            return
        self._updates.append(update)
        if len(self._updates) >= _MERGE_AT:
            self._updates = [_merged(self._updates)]
        self._wake()


def _merged(updates: list[bytes]) -> bytes:
    return updates[0] if len(updates) == 1 else merge_updates(*updates)
