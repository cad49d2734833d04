"""What was lost: the words in an update that the server has not.

Read from the update's structs, because that is exact; what its delete set names was taken back, and isn't lost.
Of plain values only what people or models write counts: what stands in the shared state, and texts, titles and
reasons. Ids, times and statuses would tell nobody anything.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from cosession.document import SessionDocument
from cosession.protocol import ClockRange, decode_state_vector, encode_state_vector, read_update_header
from cosession.protocol.structs import Id, Struct, read_structs, read_values
from cosession.protocol.update_format import STRING

Path = tuple[str | int, ...]

_WORDS = frozenset({"text", "title", "reason"})


def unsaved(
    document: SessionDocument,
    clients: Iterable[int],
    has: Mapping[int, int],
    fresh: SessionDocument | None = None,
    saved: Mapping[int, int] | None = None,
) -> tuple[bytes, tuple[str, ...]]:
    """Return what some clients wrote and a state vector hasn't: as an update, and its texts.

    Of what the server refused it keeps the clocks, as deleted.

    Args:
        document: where they wrote.
        clients: their Yjs client ids.
        has: the state vector.
        fresh: the server's document, where it is known.
        saved: up to which clock each client's words are known to be saved; what is deleted behind it was refused.
    """
    doc = document.doc
    alive: list[ClockRange] = []
    if fresh is not None and saved:
        has, alive = _without_refused(fresh, has, saved)
    whole = decode_state_vector(doc.get_state())
    texts: list[str] = []
    for client in clients:  # one by one: texts are told apart by the order of one client's structs
        alone = doc.get_update(encode_state_vector(whole | {client: has.get(client, 0)}))
        texts += lost_texts(alone, document, fresh, alive)
    vector = whole | {client: has.get(client, 0) for client in clients}
    return doc.get_update(encode_state_vector(vector)), tuple(texts)


def _without_refused(
    fresh: SessionDocument, has: Mapping[int, int], saved: Mapping[int, int]
) -> tuple[dict[int, int], list[ClockRange]]:
    """Return a state vector without what was refused, and the clocks behind it that were taken.

    Args:
        fresh: the server's document.
        has: its state vector.
        saved: up to which clock each client's words are known to be saved.
    """
    gone: dict[int, list[ClockRange]] = {}
    for span in read_update_header(fresh.doc.get_update(fresh.doc.get_state())).deletes:
        if span.end > saved.get(span.client, span.end):
            gone.setdefault(span.client, []).append(span)
    alive: list[ClockRange] = []
    reduced = dict(has)
    for client, spans in gone.items():
        spans.sort(key=lambda span: span.clock)
        at = reduced[client] = max(spans[0].clock, saved[client])
        for span in spans:
            if span.clock > at:
                alive.append(ClockRange(client, at, span.clock - at))
            at = max(at, span.end)
        if at < has.get(client, 0):
            alive.append(ClockRange(client, at, has[client] - at))
    return reduced, alive


def lost_texts(
    update: bytes,
    document: SessionDocument,
    fresh: SessionDocument | None = None,
    alive: Iterable[ClockRange] = (),
) -> tuple[str, ...]:
    """Return the texts that an update brings, one for each place, in the order in which they were begun.

    Args:
        update: what one client wrote, and the server has not.
        document: the document that it is from.
        fresh: the server's document; a value that was set back to what stands in it isn't lost.
        alive: the clocks of the update that the server has.

    Raises:
        MalformedFrame: it is no update.
    """
    deletes = (*read_update_header(update).deletes, *alive)
    # What takes an older value's place doesn't name its key in the update: then the document tells what is said.
    said = {text for _, text in _said(document) - (_said(fresh) if fresh is not None else set())}
    texts: dict[Id, list[str]] = {}
    starts: list[int] = []
    places: list[Id] = []
    for struct in read_structs(update):
        place = _place(struct, starts, places)
        starts.append(struct.clock)
        places.append(place)
        if struct.kind == STRING:
            texts.setdefault(place, []).append(_kept(_string(update, struct), struct, deletes))
        elif not _is_deleted(struct.clock, struct.client, deletes):
            for value in read_values(update, struct):
                found = texts.setdefault((struct.client, struct.clock), [])
                keyed = {struct.key: value} if struct.key else value
                found += [text for _, text, counts in _strings(keyed) if counts or text in said]
    return tuple(text for pieces in texts.values() if (text := "".join(pieces)).strip())


def _place(struct: Struct, starts: list[int], places: list[Id]) -> Id:
    """Which text a struct belongs to: that of its left neighbour in the update, else a new one."""
    if struct.left is not None and struct.left[0] == struct.client:
        index = bisect_right(starts, struct.left[1]) - 1
        if index >= 0:
            return places[index]
    return struct.client, struct.clock


def _string(update: bytes, struct: Struct) -> str:
    size, at, shift = 0, struct.content, 0
    while True:
        byte = update[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return update[at : at + size].decode()


def _kept(text: str, struct: Struct, deletes: Iterable[ClockRange]) -> str:
    """A struct's text without what was deleted of it; clocks count UTF-16 units."""
    units = text.encode("utf-16-le")
    for gone in sorted(deletes, key=lambda span: -span.clock):
        if gone.client == struct.client and gone.clock < struct.clock + struct.length and gone.end > struct.clock:
            begin = max(gone.clock - struct.clock, 0)
            units = units[: 2 * begin] + units[2 * (gone.end - struct.clock) :]
    return units.decode("utf-16-le", "replace")


def _is_deleted(clock: int, client: int, deletes: Iterable[ClockRange]) -> bool:
    return any(gone.client == client and gone.clock <= clock < gone.end for gone in deletes)


def _said(document: SessionDocument) -> set[tuple[Path, str]]:
    """What somebody wrote as words in a document's plain values, each with its place."""
    state = _strings(document.state.to_json(), ("state",), counts=True)
    return {(path, text) for path, text, counts in (*state, *_strings(document.to_json())) if counts}


def _strings(value: Any, path: Path = (), *, counts: bool = False) -> Iterator[tuple[Path, str, bool]]:
    """The strings in a value: the place of each, and whether somebody wrote it as words."""
    match value:
        case str():
            yield path, value, counts
        case dict():
            for key, inner in cast("dict[str, Any]", value).items():
                yield from _strings(inner, (*path, key), counts=counts or key in _WORDS)
        case list():
            for index, inner in enumerate(cast("list[Any]", value)):
                yield from _strings(inner, (*path, index), counts=counts)
        case _:
            pass
