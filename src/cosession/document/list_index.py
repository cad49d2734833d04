"""The Maps of a list by their id. yrs walks a list from its start to reach an entry, so a long one is indexed.

Invariant: the index has the entries of the list, in order. It hears of what goes in the transaction in which it goes:
yrs frees that at its end, and nothing of it is kept.

yrs also walks the list to say what changed in it. So it isn't asked about an entry that is known to come behind the
last one: such a one is empty when it comes, and an event of what goes into it then tells the Map. Nor about one that
is taken out by its Yjs id.
"""

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Self, cast

from pycrdt import Array, ArrayEvent, Doc, Map
from pycrdt._pycrdt import MapEvent as _MapEvent

SHORT: Final = 64
"""Lists of so many entries aren't indexed: looking through one costs less than the memory of an index."""

_SLICE: Final = 256
"""Ids that are read at once: two milliseconds."""

_RECENT: Final = 64
"""Entries without an id that are looked at again for each id that isn't known: theirs may have come later."""


class _Entry:
    """An entry of a list.

    Attributes:
        item: the Map; None for anything else, and once it is gone.
        id: its id when that was read; empty where there was none.
        yjs_id: its Yjs client and clock, where that is known.
        before: another entry of the same id that came earlier.
    """

    __slots__ = ("before", "id", "item", "yjs_id")

    def __init__(self, item: object) -> None:
        self.item = cast("Map[Any]", item) if isinstance(item, Map) else None
        self.id = ""
        self.yjs_id: tuple[int, int] | None = None
        self.before: _Entry | None = None


