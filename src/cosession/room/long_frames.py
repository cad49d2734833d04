"""Long frames: an update in parts, each a step of little work, between which other connections have their turn.

A new record is one part: it is judged in steps and applied at once, and others wait for it meanwhile; see `holder`.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from cosession.errors import ClientIdTaken, MalformedFrame, TooLarge
from cosession.protocol import (
    EMPTY_UPDATE,
    Limits,
    SyncUpdate,
    UpdateHeader,
    encode_frame,
)
from cosession.protocol.header import read_header_in_steps
from cosession.protocol.large_values import without_large_in_steps
from cosession.protocol.measured import Extent, Measured, Values
from cosession.protocol.nesting import MAX_TYPES_DEEP, check_nesting_in_steps
from cosession.protocol.parts import RecordSize, split_work
from cosession.protocol.sections import without_forbidden_in_steps
from cosession.protocol.steps import AT_ONCE
from cosession.protocol.update_format import MAX_CLOCK

from .changes import Changes
from .effects import Effect
from .inbound import REUSED, InboundUpdates
from .peer import Left, Peer
from .resync import Resync
from .write_guard import WriteGuard

Step: TypeAlias = Callable[[str], list[Effect]]
"""A step that handles a part of a frame, at a time of the server (RFC 3339)."""


def hold(_: str) -> list[Effect]:
    """Do nothing: the step at which a participant waits until it may bring new Yjs client ids in the next one."""
    return []


_LARGE = 2**20
"""The size of a part from which on making and handling it are two steps: each copy of 16 MB takes milliseconds."""

_LARGEST_RECORD = RecordSize(structs=10_000, bytes=2**25)
"""The largest new record that is judged: 10 to 35 µs for each struct, in steps."""

_LARGEST_WHOLE = 40_000
"""The work (structs, and KB of text) of a new record that is applied at once where it needs no judging; a larger one
becomes visible before it is whole."""


class LongFrames:
    """The handler of the long frames that a room's connections send.

    Args:
        inbound: applies a part.
        changes: knows the document's state.
        guard: decides which updates may be applied.
        resync: asks for missing content, and notifies of rejected content.
        limits: how much a frame may hold.

    Attributes:
        holder: the connection whose large record is being applied: the sync frames of others wait for it.
    """

    __slots__ = ("_changes", "_guard", "_inbound", "_limits", "_resync", "holder")

    def __init__(
        self, inbound: InboundUpdates, changes: Changes, guard: WriteGuard, resync: Resync, limits: Limits
    ) -> None:
        self._inbound = inbound
        self._changes = changes
        self._guard = guard
        self._resync = resync
        self._limits = limits
        self.holder: int | None = None

    def answer(self, connection: int, peer: Peer, update: bytes) -> Iterator[Step | None]:
        """Apply a long answer; see `update`."""
        was_ending = self._resync.begin_answer(connection, peer)
        yield from self.update(connection, peer, update, offered=True)
        yield lambda _: self._resync.end_answer(connection, peer, was_ending)

    def update(self, connection: int, peer: Peer, update: bytes, *, offered: bool = False) -> Iterator[Step | None]:
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
            if header.repeats(self._changes.vector) and (yield from self._inbound.differs(peer, update, header)):
                yield partial(self._resync.decline_at, connection, peer, ClientIdTaken(REUSED))
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
                    yield from self._record(connection, peer, part, frame, read, offered=offered)
                else:
                    yield partial(self._inbound.update, connection, peer, part, frame, offered=offered, header=read)
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

    def _record(
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
                effects = yield from self._inbound.take_judged(
                    connection, peer, update, frame, header, at[0], found, offered=offered, in_steps=True
                )
            else:
                effects = yield from self._inbound.take_fitting(
                    connection, peer, update, header, at[0], offered=offered, in_steps=True
                )
            yield lambda _: effects + self._resync.ask_waiting()
            yield from self._changes.read_values()
        finally:
            self.holder = None

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


def _too_large(record: RecordSize) -> TooLarge:
    most = _LARGEST_RECORD
    return TooLarge(
        f"A new record has {record.structs} structs and {record.bytes} bytes, and the server takes {most.structs} "
        f"structs and {most.bytes} bytes at once; add it with less in it, then the rest in further transactions."
    )
