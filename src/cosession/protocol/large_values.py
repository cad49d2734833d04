"""An update without the values that are too large: deleted structs replace them, and the rest stays."""

from collections.abc import Callable, Generator, Iterator, Mapping

from . import lib0
from .deletions import Span, encode_in_steps
from .header import ClockRange
from .measured import Extent, Values
from .pieces import read_place
from .steps import AT_ONCE
from .update_format import ANY, DELETED, GC, KEY, KIND, LEFT, SKIP, skip_any, skip_content, skip_place


def without_large_in_steps(
    update: bytes,
    values: Values,
    deletes: tuple[ClockRange, ...],
    known: Mapping[int, int],
    is_large: Callable[[Extent], bool],
) -> Generator[None, None, bytes]:
    """Replace the values that are too large by deleted structs, in steps.

    Args:
        update: the update; its header was read.
        values: the header's values.
        deletes: the header's deletions.
        known: the state vector of the document that it is for; structs that the document holds stay as they are.
        is_large: returns whether the extent of a value, or of several together, shows that one is too large.

    Returns:
        The update; the same if it holds no such new values.
    """
    reader = lib0.Reader(update)
    reader.ends = values.ends
    out: list[bytes] = [lib0.uint(sections := reader.uint())]
    spans: list[Span] = []
    work = 0
    for _ in range(sections):
        count, client, clock = reader.uint(), reader.uint(), reader.uint()
        first, body, copied, more = clock, list[bytes](), reader.at, 0
        for _ in range(count):
            work += 1
            if not work % AT_ONCE:
                yield
            start, info = reader.at, reader.byte()
            if info & KIND in (GC, SKIP):
                clock += reader.uint()
                continue
            skip_place(reader, info, {})
            content = reader.at
            length = skip_content(reader, info & KIND)
            extent = values.ends.get(content)
            if extent is not None and is_large(extent) and clock + length > known.get(client, 0):
                body.append(update[copied:start])
                copied, structs = reader.at, 0
                struct = _Struct(update, start, content, values.ends)
                for struct_bytes, at, units, is_gone in struct.cut(client, clock, length, is_large):
                    body.append(struct_bytes)
                    structs += 1
                    if is_gone:
                        spans.append((client, at, units))
                more += structs - 1
                yield
            clock += length
        out += (lib0.uint(count + more), lib0.uint(client), lib0.uint(first), *body, update[copied : reader.at])
    if not spans:
        return update
    spans += [(span.client, span.clock, span.length) for span in deletes]
    yield
    out.append((yield from encode_in_steps(spans)))
    yield
    return b"".join(out)


class _Struct:
    """A struct with a value that is too large.

    Args:
        update: the update.
        start: the offset of the struct.
        content: the offset of its content.
        ends: the known extents of the update's values.
    """

    def __init__(self, update: bytes, start: int, content: int, ends: Mapping[int, Extent]) -> None:
        self._update = update
        self._content = content
        self._ends = ends
        self._info = update[start]
        self._place, self._right = read_place(lib0.Reader(update[start:content]))

    def cut(
        self, client: int, clock: int, length: int, is_large: Callable[[Extent], bool]
    ) -> Iterator[tuple[bytes, int, int, bool]]:
        """Yield its replacement: the bytes, first clock and clocks of each struct, and whether it is deleted.

        The other values of a list stay.
        """
        if self._info & KIND != ANY or self._info & KEY or length == 1:
            yield self._deleted(self._place, length), clock, length, True
            return
        reader = lib0.Reader(self._update)
        reader.ends, reader.at = self._ends, self._content
        place, start, values = self._place, 0, 0
        for number in range(reader.uint()):
            extent, at = self._ends.get(reader.at), reader.at
            is_gone = extent is not None and is_large(extent)
            skip_any(reader, 0)
            if is_gone or not values:
                if values:
                    yield place + lib0.uint(values) + self._update[start:at], clock + number - values, values, False
                    place = self._behind(client, clock + number - 1)
                start, values = at, 0
            if is_gone:
                yield self._deleted(place, 1), clock + number, 1, True
                place = self._behind(client, clock + number)
            else:
                values += 1
        if values:
            yield place + lib0.uint(values) + self._update[start : reader.at], clock + length - values, values, False

    def _behind(self, client: int, clock: int) -> bytes:
        return bytes((self._info | LEFT,)) + lib0.uint(client) + lib0.uint(clock) + self._right

    def _deleted(self, place: bytes, length: int) -> bytes:
        return bytes((place[0] & ~KIND | DELETED,)) + place[1:] + lib0.uint(length)
