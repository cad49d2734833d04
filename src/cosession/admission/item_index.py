"""Where each item of the document is: which clock of which client belongs to which shared type, under which key.

In Yjs an item names its place once, and never moves: by the name of a root, the id of a shared type, or a neighbour.
So each insertion, change or deletion of an update has exactly one place, whether it is visible or not, and however
two libraries would order it. The index holds the places of the whole document; it is built once, then kept in step.

Beside the places it holds the facts that the rules need: the owner of a record (`stamp.by` of a message, `agent` of a
run, …), the ids in use, and the deletions. It may lack some deletions: a value that loses against a concurrent write
is deleted without a delete range; `ItemIndex.note_deleted` brings the index up to the document.
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Final, TypeAlias, cast

from cosession.errors import MalformedFrame
from cosession.protocol import ClockRange
from cosession.protocol.steps import AT_ONCE
from cosession.protocol.structs import Id, Struct, read_structs, read_values
from cosession.protocol.update_format import DELETED, GC, TYPE

from .clock_ranges import ClockMap, ClockSet
from .locations import NOTHING, Container, MapSlot, Place, new_root
from .origins import Origins

_OWNER_KEYS: Final = {"messages/*": "stamp", "runs/*": "agent", "queue/*": "author", "surfaces/*": "agent"}
"""Per kind of record, the key that names the owner. The key of an agent's record is its owner."""

Undo: TypeAlias = list[Callable[[], object]]


