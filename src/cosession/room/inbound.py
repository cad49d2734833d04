"""Intake: the checks of a client's update before it is applied.

    frame → header → does it fit? owner of its clocks? ─→ allowed? ─→ changes
                       no: the part that fits              no: the part that is

Invariant: an update that does not fit the state vector is never applied: yrs would integrate it silently and differ
from Yjs for ever. The rest of a refused update is kept; see "What is kept of a refused update" in the README.
"""

from collections.abc import Callable, Generator, Sequence
from functools import partial

from cosession.admission import Admitted, Salvaged
from cosession.errors import ClientIdTaken, CosessionError, MalformedFrame, NotAllowed, TooLarge
from cosession.protocol import (
    EMPTY_UPDATE,
    Limits,
    SyncUpdate,
    UpdateHeader,
    encode_frame,
    read_update_header,
    replace_pairs,
)
from cosession.protocol.header import read_header_in_steps
from cosession.protocol.nesting import MAX_TYPES_DEEP, check_nesting
from cosession.protocol.sections import Sections, without_forbidden
from cosession.protocol.steps import finish
from cosession.protocol.structs import Id
from cosession.protocol.surrogates import Cuts

from .changes import Changes
from .effects import Effect, Update
from .peer import Peer
from .resync import PATIENCE, Resync
from .write_guard import WriteGuard

REUSED = (
    "The session has other words than yours under your Yjs client id; start from a fresh document, with a new id."
)

_COMPARED = 64
"""The clients of one connection whose content is compared with the document's; once each: all after it is read."""


