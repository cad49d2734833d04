"""A message: a Map that reads as an AI SDK 7 UIMessage. Its parts grow, its metadata holds its status."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast, get_args

from pycrdt import Array, Map, Text

from cosession.errors import BadDocument

from .part_schema import ENDED_CALLS, is_tool
from .parts import Part, new_part
from .policy import agents_of
from .record import Record, maps_in
from .text import SharedText, difference
from .values import JsonObject, checked, checked_object, checked_text, plain, plain_object, to_shared, transaction

Dialect = Literal["cosession", "ai-sdk", "pydantic-ai"]
"""The reader that the JSON of a message is written for."""

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

_UI_MESSAGE = frozenset({"id", "role", "metadata", "parts"})
"""The fields of a UIMessage."""

OWN_METADATA = frozenset(
    {"author", "created_at", "status", "run", "parent", "to", "edited_at", "edited_by", "deleted"}
)
"""The fields of a message's metadata that the session keeps; all others are the application's."""

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
    def has_shape(self) -> bool:
        """Whether it has the fields that every message of the schema begins with: id, role, and metadata or parts."""
        has_more = any(isinstance(self.shared.get(key), Map | Array | dict | list) for key in ("metadata", "parts"))
        return bool(self.id and self.role and has_more)

    @property
    def parts(self) -> list[Part]:
        """The parts, in order."""
        return [Part(part) for part in maps_in(self._array("parts"))]

    @property
    def part_count(self) -> int:
        """The number of parts."""
        array = self._array("parts")
        return 0 if array is None else len(array)

    def parts_like(self, wanted: Callable[[JsonObject], bool], most: int) -> list[Part]:
        """Return at most so many of the last parts that match, in order; other parts aren't looked up.

        Args:
            wanted: whether the plain JSON of a part matches.
            most: the number of parts.
        """
        array = self._array("parts")
        if array is None:
            return []
        shown = enumerate(self._list("parts"))
        places = [place for place, part in shown if isinstance(part, dict) and wanted(cast(JsonObject, part))]
        found: list[Any] = [array[place] for place in places[-most:]]
        return [Part(cast("Map[Any]", item)) for item in found if isinstance(item, Map)]

    @property
    def text(self) -> str:
        """The text parts, joined; text that a foreign client wrote as a plain string is text as well."""
        parts = self.to_json()["parts"]
        return "".join(
            part["text"] for part in parts if part.get("type") == "text" and isinstance(part.get("text"), str)
        )

    @property
    def metadata(self) -> JsonObject:
        """author, created_at, status, run, parent, to, edited_at, edited_by, deleted, and the application's own."""
        return self._object("metadata")

    @property
    def status(self) -> str:
        """`streaming`, `complete`, `cancelled` or `error`."""
        return self._about("status") or "complete"

    @property
    def author(self) -> str | None:
        """The author's id, as the server verified, or, before that, as the message itself says; see `verified`."""
        by = (self.stamp or {}).get("by")
        return by if isinstance(by, str) else self._about("author")

    @property
    def verified(self) -> bool:
        """Whether the server has verified `author`."""
        return isinstance((self.stamp or {}).get("by"), str)

    @property
    def created_at(self) -> str | None:
        """The time at which it was written, according to its author."""
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
        """The time of the last edit, if any."""
        return self._about("edited_at")

    @property
    def edited_by(self) -> str | None:
        """The id that the last editor gave."""
        return self._about("edited_by")

    @property
    def to(self) -> tuple[str, ...]:
        """The agents that are asked: for each of them the message is a prompt, in any role."""
        metadata = self._map("metadata")
        return agents_of(self.metadata.get("to") if metadata is None else plain(metadata.get("to")))

    @property
    def refused(self) -> JsonObject | None:
        """{code, by, at} of a prompt that is never answered: the agent was `busy`, or it was `cancelled`."""
        refused: Any = (self.stamp or {}).get("refused")
        return cast(JsonObject, refused) if isinstance(refused, dict) else None

    @property
    def deleted(self) -> bool:
        """Whether it was deleted; its parts are gone then."""
        return self.metadata.get("deleted") not in (None, False)

    @property
    def stamp(self) -> JsonObject | None:
        """The server's stamp, {by, at, seq}; None before the server has stamped it."""
        return self._optional_object("stamp")

    def set_stamp(self, *, by: str, at: str, seq: int) -> None:
        """Write the verified author and the time of arrival; only the server does."""
        if not self.gone:
            self.write({"stamp": checked({"by": by, "at": at, "seq": seq}, "The stamp")})

    def refuse(self, code: str, by: str, at: str) -> None:
        """Mark this prompt as never answered; only the server does.

        Args:
            code: `busy` or `cancelled`.
            by: the participant that caused it.
            at: the time, RFC 3339.
        """
        if not self.gone:
            refused = {"code": code, "by": by, "at": at}
            self.write({"stamp": checked({**(self.stamp or {}), "refused": refused}, "The stamp")})

    def append_part(self, part: Mapping[str, Any]) -> Part:
        """Add a part to the end.

        Args:
            part: an AI SDK 7 UI message part, e.g. {"type": "text", "text": "", "state": "streaming"}.

        Raises:
            BadDocument: it is no such part, or the message was removed from the session.
        """
        self._be_there()
        prepared = new_part(part)
        with transaction(self.shared):
            self._own_parts().append(prepared)
        return Part(prepared)

    def truncate(self, parts: int) -> None:
        """Remove all parts but the first ones.

        Args:
            parts: the number of parts that stay.
        """
        array = self._array("parts")
        if not self.gone and array is not None and len(array) > parts:
            del array[parts:]

    def edit(self, text: str, *, at: str, by: str) -> None:
        """Change the message's text, only where it differs, so that concurrent edits merge.

        Args:
            text: the new text of all its text parts together.
            at: the time, RFC 3339.
            by: the editor's id.

        Raises:
            BadDocument: the message is deleted.
        """
        checked_text(text)
        self._be_there()
        if self.deleted:
            raise BadDocument(f"The message {self.id!r} is deleted, so it can't be edited.")
        with transaction(self.shared):
            texts = self._texts()
            current = "".join(map(str, texts))
            if not texts:
                self.append_part({"type": "text", "text": text})
            elif current != text:
                _spread(texts, *difference(current, text))
            self._note(edited_at=checked_text(at, "The time"), edited_by=checked_text(by, "The editor's id"))

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
        """Set the status.

        Raises:
            BadDocument: there is no such status.
        """
        if status not in MESSAGE_STATUSES:
            raise BadDocument(f"The status of a message is one of {', '.join(MESSAGE_STATUSES)}, not {status!r}.")
        self._note(status=status)

    def end_calls(self, error: str) -> None:
        """End all open tool calls, whose results won't come any more.

        Args:
            error: why there is no output.
        """
        with transaction(self.shared):
            for part in self.parts:
                approval: Any = part.get("approval")
                if not is_tool(part.type) or part.state in ENDED_CALLS:
                    continue
                if isinstance(approval, dict) and cast(JsonObject, approval).get("approved") is not True:
                    part.update(state="output-denied", approval={**cast(JsonObject, approval), "approved": False})
                else:
                    part.update(state="output-error", errorText=checked_text(error, "The error"))

    def set_metadata(self, **fields: Any) -> None:
        """Set fields of the metadata, e.g. the application's own."""
        self._note(**checked_object(fields, "The metadata"))

    def to_json(self, *, dialect: Dialect = "cosession") -> JsonObject:
        """Return the message as an AI SDK 7 UIMessage.

        Only an assistant's message may be without parts there: any other, e.g. a deleted one, has an empty text.

        Args:
            dialect: the reader: `cosession` has the server's `stamp` beside the fields of a UIMessage; `ai-sdk` and
                `pydantic-ai`, whose readers accept no other field, have the fields of a UIMessage only.
        """
        return in_dialect(as_ui_message(plain_object(self.shared)), dialect)

    def _about(self, key: str) -> str | None:
        metadata = self._map("metadata")
        value = self.metadata.get(key) if metadata is None else metadata.get(key)
        return value if isinstance(value, str) else None

    def _be_there(self) -> None:
        """Reject a write to a message that was removed from the list: yrs may never return from it."""
        if self.gone:
            raise BadDocument("The message was taken out of the session; nothing can be added to it.")

    def _note(self, **fields: Any) -> None:
        if self.gone:
            return
        with transaction(self.shared):
            metadata = self._map("metadata")
            if metadata is None:
                metadata = Map[Any](self.metadata)
                self.shared["metadata"] = metadata
            Record(metadata).write(fields)

    def _own_parts(self) -> Array[Any]:
        """Return the Array of parts; plain JSON of a foreign client is made one."""
        parts = self._array("parts")
        if parts is None:
            parts = Array[Any]([to_shared(part) for part in self._list("parts")])
            self.shared["parts"] = parts
        return parts

    def _texts(self) -> list[SharedText]:
        """Return the texts to edit; plain strings of a foreign client become Texts."""
        texts: list[SharedText] = []
        for part in maps_in(self._own_parts()):
            content = part.get("text")
            if part.get("type") == "text" and isinstance(content, str | Text):
                if isinstance(content, str):
                    part["text"] = content = Text(content)
                texts.append(SharedText(content))
        return texts


