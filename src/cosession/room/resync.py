"""Resync: what a room asks of replicas, what it waits for, and how it tells them of what isn't taken.

A replica that lacks something is asked for all that it has (a sync step 1). What stands on the words of others waits
for these: each participant brings its own.
"""

from collections.abc import Mapping
from functools import partial
from itertools import islice

from cosession.errors import ClientIdTaken, CosessionError, MalformedFrame
from cosession.protocol import (
    EMPTY_UPDATE,
    PermissionDenied,
    SyncStep1,
    SyncUpdate,
    UpdateHeader,
    encode_frame,
)
from cosession.protocol.sections import Sections

from .acks import Acks
from .changes import Changes
from .effects import Decline, Effect, Refuse, Remind, Send
from .peer import Peer
from .write_guard import WriteGuard

WAITING = "waiting for others"
"""The timer after which is asked again for what waits for others, and then given up."""

ENDING = "ending "
"""With the number of a connection, the timer after which it is closed, whether it has answered or not."""

_WAITING_SECONDS = 30.0
PATIENCE = 2
"""How often others are waited for before what stands on theirs is given up."""
_ENDING_SECONDS = 3.0

_OTHERS = "Another participant wrote some of what you bring, and only they may; it is taken when they bring it."

_LOST = "A crash took words of the server that you have; start from a fresh document."

_ANSWERS_WITH_HOLES = 3
"""How often a replica may answer with holes: it may be in the middle of a sync with another tab."""

_TOLD = 1_024
"""How many replicas are remembered of which something was refused; the oldest are forgotten."""

_LACKS = 8
"""How many clients are watched for one connection; whatever else it lacks is asked for after a while."""


