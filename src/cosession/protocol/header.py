"""The header of an update: which clocks of which clients it brings, needs and deletes, read without a document.

A room reads this to know whether an update fits: yrs applies an update that skips clocks without an error, Yjs keeps
it waiting, and the two then differ for ever. Nearly every update is a token, and is read by `token_header.py` in less
than half the time. The dataclasses are not frozen, because each token makes some.
"""

import sys
from collections.abc import Callable, Container, Generator, Mapping
from dataclasses import dataclass
from typing import Final

from cosession.errors import MalformedFrame

from . import lib0
from .deletions import KnownDeletions, encode_in_steps
from .measured import Values
from .steps import AT_ONCE, finish
from .token_header import read_between, read_deletion, read_token
from .update_format import (
    ANY,
    BINARY,
    EMBED,
    FORMAT,
    JSON,
    KEY,
    KIND,
    MAX_CLOCK,
    SKIP,
    STRING,
    TYPE,
    check_clock,
    skip_content_in_steps,
    skip_place,
    skip_plain,
    skip_struct,
)

_LONG: Final = 4096
"""Bytes of a delete set from which on known deletions are left out: a shorter one is read in less time."""

_WITH_VALUES: Final = (ANY, EMBED, FORMAT)
_ONE_BY_ONE: Final = frozenset({ANY, EMBED, FORMAT, BINARY})
"""Kinds of structs that hold values, each of which is read as a whole."""
_LARGE: Final = 2**16
"""Bytes from which on a text may take long to read."""
_STANDS_ON_ITSELF = "A struct stands on itself, or on what its client wrote later; send a document's own updates."


@dataclass(slots=True)
class ClockRange:
    """Clocks `clock` to `clock + length - 1` of one client."""

    client: int
    clock: int
    length: int

    @property
    def end(self) -> int:
        """The first clock after the range."""
        return self.clock + self.length


@dataclass(slots=True)
class UpdateHeader:
    """The clocks that an update brings, needs and deletes.

    Attributes:
        brings: the clocks whose structs it holds, in its order, neighbours joined.
        needs: per client, the first clock after those that its structs refer to.
        deletes: the clocks that it deletes.
        types: the number of shared types that it makes.
        is_flat: whether they are known not to be nested too deep.
        is_string: whether it is one string beside others, and nothing else.
        is_token: whether that string has a left neighbour and no right one.
        is_plain: whether the CRDT library is certain to return each value in it with the same bytes.
        rest: the update without the known deletions that were left out; None if none were.
        values: the sizes and extents of its values; None if all are short.
    """

    brings: tuple[ClockRange, ...]
    needs: Mapping[int, int]
    deletes: tuple[ClockRange, ...]
    types: int = 0
    is_string: bool = False
    is_token: bool = False
    is_plain: bool = True
    rest: bytes | None = None
    values: Values | None = None
    is_flat: bool = False

    def fits(self, vector: Mapping[int, int]) -> bool:
        """Return whether a document with this state vector can integrate all of it at once."""
        if len(self.brings) > 1:
            return finish(self.fits_in_steps(vector))
        known, writer, reach = vector.get, -1, 0
        for span in self.brings:
            writer, reach = span.client, known(span.client, 0)
            if span.clock > reach:
                return False
            reach = max(span.end, reach)
        for client, end in self.needs.items():
            if end > (reach if client == writer else known(client, 0)):
                return False
        for span in self.deletes:  # noqa: SIM110 - at every keystroke, and a generator is slower
            if span.end > (reach if span.client == writer else known(span.client, 0)):
                return False
        return True

    def is_next(self, vector: Mapping[int, int]) -> bool:
        """Return whether it is one string at its client's next clock, and fits a document with this state vector."""
        if not self.is_string:
            return False
        span, known = self.brings[0], vector.get
        writer = span.client
        if span.clock != known(writer, 0):
            return False
        for client, end in self.needs.items():  # noqa: SIM110 - at every token, and a generator is slower
            if client != writer and end > known(client, 0):
                return False
        return True

    def fits_in_steps(self, vector: Mapping[int, int]) -> Generator[None, None, bool]:
        """Return in steps whether it fits; see `fits`."""
        known = vector.get
        reach: dict[int, int] = {}
        for count, span in enumerate(self.brings, 1):
            have = reach.get(span.client)
            if have is None:
                have = known(span.client, 0)
            if span.clock > have:
                return False
            reach[span.client] = max(span.end, have)
            if not count % AT_ONCE:
                yield
        for count, (client, end) in enumerate(self.needs.items(), 1):
            if end > (reach[client] if client in reach else known(client, 0)):
                return False
            if not count % AT_ONCE:
                yield
        for count, span in enumerate(self.deletes, 1):
            if span.end > (reach[span.client] if span.client in reach else known(span.client, 0)):
                return False
            if not count % AT_ONCE:
                yield
        return True

    def is_news(self, vector: Mapping[int, int]) -> bool:
        """Return whether it brings structs, and a document with this state vector holds none of them."""
        for span in self.brings:
            if span.clock < vector.get(span.client, 0):
                return False
        return bool(self.brings)

    def repeats(self, vector: Mapping[int, int]) -> bool:
        """Return whether a document with this state vector holds some of the structs that it brings."""
        for span in self.brings:  # noqa: SIM110 - each token comes here, and a generator takes thrice as long
            if span.clock < vector.get(span.client, 0):
                return True
        return False

    def is_known(self, vector: Mapping[int, int]) -> bool:
        """Return whether a document with this state vector holds every struct of it (deletions aside)."""
        return all(span.end <= vector.get(span.client, 0) for span in self.brings)


