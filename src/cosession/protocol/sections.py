"""An update cut along its structs: the part that fits a document, and the replacement of a refused struct.

Of one client all structs from some clock on are left out, so the rest is an update of its own. The replacement of a
struct has the same clocks, so later structs fit. The work is linear in the update's structs.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from heapq import heappop, heappush

from cosession.errors import MalformedFrame

from . import lib0
from .deletions import Span, encode_in_steps
from .header import ClockRange
from .steps import AT_ONCE, finish
from .structs import Id
from .update_format import DELETED, GC, JSON, KIND, LEFT, SKIP, skip_content, skip_place, skip_struct

_GONE = bytes((GC,))


@dataclass(slots=True)
class _Span:
    """One struct: its clocks, the offsets of its bytes, and the clocks that it depends on.

    Attributes:
        needs: pairs of a client and the first clock after those that it depends on.
        instead: the bytes that replace it; None if it stays.
    """

    clock: int
    length: int
    start: int
    end: int
    needs: tuple[Id, ...]
    instead: bytes | None = None

    @property
    def until(self) -> int:
        return self.clock + self.length


@dataclass(slots=True)
class Fit:
    """The part of an update that fits a document.

    Attributes:
        update: that part; an empty update if nothing fits.
        lacks: per client, the first clock after those that the omitted structs wait for.
        parts: the clients of which only some structs fit, and the rest was left out.
        replaced: the clocks of structs that wait for structs that won't come, and were replaced.
    """

    update: bytes
    lacks: dict[int, int] = field(default_factory=dict[int, int])
    replaced: tuple[ClockRange, ...] = ()
    parts: frozenset[int] = frozenset()


class Sections:
    """The structs and deletions of one update, which can be left out or replaced.

    Args:
        update: the update; its header was read, so it is one whole update.
        is_unread: whether it is read later; see `in_steps`.

    Raises:
        MalformedFrame: it isn't one whole update.
    """

    def __init__(self, update: bytes, *, is_unread: bool = False) -> None:
        self._update = update
        self._spans: dict[int, list[_Span]] = {}
        self._deletes: dict[int, list[tuple[int, int]]] = {}
        if not is_unread:
            finish(self._read())

    @classmethod
    def in_steps(cls, update: bytes) -> Generator[None, None, "Sections"]:
        """Read an update in steps."""
        sections = cls(update, is_unread=True)
        yield from sections._read()
        return sections

    def _read(self) -> Generator[None, None, None]:
        reader = lib0.Reader(self._update)
        work = 0
        for _ in range(reader.uint()):
            count, client, clock = reader.uint(), reader.uint(), reader.uint()
            spans = self._spans.setdefault(client, [])
            for _ in range(count):
                start, needs = reader.at, dict[int, int]()
                info = reader.byte()
                if info & KIND == SKIP:
                    clock += reader.uint()
                    continue
                length = skip_struct(reader, info, needs)
                spans.append(_Span(clock, length, start, reader.at, tuple(needs.items())))
                clock += length
                work += 1
                if not work % AT_ONCE:
                    yield
        for _ in range(reader.uint()):
            client = reader.uint()
            ranges = self._deletes.setdefault(client, [])
            for _ in range(reader.uint()):
                clock = reader.uint()
                ranges.append((clock, clock + reader.uint()))

    def sizes(self) -> dict[Id, int]:
        """Return the size in bytes of each struct, by its client and first clock."""
        return {
            (client, span.clock): span.end - span.start for client, spans in self._spans.items() for span in spans
        }

    def replace_all(self, gone: Mapping[Id, int | None]) -> None:
        """Replace some structs by deleted ones.

        Args:
            gone: per client and first clock, the offset of the struct's content in the update: the deleted struct
                then has its neighbours. None: it has none.
        """
        for client, spans in self._spans.items():
            for span in spans:
                if (client, span.clock) in gone:
                    self._gone(client, span, gone[client, span.clock])

    def hollow(self) -> None:
        """Keep only the clocks: replace all structs, and drop all deletions but theirs."""
        self._deletes.clear()
        for client, spans in self._spans.items():
            for span in spans:
                self._gone(client, span, None)

    def delete(self, gone: Iterable[ClockRange]) -> None:
        """Delete some clocks."""
        for one in gone:
            self._deletes.setdefault(one.client, []).append((one.clock, one.end))

    def drop_deletes(self, gone: Iterable[ClockRange]) -> None:
        """Leave out some deletions."""
        dropped: dict[int, list[tuple[int, int]]] = {}
        for one in gone:
            dropped.setdefault(one.client, []).append((one.clock, one.end))
        for client, spans in dropped.items():
            self._deletes[client] = list(_without(_joined(self._deletes.get(client, ())), _joined(spans)))

    def leave_out(self, client: int) -> None:
        """Leave out the structs of a client."""
        self._spans[client] = []

    def fit(
        self,
        known: Mapping[int, int],
        may: Callable[[int], bool],
        *,
        may_replace: Callable[[int], bool] | None = None,
    ) -> Fit:
        """Return the part of the update that fits a document: per client, all structs before the first that doesn't.

        Args:
            known: the document's state vector.
            may: whether new clocks of a client may be included.
            may_replace: whether a client's struct that depends on a missing one is replaced, so that the structs
                behind it fit. None: of no client.
        """
        taking = {client: spans for client, spans in self._spans.items() if may(client)}
        way = _Way(taking, known)
        replaced: list[ClockRange] = []
        if may_replace is not None:
            for client, span in way.hopeless(may_replace):
                self._gone(client, span, None)
                span.needs = ()
                replaced.append(ClockRange(client, span.clock, span.length))
        way.go()
        reach, taken = way.reach, way.taken
        lacks: dict[int, int] = {}
        for client, spans in taking.items():
            if taken[client] < len(spans):
                span = spans[taken[client]]
                missing = way.missing(client, span) or (client, span.clock)
                lacks[missing[0]] = max(missing[1], lacks.get(missing[0], 0))
        deletes: dict[int, list[tuple[int, int]]] = {}
        for client, ranges in self._deletes.items():
            until = reach.get(client, known.get(client, 0))
            deletes[client] = [(clock, min(end, until)) for clock, end in ranges if clock < until]
            last = max((end for _, end in ranges), default=0)
            if last > until and not (client in self._spans and client not in taking):
                lacks[client] = max(last, lacks.get(client, 0))
        update = self._encode({client: spans[: taken[client]] for client, spans in taking.items()}, deletes)
        parts = frozenset(client for client, spans in taking.items() if 0 < taken[client] < len(spans))
        return Fit(update, lacks, tuple(replaced), parts)

    def encode(self) -> bytes:
        """Return the update with the changes made so far."""
        return self._encode(self._spans, self._deletes)

    def _gone(self, client: int, span: _Span, content: int | None) -> None:
        if span.instead is not None:
            return
        span.instead = _instead(self._update, span.start, content, span.length)
        self._deletes.setdefault(client, []).append((span.clock, span.until))

    def _encode(self, spans: Mapping[int, list[_Span]], deletes: Mapping[int, Iterable[tuple[int, int]]]) -> bytes:
        sections = [(client, own) for client, own in spans.items() if own]
        out = [lib0.uint(len(sections))]
        for client, own in sections:
            body: list[bytes] = []
            at = own[0].clock
            for span in own:
                if span.clock > at:
                    body.append(bytes((SKIP,)) + lib0.uint(span.clock - at))
                body.append(self._update[span.start : span.end] if span.instead is None else span.instead)
                at = span.until
            out += (lib0.uint(len(body)), lib0.uint(client), lib0.uint(own[0].clock), *body)
        ranges = [(client, joined) for client, spans in deletes.items() if (joined := _joined(spans))]
        out.append(lib0.uint(len(ranges)))
        for client, joined in ranges:
            written = (lib0.uint(clock) + lib0.uint(end - clock) for clock, end in joined)
            out += (lib0.uint(client), lib0.uint(len(joined)), *written)
        return b"".join(out)


def without_forbidden(update: bytes, limit: int) -> bytes:
    """Replace by deleted structs those with content that some readers read otherwise.

    A struct beside one that has no place any more has none either: its place is that of its neighbour.

    Args:
        update: an update of which no header can be read.
        limit: the number of structs, values and deleted ranges that it may hold.

    Raises:
        MalformedFrame: it isn't one whole update even then.
        TooLarge: it holds more than the limit.
    """
    return finish(without_forbidden_in_steps(update, limit))


def without_forbidden_in_steps(update: bytes, limit: int) -> Generator[None, None, bytes]:
    """Do the same in steps; see `without_forbidden`."""
    reader = lib0.Reader(update, limit)
    out: list[bytes] = []
    spans: list[Span] = []
    nowhere = set[Id]()
    copied = work = 0
    for _ in range(reader.count()):
        count, client, clock = reader.count(), reader.uint(), reader.uint()
        for _ in range(count):
            work += 1
            if not work % AT_ONCE:
                yield
            start, info = reader.at, reader.byte()
            length = skip_struct(reader, info, {})
            if info & KIND not in (GC, SKIP):
                allowed = _allowed_until(update, start, nowhere)
                if allowed is None:
                    nowhere.add((client, clock + length - 1))
                if allowed != reader.at:
                    out += (update[copied:start], _instead(update, start, allowed, length))
                    spans.append((client, clock, length))
                    copied = reader.at
            clock += length
    out.append(update[copied : reader.at])
    for _ in range(reader.count()):
        client = reader.uint()
        for _ in range(reader.count()):
            work += 1
            if not work % AT_ONCE:
                yield
            spans.append((client, reader.uint(), reader.uint()))
    reader.finish()
    out.append((yield from encode_in_steps(spans)))
    return b"".join(out)


def _instead(update: bytes, start: int, content: int | None, length: int) -> bytes:
    """Return a deleted struct with the clocks of another one: in its place if `content` is set, else without one."""
    if content is None:
        return _GONE + lib0.uint(length)
    return bytes((update[start] & ~KIND | DELETED,)) + update[start + 1 : content] + lib0.uint(length)


def _allowed_until(update: bytes, start: int, nowhere: Set[Id]) -> int | None:
    """Return the offset behind an item, or that of its content if the content is forbidden; None if its place is."""
    reader = lib0.Reader(update)
    reader.at = start + 1
    info = update[start]
    place = None
    try:
        if info & LEFT and (reader.uint(), reader.uint()) in nowhere:
            return None
        reader.at = start + 1
        skip_place(reader, info, {}, strict=True)
        place = reader.at
        skip_content(reader, info & KIND, strict=True)
    except MalformedFrame:
        return place
    return place if info & KIND == JSON else reader.at


class _Way:
    """The order in which the structs of several clients fit, each behind those that it depends on.

    A client with a next struct that depends on a missing one waits, listed under the client that it waits for, until
    that one has advanced: so each struct is visited once, and once more after a wait.
    """

    def __init__(self, spans: Mapping[int, list[_Span]], known: Mapping[int, int]) -> None:
        self.reach = {client: known.get(client, 0) for client in spans}
        self.taken = dict.fromkeys(spans, 0)
        self._spans = spans
        self._known = known
        self._waiting: dict[int, list[tuple[int, int]]] = {}

    def go(self) -> None:
        """Advance each client over all structs that fit."""
        ready = list(self._spans)
        while ready:
            client = ready.pop()
            missing = self._advance(client)
            if missing is not None:
                heappush(self._waiting.setdefault(missing[0], []), (missing[1], client))
            waiting = self._waiting.get(client)
            while waiting and waiting[0][0] <= self.reach[client]:
                ready.append(heappop(waiting)[1])

    def missing(self, client: int, span: _Span) -> Id | None:
        """Return the client and end of the first missing clocks that a struct depends on, or None."""
        if span.clock > self.reach[client]:
            return client, span.clock
        for beside, end in span.needs:
            if end > (self.reach[beside] if beside in self.reach else self._known.get(beside, 0)):
                return beside, end
        return None

    def hopeless(self, may_replace: Callable[[int], bool]) -> Iterator[tuple[int, _Span]]:
        """Yield the structs of some clients that depend on clocks that neither the document nor the update has."""
        last = {client: self._last(client, spans) for client, spans in self._spans.items()}
        for client, spans in self._spans.items():
            for span in spans if may_replace(client) else ():
                if span.until > last[client]:
                    break
                if any(end > last.get(beside, self._known.get(beside, 0)) for beside, end in span.needs):
                    yield client, span

    def _last(self, client: int, spans: Iterable[_Span]) -> int:
        """Return the end of the clocks of a client before the first gap."""
        last = self.reach[client]
        for span in spans:
            if span.clock > last:
                break
            last = max(last, span.until)
        return last

    def _advance(self, client: int) -> Id | None:
        """Advance over the next structs of a client that fit, and return what the first other one waits for."""
        spans = self._spans[client]
        for at in range(self.taken[client], len(spans)):
            span = spans[at]
            missing = self.missing(client, span)
            if missing is not None:
                self.taken[client] = at
                return missing
            self.reach[client] = max(self.reach[client], span.until)
        self.taken[client] = len(spans)
        return None


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order, with adjacent ones joined."""
    joined: list[tuple[int, int]] = []
    for clock, end in sorted(ranges):
        if joined and clock <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((clock, end))
    return joined


def _without(ranges: Iterable[tuple[int, int]], gone: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the parts of ranges that others don't cover; both are in order, and no range touches the next."""
    at = 0
    for clock, end in ranges:
        start = clock
        while at < len(gone) and gone[at][1] <= start:
            at += 1
        look = at
        while look < len(gone) and gone[look][0] < end:
            if start < gone[look][0]:
                yield start, gone[look][0]
            start = max(start, gone[look][1])
            look += 1
        if start < end:
            yield start, end
