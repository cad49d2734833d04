"""Admission: an update is judged by what it does to the document, before any participant sees it.

    update ─→ index: where is each item? ─→ judge: may they? ─→ shadow: does it break? ─→ admitted
                plain token in a text that they may write ──────────────────────────────↗

Nothing here touches the live document. A refused update leaves no trace; an admitted one must be applied to the live
document before the next is judged. Updates that aren't judged (the server's own, those of participants with full
write access) are reported by `applied`, and cost nothing until a restricted participant writes.

Bounds: the index and the shadow are made when they are first needed, in a time that grows with the number of the
document's structs, and dropped when more than a megabyte of unjudged updates waits for them. `prepare` does that in
steps, between which the document may change.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeVar

import pycrdt

from cosession.auth.participant import Participant
from cosession.document import SessionDocument
from cosession.errors import CosessionError, MalformedFrame, NotAllowed, TooLarge, is_crdt_error
from cosession.protocol import ClockRange, KeptValues, UpdateHeader, read_update_header
from cosession.protocol.header import read_header_in_steps
from cosession.protocol.sections import Sections
from cosession.protocol.steps import AT_ONCE, finish
from cosession.protocol.structs import Id, Struct, read_structs
from cosession.protocol.update_format import DELETED, GC

from .authorizer import Authorizer
from .clock_ranges import ClockSet
from .continued_texts import ContinuedTexts
from .item_index import ItemIndex, Undo
from .locations import NOTHING, MapSlot, Place
from .operations import Operation, stage
from .quota import STRUCT_BYTES, Quota, grown_by
from .refusals import Refusals
from .shadow import Shadow
from .staged_update import StagedUpdate

_WAITING: Final = 2**20
"""Bytes of updates that may wait for the index; the next judgement takes longer by them."""
_MEANWHILE: Final = 2**24
"""Bytes of updates that may wait while the index is being made; beyond it, the index is begun anew."""
_FEW: Final = 2**14
"""Bytes of updates that may wait for the index and are read at once: a few milliseconds."""
_PASSES: Final = 16
"""Passes over a refused update: a refusal found in one pass may bring out more in the next."""


_TRIES: Final = 3
"""Times that a judgement in steps is begun before it is made at once: a change between two steps ends it."""
_LARGE: Final = 2**20
"""Bytes of an update that is tried out in a step of its own."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The size and depth that a document may grow to.

    Attributes:
        max_document_bytes: the document's size as an update; it is enforced to a part in 64.
        max_depth: the number of shared types that may be nested in each other.
    """

    max_document_bytes: int
    max_depth: int


class Admitted(NamedTuple):
    """An update that may be applied.

    Attributes:
        update: its bytes: those that came in, or, where they repeated what is known, only what is new.
        header: its header.
    """

    update: bytes
    header: UpdateHeader


class _Submission(NamedTuple):
    """An update that is to be judged; the attributes are the arguments of `Admission.judge`."""

    update: bytes
    header: UpdateHeader
    participant: Participant
    is_own: Callable[[int], bool] | None


class Salvaged(NamedTuple):
    """The part of a refused update that is kept.

    Attributes:
        admitted: the update that may be applied.
        error: why an operation of the participant isn't in it; None where only others may have made what is left out.
    """

    admitted: Admitted
    error: CosessionError | None


class Admission:
    """Judges the updates of one room.

    Args:
        document: the live document; it is only read.
        limits: the size and depth that it may grow to.
    """

    def __init__(self, document: SessionDocument, limits: AdmissionLimits) -> None:
        self._document = document
        self._limits = limits
        self._shadow = Shadow(document.doc.get_update)
        self._index: ItemIndex | None = None
        self._work: Iterator[None] | None = None
        self._waiting = deque[tuple[bytes, tuple[ClockRange, ...]]]()
        self._bytes = 0
        self._texts = ContinuedTexts()
        self._staged: StagedUpdate | None = None
        """The update that waits for the next step of its judgement."""
        self._is_ahead = False
        """Whether the shadow has an update that the live document doesn't have yet."""
        self._turn = 0
        """Counts other uses of the index and changes of the document: each makes a judgement in steps begin anew."""
        self._size = Quota(document.doc.get_update, limits.max_document_bytes)

    @property
    def is_prepared(self) -> bool:
        """Whether the next update can be judged without reading much first."""
        is_read = self._index is not None and self._work is None and self._bytes <= _FEW
        return is_read and self._shadow.is_ready and not self._size.is_due(0)

    def prepare(self, grows: int = 0) -> Iterator[None]:
        """Read the document, or the changes to it, in steps; several callers may take them in turn.

        Args:
            grows: the bytes of the update that is judged next.
        """
        while (
            self._index is None
            or self._work is not None
            or self._waiting
            or not self._shadow.is_ready
            or self._size.is_due(grows)
        ):
            if self._work is None:
                self._work = self._catch_up(grows)
            self._take_back()
            try:
                next(self._work)
            except StopIteration:
                self._work = None
            else:
                yield

    def applied(self, update: bytes, header: UpdateHeader) -> None:
        """Note an update, with its header, that was applied to the live document without being judged."""
        if self._index is None and self._work is None:
            return
        self._take_back()
        self._shadow.follow(update)
        self._waiting.append((update, header.deletes))
        self._bytes += len(update)
        if self._bytes > (_WAITING if self._work is None else _MEANWHILE):
            self._forget()

    def makes_record(self, beside: Id) -> bool:
        """Return whether an entry beside an item would be a record; True where the item isn't known yet."""
        clocks = None if self._index is None else self._index.clients.get(beside[0])
        if clocks is None or beside[1] >= clocks.end:
            return True
        place = clocks.at(beside[1])
        return place is NOTHING or (not isinstance(place, MapSlot) and place.node.child(None).is_record)

    def check_size(self, grows: int) -> None:
        """Check that the document may grow by so many bytes, `STRUCT_BYTES` for each struct included.

        Raises:
            TooLarge: it is full.
        """
        self._caught_up()
        self._size.check(grows)

    def judge(
        self,
        update: bytes,
        header: UpdateHeader,
        participant: Participant,
        is_own: Callable[[int], bool] | None = None,
        first: bytes | None = None,
    ) -> Admitted:
        """Judge an update before it is applied.

        Args:
            update: the update; it fits the live document.
            header: its header.
            participant: the participant that sent it.
            is_own: for an update that may hold writes of others (an answer to a sync step 1): whether a Yjs client
                id is the participant's. None means that all writes in the update are.
            first: the server's own change to the document before it applies the update, as an update.

        Returns:
            The update to apply, log and send.

        Raises:
            NotAllowed: the participant lacks the permission for something in the update.
            MalformedFrame: no Yjs client can have made the update from this document.
            TooLarge: the document would be larger or deeper than the limits.
        """
        index = self._caught_up()
        if (
            first is None
            and is_own is None
            and self._texts.take_in(update, header, participant, index, self._shadow, self._size)
        ):
            return Admitted(update, header)
        return finish(self._judged(_Submission(update, header, participant, is_own), first))

    def judge_in_steps(
        self,
        update: bytes,
        header: UpdateHeader,
        participant: Participant,
        is_own: Callable[[int], bool] | None = None,
        first: bytes | None = None,
    ) -> Generator[None, None, Admitted]:
        """Judge a long update in steps; see `judge`. It must be applied at once when it is admitted.

        When another update is judged or applied between two steps, the judgement is begun anew.
        """
        submission = _Submission(update, header, participant, is_own)
        return self._in_steps(lambda: self._judged(submission, first))

    def _judged(self, submission: _Submission, first: bytes | None) -> Generator[None, None, Admitted]:
        index = self._caught_up()
        if first is not None:
            self._shadow.try_out(first)
            self._is_ahead = True
        admitted = yield from self._admit(index, self._news(index, submission))
        self._is_ahead = False
        return admitted

    def _in_steps(self, begin: Callable[[], Generator[None, None, _Result]]) -> Generator[None, None, _Result]:
        """Judge in steps; begin anew where the document or the index changed between two, in the end at once."""
        for _ in range(_TRIES):
            yield from self.prepare()
            with closing(begin()) as steps:
                turn = self._turn
                while turn == self._turn:
                    try:
                        next(steps)
                    except StopIteration as ended:
                        return ended.value
                    turn = self._turn
                    yield
        return finish(begin())

    def salvage(
        self,
        update: bytes,
        header: UpdateHeader,
        participant: Participant,
        is_own: Callable[[int], bool] | None,
        may_replace: Callable[[int], bool],
        *,
        gives_up: bool,
    ) -> Generator[None, None, Salvaged]:
        """Judge in steps an update that was refused as a whole, and admit it without the refused parts.

        Each pass finds the refused parts of what the passes before have left; the last one finds none, and is the
        judgement. Where the passes don't come to an end, only the clocks are admitted.

        Args:
            update: see `judge`.
            header: see `judge`.
            participant: see `judge`.
            is_own: see `judge`.
            may_replace: whether a Yjs client id is surely the participant's: only then may its clocks be used up.
            gives_up: whether structs that depend on refused writes of others are replaced; else they are left out,
                and wait.

        Raises:
            NotAllowed: the participant has no write access.
            MalformedFrame: not even the clocks can be admitted.
        """
        submission = _Submission(update, header, participant, is_own)
        return self._in_steps(lambda: self._salvaged(submission, may_replace, gives_up=gives_up))

    def _salvaged(
        self, submission: _Submission, may_replace: Callable[[int], bool], *, gives_up: bool
    ) -> Generator[None, None, Salvaged]:
        index = self._caught_up()
        submission = self._news(index, submission)
        error: CosessionError | None = None
        try:
            for _ in range(_PASSES):
                refusals = yield from self._refused(index, submission, may_replace)
                error = error or refusals.error
                if refusals or refusals.nothing:
                    rest = yield from refusals.without(submission.update, index.ends(), gives_up=gives_up)
                    submission = submission._replace(update=rest, header=(yield from read_header_in_steps(rest)))
                if not refusals:
                    return Salvaged((yield from self._admit(index, submission)), error)
        except (NotAllowed, MalformedFrame, TooLarge) as refused:
            error = error or refused
        return Salvaged((yield from self._hollow(submission, may_replace)), error)

    def hollow(
        self,
        update: bytes,
        header: UpdateHeader,
        participant: Participant,
        is_own: Callable[[int], bool] | None,
        may_replace: Callable[[int], bool],
    ) -> Generator[None, None, Admitted]:
        """Admit in steps the clocks of an update, without its contents; see `salvage`."""
        submission = _Submission(update, header, participant, is_own)
        return self._in_steps(lambda: self._hollow(submission, may_replace))

    def _hollow(self, submission: _Submission, may_replace: Callable[[int], bool]) -> Generator[None, None, Admitted]:
        index = self._caught_up()
        submission = self._news(index, submission)
        sections = yield from Sections.in_steps(submission.update)
        for client in {span.client for span in submission.header.brings if not may_replace(span.client)}:
            sections.leave_out(client)
        sections.hollow()
        clocks = sections.encode()
        submission = submission._replace(update=clocks, header=(yield from read_header_in_steps(clocks)))
        return (yield from self._admit(index, submission, is_hollow=True))

    def _admit(
        self, index: ItemIndex, submission: _Submission, *, is_hollow: bool = False
    ) -> Generator[None, None, Admitted]:
        """Judge an update that repeats nothing. A hollow one (clocks alone) is admitted to a full document as well.

        Yields:
            After some structs; an update that was taken back meanwhile must not be continued.
        """
        update, header, participant, is_own = submission
        stillborn = ClockSet()
        staged = self._staged = StagedUpdate(index, header)
        try:
            judge, last = yield from self._looked(index, submission, staged.undo, stillborn)
            grows = grown_by(update, staged.grown, header.deletes)
            if not is_hollow:
                self._size.check(grows, only_deletes=not header.brings)
            if header.brings or last is not None:
                yield from self._try_out(update)
        except BaseException:
            staged.take_back()
            raise
        finally:
            self._no_more(staged)
        index.note_deleted(header.deletes)
        index.deleted.update(stillborn)
        self._size.changed(grows, shrinks=bool(header.deletes))
        if is_own is None:
            self._texts.remember(index, header, participant, judge, last)
        return Admitted(update, header)

    def _try_out(self, update: bytes) -> Iterator[None]:
        """Try an update out; a large one in a step of its own."""
        if len(update) <= _LARGE:
            self._shadow.try_out(update)
            return
        yield
        self._shadow.try_out(update)
        self._is_ahead = True
        yield
        self._is_ahead = False

    def _no_more(self, staged: StagedUpdate) -> None:
        if self._staged is staged:
            self._staged = None

    def _take_back(self) -> None:
        """Take back the update that waits for its next step, if any; its judgement is begun anew then."""
        self._turn += 1
        if self._staged is not None:
            self._staged.take_back()
            self._staged = None
        if self._is_ahead:
            self._shadow.drop()
            self._is_ahead = False

    def _refused(
        self, index: ItemIndex, submission: _Submission, may_replace: Callable[[int], bool]
    ) -> Generator[None, None, Refusals]:
        """Find the refused parts of an update; leave no trace of it."""
        update, header, participant, is_own = submission
        staged = self._staged = StagedUpdate(index, header)
        undo = staged.undo
        judge, refusals = Authorizer(index, participant, is_own), Refusals(may_replace)
        records: dict[Id, int] = {}

        def refuse(struct: Struct, error: CosessionError, place: Place, content: int | None = None) -> None:
            """Refuse a struct, and the whole record that it is in where the update makes that."""
            inside = place.container if isinstance(place, MapSlot) else place
            record = inside.record
            if record is not None and record.id is not None and record in judge.made:
                refusals.refuse(record.id, error, records.get(record.id))
            refusals.refuse((struct.client, struct.clock), error, content)

        try:
            structs = yield from index.in_order(update)
            touches = stage(index, update, structs, header.deletes, undo, self._limits.max_depth, ClockSet(), refuse)
            for touch in touches:
                if touch is None:
                    yield
                    continue
                struct, made = touch.struct, touch.made
                if struct is not None and made is not None and made is made.record and touch.key is None:
                    records[struct.client, struct.clock] = struct.content
                try:
                    judge.look(touch)
                except CosessionError as error:
                    if struct is not None:
                        touch.refused = error
                        content = struct.content if _may_be_deleted(judge, touch) else None
                        refuse(struct, error, touch.container, content)
                    elif touch.deleted is not None and not self._is_deleted_already(index, touch.deleted):
                        refusals.refuse_deletion(touch.deleted, error)
            for id, error in judge.faults():  # noqa: A001 - Yjs's word
                refusals.refuse(id, error, records.get(id))
            for count, struct in enumerate(read_structs(update), 1):
                if not count % AT_ONCE:
                    yield
                if struct.kind != GC and index.clients[struct.client].at(struct.clock) is NOTHING:
                    refusals.nothing.append((struct.client, struct.clock))
            self._fill(update, grown_by(update, staged.grown, header.deletes), refusals)
        finally:
            staged.take_back()
            self._no_more(staged)
        return refusals

    def _fill(self, update: bytes, grows: int, refusals: Refusals) -> None:
        """Refuse the structs that no longer fit into the document: each that is larger than the space left then."""
        try:
            self._size.check(grows)
        except TooLarge as error:
            left = self._size.left
            for id, size in Sections(update).sizes().items():  # noqa: A001 - Yjs's word
                if refusals.is_refused(id):
                    continue
                if size + STRUCT_BYTES > left:
                    refusals.refuse(id, error)
                else:
                    left -= size + STRUCT_BYTES

    def _looked(
        self, index: ItemIndex, submission: _Submission, undo: Undo, stillborn: ClockSet
    ) -> Generator[None, None, tuple[Authorizer, Operation | None]]:
        """Stage an update and judge its operations; return the judge and the last operation."""
        update, header, participant, is_own = submission
        judge = Authorizer(index, participant, is_own)
        judge.look_at_writers(header.brings)
        last: Operation | None = None
        structs = yield from index.in_order(update)
        touches = stage(index, update, structs, header.deletes, undo, self._limits.max_depth, stillborn)
        for touch in touches:
            if touch is None:
                yield
                continue
            last = touch
            try:
                judge.look(touch)
            except NotAllowed:
                if touch.deleted is None or not self._is_deleted_already(index, touch.deleted):
                    raise
        if last is None and header.brings:
            judge.look_at_nothing()
        judge.finish()
        return judge, last

    def _is_deleted_already(self, index: ItemIndex, gone: ClockRange) -> bool:
        """Return whether a range that an update deletes is deleted already; the index may lack that deletion."""
        if any(index.deleted.lacks(gone.client, gone.clock, gone.end)):
            index.note_deleted(self._deleted())
        return not any(index.deleted.lacks(gone.client, gone.clock, gone.end))

    def _deleted(self) -> tuple[ClockRange, ...]:
        """Return the deleted ranges of the live document."""
        return read_update_header(self._deletions()).deletes

    def _deletions(self) -> bytes:
        doc = self._document.doc
        return doc.get_update(doc.get_state())

    def _caught_up(self) -> ItemIndex:
        self._take_back()
        index = self._index
        if index is None or self._work is not None or self._waiting:
            for _ in self.prepare():
                pass
            index = self._index
            assert index is not None, "it was made just now"
        return index

    def _catch_up(self, grows: int) -> Iterator[None]:
        """Make the index if there is none, add the waiting updates, and measure the document if that is due."""
        index = self._index
        if index is None:
            state, deleted = self._document.doc.get_update(), self._deletions()
            index = ItemIndex()
            yield from self._shadow.prepare(state)
            yield from self._size.measure_in_steps(state)
            yield from index.learn(state, ())
            yield from index.learn(deleted, (yield from read_header_in_steps(deleted)).deletes)
            self._index = index
        elif not self._shadow.is_ready:
            yield from self._shadow.prepare(self._document.doc.get_update())
        while self._waiting:
            update, deletes = self._waiting[0]
            structs = index.structs
            yield from index.learn(update, deletes)
            self._size.changed(grown_by(update, index.structs - structs, deletes), shrinks=bool(deletes))
            self._waiting.popleft()
            self._bytes -= len(update)
        if self._size.is_due(grows):
            yield from self._size.measure_in_steps(self._document.doc.get_update())

    def _forget(self) -> None:
        self._index = self._work = None
        self._shadow.drop()
        self._texts.clear()
        self._waiting.clear()
        self._bytes = 0

    def _news(self, index: ItemIndex, submission: _Submission) -> _Submission:
        """Return the part of an update that the document lacks: a repeated struct could differ from the known one."""
        if not _repeats(index, submission.header):
            return submission
        update = submission.update
        try:
            news = KeptValues([update]).restore(pycrdt.get_update(update, self._document.doc.get_state()))
        except BaseException as error:
            if is_crdt_error(error):
                raise MalformedFrame("The update can't be read; start from a fresh document.") from error
            raise
        header = read_update_header(news)
        if _repeats(index, header):
            raise MalformedFrame(
                "The update tells what the session knows in another way; start from a fresh document."
            )
        return submission._replace(update=news, header=header)


def _may_be_deleted(judge: Authorizer, touch: Operation) -> bool:
    """Return whether a deleted struct may replace a refused list entry, so that its neighbours stay."""
    if touch.key is not None or touch.struct is None:
        return False
    if touch.node.is_record:
        return True
    gone = replace(touch, struct=replace(touch.struct, kind=DELETED, type=0), made=None, holder=None, refused=None)
    try:
        judge.look(gone)
    except NotAllowed:
        return False
    return True


def _repeats(index: ItemIndex, header: UpdateHeader) -> bool:
    for span in header.brings:  # noqa: SIM110 - at every update, and a generator is slower
        if span.clock != index.end(span.client):
            return True
    return False