def read_update_header(
    update: bytes, limit: int = sys.maxsize, known: Callable[[], KnownDeletions] | None = None
) -> UpdateHeader:
    """Read the header of an update in Yjs's update format, version 1.

    Args:
        update: the update's bytes.
        limit: the number of structs, values and deleted ranges that it may hold: reading one takes up to a
            microsecond.
        known: returns the deletions of the document that it is for, if these may be left out: in a long delete set
            they are skipped, and aren't counted.

    Raises:
        MalformedFrame: the bytes are not one whole update, or hold content that some readers read otherwise.
        TooLarge: the bytes hold more than the limit.
    """
    token = read_token(update)
    if token is not None:
        client, clock, length, origin, before = token
        if clock + length > MAX_CLOCK or before >= MAX_CLOCK:
            check_clock(max(clock + length, before + 1))
        if origin == client and before >= clock:
            raise MalformedFrame(_STANDS_ON_ITSELF)
        return UpdateHeader((ClockRange(client, clock, length),), {origin: before + 1}, (), 0, True, True)
    between = read_between(update)
    if between is not None:
        client, clock, length, left, behind, right, before = between
        check_clock(max(clock + length, behind + 1, before + 1))
        needs = {left: behind + 1}
        needs[right] = max(before + 1, needs.get(right, 0))
        if needs.get(client, 0) > clock:
            raise MalformedFrame(_STANDS_ON_ITSELF)
        return UpdateHeader((ClockRange(client, clock, length),), needs, (), 0, True)
    deletion = read_deletion(update)
    if deletion is not None and deletion[2]:
        client, clock, length = deletion
        check_clock(clock + length)
        return UpdateHeader((), {}, (ClockRange(client, clock, length),))
    return finish(read_header_in_steps(update, limit, known))


