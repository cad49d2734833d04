"""Intake: a client's update on its way in, up to the moment at which it may be applied.

    frame → header → does it fit? ─→ whose ids? may they? → changes
                       no: ask for all of it again

Invariant: an update that does not fit the state vector is never applied: yrs would integrate it silently and differ
from Yjs for ever. The connection is asked for what it has instead, one question at a time, and its answer fills the
gap. An answer may hold what others wrote; of one that may not be applied whole, what its participant may give back
is taken, and the connection ends.
"""

from collections.abc import Sequence
from contextlib import suppress

from cosession.errors import MalformedFrame, NotAllowed, TooLarge
from cosession.protocol import (
    EMPTY_UPDATE,
    SyncStep1,
    SyncUpdate,
    encode_frame,
    read_update_header,
    replace_pairs,
)
from cosession.protocol.nesting import MAX_TYPES_DEEP, check_nesting
from cosession.protocol.structs import Id

from .admission import Admitted
from .changes import Changes
from .effects import Effect, Refuse, Send, Update
from .gate import Gate
from .peer import Peer
from .receipts import Receipts

_ANSWERS_WITH_HOLES = 3
"""How often a replica may answer with holes: it may be in the middle of a sync with another tab."""


class Intake:
    """Where the updates of a room's connections come in.

    Args:
        changes: applies those that may be applied.
        gate: says which may.
        receipts: holds the fences of a connection while there is a gap.
        max_structs: how many structs a frame may hold.
    """

    __slots__ = ("_changes", "_gate", "_max_structs", "_receipts")

    def __init__(self, changes: Changes, gate: Gate, receipts: Receipts, max_structs: int) -> None:
        self._changes = changes
        self._gate = gate
        self._receipts = receipts
        self._max_structs = max_structs

    def ask(self, connection: int, peer: Peer) -> list[Effect]:
        """Ask a connection for what it has and the room lacks, unless it owes that answer already."""
        if peer.asked:
            return []
        peer.asked = True
        return [Send(connection, encode_frame(SyncStep1(self._changes.state_vector())))]

    def answer(self, connection: int, peer: Peer, update: bytes, at: str) -> list[Effect]:
        """Take in the answer to that, and the fences that waited for it."""
        peer.asked = False
        effects = self.update(connection, peer, update, encode_frame(SyncUpdate(update)), at, offered=True)
        if peer.asked:
            return effects  # it had holes
        if effects and isinstance(effects[-1], Refuse):
            return effects  # its fences stand for what was refused
        peer.gap, peer.holes = False, 0
        return effects + self._receipts.release(self._changes.version, connection, peer)

    def update(
        self, connection: int, peer: Peer, update: bytes, frame: bytes, at: str, *, offered: bool = False
    ) -> list[Effect]:
        """Take in an update.

        Args:
            connection: who sent it.
            peer: what is known of it.
            update: its bytes.
            frame: the sync frame around them.
            at: the server's time, RFC 3339.
            offered: whether it is an answer, which may hold what others wrote.
        """
        if update == EMPTY_UPDATE:
            return []
        header = read_update_header(update, self._max_structs)
        if header.types > MAX_TYPES_DEEP:
            check_nesting(update)
        vector = self._changes.vector
        if not header.fits(vector):
            return self._ask_again(connection, peer, offered)
        found = self._gate.find_cuts(update, header, vector)
        if found is not None and found.own:
            update = replace_pairs(update, found.own)
            header, frame = read_update_header(update), encode_frame(SyncUpdate(update))
        cuts = found.held if found is not None else ()
        by = peer.participant
        if self._gate.fenced:
            self._gate.check_fence(header, by, vector)
        if not offered:
            self._gate.check_writers(header, by, vector)
        if not by.capabilities.writes_everything:
            try:
                admitted = self._gate.admit(update, header, by, offered=offered, cuts=cuts)
            except NotAllowed as error:
                if not offered:
                    raise
                return self._take_parts(connection, peer, update, at, error)
            if admitted.update is not update:
                return self._apply_admitted(admitted, connection, peer, at, offered=offered, cuts=cuts)
        return self._changes.apply(
            Update(update, frame, header.brings), header, connection, peer, at, offered=offered, cuts=cuts
        )

    def _ask_again(self, connection: int, peer: Peer, offered: bool) -> list[Effect]:
        peer.holes += offered
        if peer.holes > _ANSWERS_WITH_HOLES:
            raise MalformedFrame("The document that you sync has holes; start from a fresh one.")
        peer.gap = True
        return self.ask(connection, peer)

    def _apply_admitted(
        self,
        admitted: Admitted,
        connection: int,
        peer: Peer,
        at: str,
        *,
        offered: bool,
        cuts: Sequence[Id],
    ) -> list[Effect]:
        """Apply what admission made of an update."""
        data, header = admitted.update, admitted.header
        if data == EMPTY_UPDATE:
            return []
        update = Update(data, encode_frame(SyncUpdate(data)), header.brings)
        return self._changes.apply(update, header, connection, peer, at, offered=offered, cuts=cuts)

    def _take_parts(self, connection: int, peer: Peer, offer: bytes, at: str, error: NotAllowed) -> list[Effect]:
        """Take of an offer what its participant may give, and end the connection: its document is another."""
        by, vector = peer.participant, self._changes.vector
        effects: list[Effect] = []
        parts = list(self._gate.parts_of_offer(offer, by))
        while parts:
            waiting = [(part, header) for part, header in parts if not header.fits(vector)]
            for part, header in parts:
                if header.fits(vector):
                    with suppress(NotAllowed, MalformedFrame, TooLarge):
                        found = self._gate.find_cuts(part, header, vector)
                        cuts = found.held if found is not None else ()
                        admitted = self._gate.admit(part, header, by, offered=True, cuts=cuts)
                        effects += self._apply_admitted(admitted, connection, peer, at, offered=True, cuts=cuts)
            if len(waiting) == len(parts):
                break
            parts = waiting
        return [*effects, Refuse(connection, error)]
