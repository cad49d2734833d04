"""The operations of an update: every place that it touches, and the action there.

`stage` adds the update's structs to the index one by one, so that a new shared type is known before the structs in
it, and yields an operation for each; the caller keeps the staged update or takes it back. Content that a shared type
can't hold is rejected here: a list has no keys, a map no order, a message's text no formats, no type subdocuments.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias, cast

from cosession.errors import CosessionError, MalformedFrame, NotAllowed, TooLarge
from cosession.protocol import ClockRange
from cosession.protocol.steps import AT_ONCE
from cosession.protocol.structs import Id, Struct, read_values
from cosession.protocol.update_format import ANY, BINARY, DELETED, EMBED, FORMAT, GC, STRING, SUBDOCUMENT, TYPE

from .clock_ranges import ClockSet
from .item_index import ItemIndex, Undo
from .locations import ARRAY, MAP, NOTHING, TEXT, UNKNOWN, XML_TEXT, Container, MapSlot, Place
from .rules import NOWHERE, Action, Node

_VALUES: Final = frozenset({ANY, BINARY, TYPE, DELETED})
_PLAIN_TEXT: Final = frozenset({STRING, DELETED})
_RICH_TEXT: Final = frozenset({STRING, EMBED, FORMAT, TYPE, DELETED})
_NODES: Final = frozenset({TYPE, DELETED})
_RICH_ROOTS: Final = frozenset({"text:NAME", "xml:NAME", "root:NAME", "state"})

MAX_KEY: Final = 1024
"""Characters of a key or a root's name: an id may be 128, in a request three stand together, percent-encoded."""


@dataclass(slots=True)
class Operation:
    """One operation of an update.

    Attributes:
        container: the shared type that it changes.
        key: the key in it; None in a list, or of a text as a whole.
        action: the action.
        node: the place's row in the table.
        struct: the struct that does it; None of a deletion.
        update: the update that it is in.
        made: the shared type that is written, or the record that is deleted.
        holder: the record that has this key, or this id, already; it may be deleted.
        deleted: of a deletion, the deleted clocks.
        refused: why it is refused, set by a caller that goes on with the update; the struct then gets the place
            `NOTHING`.
    """

    container: Container
    key: str | None
    action: Action
    node: Node
    struct: Struct | None = None
    update: bytes = b""
    made: Container | None = None
    holder: Container | None = None
    deleted: ClockRange | None = None
    refused: CosessionError | None = None

    @property
    def record(self) -> Container | None:
        """The record that it is in, or makes."""
        return self.container.record if self.made is None else self.made.record

    @property
    def values(self) -> list[Any]:
        """The written values, as plain JSON; reading them takes time."""
        return [] if self.struct is None else read_values(self.update, self.struct)

    @property
    def path(self) -> tuple[str, ...]:
        """The path to the place, as in `Container.path`."""
        if self.node is self.container.node and self.key is None and self.container.type == TEXT:
            return self.container.path
        return (*self.container.path, "*" if self.key is None else self.key)


Refuse: TypeAlias = Callable[[Struct, CosessionError, Place], None]
"""Called with a struct that may not be in an update, the reason, and the place that it would have."""


def stage(
    index: ItemIndex,
    update: bytes,
    structs: Iterable[Struct],
    deletes: tuple[ClockRange, ...],
    undo: Undo,
    max_depth: int,
    stillborn: ClockSet,
    refuse: Refuse | None = None,
) -> Iterator[Operation | None]:
    """Add an update to the index (except for its deletions), and yield its operations; None after some structs, where
    other work may run.

    Args:
        index: the document's index.
        update: the update; it fits the document, and repeats nothing.
        structs: its structs, as `ItemIndex.in_order` returns them.
        deletes: the clocks that it deletes.
        undo: gets the steps that undo it.
        max_depth: the number of shared types that may be nested in each other.
        stillborn: gets the clocks of structs that were deleted before they were sent.
        refuse: called with each struct that can't be in its place, which becomes `NOTHING`; None: the first raises.

    Raises:
        MalformedFrame: it depends on missing structs, or puts content where it can't be.
        TooLarge: it nests too deep, or a key is too long.
        NotAllowed: it holds a subdocument.
    """
    made: set[Container] = set()
    written: set[MapSlot] = set()
    emptied: list[tuple[MapSlot, Operation]] = []
    for count, struct in enumerate(structs, 1):
        if not count % AT_ONCE:
            yield None
        before = len(undo)
        try:
            place = _checked_place(index, struct)
        except CosessionError as error:
            if refuse is None:
                raise
            refuse(struct, error, _place_of(index, struct))
            place = NOTHING
        inside, key = place if isinstance(place, MapSlot) else (place, None)
        holder = _holder(inside, key, update, struct)
        container = index.add(struct, place, update, undo)
        if container is not None and container.depth > max_depth:
            error = TooLarge(f"An update nests shared types deeper than {max_depth}; keep the document flatter.")
            if refuse is None:
                raise error
            refuse(struct, error, place)
            index.void(struct, undo, before)
            continue
        if struct.kind in (GC, DELETED):
            stillborn.add(struct.client, struct.clock, struct.clock + struct.length)
        if container is not None:
            made.add(container)
        if place is NOTHING:
            continue
        if key is None and inside.type == TEXT and struct.kind != TYPE:
            touch = Operation(inside, None, "change", inside.node, struct)
        else:
            touch = Operation(inside, key, "create", inside.node.child(key), struct, update, container, holder)
            if key is None and struct.kind == DELETED and touch.node.is_record:
                continue  # made and removed again before it was sent: no record was ever visible
            if isinstance(place, MapSlot) and struct.kind == DELETED:
                # Written and overwritten before it was sent, or written over an earlier value to remove that.
                if inside not in made:
                    touch.action = "delete"
                    emptied.append((place, touch))
                continue
            if (
                isinstance(place, MapSlot)
                and inside not in made
                and not (touch.node.is_record and (holder is None or index.is_dead(holder)))
            ):
                touch.action = "change"
        yield touch
        if touch.refused is not None:
            index.void(struct, undo, before)
        elif isinstance(place, MapSlot):
            written.add(place)
    for slot, touch in emptied:
        if slot not in written:
            yield touch
    if deletes:
        yield from _deletions(index, deletes, stillborn, written)