def as_ui_message(item: JsonObject) -> JsonObject:
    """Make a UIMessage of the plain JSON of a message, also where a foreign client wrote other fields."""
    parts = item.get("parts")
    listed = cast("list[Any]", parts) if isinstance(parts, list) else []
    shown: list[Any] = [part for part in listed if isinstance(part, dict)]
    identifier, role, metadata = item.get("id"), item.get("role"), item.get("metadata")
    if not shown and role != "assistant":
        shown = [{"type": "text", "text": "", "state": "done"}]
    return {
        **item,
        "id": identifier if isinstance(identifier, str) else "",
        "role": role if isinstance(role, str) else "",
        "metadata": metadata if isinstance(metadata, dict) else {},
        "parts": shown,
    }


def in_dialect(message: JsonObject, dialect: Dialect) -> JsonObject:
    """Return a UIMessage as its reader accepts it; see `Message.to_json`.

    Raises:
        BadDocument: there is no such dialect.
    """
    if dialect not in DIALECTS:
        raise BadDocument(f"The dialect of a message is one of {', '.join(DIALECTS)}, not {dialect!r}.")
    if dialect == "cosession":
        return message
    return {key: value for key, value in message.items() if key in _UI_MESSAGE}


def _spread(texts: list[SharedText], start: int, stop: int, middle: str) -> None:
    """Replace a range of the joined texts: the new text goes where the range begins."""
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
