"""An update cut along its structs: what of it fits a document, and what takes the place of a refused struct.

What is left out of one client is all from some clock on, so the rest is an update of its own. What takes the place of
a struct has its clocks, so what comes behind it fits. The work is linear in the update's structs.
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
    """One struct: its clocks, where its bytes are, and which clocks it stands on.

    Attributes:
        needs: pairs of a client and the first clock after those that it stands on.
        instead: what is written in its place; None where it stays.
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
    """What of an update fits a document.

    Attributes:
        update: that part; an empty update where nothing does.
        lacks: per client, the first clock after those that what was left out waits for.
        parts: the clients of which it is a part, and the rest was left out.
        replaced: the clocks whose structs wait for what won't come, and were given up.
    """

    update: bytes
    lacks: dict[int, int] = field(default_factory=dict[int, int])
    replaced: tuple[ClockRange, ...] = ()
    parts: frozenset[int] = frozenset()


class Sections:
    """The structs and deletions of one update, which can be left out or replaced.

    Args:
        update: its header was read, so it is one whole update.
        is_unread: whether it is read later; see `in_steps`.

    Raises:
        MalformedFrame: it isn't.
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
        """The bytes of each struct, by its client and first clock."""
        return {
            (client, span.clock): span.end - span.start for client, spans in self._spans.items() for span in spans
        }

    def replace_all(self, gone: Mapping[Id, int | None]) -> None:
        """Put something deleted in the places of some structs.

        Args:
            gone: per client and first clock, where in the update the struct's content begins: what is deleted then
                has its neighbours. None: it has none.
        """
        for client, spans in self._spans.items():
            for span in spans:
                if (client, span.clock) in gone:
                    self._gone(client, span, gone[client, span.clock])

    def hollow(self) -> None:
        """Keep nothing but the clocks: no struct, and no deletion but theirs."""
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
        """Leave out what a client wrote."""
        self._spans[client] = []

    def fit(
        self,
        known: Mapping[int, int],
        may: Callable[[int], bool],
        *,
        may_replace: Callable[[int], bool] | None = None,
    ) -> Fit:
        """Return what of the update fits a document, in the order of each client's clocks, as far as it goes.

        Args:
            known: the document's state vector.
            may: whether new clocks of a client may be taken.
            may_replace: whether a struct of a client that stands on what is missing is replaced, so that what is
                behind it goes on. None: no client's is.
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
        """Return what is left of the update."""
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
    """Put something deleted in the places of the structs that hold what not every reader takes alike.

    A struct beside one that has no place any more has none either: it is said to be where its neighbour is.

    Args:
        update: an update of which no header can be read.
        limit: how many structs, values and deleted ranges it may hold.

    Raises:
        MalformedFrame: it isn't one whole update otherwise.
        TooLarge: it holds more than the limit.
    """
    return finish(without_forbidden_in_steps(update, limit))


def without_forbidden_in_steps(update: bytes, limit: int) -> Generator[None, None, bytes]:
    """Do that in steps; see `without_forbidden`."""
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
    """What has the clocks of a struct: something deleted where its content begins, or that has no place."""
    if content is None:
        return _GONE + lib0.uint(length)
    return bytes((update[start] & ~KIND | DELETED,)) + update[start + 1 : content] + lib0.uint(length)


def _allowed_until(update: bytes, start: int, nowhere: Set[Id]) -> int | None:
    """Return where an item ends, or where its content begins if that is forbidden; None if its place is."""
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
    """The order in which the structs of several clients fit, each behind those that it stands on.

    A client whose next struct stands on what isn't there waits, under the client that it waits for, until that is as
    far: so each struct is looked at once, and once more when what it waits for has come.
    """

    def __init__(self, spans: Mapping[int, list[_Span]], known: Mapping[int, int]) -> None:
        self.reach = {client: known.get(client, 0) for client in spans}
        self.taken = dict.fromkeys(spans, 0)
        self._spans = spans
        self._known = known
        self._waiting: dict[int, list[tuple[int, int]]] = {}

    def go(self) -> None:
        """Take as many structs of each client as fit."""
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
        """Return the first clocks that a struct stands on and that aren't there."""
        if span.clock > self.reach[client]:
            return client, span.clock
        for beside, end in span.needs:
            if end > (self.reach[beside] if beside in self.reach else self._known.get(beside, 0)):
                return beside, end
        return None

    def hopeless(self, may_replace: Callable[[int], bool]) -> Iterator[tuple[int, _Span]]:
        """Find the structs of some clients that stand on what neither the document nor the update has."""
        last = {client: self._last(client, spans) for client, spans in self._spans.items()}
        for client, spans in self._spans.items():
            for span in spans if may_replace(client) else ():
                if span.until > last[client]:
                    break
                if any(end > last.get(beside, self._known.get(beside, 0)) for beside, end in span.needs):
                    yield client, span

    def _last(self, client: int, spans: Iterable[_Span]) -> int:
        """Return how far the clocks of a client go without a hole."""
        last = self.reach[client]
        for span in spans:
            if span.clock > last:
                break
            last = max(last, span.until)
        return last

    def _advance(self, client: int) -> Id | None:
        """Take the next structs of a client that fit, and return what the first that doesn't waits for."""
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
    """Return ranges in order, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for clock, end in sorted(ranges):
        if joined and clock <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((clock, end))
    return joined


def _without(ranges: Iterable[tuple[int, int]], gone: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return what of some ranges others don't cover; both are in order, and none touches the next."""
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
