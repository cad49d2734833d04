"""A part of a message: it keeps its place, and its text grows in place: one Text, never one entry per token.

A part may be removed while it grows, because a participant deletes the message. That is no error of the writer:
writes to a removed part have no effect.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pycrdt import Map, Text

from cosession.errors import BadDocument

from .part_schema import PART_DEPTH, TOOL_STATES, checked_part, is_growing_text, is_tool
from .record import Record
from .text import SharedText
from .values import checked_object, checked_text, is_same, to_shared, transaction


def new_part(part: Mapping[str, Any]) -> Map[Any]:
    """Make the Map of a part, whole and not yet in a document.

    Raises:
        BadDocument: it is no AI SDK 7 UI message part.
    """
    fields = checked_part(part)
    return Map({key: _new_field(fields["type"], key, value) for key, value in fields.items()})


def values_of_parts(parts: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """Yield the values of new parts that are written as plain values: neither texts nor shared types."""
    for part in parts:
        kind = part.get("type")
        for key, value in part.items():
            if not isinstance(kind, str) or not _is_shared(kind, key):
                yield value


def _is_shared(kind: str, key: str) -> bool:
    return (key == "text" and is_growing_text(kind)) or (key in ("rawInput", "input") and is_tool(kind))


def _new_field(kind: str, key: str, value: Any) -> Any:
    if not _is_shared(kind, key):
        return value
    return to_shared(value) if key == "input" else Text(value)


class Part(Record):
    """A view over one part."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """`text`, `reasoning`, `tool-NAME`, …; empty when a foreign client left it out."""
        return self._string("type")

    @property
    def state(self) -> str | None:
        """The state: of a text `streaming` or `done`, of a tool call AI SDK's states; None for other parts."""
        return self._optional_string("state")

    @property
    def text(self) -> SharedText | None:
        """The text that grows: of a text or reasoning part, or the raw input of a tool call while it streams."""
        value = self.shared.get("rawInput" if is_tool(self.type) else "text")
        return SharedText(value) if isinstance(value, Text) else None

    @property
    def is_unfinished(self) -> bool:
        """Whether it is a text that still grows."""
        return self.state == "streaming" and is_growing_text(self.type)

    def grow(self, text: str) -> None:
        """Add to the end of the text.

        Args:
            text: the text to add; an empty one changes nothing.

        Raises:
            BadDocument: the part holds no text that grows.
        """
        if not checked_text(text) or self.gone:
            return
        with transaction(self.shared):
            target = self.text
            if target is None and is_tool(self.type) and self.state == "input-streaming":
                self.shared["rawInput"] = Text(text)
            elif target is None:
                raise BadDocument(f"A {self.type} part in the state {self.state!r} holds no text that grows.")
            else:
                target.append(text)

    def finish(self) -> None:
        """Mark the text complete: its state becomes `done`.

        Raises:
            BadDocument: it is a tool call, which is changed with `update(state=…)`.
        """
        if self.gone:
            return
        if not is_growing_text(self.type):
            raise BadDocument(f"A {self.type} part isn't finished this way; use update(state=…).")
        self.write({"state": "done"})

    def update(self, **fields: Any) -> None:
        """Set fields of the part; a tool call that changes state loses the fields that the new state can't have.

        Args:
            fields: AI SDK names (`state`, `input`, `output`, `errorText`, `approval`, `data`, …); None removes
                an optional field.

        Raises:
            BadDocument: the part would not be an AI SDK part any more.
        """
        changed = checked_object(fields, "A part's fields", depth=PART_DEPTH)
        if self.gone:
            return
        if changed.get("type", self.type) != self.type:
            raise BadDocument("A part keeps its type; append another part.")
        with transaction(self.shared):
            before = self.to_json()
            after = {**before, **changed}
            removed = {
                key for key, value in fields.items() if value is None and key not in ("input", "output", "data")
            }
            if is_tool(self.type) and isinstance(after.get("state"), str):
                removed |= TOOL_STATES.get(after["state"], (frozenset(), frozenset[str]()))[1] - changed.keys()
            for key in removed:
                after.pop(key, None)
            checked_part(after)
            for key in removed & before.keys():
                del self.shared[key]
            for key, value in changed.items():
                if key not in removed and (key not in before or not is_same(before[key], value)):
                    self._set(key, value)

    def _set(self, key: str, value: Any) -> None:
        old = self.shared.get(key)
        if isinstance(old, Text) and isinstance(value, str):
            SharedText(old).set(value)
        else:
            self.shared[key] = _new_field(self.type, key, value)
