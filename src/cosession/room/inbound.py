"""Intake: the checks of a client's update before it is applied.

    frame → header → does it fit? owner of its clocks? ─→ allowed? ─→ changes
                       no: the part that fits              no: the part that is

Invariant: an update that does not fit the state vector is never applied: yrs would integrate it silently and differ
from Yjs for ever. The rest of a refused update is kept; see "What is kept of a refused update" in the README.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

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
from cosession.protocol.large_values import without_large_in_steps
from cosession.protocol.measured import Extent, Measured, Values
from cosession.protocol.nesting import MAX_TYPES_DEEP, check_nesting, check_nesting_in_steps
from cosession.protocol.parts import RecordSize, split_work
from cosession.protocol.sections import Sections, without_forbidden, without_forbidden_in_steps
from cosession.protocol.steps import AT_ONCE, finish
from cosession.protocol.structs import Id
from cosession.protocol.surrogates import Cuts
from cosession.protocol.update_format import MAX_CLOCK

from .changes import Changes
from .effects import Effect, Update
from .peer import Left, Peer
from .resync import PATIENCE, Resync
from .write_guard import WriteGuard

Step: TypeAlias = Callable[[str], list[Effect]]
"""A step that handles a part of a frame, at a time of the server (RFC 3339)."""


def hold(_: str) -> list[Effect]:
    """Do nothing: the step at which a participant waits until it may bring new Yjs client ids in the next one."""
    return []


_REUSED = (
    "The session has other words than yours under your Yjs client id; start from a fresh document, with a new id."
)

_LARGE = 2**20
"""The size of a part from which on making and handling it are two steps: each copy of 16 MB takes milliseconds."""

_LARGEST_RECORD = RecordSize(structs=10_000, bytes=2**25)
"""The largest new record that is judged, in one step: 10 to 35 µs for each struct, depending on the load."""

_LARGEST_WHOLE = 40_000
"""The work (structs, and KB of text) of a new record that is applied at once where it needs no judging; a larger one
becomes visible before it is whole."""

_COMPARED = 64
"""The clients of one connection whose content is compared with the document's; once each: all after it is read."""


