"""Resync: asks replicas for missing content, waits for it, and notifies replicas of rejected content.

A replica that may have missing content is asked for all that it has (a sync step 1). Content that depends on the
writes of others waits for them: each participant brings its own.
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
"""The timer after which content that waits for others is asked for again, and at last given up."""

ENDING = "ending "
"""Before a connection's number, the timer after which it is closed, with or without an answer."""

_WAITING_SECONDS = 30.0
PATIENCE = 2
"""How often others are waited for before content that depends on theirs is given up."""
_ENDING_SECONDS = 3.0

_OTHERS = "Another participant wrote some of what you bring, and only they may; it is taken when they bring it."

_LOST = "A crash took words of the server that you have; start from a fresh document."

_ANSWERS_WITH_HOLES = 3
"""How often a replica may answer with holes: it may be in the middle of a sync with another tab."""

_TOLD = 1_024
"""How many replicas with refused content are remembered; the oldest are forgotten."""

_LACKS = 8
"""How many clients are watched for one connection; content of others that it lacks is asked for after a while."""


class Resync:
    """The requests of a room to the replicas of its connections.

    Args:
        changes: knows the document's state vector.
        guard: decides the owner of each client id.
        acks: holds the fences of a connection while there is a gap.

    Attributes:
        waiting: the connections that wait for content that others have not brought yet.
    """

    __slots__ = ("_acks", "_changes", "_guard", "_refused", "waiting")

    def __init__(self, changes: Changes, guard: WriteGuard, acks: Acks) -> None:
        self._changes = changes
        self._guard = guard
        self._acks = acks
        self.waiting: dict[int, Peer] = {}
        self._refused: dict[tuple[str, int], CosessionError] = {}
        """The reason why content of a replica was refused, by its participant and its Yjs client id."""

    def join(self, connection: int, peer: Peer) -> list[Effect]:
        """Ask a connection that joins for the content that it has and the room lacks.

        A replica with refused content comes back only if its connection was lost before the notice arrived: a
        notified one has a new Yjs client id. It is notified again, before it gets the document without its writes.
        """
        error = self._refused.get((peer.participant.id, peer.client)) if peer.extended else None
        return self.ask(connection, peer) if error is None else self.decline(connection, peer, error)

    def ask(self, connection: int, peer: Peer) -> list[Effect]:
        """Ask a connection for the content that it has and the room lacks, unless it owes that answer already."""
        if peer.asked:
            return []
        peer.asked = True
        return [self._question(connection)]

    def begin_answer(self, connection: int, peer: Peer) -> bool:
        """Begin to handle an answer, and return whether it is one of the last."""
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
        return self._acks.release(self._changes.version, connection, peer)

    def ask_for_gap(self, connection: int, peer: Peer, header: UpdateHeader) -> list[Effect]:
        """Ask for everything that the sender of an update that doesn't fit has, if that can help."""
        if not self._guard.note_writing(connection, header) and connection in self.waiting:
            return []  # it is asked when the missing content has come; its answer holds this as well
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
        """Wait until others have brought their content, and ask a replica with holes of its own to fill them.

        Args:
            connection: the connection of the replica.
            peer: the state of that connection.
            others: per client, the clock up to which it has content that others wrote.
            lacks: per client, the clock up to which its own writes depend on missing content.
            offered: whether this was an answer.
            is_needed: whether some of its own writes wait for content that others wrote.
        """
        if peer.left is not None:
            peer.left.note(others, lacks, is_needed=is_needed)
            return []
        effects: list[Effect] = []
        if others and not peer.extended and not is_needed:  # it has no fences, and its own writes were applied
            effects, others = self.decline(connection, peer, ClientIdTaken(_OTHERS)), {}
        if not (others or lacks) or peer.is_stuck or peer.ending is not None:
            return effects
        peer.gap = True
        is_waiting = connection in self.waiting
        if others and not lacks and not is_needed and not is_waiting and all(map(self._guard.is_servers, others)):
            return effects + self.decline(connection, peer, ClientIdTaken(_LOST))  # none of its own writes needs them
        may_bring = partial(self._guard.may_bring, peer.participant, offered=offered)
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
        """Ask those connections again that waited for content that has come."""
        known = self._changes.vector.get
        return [
            effect
            for connection, peer in self.waiting.items()
            if not peer.asked and any(known(client, 0) >= clock for client, clock in peer.lacks.items())
            for effect in self.ask(connection, peer)
        ]

    def missing(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Return those of some clocks that the document doesn't reach."""
        known = self._changes.vector
        return {client: end for client, end in ends.items() if known.get(client, 0) < end}

    def regrant(self, connection: int, peer: Peer) -> list[Effect]:
        """Ask for rejected content again, now that its participant has other capabilities."""
        if not peer.is_stuck:
            return []
        peer.is_stuck, peer.told = False, ""
        return self.ask(connection, peer)

    def leave(self, connection: int) -> None:
        """Forget a connection."""
        self.waiting.pop(connection, None)
        self._guard.leave(connection)

    def remind(self, what: str, peers: Mapping[int, Peer]) -> list[Effect]:
        """Handle a timer: ask again, or close a connection that doesn't answer.

        Args:
            what: the timer, `WAITING` or one of `ENDING`.
            peers: the open connections.
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
        """Remove rejected content from the replica that wrote it: delete its clocks, for that replica alone."""
        known = self._changes.vector
        sections = Sections(EMPTY_UPDATE)
        sections.delete(
            span
            for span in header.brings
            if span.end > known.get(span.client, 0)
            and self._guard.may_replace(connection, peer.participant, span.client, offered=False)
        )
        gone = sections.encode()
        return [] if peer.extended or gone == EMPTY_UPDATE else [Send(connection, encode_frame(SyncUpdate(gone)))]

    def decline_at(self, connection: int, peer: Peer, error: CosessionError, _: str) -> list[Effect]:
        return self.decline(connection, peer, error)

    def decline(self, connection: int, peer: Peer, error: CosessionError) -> list[Effect]:
        """Notify a connection that content of it is rejected.

        A client that understands notices is asked for its document once more, then closed, and starts from a fresh
        one. A stock Yjs client would come back with the same document for ever: it stays connected.
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
