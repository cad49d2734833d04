"""The queue: prompts that wait for their turn, which people edit and reorder together.

An entry keeps its index in the Array for ever; the queue is ordered by `place`, a number. Moving an entry in a Yjs
Array would delete it and insert a copy: two concurrent moves would double it, and an edit of the old one be lost.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final, cast

from pycrdt import Array, Map, Text

from cosession.errors import BadDocument

from .list_index import SHORT, ListIndex
from .policy import agents_of, checked_agents
from .record import Record, maps_in
from .text import SharedText
from .values import JsonObject, checked_id, checked_object, checked_text, plain_list, plain_object, transaction

_A_STEP = 32
"""Entries that are shown in one step."""

MAX_PROMPT_BYTES: Final = 2**22
"""The size of a prompt that may wait; a longer one is sent as a message. A prompt is copied at once when its turn
comes."""


class QueuedPrompt(Record):
    """A view over one waiting prompt."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The entry's id."""
        return self._string("id")

    @property
    def author(self) -> str | None:
        """The author's participant id."""
        return self._optional_string("author")

    @property
    def to(self) -> tuple[str, ...]:
        """The agents that are asked; empty: the agent that answers by default."""
        return agents_of(self._list("to"))

    @property
    def text(self) -> SharedText | None:
        """The text, which several participants may edit."""
        value = self.shared.get("text")
        return SharedText(value) if isinstance(value, Text) else None

    @property
    def is_too_long(self) -> bool:
        """Whether it stays in the queue because of its length."""
        value = self.shared.get("text")
        return isinstance(value, Text) and len(value) > MAX_PROMPT_BYTES

    @property
    def place(self) -> float:
        """The number that the queue is ordered by."""
        value = self.get("place")
        return float(value) if isinstance(value, int | float) else 0.0


class Queue:
    """The waiting prompts, the next one first.

    Attributes:
        shared: the pycrdt Array behind it.
        index: the index of each entry by its id, if it is kept; a server keeps it.
    """

    __slots__ = ("index", "shared")

    def __init__(self, shared: Array[Any]) -> None:
        self.shared = shared
        self.index: ListIndex | None = None

    def __iter__(self) -> Iterator[QueuedPrompt]:
        return iter(_in_order(maps_in(self.shared)))

    def first(self, most: int) -> list[QueuedPrompt]:
        """Return so many of the entries that were added first, in the order of the queue."""
        if self.index is not None:
            return _in_order(item for item in islice(self.index, most) if item is not None)
        added: list[Any] = [self.shared[index] for index in range(min(most, len(self.shared)))]
        return _in_order(cast("Map[Any]", item) for item in added if isinstance(item, Map))

    def index_if_short(self) -> None:
        """Keep an index from now on, if the list is still short enough to read."""
        if self.index is None and len(self.shared) <= SHORT:
            self.index = ListIndex(self.shared, list(self.shared), notes_arrivals=False)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def get(self, id: str) -> QueuedPrompt | None:  # noqa: A002 - the field's name
        """Return the entry of an id, or None."""
        if self.index is not None:
            found = self.index.get(id)
            return None if found is None else QueuedPrompt(found)
        place = self._place_of(id)
        return None if place is None else QueuedPrompt(cast("Map[Any]", self.shared[place]))

    def append(
        self,
        text: str,
        *,
        id: str,  # noqa: A002 - the field's name
        author: str,
        created_at: str,
        to: Sequence[str] = (),
    ) -> QueuedPrompt:
        """Add a prompt to the end of the queue.

        Args:
            text: the text of the prompt.
            id: unique in the session.
            author: the participant's id.
            created_at: the time, RFC 3339.
            to: the agents that are asked; empty: the agent that answers by default.

        Raises:
            BadDocument: a value doesn't fit, or the id is in use.
        """
        checked_id(id, "An entry's id")
        size = len(checked_text(text).encode())
        if size > MAX_PROMPT_BYTES:
            raise BadDocument(
                f"A prompt in the queue has at most {MAX_PROMPT_BYTES} bytes, this one {size}; send it as a message."
            )
        fields = checked_object({"id": id, "author": author, "created_at": created_at}, "An entry")
        if to:
            fields["to"] = checked_agents(to)
        with transaction(self.shared):
            if self.get(id) is not None:
                raise BadDocument(f"There is an entry {id!r} already; ids are used once.")
            place = max((entry.place for entry in self), default=0.0) + 1
            shared: Map[Any] = Map({**fields, "text": Text(text), "place": place})
            self.shared.append(shared)
        return QueuedPrompt(shared)

    def move(self, id: str, index: int) -> None:  # noqa: A002 - the field's name
        """Move an entry to a place of the queue.

        Args:
            id: the entry.
            index: the new place; 0 is next.

        Raises:
            BadDocument: there is no such entry.
        """
        with transaction(self.shared):
            entry = self.get(id)
            if entry is None:
                raise BadDocument(f"There is no entry {id!r} in the queue.")
            others = [other for other in self if other.id != id]
            index = max(0, min(index, len(others)))
            before = others[index - 1].place if index else others[0].place - 2 if others else 0.0
            after = others[index].place if index < len(others) else before + 2
            place = (before + after) / 2
            if not before < place < after:
                others.insert(index, entry)
                for number, other in enumerate(others, 1):
                    other.write({"place": number})
            else:
                entry.write({"place": place})

    def remove(self, id: str) -> bool:  # noqa: A002 - the field's name
        """Remove an entry.

        Returns:
            Whether it was in the queue.
        """
        with transaction(self.shared):
            place = self._place_of(id)
            if place is not None:
                del self.shared[place]
        return place is not None

    def place_of(self, entry: QueuedPrompt) -> int | None:
        """Return the index of an entry in the list, found by id and author; None if it isn't there any more."""
        wanted = (entry.id, entry.author)
        for place, value in enumerate(plain_list(self.shared)):
            fields = cast(JsonObject, value) if isinstance(value, dict) else {}
            if (fields.get("id"), fields.get("author")) == wanted:
                return place
        return None

    def to_json(self) -> list[JsonObject]:
        """Return the waiting prompts as plain JSON, the next one first."""
        return [entry.to_json() for entry in self]

    def to_json_in_steps(self) -> Generator[None, None, list[JsonObject]]:
        """Do the same in steps, where there is an index."""
        if self.index is None:
            return self.to_json()
        entries: list[tuple[float, str, Map[Any]]] = []
        for count, item in enumerate(self.index.walk(), 1):
            if item is not None:
                entry = QueuedPrompt(item)
                entries.append((entry.place, entry.id, item))
            if not count % _A_STEP:
                yield
        listed: list[JsonObject] = []
        for count, (_, _, item) in enumerate(sorted(entries, key=itemgetter(0, 1)), 1):
            listed.append(plain_object(item))
            if not count % _A_STEP:
                yield
        return listed

    def _place_of(self, id: str) -> int | None:  # noqa: A002 - the field's name
        """Return the index of the entry of an id, or None, in one pass; each lookup would walk the list anew."""
        for place, entry in enumerate(plain_list(self.shared)):
            is_it = isinstance(entry, dict) and cast(JsonObject, entry).get("id") == id
            if is_it and isinstance(self.shared[place], Map):
                return place
        return None


def _in_order(entries: Iterable[Map[Any]]) -> list[QueuedPrompt]:
    return sorted(map(QueuedPrompt, entries), key=lambda entry: (entry.place, entry.id))
