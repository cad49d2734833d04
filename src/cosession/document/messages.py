"""The messages: an Array of Maps, each of which reads as an AI SDK 7 UIMessage. New ones go to the end.

A message and its parts are built whole and appended in one transaction, so nobody ever sees half of one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pycrdt import Array, Map

from cosession.errors import BadDocument

from .parts import Part, new_part
from .record import Record, maps_in
from .text import SharedText, difference
from .values import (
    JsonObject,
    checked,
    checked_id,
    checked_object,
    checked_text,
    plain_list,
    plain_object,
    transaction,
)

ROLES = ("user", "assistant", "system")
MESSAGE_STATUSES = ("streaming", "complete", "cancelled", "error")


class Message(Record):
    """A view over one message."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The message's id."""
        return self._string("id")

    @property
    def role(self) -> str:
        """`user`, `assistant` or `system`."""
        return self._string("role")

    @property
    def parts(self) -> list[Part]:
        """The parts, in order."""
        return [Part(part) for part in maps_in(self._array("parts"))]

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(str(text) for text in self._texts())

    @property
    def metadata(self) -> JsonObject:
        """author, created_at, status, run, parent, edited_at, deleted, and what the application added."""
        return self._object("metadata")

    @property
    def status(self) -> str:
        """`streaming`, `complete`, `cancelled` or `error`."""
        return self._about("status") or "complete"

    @property
    def author(self) -> str | None:
        """The participant who says they wrote it; `stamp` says who did."""
        return self._about("author")

    @property
    def created_at(self) -> str | None:
        """When its author says it was written."""
        return self._about("created_at")

    @property
    def run(self) -> str | None:
        """The run that wrote it."""
        return self._about("run")

    @property
    def parent(self) -> str | None:
        """The message that it answers or branches from."""
        return self._about("parent")

    @property
    def edited_at(self) -> str | None:
        """When it was edited last, if it was."""
        return self._about("edited_at")

    @property
    def deleted(self) -> bool:
        """Whether it was deleted; its parts are gone then."""
        return self.metadata.get("deleted") not in (None, False)

    @property
    def stamp(self) -> JsonObject | None:
        """What the server says of it: {by, at, seq}, or None while it has said nothing."""
        return self._optional_object("stamp")

    def set_stamp(self, *, by: str, at: str, seq: int) -> None:
        """Say who wrote it and when it arrived; only the server does."""
        self.write({"stamp": checked({"by": by, "at": at, "seq": seq}, "The stamp")})

    def append_part(self, part: Mapping[str, Any]) -> Part:
        """Add a part to the end.

        Args:
            part: an AI SDK 7 UI message part, e.g. {"type": "text", "text": "", "state": "streaming"}.

        Raises:
            BadDocument: it is no such part.
        """
        prepared = new_part(part)
        with transaction(self.shared):
            parts = self._array("parts")
            if parts is None:
                self.shared["parts"] = Array()
                parts = cast("Array[Any]", self.shared["parts"])
            parts.append(prepared)
        return Part(prepared)

    def edit(self, text: str, *, at: str) -> None:
        """Change the message's text, touching only what differs, so that concurrent edits merge.

        Args:
            text: the text that all its text parts together shall have.
            at: the time, RFC 3339.
        """
        checked_text(text)
        with transaction(self.shared):
            texts = self._texts()
            if not texts:
                self.append_part({"type": "text", "text": text})
            elif self.text != text:
                _spread(texts, *difference(self.text, text))
            self._note(edited_at=checked_text(at, "The time"))

    def delete(self, *, at: str) -> None:
        """Mark the message deleted, and empty it.

        Args:
            at: the time, RFC 3339.
        """
        with transaction(self.shared):
            parts = self._array("parts")
            if parts is not None and len(parts):
                parts.clear()
            self._note(deleted=True, edited_at=checked_text(at, "The time"))

    def set_status(self, status: str) -> None:
        """Say how far the message is.

        Raises:
            BadDocument: there is no such status.
        """
        if status not in MESSAGE_STATUSES:
            raise BadDocument(f"The status of a message is one of {', '.join(MESSAGE_STATUSES)}, not {status!r}.")
        self._note(status=status)

    def set_metadata(self, **fields: Any) -> None:
        """Set fields of the metadata, e.g. the application's own."""
        self._note(**checked_object(fields, "The metadata"))

    def to_json(self) -> JsonObject:
        """The message as an AI SDK 7 UIMessage.

        Only an assistant's message may be without parts there: any other, e.g. a deleted one, shows an empty text.
        """
        message = plain_object(self.shared)
        message["id"] = self.id
        message["role"] = self.role
        message["metadata"] = plain_object(message.get("metadata"))
        parts: list[Any] = [part for part in plain_list(message.get("parts")) if isinstance(part, dict)]
        if not parts and self.role != "assistant":
            parts = [{"type": "text", "text": "", "state": "done"}]
        message["parts"] = parts
        return message

    def _about(self, key: str) -> str | None:
        metadata = self._map("metadata")
        value = self.metadata.get(key) if metadata is None else metadata.get(key)
        return value if isinstance(value, str) else None

    def _note(self, **fields: Any) -> None:
        with transaction(self.shared):
            metadata = self._map("metadata")
            if metadata is None:
                self.shared["metadata"] = Map(self.metadata)
                metadata = cast("Map[Any]", self.shared["metadata"])
            Record(metadata).write(fields)

    def _texts(self) -> list[SharedText]:
        return [text for part in self.parts if part.type == "text" and (text := part.text) is not None]


