"""The messages: an Array of Maps, in order. New ones go to the end.

A message and its parts are built whole and appended in one transaction, so no replica ever sees half of one.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from pycrdt import Array, Map

from cosession.errors import BadDocument

from .list_index import SHORT, ListIndex
from .message import MESSAGE_STATUSES, Dialect, Message, as_ui_message, in_dialect
from .parts import new_part
from .policy import checked_agents
from .record import maps_in
from .values import JsonObject, checked_id, checked_object, plain_list, value_in_steps

_AT_ONCE = 32
"""Messages that are read in one step: 50 µs each."""

ROLES = ("user", "assistant", "system")

_NEWEST = 64
"""The newest messages, which are looked up one by one; the time for each grows with the list. The rest is read at
once."""


class Messages:
    """The list of messages, in the order in which they were appended.

    Attributes:
        shared: the pycrdt Array behind it.
        index: the place of each message by its id, if it is kept; a server keeps it for long lists.
    """

    __slots__ = ("index", "shared")

    def __init__(self, shared: Array[Any]) -> None:
        self.shared = shared
        self.index: ListIndex | None = None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Message]:
        items = maps_in(self.shared) if self.index is None else self.index
        return (Message(item) for item in items if item is not None)

    def walk(self) -> "Iterator[Map[Any] | None]":
        """Iterate over the present Maps while the list may change; an entry that is removed by then is None.

        Over a list without an index, the iteration must end before the list changes.
        """
        return iter(maps_in(self.shared)) if self.index is None else self.index.walk()

    def __getitem__(self, index: int) -> Message:
        step = 1 if index >= 0 else -1
        wanted = index if index >= 0 else -1 - index
        for place in range(len(self.shared))[::step]:
            item: Any = self.shared[place]
            if isinstance(item, Map):
                if wanted == 0:
                    return Message(cast("Map[Any]", item))
                wanted -= 1
        raise IndexError(f"There is no message {index}.")

    def get(self, id: str) -> Message | None:  # noqa: A002 - the field's name
        """Return the message of an id, or None; the search begins at the newest."""
        if self.index is not None:
            found = self.index.get(id)
            return None if found is None else Message(found)
        count = len(self.shared)
        older = max(count - _NEWEST, 0)
        for index in range(count - 1, older - 1, -1):
            item: Any = self.shared[index]
            if isinstance(item, Map) and (message := Message(cast("Map[Any]", item))).id == id:
                return message
        known = plain_list(self.shared)[:older] if older else []
        for index in range(len(known) - 1, -1, -1):
            if isinstance(known[index], dict) and cast(JsonObject, known[index]).get("id") == id:
                return Message(cast("Map[Any]", self.shared[index]))
        return None

    def among(self, ids: Iterable[str]) -> Iterator[Message]:
        """Iterate over the messages of some ids, in that order; a short list is searched once for all of them."""
        if self.index is None:
            by_id = {message.id: message for message in self}
            found = map(by_id.get, ids)
        else:
            found = map(self.get, ids)
        return (message for message in found if message is not None)

    def at(self, place: int) -> Message | None:
        """Return the message at a place of the list; None if the entry is something else."""
        item: Any = self.shared[place] if self.index is None else self.index[place]
        return Message(cast("Map[Any]", item)) if isinstance(item, Map) else None

    def unindex_if_short(self) -> None:
        """Drop the index of a list that has become short."""
        if self.index is not None and len(self.index) <= SHORT:
            self.index.close()
            self.index = None

    def append(
        self,
        role: str,
        parts: Sequence[Mapping[str, Any]],
        *,
        id: str,  # noqa: A002 - the field's name
        author: str | None,
        created_at: str,
        status: str = "complete",
        run: str | None = None,
        parent: str | None = None,
        to: Sequence[str] = (),
    ) -> Message:
        """Append a message, whole.

        Args:
            role: `user`, `assistant` or `system`.
            parts: AI SDK 7 UI message parts; only an assistant's message may begin without any.
            id: unique in the session, which the caller ensures.
            author: the participant's id.
            created_at: the time, RFC 3339.
            status: `streaming`, `complete`, `cancelled` or `error`.
            run: the run that writes it.
            parent: the message that it answers or branches from.
            to: the agents that are asked: for each of them it is a prompt. Empty: the agent that answers by default.

        Raises:
            BadDocument: a value doesn't fit.
        """
        about: JsonObject = {
            "author": author,
            "created_at": created_at,
            "status": status,
            "run": run,
            "parent": parent,
            "to": checked_agents(to) or None,
        }
        metadata = {key: value for key, value in about.items() if value is not None}
        return self.append_json({"id": id, "role": role, "metadata": metadata, "parts": list(parts)})

    def append_json(self, message: Mapping[str, Any]) -> Message:
        """Append a UIMessage, e.g. one from `to_json`, without its stamp, which only the server writes.

        Raises:
            BadDocument: it is no UIMessage.
        """
        fields = checked_object(
            {key: value for key, value in message.items() if key not in ("parts", "stamp")}, "A message"
        )
        checked_id(fields.get("id"), "A message's id")
        role = fields.get("role")
        if role not in ROLES:
            raise BadDocument(f"The role of a message is one of {', '.join(ROLES)}, not {role!r}.")
        metadata = checked_object(fields.get("metadata") or {}, "A message's metadata")
        if metadata.setdefault("status", "complete") not in MESSAGE_STATUSES:
            raise BadDocument(f"The status of a message is one of {', '.join(MESSAGE_STATUSES)}.")
        parts = message.get("parts")
        if not isinstance(parts, list | tuple):
            raise BadDocument("A message needs 'parts', a list.")
        prepared = [new_part(part) for part in cast("list[Mapping[str, Any]]", parts)]
        if not prepared and role != "assistant":
            raise BadDocument(f"A {role} message needs at least one part, e.g. a text.")
        shared: Map[Any] = Map({**fields, "metadata": Map(metadata), "parts": Array(prepared)})
        self.shared.append(shared)
        return Message(shared)

    def to_json_in_steps(self) -> Generator[None, None, list[JsonObject]]:
        """Return all messages as UIMessages, in short steps; the list may change between them."""
        listed: list[JsonObject] = []
        if self.index is None or any(item is None for item in self.index):  # short, or with entries that are no Maps
            items = yield from value_in_steps(self.shared)
            for count, item in enumerate(items, 1):
                if isinstance(item, dict):
                    listed.append(as_ui_message(cast(JsonObject, item)))
                if not count % _AT_ONCE:
                    yield
            return listed
        for count, item in enumerate(self.index.walk(), 1):
            if item is not None:
                message = yield from value_in_steps(item)
                listed.append(as_ui_message(cast(JsonObject, message)))
            if not count % _AT_ONCE:
                yield
        return listed

    def to_json(self, *, dialect: Dialect = "cosession") -> list[JsonObject]:
        """Return all messages as UIMessages, in one pass over the Array; iterating would look each entry up.

        Args:
            dialect: the reader; see `Message.to_json`.
        """
        listed = [as_ui_message(cast(JsonObject, item)) for item in plain_list(self.shared) if isinstance(item, dict)]
        return [in_dialect(message, dialect) for message in listed]
