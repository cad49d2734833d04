"""The Maps of a list by their id. yrs walks a list from its start to reach an entry, so a long one is indexed.

Invariant: the index has the entries of the list, in order. It drops a removed entry in the transaction that removes
it: yrs frees the entry at its end.

yrs also walks the list to report a change in it. So it isn't asked about an entry that is known to come behind the
last one: that entry is appended empty, and the event of its first content names the Map. Nor is it asked about an
entry that is removed by its Yjs id.
"""

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Self, cast

from pycrdt import Array, ArrayEvent, Doc, Map
from pycrdt._pycrdt import MapEvent as _MapEvent

SHORT: Final = 64
"""Lists of up to so many entries aren't indexed: searching one costs less than the memory of an index."""

_SLICE: Final = 256
"""Ids that are read in one step: two milliseconds."""

_RECENT: Final = 64
"""Entries without an id that are read again for each unknown id: their ids may have been written since."""


class _Entry:
    """An entry of a list.

    Attributes:
        item: the Map; None for anything else, and once it is removed.
        id: its id when that was read; empty if it had none.
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
        entries: the entries of the list.
        notes_arrivals: whether new entries are kept until `take_arrived` is called.

    Attributes:
        last: the Yjs client and clock of the last entry, where that is known; it may be deleted.
        ends_in_new: whether the last change appended one entry, and did nothing else.
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
            steps: the changes to it from its event: `retain`, `insert` or `delete` each.
        """
        entries: list[object] = []
        for step in steps:
            entries += step.get("insert", ())
            begin = len(entries)
            entries += [shared[begin + place] for place in range(step.get("retain", 0))]
        entries += [shared[place] for place in range(len(entries), len(shared))]
        return cls(shared, entries)

    def __iter__(self) -> Iterator["Map[Any] | None"]:
        """Iterate over the entries of the list; None for one that is no Map."""
        return (entry.item for entry in self._entries)

    def walk(self) -> Iterator["Map[Any] | None"]:
        """Iterate over the present entries while the list may change; None for one that is removed or no Map."""
        entries = self._entries.copy()
        return (entry.item for entry in entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, place: int) -> "Map[Any] | None":
        """Return the Map at a place of the list; None for anything else."""
        return self._entries[place].item

    def get(self, id: str) -> "Map[Any] | None":  # noqa: A002 - the field's name
        """Return the Map of an id, or None; of several the one that came last."""
        found = self._find(id)
        return None if found is None else found.item

    def read(self) -> Iterator[None]:
        """Read the ids of new entries, in slices, between which other work may run."""
        unread = self._unread
        while unread:
            for _ in range(min(_SLICE, len(unread))):
                self._read(unread.pop())
            yield

    def take_arrived(self) -> list[Map[Any]]:
        """Return the Maps that came since the last call, in the order of the list."""
        arrived, self._arrived = self._arrived, []
        return [entry.item for entry in arrived if entry.item is not None]

    def append(self, id: tuple[int, int], begin: Callable[[], None], fill: Callable[[], None]) -> None:  # noqa: A002
        """Append an entry, without a walk over the list.

        Args:
            id: its Yjs client and clock.
            begin: adds the entry, an empty Map, to the list, and changes nothing else in it.
            fill: in another transaction, adds content to that Map, and changes nothing else.
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
        """Note the Yjs client and clock of the last entry, which came just now; None if they aren't known."""
        self.last = self._entries[-1].yjs_id = id

    def remove(self, item: Map[Any], delete: Callable[[tuple[int, int]], None]) -> int | None:
        """Remove an entry, without a walk over the list where its Yjs id is known.

        Args:
            item: the entry, as the index returned it.
            delete: deletes, in a transaction, the item of a Yjs client and clock, and nothing else in the list.

        Returns:
            The place of the entry, to be deleted there by the caller; None if it isn't in the list any more.
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
        """Stop observing the list."""
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
        """Apply a change of the list, from the library's own event, which computes only what is read of it."""
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
    """Pass a change to an index; the library must not keep the index alive, which keeps the document."""
    known = index()
    if known is not None:
        known.note(event)


def _note_maps(found: list[Any], events: list[Any]) -> None:
    """Note the Maps that changed; an entry of a list is one, a Map that is new in it is not."""
    found += [cast(Any, event).target for event in events if isinstance(event, _MapEvent)]