class ListIndex:
    """The index of one list.

    Args:
        shared: the list.
        entries: what is in it.
        notes_arrivals: whether somebody asks for what came; it is kept until then.

    Attributes:
        last: the Yjs client and clock of the last entry, where that is known; it may be deleted.
        ends_in_new: whether the last change was that one entry came behind all others.
    """

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_by_id",
        "_came",
        "_doc",
        "_entries",
        "_expects",
        "_nameless",
        "_notes_arrivals",
        "_shared",
        "_subscription",
        "_unread",
        "ends_in_new",
        "last",
    )

    def __init__(self, shared: Array[Any], entries: Sequence[object] = (), *, notes_arrivals: bool = True) -> None:
        self.last: tuple[int, int] | None = None
        self.ends_in_new = False
        self._expects = self._came = False
        self._notes_arrivals = notes_arrivals
        self._shared = shared
        self._doc: Doc[Any] = cast(Any, shared).doc
        self._entries = [_Entry(item) for item in entries]
        self._by_id: dict[str, _Entry] = {}
        self._nameless = deque[_Entry](maxlen=_RECENT)
        self._unread = self._entries[::-1]
        self._arrived: list[_Entry] = []
        # pycrdt's own event asks for the change at once, and yrs walks the list for it.
        self._subscription = shared.integrated.observe(partial(_tell, weakref.ref(self)))

    @classmethod
    def after(cls, shared: Array[Any], steps: Sequence[dict[str, Any]]) -> Self:
        """Index a list that was short until just now.

        Args:
            shared: the list as it is.
            steps: what was done to it, as its event says: `retain`, `insert` or `delete` each.
        """
        entries: list[object] = []
        for step in steps:
            entries += step.get("insert", ())
            begin = len(entries)
            entries += [shared[begin + place] for place in range(step.get("retain", 0))]
        entries += [shared[place] for place in range(len(entries), len(shared))]
        return cls(shared, entries)

    def __iter__(self) -> Iterator["Map[Any] | None"]:
        """The entries of the list; None for what is no Map."""
        return (entry.item for entry in self._entries)

    def walk(self) -> Iterator["Map[Any] | None"]:
        """The entries of now, each as it is when it is asked for; None for one that is gone or no Map."""
        entries = self._entries.copy()
        return (entry.item for entry in entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, place: int) -> "Map[Any] | None":
        """The Map at a place of the list; None for anything else."""
        return self._entries[place].item

    def get(self, id: str) -> "Map[Any] | None":  # noqa: A002 - the field's name
        """The Map of an id, or None; of several the one that came last."""
        found = self._find(id)
        return None if found is None else found.item

    def read(self) -> Iterator[None]:
        """Read the ids of entries that are new, in slices: others may have their turn between them."""
        unread = self._unread
        while unread:
            for _ in range(min(_SLICE, len(unread))):
                self._read(unread.pop())
            yield

    def take_arrived(self) -> list[Map[Any]]:
        """The Maps that came since this was last asked, in the order of the list."""
        arrived, self._arrived = self._arrived, []
        return [entry.item for entry in arrived if entry.item is not None]

    def append(self, id: tuple[int, int], begin: Callable[[], None], fill: Callable[[], None]) -> None:  # noqa: A002
        """Let an entry come behind the last one, without a walk over the list.

        Args:
            id: its Yjs client and clock.
            begin: brings it, a Map, and nothing else into the list.
            fill: in another transaction, brings something into that Map, and nothing else anywhere.
        """
        filled: list[Any] = []
        self._expects, self._came = True, False
        try:
            begin()
        finally:
            self._expects = False
        if not self._came:  # it went into another list
            self.last = None
            fill()
            return
        subscription = self._shared.integrated.observe_deep(partial(_note_maps, filled))
        try:
            fill()
        finally:
            subscription.drop()
        place = len(self._entries)
        item: object = Map[Any](_integrated=filled[0], _doc=self._doc) if len(filled) == 1 else self._shared[place]
        self._add(place, [_Entry(item)])
        self.know_last(id)

    def know_last(self, id: tuple[int, int] | None) -> None:  # noqa: A002
        """Note the Yjs client and clock of the last entry, which came just now; None if they can't be told."""
        self.last = self._entries[-1].yjs_id = id

    def remove(self, item: Map[Any], delete: Callable[[tuple[int, int]], None]) -> int | None:
        """Take out an entry, without a walk over the list where its Yjs id is known.

        Args:
            item: the entry, as the index gave it.
            delete: in a transaction, deletes what has a Yjs client and clock, and nothing else in the list.

        Returns:
            Where it is, to be deleted there by the caller; None if it isn't there any more.
        """
        place = next((place for place, entry in enumerate(self._entries) if entry.item is item), None)
        if place is None:
            return None
        entry = self._entries[place]
        if entry.yjs_id is None:
            return place
        self._expects, self._came = True, False
        try:
            delete(entry.yjs_id)
        finally:
            self._expects = False
        if self._came:
            self._forget(entry)
            del self._entries[place]
        return None

    def close(self) -> None:
        """Follow the list no longer."""
        self._subscription.drop()

    def _find(self, id: str) -> _Entry | None:  # noqa: A002 - the field's name
        for _ in self.read():
            pass
        found = self._by_id.get(id)
        while found is not None:
            if found.item is not None and found.item.get("id") == id:
                return found
            found = found.before
        for entry in reversed(self._nameless):
            if entry.item is not None and entry.item.get("id") == id:
                return entry
        return None

    def _read(self, entry: _Entry) -> None:
        if entry.item is None:
            return
        written = entry.item.get("id")
        if not isinstance(written, str) or not written:
            self._nameless.append(entry)
            return
        entry.id, entry.before = written, self._by_id.get(written)
        self._by_id[written] = entry

    def note(self, event: Any) -> None:
        """Hear of a change of the list, in the library's own event, which tells only what it is asked for."""
        if self._expects:
            self._came = True
            return
        place, known, count = 0, len(self._entries), 0
        changes = cast("list[dict[str, Any]]", ArrayEvent(event, self._doc).delta)
        for step in changes:
            if "insert" in step:
                new = [_Entry(item) for item in step["insert"]]
                self._add(place, new)
                place += len(new)
                count += len(new)
            elif "delete" in step:
                for entry in self._entries[place : place + step["delete"]]:
                    self._forget(entry)
                del self._entries[place : place + step["delete"]]
            else:
                place += step["retain"]
        self.ends_in_new = (
            count == 1 and place == len(self._entries) == known + 1 and self._entries[-1].item is not None
        )
        if count:
            self.last = None

    def _add(self, place: int, new: list[_Entry]) -> None:
        self._entries[place:place] = new
        self._unread[:0] = reversed(new)
        if self._notes_arrivals:
            self._arrived += new

    def _forget(self, entry: _Entry) -> None:
        entry.item = None
        if self._by_id.get(entry.id) is entry:
            if entry.before is None:
                del self._by_id[entry.id]
            else:
                self._by_id[entry.id] = entry.before


def _tell(index: "weakref.ref[ListIndex]", event: Any) -> None:
    """Tell an index of a change; the library must not keep it, which keeps the document."""
    known = index()
    if known is not None:
        known.note(event)


def _note_maps(found: list[Any], events: list[Any]) -> None:
    """Note the Maps in which something changed; an entry of a list is one, and what is new in it is not."""
    found += [cast(Any, event).target for event in events if isinstance(event, _MapEvent)]