class InboundUpdates:
    """The handler of the updates that a room's connections send.

    Args:
        changes: applies the updates that may be applied.
        guard: decides which may.
        resync: asks for missing content, and notifies of rejected content.
        limits: how much a frame may hold.

    Attributes:
        holder: the connection whose large record is being applied: the sync frames of others wait for it.
    """

    __slots__ = ("_changes", "_guard", "_limits", "_resync", "holder")

    def __init__(self, changes: Changes, guard: WriteGuard, resync: Resync, limits: Limits) -> None:
        self._changes = changes
        self._guard = guard
        self._resync = resync
        self._limits = limits
        self.holder: int | None = None

    def answer(self, connection: int, peer: Peer, update: bytes, at: str) -> list[Effect]:
        """Apply the answer to a sync step 1, and release the fences that waited for it."""
        was_ending = self._resync.begin_answer(connection, peer)
        effects = self.update(connection, peer, update, encode_frame(SyncUpdate(update)), at, offered=True)
        return effects + self._resync.end_answer(connection, peer, was_ending)

    def answer_in_steps(self, connection: int, peer: Peer, update: bytes) -> Iterator[Step | None]:
        """Apply a long answer; see `update_in_steps`."""
        was_ending = self._resync.begin_answer(connection, peer)
        yield from self.update_in_steps(connection, peer, update, offered=True)
        yield lambda _: self._resync.end_answer(connection, peer, was_ending)

    def update_in_steps(
        self, connection: int, peer: Peer, update: bytes, *, offered: bool = False
    ) -> Iterator[Step | None]:
        """Apply a long update, a part at each step; frames of other connections may come between them.

        An update that is malformed, too large, or doesn't fit and can be asked for again is rejected as a whole.

        Args:
            connection: the connection that sent it.
            peer: the state of that connection.
            update: its bytes.
            offered: whether it is an answer, which may hold what others wrote.

        Yields:
            The steps; None where there is only work. Parts after the last step that is asked for aren't applied.

        Raises:
            MalformedFrame: the bytes are no update.
            TooLarge: it holds too much.
        """
        if update == EMPTY_UPDATE:
            return
        peer.left = left = Left()
        limits = self._limits
        try:
            try:
                header = yield from read_header_in_steps(
                    update, limits.structs, self._changes.deletions, self._values()
                )
            except MalformedFrame as error:
                if peer.extended:
                    raise
                update = yield from without_forbidden_in_steps(update, limits.structs)
                header = yield from read_header_in_steps(update, limits.structs, values=self._values())
                yield partial(self._resync.decline_at, connection, peer, error)
            update = header.rest or update
            if update == EMPTY_UPDATE:
                return
            yield None  # one value may have taken long
            too_large: TooLarge | None = None
            if header.values is not None and self._is_large(header.values):
                too_large = self._too_large(header.values)
                rest = yield from without_large_in_steps(
                    update, header.values, header.deletes, self._changes.vector, self._is_large
                )
                too_large = None if rest is update else too_large
                update, header = rest, (yield from read_header_in_steps(rest, values=self._values()))
                yield None
            if header.values is not None:
                update = Measured.of(update, header.values.ends)
                yield None
            yield from self._guard.prepare(peer.participant)
            if header.repeats(self._changes.vector) and (yield from self._differs(peer, update, header)):
                yield partial(self._resync.decline_at, connection, peer, ClientIdTaken(_REUSED))
                return
            if not offered and not (yield from header.fits_in_steps(self._changes.vector)):
                yield lambda _: self._resync.ask_for_gap(connection, peer, header)
                return
            yield from self._look_at_clients(connection, peer, header, left, offered=offered)
            is_trusted = peer.participant.capabilities.writes_everything
            for work in split_work(
                update,
                header,
                others=len(self._changes.vector),
                is_record=partial(self._guard.makes_record, peer.participant),
                known=self._changes.vector,
                largest=None if is_trusted else _LARGEST_RECORD,
                whole=_LARGEST_WHOLE if is_trusted else sys.maxsize,
            ):
                if work is None:
                    yield None
                    continue
                if left.brings_new:
                    yield hold
                part = work.update
                yield from self._guard.prepare(peer.participant, len(part))
                read = header if part == update else (yield from read_header_in_steps(part))
                if read.types > MAX_TYPES_DEEP:
                    with suppress(MalformedFrame):
                        yield from check_nesting_in_steps(part)
                        read.is_flat = True
                frame = encode_frame(SyncUpdate(part))
                if len(part) > _LARGE:
                    yield None
                if work.is_long:
                    yield from self._record_in_steps(connection, peer, part, frame, read, offered=offered)
                else:
                    yield partial(self.update, connection, peer, part, frame, offered=offered, header=read)
                    yield from self._changes.read_values()
                if work.refused:
                    yield partial(self._resync.decline_at, connection, peer, _too_large(work.refused))
            yield from self._bind_taken(peer, left, header)
            if left:
                yield lambda _: self._end_parts(connection, peer, left, header, offered=offered)
            if too_large is not None:
                yield partial(self._resync.decline_at, connection, peer, too_large)
        finally:
            peer.left = None

    def _record_in_steps(
        self, connection: int, peer: Peer, update: bytes, frame: bytes, header: UpdateHeader, *, offered: bool
    ) -> Iterator[Step | None]:
        """Apply a large new record, which is judged in steps and applied at once.

        Others' updates and syncs wait meanwhile: see `holder`.
        """
        at: list[str] = []

        def begin(now: str) -> list[Effect]:
            at.append(now)
            return []

        yield begin
        self.holder = connection
        try:
            effects: list[Effect]
            vector = self._changes.vector
            if not header.fits(vector) and not offered:
                effects = self._resync.ask_for_gap(connection, peer, header)
            elif header.fits(vector) and not self._guard.brings_others(
                header, peer.participant, vector, offered=offered
            ):
                found = self._guard.find_cuts(update, header, vector)
                effects = yield from self._take_judged(
                    connection, peer, update, frame, header, at[0], found, offered=offered, in_steps=True
                )
            else:
                effects = yield from self._take_fitting(
                    connection, peer, update, header, at[0], offered=offered, in_steps=True
                )
            yield lambda _: effects + self._resync.ask_waiting()
            yield from self._changes.read_values()
        finally:
            self.holder = None

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
        if not is_next and header.repeats(vector) and finish(self._differs(peer, update, header)):
            return declined + self._resync.decline(connection, peer, ClientIdTaken(_REUSED))
        if not is_next and not header.fits(vector):
            if not offered:
                return declined + self._resync.ask_for_gap(connection, peer, header)
            effects = finish(
                self._take_fitting(connection, peer, update, header, at, offered=offered, in_steps=False)
            )
        elif self._guard.brings_others(header, peer.participant, vector, offered=offered):
            effects = finish(
                self._take_fitting(connection, peer, update, header, at, offered=offered, in_steps=False)
            )
        else:
            effects = self._take(connection, peer, update, frame, header, at, offered=offered)
        if self._resync.waiting:
            effects += self._resync.ask_waiting()
        return effects + declined if declined else effects

    def _look_at_clients(
        self, connection: int, peer: Peer, header: UpdateHeader, left: Left, *, offered: bool
    ) -> Iterator[None]:
        """Find in steps the clients that are new, and the ids that a part alone may not bind to the participant."""
        by, known = peer.participant, self._changes.vector
        found: set[int] = set()
        for count, span in enumerate(() if by.capabilities.writes_everything else header.brings, 1):
            left.brings_new = left.brings_new or span.client not in known
            if span.end > known.get(span.client, 0) and not self._guard.may_replace(
                connection, by, span.client, offered=offered
            ):
                found.add(span.client)
            if not count % AT_ONCE:
                yield
        left.unsure = frozenset(found)

    def _bind_taken(self, peer: Peer, left: Left, header: UpdateHeader) -> Iterator[Step]:
        """Bind those of a long frame's unsure clients to its participant whose structs were all applied."""
        if not left.unsure:
            return
        ends = list({span.client: span.end for span in header.brings if span.client in left.unsure}.items())
        for start in range(0, len(ends), AT_ONCE):
            yield partial(self._bind, peer, dict(ends[start : start + AT_ONCE]))

    def _bind(self, peer: Peer, ends: Mapping[int, int], _: str) -> list[Effect]:
        known = self._changes.vector
        taken = (client for client, end in ends.items() if known.get(client, 0) >= end)
        return self._changes.bind(taken, peer.participant)

    def _end_parts(
        self, connection: int, peer: Peer, left: Left, header: UpdateHeader, *, offered: bool
    ) -> list[Effect]:
        """Wait for the clocks that parts of an update lacked, except for rejected ones of its earlier parts."""
        peer.left = None
        brought = [(span.client, span.clock, span.end) for span in header.brings]
        brought.sort()

        def is_brought(client: int, clock: int) -> bool:
            at = bisect_right(brought, (client, clock, MAX_CLOCK)) - 1
            return at >= 0 and brought[at][0] == client and clock < brought[at][2]

        lacks = {client: end for client, end in left.lacks.items() if not is_brought(client, end - 1)}
        needed = {client: end for client, end in left.lacks.items() if client in left.others}
        others, missing = self._resync.missing(left.others), self._resync.missing(lacks)
        is_needed = left.is_needed or bool(self._resync.missing(needed))
        effects = self._resync.await_others(connection, peer, others, missing, offered=offered, is_needed=is_needed)
        # A clock that came between two parts needs no waiting: a replica whose writes depend on it is asked at once.
        needs = left.others if left.is_needed else needed
        has_come = len(missing) < len(lacks) or len(self._resync.missing(needs)) < len(needs)
        if has_come and not peer.is_stuck and peer.ending is None:
            effects += self._resync.ask(connection, peer)
        return effects

    def _differs(self, peer: Peer, update: bytes, header: UpdateHeader) -> Generator[None, None, bool]:
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

    def _take_fitting(
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
            effects = yield from self._take_judged(
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
                self._take_judged(connection, peer, update, frame, header, at, found, offered=offered, in_steps=False)
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

    def _take_judged(
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

    def _values(self) -> Values:
        return Values(most_size=self._limits.value_bytes, most_entries=self._limits.value_entries)

    def _is_large(self, values: Values | Extent) -> bool:
        """Return whether one value is larger than the library may read at once."""
        return values.size > self._limits.value_bytes or values.entries > self._limits.value_entries

    def _too_large(self, values: Values) -> TooLarge:
        limits = self._limits
        if values.size > limits.value_bytes:
            return TooLarge(
                f"One value has {values.size} bytes, and the server takes {limits.value_bytes}; write it as several "
                "values or as a shared text, or keep it elsewhere and write its address."
            )
        return TooLarge(
            f"One value has {values.entries} keys and values, and the server takes {limits.value_entries}; write it "
            "as a shared map or list, or as several values."
        )

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
        may_replace = partial(self._guard.may_replace, connection, peer.participant, offered=offered)
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


def _too_large(record: RecordSize) -> TooLarge:
    most = _LARGEST_RECORD
    return TooLarge(
        f"A new record has {record.structs} structs and {record.bytes} bytes, and the server takes {most.structs} "
        f"structs and {most.bytes} bytes at once; add it with less in it, then the rest in further transactions."
    )