def read_header_in_steps(
    update: bytes,
    limit: int = sys.maxsize,
    known: Callable[[], KnownDeletions] | None = None,
    values: Values | None = None,
) -> Generator[None, None, UpdateHeader]:
    """Read the header of an update that may be long, in steps; see `read_update_header`.

    Args:
        update: see there.
        limit: see there.
        known: see there.
        values: collects the sizes of its values; a value beyond its limits isn't checked.

    Raises:
        MalformedFrame: see there.
        TooLarge: see there.
    """
    reader = lib0.Reader(update, limit)
    brings: list[ClockRange] = []
    needs: dict[int, int] = {}
    types = 0
    is_plain = True
    values = Values() if values is None else values
    seen: set[int] = set()
    for _ in range(reader.count()):
        structs = reader.count()
        before = reader.at
        client = reader.uint()
        own = update[before : reader.at]
        if client in seen:
            raise MalformedFrame("An update names a client twice; send a document's own updates.")
        seen.add(client)
        if not len(seen) % AT_ONCE:
            yield
        start = clock = reader.uint()
        reach = 0
        needed = needs.pop(client, 0)  # by others; its own structs need only earlier clocks
        for number in range(structs):
            if not number % AT_ONCE and number:
                yield
            info = reader.byte()
            kind = info & KIND
            parent = skip_plain(reader, info, own)
            if parent >= 0:
                if parent >= clock:
                    raise MalformedFrame(_STANDS_ON_ITSELF)
                if parent >= reach:
                    reach = parent + 1
                types += kind == TYPE
                clock += 1
                continue
            if kind in _WITH_VALUES:
                is_plain = False
            if kind == SKIP and info == SKIP:
                if clock > start:
                    brings.append(ClockRange(client, start, clock - start))
                start = clock = clock + reader.uint()
                continue
            if kind in _ONE_BY_ONE or (kind == STRING and (info & KEY or reader.end - reader.at > _LARGE)):
                skip_place(reader, info, needs, strict=True)
                length = yield from skip_content_in_steps(reader, info, values)
            else:
                length = skip_struct(reader, info, needs, strict=True)
            if length == 0:
                raise MalformedFrame("An update holds an empty struct; send a document's own updates.")
            if needs.get(client, 0) > clock:
                raise MalformedFrame(_STANDS_ON_ITSELF)
            if kind == JSON:
                raise MalformedFrame("An update holds JSON as old versions of Yjs wrote it; set the value anew.")
            types += kind == TYPE
            clock += length
        check_clock(clock)
        reach = max(reach, needed)
        if reach > needs.get(client, 0):
            needs[client] = reach
        if clock > start:
            brings.append(ClockRange(client, start, clock - start))
    at, rest = reader.at, None
    if known is not None and reader.end - at > _LONG:
        spans, has_known = yield from known().read_new(reader, limit)
        ranges: list[ClockRange] = []
        for count, (client, clock, length) in enumerate(spans, 1):
            ranges.append(ClockRange(client, clock, length))
            if not count % AT_ONCE:
                yield
        deletes = tuple(ranges)
        rest = update[:at] + (yield from encode_in_steps(spans)) if has_known else None
    else:
        deletes = yield from _read_delete_set(reader)
    reader.finish()
    found = values or None
    return UpdateHeader(tuple(brings), needs, deletes, types, is_plain=is_plain, rest=rest, values=found)


def decode_state_vector(data: bytes, limit: int = sys.maxsize) -> dict[int, int]:
    """Decode a state vector: per client, the number of its clocks that are known.

    Args:
        data: the vector's bytes.
        limit: the number of clients that it may name.

    Raises:
        MalformedFrame: the bytes are no state vector.
        TooLarge: they name more clients than the limit.
    """
    return finish(decode_state_vector_in_steps(data, limit))


def decode_state_vector_in_steps(
    data: bytes, limit: int = sys.maxsize, wanted: Container[int] | None = None
) -> Generator[None, None, dict[int, int]]:
    """Do the same in steps; see `decode_state_vector`.

    Args:
        data: see there.
        limit: see there.
        wanted: the clients that are kept; None is all.
    """
    reader = lib0.Reader(data, limit)
    vector: dict[int, int] = {}
    for count in range(reader.count()):
        client = reader.uint()
        clock = check_clock(reader.uint())
        if wanted is None or client in wanted:
            vector[client] = clock
        if not count % AT_ONCE and count:
            yield
    reader.finish()
    return vector


def encode_state_vector(vector: Mapping[int, int]) -> bytes:
    """Encode a state vector: the inverse of `decode_state_vector`."""
    return lib0.uint(len(vector)) + b"".join(lib0.uint(client) + lib0.uint(clock) for client, clock in vector.items())


def _read_delete_set(reader: lib0.Reader) -> Generator[None, None, tuple[ClockRange, ...]]:
    deletes: list[ClockRange] = []
    for _ in range(reader.count()):
        client = reader.uint()
        for _ in range(reader.count()):
            if not len(deletes) % AT_ONCE and deletes:
                yield
            clock, length = reader.uint(), reader.uint()
            if length == 0:
                raise MalformedFrame("An update deletes an empty range; send a document's own updates.")
            check_clock(clock + length)
            deletes.append(ClockRange(client, clock, length))
    return tuple(deletes)