class Resync:
    """What a room asks of the replicas of its connections.

    Args:
        changes: knows what the document has.
        gate: says whose what is.
        receipts: holds the fences of a connection while there is a gap.

    Attributes:
        waiting: the connections that wait for what others have not brought yet.
    """

    __slots__ = ("_changes", "_gate", "_receipts", "_refused", "waiting")

    def __init__(self, changes: Changes, gate: WriteGuard, receipts: Acks) -> None:
        self._changes = changes
        self._gate = gate
        self._receipts = receipts
        self.waiting: dict[int, Peer] = {}
        self._refused: dict[tuple[str, int], CosessionError] = {}
        """Why something of a replica was refused, by its participant and its Yjs client id."""

    def join(self, connection: int, peer: Peer) -> list[Effect]:
        """Ask a connection that comes for what it has and the room lacks.

        A replica of which something was refused comes back where its connection was lost before the notice arrived:
        one that was told has a new Yjs client id. It is told again, before it gets the document without its words.
        """
        error = self._refused.get((peer.participant.id, peer.client)) if peer.extended else None
        return self.ask(connection, peer) if error is None else self.decline(connection, peer, error)

    def ask(self, connection: int, peer: Peer) -> list[Effect]:
        """Ask a connection for what it has and the room lacks, unless it owes that answer already."""
        if peer.asked:
            return []
        peer.asked = True
        return [self._question(connection)]

    def begin_answer(self, connection: int, peer: Peer) -> bool:
        """Begin to take in an answer, and return whether it is one of the last."""
        peer.asked = False
        peer.is_stuck = False
        self.waiting.pop(connection, None)
        return peer.ending is not None

    def end_answer(self, connection: int, peer: Peer, was_ending: bool) -> list[Effect]:
        if peer.ending is not None:
            peer.last_answers -= was_ending
            return [] if peer.last_answers > 0 else [Refuse(connection, peer.ending)]
        if peer.asked or peer.is_stuck or connection in self.waiting:
            return []
        peer.gap, peer.holes, peer.patience = False, 0, 0
        return self._receipts.release(self._changes.version, connection, peer)

    def ask_for_gap(self, connection: int, peer: Peer, header: UpdateHeader) -> list[Effect]:
        """Ask for all of an update that doesn't fit, if that can help."""
        if not self._gate.note_writing(connection, header) and connection in self.waiting:
            return []  # is asked when what it waits for has come, and then has this as well
        if peer.is_stuck:
            return self.take_back(connection, peer, header)
        peer.gap = True
        return self.ask(connection, peer)

    def await_others(
        self,
        connection: int,
        peer: Peer,
        others: dict[int, int],
        lacks: Mapping[int, int],
        *,
        offered: bool,
        is_needed: bool = False,
    ) -> list[Effect]:
        """Wait until others have brought theirs, and ask a replica that has holes of its own to fill them.

        Args:
            connection: whose replica it is.
            peer: what is known of it.
            others: per client, up to which clock others wrote what it has.
            lacks: the same of what its own words stand on.
            offered: whether this was an answer.
            is_needed: whether something that it wrote itself waits for what others wrote.
        """
        if peer.left is not None:
            peer.left.note(others, lacks, is_needed=is_needed)
            return []
        effects: list[Effect] = []
        if others and not peer.extended and not is_needed:  # it has no fences, and what it wrote itself was taken
            effects, others = self.decline(connection, peer, ClientIdTaken(_OTHERS)), {}
        if not (others or lacks) or peer.is_stuck or peer.ending is not None:
            return effects
        peer.gap = True
        is_waiting = connection in self.waiting
        if others and not lacks and not is_needed and not is_waiting and all(map(self._gate.is_servers, others)):
            return effects + self.decline(connection, peer, ClientIdTaken(_LOST))  # nothing of its own needs them
        may_bring = partial(self._gate.may_bring, peer.participant, offered=offered)
        others |= {client: clock for client, clock in lacks.items() if not may_bring(client)}
        if others and peer.patience < PATIENCE:
            before = peer.lacks if is_waiting else {}
            peer.lacks = dict(islice((others | before).items(), _LACKS))
            is_first = not self.waiting
            self.waiting[connection] = peer
            return [*effects, Remind(WAITING, _WAITING_SECONDS)] if is_first else effects
        if others:
            return effects + self.decline(connection, peer, ClientIdTaken(_OTHERS))
        peer.holes += offered
        if peer.holes <= _ANSWERS_WITH_HOLES:
            return effects + self.ask(connection, peer)
        peer.is_stuck = True
        error = MalformedFrame("The document that you sync has holes; start from a fresh one.")
        return effects + self.decline(connection, peer, error)

    def ask_waiting(self) -> list[Effect]:
        """Ask the connections again of which something has come that they waited for."""
        known = self._changes.vector.get
        return [
            effect
            for connection, peer in self.waiting.items()
            if not peer.asked and any(known(client, 0) >= clock for client, clock in peer.lacks.items())
            for effect in self.ask(connection, peer)
        ]

    def missing(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Those of some clocks that the document doesn't reach."""
        known = self._changes.vector
        return {client: end for client, end in ends.items() if known.get(client, 0) < end}

    def regrant(self, connection: int, peer: Peer) -> list[Effect]:
        """Ask for what was not taken, now that its participant may do something else."""
        if not peer.is_stuck:
            return []
        peer.is_stuck, peer.told = False, ""
        return self.ask(connection, peer)

    def leave(self, connection: int) -> None:
        """Forget a connection."""
        self.waiting.pop(connection, None)
        self._gate.leave(connection)

    def remind(self, what: str, peers: Mapping[int, Peer]) -> list[Effect]:
        """Go on after a while: ask again, or close a connection that doesn't answer.

        Args:
            what: the timer, `WAITING` or one of `ENDING`.
            peers: who is here, by connection.
        """
        if what == WAITING:
            effects: list[Effect] = [Remind(WAITING, _WAITING_SECONDS)] if self.waiting else []
            for connection, peer in self.waiting.items():
                peer.patience += 1
                effects += self.ask(connection, peer)
            return effects
        connection = int(what.removeprefix(ENDING))
        peer = peers.get(connection)
        if peer is None or peer.ending is None:
            return []
        if peer.left is not None:  # its last answer is being taken in
            return [Remind(what, _ENDING_SECONDS)]
        return [Refuse(connection, peer.ending)]

    def take_back(self, connection: int, peer: Peer, header: UpdateHeader) -> list[Effect]:
        """Have what is not taken vanish where it was written: its clocks are deleted, for that replica alone."""
        known = self._changes.vector
        sections = Sections(EMPTY_UPDATE)
        sections.delete(
            span
            for span in header.brings
            if span.end > known.get(span.client, 0)
            and self._gate.may_replace(connection, peer.participant, span.client, offered=False)
        )
        gone = sections.encode()
        return [] if peer.extended or gone == EMPTY_UPDATE else [Send(connection, encode_frame(SyncUpdate(gone)))]

    def decline_at(self, connection: int, peer: Peer, error: CosessionError, _: str) -> list[Effect]:
        return self.decline(connection, peer, error)

    def decline(self, connection: int, peer: Peer, error: CosessionError) -> list[Effect]:
        """Tell a connection that something isn't taken.

        One that understands notices is asked for its document once more, then closed, and starts from a fresh one. A
        stock Yjs client would come back with the same document for ever: it stays.
        """
        if peer.extended:
            if peer.ending is not None:
                return []
            peer.ending, peer.last_answers, peer.asked = error, 1 + peer.asked, True
            if peer.client:
                self._note_refused(peer, error)
            return [self._question(connection), Remind(f"{ENDING}{connection}", _ENDING_SECONDS)]
        if peer.told == str(error):
            return []
        peer.told = str(error)
        return [Decline(connection, error), Send(connection, encode_frame(PermissionDenied(str(error))))]

    def _question(self, connection: int) -> Effect:
        return Send(connection, encode_frame(SyncStep1(self._changes.state_vector())))

    def _note_refused(self, peer: Peer, error: CosessionError) -> None:
        replica = peer.participant.id, peer.client
        if replica not in self._refused and len(self._refused) >= _TOLD:
            del self._refused[next(iter(self._refused))]
        self._refused[replica] = error