class ItemIndex:
    """The places of a document; empty until it learns a state."""

    def __init__(self) -> None:
        self.clients: dict[int, ClockMap[Place]] = {}
        self.containers: dict[Id, Container] = {}
        self.roots: dict[str, Container] = {}
        self.origins = Origins()
        self.deleted = ClockSet()
        self._made: dict[int, list[int]] = {}
        """Per client, the clocks that hold shared types, in order."""
        self.structs = 0
        """The number of structs that were added, except those without a place; it only grows, also when structs are
        taken back or joined."""

    def learn(self, update: bytes, deletes: Iterable[ClockRange]) -> Iterator[None]:
        """Add an update that the document has, in steps."""
        for count, span in enumerate(deletes, 1):
            self.deleted.add(span.client, span.clock, span.end)
            if not count % AT_ONCE:
                yield
        structs = yield from self.in_order(update)
        for count, struct in enumerate(structs, 1):
            self.add(struct, self.place(struct, strict=False), update)
            if struct.kind in (GC, DELETED):
                self.deleted.add(struct.client, struct.clock, struct.clock + struct.length)
            if not count % AT_ONCE:
                yield

    def note_deleted(self, deletes: Iterable[ClockRange]) -> None:
        """Note deletions."""
        for span in deletes:
            self.deleted.add(span.client, span.clock, span.end)

    def end(self, client: int) -> int:
        """Return the first clock of a client that isn't known."""
        clocks = self.clients.get(client)
        return 0 if clocks is None else clocks.end

    def ends(self) -> dict[int, int]:
        """Return the document's state vector."""
        return {client: clocks.end for client, clocks in self.clients.items()}

    def root(self, name: str) -> Container:
        """Return a root, by its name."""
        found = self.roots.get(name)
        if found is None:
            found = self.roots[name] = new_root(name)
        return found

    def find(self, id: Id) -> Place:  # noqa: A002 - Yjs's word
        """Return the place of an item.

        Raises:
            MalformedFrame: there is no such item.
        """
        clocks = self.clients.get(id[0])
        if clocks is None or id[1] >= clocks.end:
            raise MalformedFrame("An update stands on what the session doesn't have; sync first.")
        return clocks.at(id[1])

    def place(self, struct: Struct, *, strict: bool = True) -> Place:
        """Return the place that a struct names.

        Args:
            struct: the struct; the items that it depends on are known.
            strict: whether its neighbours must agree, in place and order; else the left one decides, as in yrs.

        Raises:
            MalformedFrame: it names no place, or two at once: Yjs and yrs could each choose another.
        """
        if struct.kind == GC:
            return NOTHING
        if struct.left is not None:
            place = self.find(struct.left)
            if strict and struct.right is not None:
                if self.find(struct.right) != place:
                    raise MalformedFrame("A struct has neighbours in two places; start from a fresh document.")
                self._check_neighbours(struct.left, struct.right, place)
            return place
        if struct.right is not None:
            place = self.find(struct.right)
            if strict:
                self._check_neighbours(None, struct.right, place)
            return place
        parent = self._parent(struct, strict)
        return parent if struct.key is None or parent is NOTHING else MapSlot(parent, struct.key)

    def add(self, struct: Struct, place: Place, update: bytes, undo: Undo | None = None) -> Container | None:
        """Add a struct; the client's clocks before it must be known, and known clocks of the struct are skipped.

        Args:
            struct: the struct.
            place: where it is.
            update: the update that it is in.
            undo: gets the steps that undo it, except for the clocks.

        Returns:
            The shared type that it holds, if it holds one.

        Raises:
            MalformedFrame: clocks before it aren't known.
        """
        clocks = self.clients.get(struct.client)
        if clocks is None:
            clocks = self.clients[struct.client] = ClockMap()
        known = clocks.end - struct.clock
        if known < 0:
            raise MalformedFrame("An update leaves out clocks of a client; sync first.")
        if known >= struct.length:
            return None
        if not isinstance(place, MapSlot) and place is not NOTHING:
            left = struct.left if known == 0 else (struct.client, clocks.end - 1)
            self.origins.add(struct.client, clocks.end, struct.length - known, left)
        clocks.append(struct.length - known, place)
        if place is NOTHING:  # so are its contents
            return None
        self.structs += 1
        if struct.kind == TYPE:
            return self._add_container(struct, place, undo)
        if isinstance(place, MapSlot):
            self._add_fact(struct, place, update, undo)
        return None

    def void(self, struct: Struct, undo: Undo, before: int) -> None:
        """Give the struct that was added last the place `NOTHING`, so that structs in it get that place as well.

        Args:
            struct: the struct.
            undo: the steps that undo all that was added.
            before: the number of those steps before the struct was added.
        """
        while len(undo) > before:
            undo.pop()()
        clocks = self.clients[struct.client]
        clocks.cut(struct.clock)
        clocks.append(struct.length, NOTHING)

    def take_back(self, undo: Undo, brings: Iterable[ClockRange]) -> None:
        """Forget an update that was staged.

        Args:
            undo: the steps that were noted when its structs were added.
            brings: the clocks that it brought; none of them was known before.
        """
        for step in reversed(undo):
            step()
        for span in brings:
            self.origins.cut(span.client, span.clock)
            clocks = self.clients.get(span.client)
            if clocks is not None and span.clock:
                clocks.cut(span.clock)
            else:
                self.clients.pop(span.client, None)

    def containers_between(self, client: int, start: int, end: int) -> Iterator[Container]:
        """Yield the shared types that a range of a client's clocks holds, in order."""
        made = self._made.get(client, [])
        for place in range(bisect_left(made, start), bisect_left(made, end)):
            yield self.containers[client, made[place]]

    def is_dead(self, container: Container, besides: ClockSet | None = None) -> bool:
        """Return whether a shared type, or one that it is in, is deleted.

        Args:
            container: the shared type.
            besides: further clocks that count as deleted.
        """
        at: Container | None = container
        while at is not None and at.id is not None:
            if self.deleted.has(*at.id) or (besides is not None and besides.has(*at.id)):
                return True
            at = at.parent
        return False

    def in_order(self, update: bytes) -> Generator[None, None, Iterator[Struct]]:
        """Put the structs of an update in order in steps, between which the index may change.

        Returns:
            The structs, each after those that it depends on; add each before the next is asked for.

        Raises:
            MalformedFrame: they depend on each other in a circle, or on missing structs.
        """
        # The structs of one client are in order, and `place` checks that what they depend on is known.
        return read_structs(update) if update[0] == 1 else self._sorted((yield from _gather(update)))

    def _sorted(self, waiting: dict[int, list[Struct]]) -> Iterator[Struct]:
        for client in waiting:
            way = [client]
            while way:
                queue = waiting[way[-1]]
                if not queue:
                    way.pop()
                    continue
                missing = self._missing(queue[-1])
                if missing is None:
                    yield queue.pop()
                    if len(way) > 1:
                        way.pop()
                elif missing in way or not waiting.get(missing):
                    raise MalformedFrame("An update stands on what isn't there; sync first.")
                else:
                    way.append(missing)

    def _missing(self, struct: Struct) -> int | None:
        """Return the client that a struct waits for; earlier structs of its own client came, or never will."""
        own = struct.client
        for beside in (struct.left, struct.right, struct.parent):
            if (
                beside is not None
                and beside[0] != own
                and not isinstance(beside, str)
                and beside[1] >= self.end(beside[0])
            ):
                return beside[0]
        return None

    def go_on(self, client: int, length: int, text: Container, left: Id | None) -> None:
        """Add a string to a text; the client's clocks before it must be known."""
        clocks = self.clients[client]
        self.origins.add(client, clocks.end, length, left)
        clocks.append(length, text)

    def _check_neighbours(self, left: Id | None, right: Id, place: Place) -> None:
        """Reject neighbours between which no client writes: two libraries could each choose another place."""
        if place is NOTHING:
            return
        if isinstance(place, MapSlot):
            raise MalformedFrame("A key's value has a right neighbour, which no client writes; set the key anew.")
        if not self.origins.are_neighbours(left, right):
            raise MalformedFrame(
                "A struct has neighbours that no client saw next to each other; start from a fresh document."
            )

    def _parent(self, struct: Struct, strict: bool) -> Container:
        if isinstance(struct.parent, str):
            return self.root(struct.parent)
        assert struct.parent is not None
        found = self.containers.get(struct.parent)
        if found is not None:
            return found
        if not strict or self.find(struct.parent) is NOTHING or self.deleted.has(*struct.parent):
            return NOTHING
        raise MalformedFrame("An update puts something into what is no shared type.")

    def _add_container(self, struct: Struct, place: Place, undo: Undo | None) -> Container:
        parent, key = place if isinstance(place, MapSlot) else (place, None)
        id = (struct.client, struct.clock)  # noqa: A001 - Yjs's word
        container = Container(id, struct.type, parent, key, parent.node.child(key))
        self.containers[id] = container
        made = self._made.setdefault(struct.client, [])
        made.append(struct.clock)
        if undo is not None:
            undo.append(lambda: (self.containers.pop(id), made.pop()))
        if container.record is container and key is not None:
            self._take(parent, key, container, undo)
            if container.node.name == "agents/*":
                container.owner = key
        return container

    def _add_fact(self, struct: Struct, place: MapSlot, update: bytes, undo: Undo | None) -> None:
        """Note the owner or the id of a record, where a struct names it."""
        record, key = place
        if record.record is not record or record.parent is None:
            return
        if key == _OWNER_KEYS.get(record.node.name):
            if undo is not None:
                undo.append(partial(_own, record, record.owner, record.stamp))
            values = read_values(update, struct)
            value = values[0] if values else None
            stamp = cast("dict[str, object]", value) if isinstance(value, dict) else None
            owner = cast("object", value) if stamp is None else stamp.get("by")
            _own(record, owner if isinstance(owner, str) else record.owner, stamp)
        elif key == "id" and record.key is None:
            values = read_values(update, struct)
            if values and isinstance(values[0], str):
                self._take(record.parent, values[0], record, undo)

    def _take(self, root: Container, name: str, record: Container, undo: Undo | None) -> None:
        taken = root.taken
        if taken is None:
            return
        if undo is not None:
            old = taken.get(name)
            undo.append(lambda: taken.pop(name) if old is None else taken.update({name: old}))
        taken[name] = record


def _own(record: Container, owner: str | None, stamp: dict[str, object] | None) -> None:
    record.owner, record.stamp = owner, stamp


def _gather(update: bytes) -> Generator[None, None, dict[int, list[Struct]]]:
    """Read the structs of each client, the last first, in steps."""
    clients: dict[int, list[Struct]] = {}
    for count, struct in enumerate(read_structs(update), 1):
        clients.setdefault(struct.client, []).append(struct)
        if not count % AT_ONCE:
            yield
    for structs in clients.values():
        structs.reverse()
    return clients