class Messages:
    """The list of messages, in the order in which they were appended."""

    __slots__ = ("shared",)

    def __init__(self, shared: Array[Any]) -> None:
        self.shared = shared

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Message]:
        return (Message(item) for item in maps_in(self.shared))

    def __getitem__(self, index: int) -> Message:
        return list(self)[index]

    def get(self, id: str) -> Message | None:  # noqa: A002 - the field's name
        """The message of an id, or None; the newest is looked at first."""
        for index in range(len(self.shared) - 1, -1, -1):
            item: Any = self.shared[index]
            if isinstance(item, Map) and (message := Message(cast("Map[Any]", item))).id == id:
                return message
        return None

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
    ) -> Message:
        """Append a message, whole.

        Args:
            role: `user`, `assistant` or `system`.
            parts: AI SDK 7 UI message parts; only an assistant's message may begin without any.
            id: unique in the session.
            author: the participant's id.
            created_at: the time, RFC 3339.
            status: `streaming`, `complete`, `cancelled` or `error`.
            run: the run that writes it.
            parent: the message that it answers or branches from.

        Raises:
            BadDocument: a value doesn't fit.
        """
        about = {"author": author, "created_at": created_at, "status": status, "run": run, "parent": parent}
        metadata = {key: value for key, value in about.items() if value is not None}
        return self.append_json({"id": id, "role": role, "metadata": metadata, "parts": list(parts)})

    def append_json(self, message: Mapping[str, Any]) -> Message:
        """Append a UIMessage, e.g. one that `to_json` gave.

        Raises:
            BadDocument: it is no UIMessage, or its id is there already.
        """
        fields = checked_object({key: value for key, value in message.items() if key != "parts"}, "A message")
        identifier = checked_id(fields.get("id"), "A message's id")
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
        with transaction(self.shared):
            if self.get(identifier) is not None:
                raise BadDocument(f"There is a message {identifier!r} already; ids are used once.")
            shared: Map[Any] = Map({**fields, "metadata": Map(metadata), "parts": Array(prepared)})
            self.shared.append(shared)
        return Message(shared)

    def to_json(self) -> list[JsonObject]:
        """All messages as UIMessages."""
        return [message.to_json() for message in self]


def _spread(texts: list[SharedText], start: int, stop: int, middle: str) -> None:
    """Replace a range of the joined texts: what is new goes where the range begins."""
    begin = 0
    for number, text in enumerate(texts):
        length = len(text)
        first, last = max(start - begin, 0), min(stop - begin, length)
        takes = first <= length and (first < length or number == len(texts) - 1)
        if middle and takes:
            text.replace(first, max(first, last), middle)
            middle = ""
        elif first < last:
            text.delete(first, last)
        begin += length