class InboundUpdates:
    """The handler of the updates that a room's connections send; of long ones a part at a time, see `LongFrames`.

    Args:
        changes: applies the updates that may be applied.
        guard: decides which may.
        resync: asks for missing content, and notifies of rejected content.
        limits: how much a frame may hold.
    """

    __slots__ = ("_changes", "_guard", "_limits", "_resync")

    def __init__(self, changes: Changes, guard: WriteGuard, resync: Resync, limits: Limits) -> None:
        self._changes = changes
        self._guard = guard
        self._resync = resync
        self._limits = limits

    def answer(self, connection: int, peer: Peer, update: bytes, at: str) -> list[Effect]:
        """Apply the answer to a sync step 1, and release the fences that waited for it."""
        was_ending = self._resync.begin_answer(connection, peer)
        effects = self.update(connection, peer, update, encode_frame(SyncUpdate(update)), at, offered=True)
        return effects + self._resync.end_answer(connection, peer, was_ending)

    def update(
        self,
        connection: int,
        peer: Peer,
        update: bytes,
        frame: bytes,
        at: str,
        *,
        offered: bool = False,
        header: UpdateHeader | None = None,
    ) -> list[Effect]:
        """Apply an update in one step.

        Args:
            connection: the connection that sent it.
            peer: the state of that connection.
            update: its bytes.
            frame: the sync frame around them.
            at: the server's time, RFC 3339.
            offered: whether it is an answer, which may hold what others wrote.
            header: its header, where that was read.

        Raises:
            MalformedFrame: the bytes are no update.
        """
        if update == EMPTY_UPDATE:
            return []
        declined: list[Effect] = []
        try:
            header = header or read_update_header(update, self._limits.structs, self._changes.deletions)
        except MalformedFrame as error:
            if peer.extended:
                raise
            update = without_forbidden(update, self._limits.structs)
            header, frame = read_update_header(update, self._limits.structs), encode_frame(SyncUpdate(update))
            declined = self._resync.decline(connection, peer, error)
        if header.rest is not None:
            update, frame = header.rest, encode_frame(SyncUpdate(header.rest))
            if update == EMPTY_UPDATE:
                return declined
        vector = self._changes.vector
        is_next = header.is_next(vector)
        if not is_next and header.repeats(vector) and finish(self.differs(peer, update, header)):
            return declined + self._resync.decline(connection, peer, ClientIdTaken(REUSED))
        if not is_next and not header.fits(vector):
            if not offered:
                return declined + self._resync.ask_for_gap(connection, peer, header)
            effects = finish(self.take_fitting(connection, peer, update, header, at, offered=offered, in_steps=False))
        elif self._guard.brings_others(header, peer.participant, vector, offered=offered):
            effects = finish(self.take_fitting(connection, peer, update, header, at, offered=offered, in_steps=False))
        else:
            effects = self._take(connection, peer, update, frame, header, at, offered=offered)
        if self._resync.waiting:
            effects += self._resync.ask_waiting()
        return effects + declined if declined else effects

    def differs(self, peer: Peer, update: bytes, header: UpdateHeader) -> Generator[None, None, bool]:
        """Return, in steps, whether content would be skipped because the document has other content under its clocks.

        Such content is of a client that uses the id of another one. An honest client repeats its writes unchanged.
        """
        known = self._changes.vector
        clients = {span.client for span in header.brings if span.clock < known.get(span.client, 0)}
        if clients <= peer.compared or len(peer.compared) >= _COMPARED:
            return False
        if (yield from self._guard.differs(update, header, known)):
            return True
        peer.compared |= clients
        return False

    def take_fitting(
        self,
        connection: int,
        peer: Peer,
        update: bytes,
        header: UpdateHeader,
        at: str,
        *,
        offered: bool,
        in_steps: bool = False,
    ) -> Generator[None, None, list[Effect]]:
        """Apply the part of an update that fits and its participant may bring; the rest waits for its owners."""
        by, vector = peer.participant, self._changes.vector
        may_bring = partial(self._guard.may_bring, by, offered=offered)
        may_replace = partial(self._guard.may_replace, connection, by, offered=offered)
        gives_up = offered and peer.patience >= PATIENCE
        sections = yield from Sections.in_steps(update)
        fit = sections.fit(vector, may_bring, may_replace=may_replace if gives_up else None)
        lacks = fit.lacks
        may_part = gives_up or by.capabilities.writes_everything
        for unsure in () if may_part else (fit.parts, {span.client for span in header.brings}):
            if all(map(may_replace, fit.parts)):
                break
            # A part would bind the client id to this participant, and its author would find it taken.
            gone = {client for client in unsure if not may_replace(client)}
            fit = sections.fit(vector, lambda client, gone=gone: client not in gone and may_bring(client))
        effects: list[Effect] = []
        if fit.update != EMPTY_UPDATE:
            fits = yield from read_header_in_steps(fit.update)
            effects = yield from self.take_judged(
                connection,
                peer,
                fit.update,
                encode_frame(SyncUpdate(fit.update)),
                fits,
                at,
                self._guard.find_cuts(fit.update, fits, vector),
                offered=offered,
                in_steps=in_steps,
            )
        error = self._guard.collides(header, connection, by, vector)
        if error is None and fit.replaced:
            error = NotAllowed(
                "What you wrote stands on what another participant has not brought; start from a fresh document."
            )
        if error is not None:
            return effects + self._resync.decline(connection, peer, error)
        others = {
            span.client: span.end
            for span in header.brings
            if span.end > vector.get(span.client, 0) and not self._guard.may_bring(by, span.client, offered=offered)
        }
        return effects + self._resync.await_others(connection, peer, others, lacks, offered=offered)

    def _take(
        self,
        connection: int,
        peer: Peer,
        update: bytes,
        frame: bytes,
        header: UpdateHeader,
        at: str,
        *,
        offered: bool,
    ) -> list[Effect]:
        """Apply an update that fits and has only clocks of its participant, or the part that may be kept of it."""
        found = self._guard.find_cuts(update, header, self._changes.vector)
        is_flat = header.types <= MAX_TYPES_DEEP or header.is_flat
        if found is not None or not is_flat:
            return finish(
                self.take_judged(connection, peer, update, frame, header, at, found, offered=offered, in_steps=False)
            )
        by = peer.participant
        if not by.capabilities.writes_everything:
            try:
                admitted = self._guard.admit(update, header, by, offered=offered)
            except (NotAllowed, MalformedFrame, TooLarge) as error:
                return finish(self._salvage(connection, peer, update, header, at, error, offered=offered))
            if admitted.update is not update:
                return self._apply_admitted(admitted, connection, peer, at, offered=offered)
        return self._changes.apply(
            Update(update, frame, header.brings), header, connection, peer, at, offered=offered
        )

    def take_judged(
        self,
        connection: int,
        peer: Peer,
        update: bytes,
        frame: bytes,
        header: UpdateHeader,
        at: str,
        found: Cuts | None,
        *,
        offered: bool,
        in_steps: bool,
    ) -> Generator[None, None, list[Effect]]:
        """Apply an update that is judged, or cuts surrogate pairs in two; see `_take`.

        Args:
            connection: the connection that sent it.
            peer: the state of that connection.
            update: its bytes.
            frame: the sync frame around them.
            header: its header.
            at: the server's time, RFC 3339.
            found: the surrogate pairs that it cuts.
            offered: whether it is an answer.
            in_steps: whether it is judged in steps.
        """
        by = peer.participant
        if found is not None and found.own:
            update = replace_pairs(update, found.own)
            header, frame = read_update_header(update), encode_frame(SyncUpdate(update))
        cuts = found.held if found is not None else ()
        try:
            if header.types > MAX_TYPES_DEEP and not header.is_flat:
                check_nesting(update)
            if by.capabilities.writes_everything:
                taken = Update(update, frame, header.brings)
                return self._changes.apply(taken, header, connection, peer, at, offered=offered, cuts=cuts)
        except (MalformedFrame, TooLarge) as error:
            keep = partial(self._guard.hollow, update, header, connection, by, error, offered=offered)
            return (yield from self._take_rest(connection, peer, header, at, keep, error, offered=offered))
        try:
            if in_steps:
                admitted = yield from self._guard.admit_in_steps(update, header, by, offered=offered, cuts=cuts)
            else:
                admitted = self._guard.admit(update, header, by, offered=offered, cuts=cuts)
        except (NotAllowed, MalformedFrame, TooLarge) as error:
            return (yield from self._salvage(connection, peer, update, header, at, error, offered=offered, cuts=cuts))
        if admitted.update is update:
            taken = Update(update, frame, header.brings)
            return self._changes.apply(taken, header, connection, peer, at, offered=offered, cuts=cuts)
        return self._apply_admitted(admitted, connection, peer, at, offered=offered, cuts=cuts)

    def _salvage(
        self,
        connection: int,
        peer: Peer,
        update: bytes,
        header: UpdateHeader,
        at: str,
        error: CosessionError,
        *,
        offered: bool,
        cuts: Sequence[Id] = (),
    ) -> Generator[None, None, list[Effect]]:
        """Apply the part that may be kept of an update that was judged not allowed."""
        by = peer.participant
        gives_up = offered and peer.patience >= PATIENCE
        keep = partial(self._guard.salvage, update, header, connection, by, offered=offered, gives_up=gives_up)
        if cuts:  # no part may be applied before the pairs are deleted, and that is refused
            keep = partial(self._guard.hollow, update, header, connection, by, error, offered=offered)
        return (yield from self._take_rest(connection, peer, header, at, keep, error, offered=offered))

    def _take_rest(
        self,
        connection: int,
        peer: Peer,
        header: UpdateHeader,
        at: str,
        keep: Callable[[], Generator[None, None, Salvaged]],
        error: CosessionError,
        *,
        offered: bool,
    ) -> Generator[None, None, list[Effect]]:
        """Apply the part that may be kept of an update that was refused.

        Args:
            connection: the connection that sent it.
            peer: the state of that connection.
            header: the update's header.
            at: the server's time, RFC 3339.
            keep: admits in steps the part that may be kept.
            error: the reason of the refusal.
            offered: whether it is an answer.
        """
        try:
            kept = yield from keep()
        except (NotAllowed, MalformedFrame, TooLarge):
            peer.is_stuck = True
            return self._resync.take_back(connection, peer, header) + self._resync.decline(connection, peer, error)
        effects = self._apply_admitted(kept.admitted, connection, peer, at, offered=offered)
        if kept.error is not None:
            effects += self._resync.decline(connection, peer, kept.error)
        known = self._changes.vector
        left = {span.client: span.end for span in header.brings if span.end > known.get(span.client, 0)}
        gives_up = offered and peer.patience >= PATIENCE
        may_replace = partial(
            self._guard.may_replace, connection, peer.participant, offered=offered, waits=not gives_up
        )
        others = {client: clock for client, clock in left.items() if not may_replace(client)}
        is_needed = len(others) < len(left)
        return effects + self._resync.await_others(connection, peer, others, {}, offered=offered, is_needed=is_needed)

    def _apply_admitted(
        self,
        admitted: Admitted,
        connection: int,
        peer: Peer,
        at: str,
        *,
        offered: bool,
        cuts: Sequence[Id] = (),
    ) -> list[Effect]:
        """Apply an update as admission changed it."""
        data, header = admitted.update, admitted.header
        if data == EMPTY_UPDATE:
            return []
        update = Update(data, encode_frame(SyncUpdate(data)), header.brings)
        return self._changes.apply(update, header, connection, peer, at, offered=offered, cuts=cuts)