def _checked_place(index: ItemIndex, struct: Struct) -> Place:
    """Return the place of a struct, if it may be there."""
    if isinstance(struct.parent, str) and len(struct.parent) > MAX_KEY:
        raise TooLarge(f"The name of a root is longer than {MAX_KEY} characters; shorten it.")
    place = index.place(struct)
    if place is not NOTHING:
        inside, key = place if isinstance(place, MapSlot) else (place, None)
        _check_content(struct, inside, key)
    return place


def _place_of(index: ItemIndex, struct: Struct) -> Place:
    """Return the place of a struct that may not be there; it may have none."""
    try:
        return index.place(struct)
    except MalformedFrame:
        return NOTHING


def _holder(inside: Container, key: str | None, update: bytes, struct: Struct) -> Container | None:
    """Return the record that has a key of a root already, or an id of its list."""
    if inside.taken is not None and key is not None:
        return inside.taken.get(key)
    if key == "id" and inside.record is inside and inside.parent is not None and inside.parent.taken is not None:
        values = read_values(update, struct)
        return inside.parent.taken.get(values[0]) if values and isinstance(values[0], str) else None
    return None


def _deletions(
    index: ItemIndex, deletes: tuple[ClockRange, ...], stillborn: ClockSet, written: set[MapSlot]
) -> Iterator[Operation]:
    """Yield the deletions, except of clocks that are deleted already, go with their container, or are overwritten."""
    news: list[tuple[int, int, int]] = []
    fresh = ClockSet()
    for span in deletes:
        client = span.client
        if span.end > index.end(client):
            raise MalformedFrame("An update deletes what the session doesn't have; sync first.")
        for first, last in index.deleted.lacks(client, span.clock, span.end):
            for start, end in stillborn.lacks(client, first, last):
                fresh.add(client, start, end)
                news.append((client, start, end))
    for client, start, end in news:
        for first, last, place in index.clients[client].between(start, end):
            if place is NOTHING or place in written:
                continue
            inside, key = place if isinstance(place, MapSlot) else (place, None)
            if index.is_dead(inside, fresh):
                continue
            node, gone = inside.node.child(key), ClockRange(client, first, last - first)
            if key is None and inside.type == TEXT:
                yield Operation(inside, None, "change", inside.node, deleted=gone)
            elif node.is_record:
                yield from _deleted_records(index, inside, key, gone)
            else:
                yield Operation(inside, key, "delete", node, deleted=gone)


def _deleted_records(index: ItemIndex, inside: Container, key: str | None, gone: ClockRange) -> Iterator[Operation]:
    """Yield a deletion for each record in a range, and one for each stretch between two records, which holds none."""
    node, client, at = inside.node.child(key), gone.client, gone.clock
    for record in index.containers_between(client, gone.clock, gone.end):
        clock = cast("Id", record.id)[1]
        if at < clock:
            yield Operation(inside, key, "delete", node, deleted=ClockRange(client, at, clock - at))
        yield Operation(inside, key, "delete", node, made=record, deleted=ClockRange(client, clock, 1))
        at = clock + 1
    if at < gone.end:
        yield Operation(inside, key, "delete", node, deleted=ClockRange(client, at, gone.end - at))


@cache
def _held(type: int, has_key: bool, is_rich: bool) -> frozenset[int]:  # noqa: A002 - the attribute's name
    """Return the kinds of content that a shared type may hold, under a key or in its order."""
    if type == UNKNOWN:
        return _VALUES if has_key else _VALUES | _RICH_TEXT
    if has_key:
        return _VALUES if type == MAP or (is_rich and type != ARRAY) else frozenset()
    if type in (TEXT, XML_TEXT):
        return _RICH_TEXT if is_rich else _PLAIN_TEXT
    return {ARRAY: _VALUES, MAP: frozenset[int]()}.get(type, _NODES)


def _check_content(struct: Struct, inside: Container, key: str | None) -> None:
    """Reject content that no client of the schema writes there; some client could read it as something else."""
    if struct.kind == SUBDOCUMENT:
        raise NotAllowed("A session holds no subdocuments; make another session, and name it.")
    if inside.root.node is NOWHERE:
        return  # refused by the authorizer, with its name
    is_rich = inside.root.node.name in _RICH_ROOTS
    if struct.kind not in _held(inside.type, key is not None, is_rich) or (struct.type > TEXT and not is_rich):
        raise MalformedFrame(
            "An update puts into a shared type what it doesn't hold: a map has keys, a list has entries, and a "
            "message's text is plain."
        )
    if key is not None and len(key) > MAX_KEY:
        raise TooLarge(f"A key is longer than {MAX_KEY} characters; shorten it.")
