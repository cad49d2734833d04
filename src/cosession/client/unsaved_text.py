"""Lost texts: the texts in an update that the server doesn't have.

Read from the update's structs, because that is exact; deleted structs were reverted, and aren't lost. Of plain
values only those that people or models write count: the shared state, and texts, titles and reasons. Ids, times and
statuses are of no use to a reader.
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
    """Return the writes of some clients that a state vector lacks: as an update, and its texts.

    The server keeps the clocks of refused writes, as deleted.

    Args:
        document: the document that they wrote to.
        clients: their Yjs client ids.
        has: the state vector.
        fresh: the server's document, where it is known.
        saved: the end of the known saved clocks of each client; structs deleted beyond it were refused.
    """
    doc = document.doc
    alive: list[ClockRange] = []
    if fresh is not None and saved:
        has, alive = _without_refused(fresh, has, saved)
    whole = decode_state_vector(doc.get_state())
    texts: list[str] = []
    for client in clients:  # one by one: texts are distinguished by the order of one client's structs
        alone = doc.get_update(encode_state_vector(whole | {client: has.get(client, 0)}))
        texts += lost_texts(alone, document, fresh, alive)
    vector = whole | {client: has.get(client, 0) for client in clients}
    return doc.get_update(encode_state_vector(vector)), tuple(texts)


def _without_refused(
    fresh: SessionDocument, has: Mapping[int, int], saved: Mapping[int, int]
) -> tuple[dict[int, int], list[ClockRange]]:
    """Return a state vector without refused writes, and the accepted clock ranges beyond it.

    Args:
        fresh: the server's document.
        has: its state vector.
        saved: the end of the known saved clocks of each client.
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
    """Return the texts in an update, one for each place, in the order of their beginnings.

    Args:
        update: the writes of one client that the server doesn't have.
        document: the document of the update.
        fresh: the server's document; a value that equals the one in it isn't lost.
        alive: the clocks of the update that the server has.

    Raises:
        MalformedFrame: `update` is no update.
    """
    deletes = (*read_update_header(update).deletes, *alive)
    # The struct of a replaced value has no key in the update: then the document shows whether it is a text.
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
    """Return the text of a struct: that of its left neighbour in the update, else a new one."""
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
    """Return a struct's text without its deleted parts; clocks count UTF-16 units."""
    units = text.encode("utf-16-le")
    for gone in sorted(deletes, key=lambda span: -span.clock):
        if gone.client == struct.client and gone.clock < struct.clock + struct.length and gone.end > struct.clock:
            begin = max(gone.clock - struct.clock, 0)
            units = units[: 2 * begin] + units[2 * (gone.end - struct.clock) :]
    return units.decode("utf-16-le", "replace")


def _is_deleted(clock: int, client: int, deletes: Iterable[ClockRange]) -> bool:
    return any(gone.client == client and gone.clock <= clock < gone.end for gone in deletes)


def _said(document: SessionDocument) -> set[tuple[Path, str]]:
    """Return the texts in a document's plain values that count as written text, each with its path."""
    state = _strings(document.state.to_json(), ("state",), counts=True)
    return {(path, text) for path, text, counts in (*state, *_strings(document.to_json())) if counts}


def _strings(value: Any, path: Path = (), *, counts: bool = False) -> Iterator[tuple[Path, str, bool]]:
    """Yield the strings in a value: the path of each, and whether it counts as written text."""
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
