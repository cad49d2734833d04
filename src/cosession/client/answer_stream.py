"""The answer: the one assistant message that a run streams, token by token.

Tokens wait in a buffer for at most `batch_ms` and then grow the Text of their part in one transaction; the first one
after a pause goes in at once. The message is made with its first content, whole. A part is done when another one
begins; one that has an id may grow further. Never waits: the timer is a callback of the loop, and `close` cancels it.

Text that a retried step or a resumed run writes anew stays until its first new token; one transaction then replaces
the old text.

No token is lost silently. Each is checked before it is buffered, and after a failed write every further call raises
its error.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cosession.document import JsonObject, Message, Part, Run, SessionDocument, checked_text

from .growing_text import GrowingText, Kind
from .ids import fresh_id, now

CALLS_END = {
    "complete": "The run ended without an output of this call.",
    "cancelled": "The run was cancelled before there was an output.",
    "error": "The run was interrupted before there was an output.",
}
"""The error of a tool call that is still open when its run ends, by the status of the run."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in an answer.

    Attributes:
        parts: the number of parts before it.
        said: the text before it.
    """

    parts: int = 0
    said: str = ""


@dataclass(frozen=True, slots=True)
class _Named:
    """A part that the run named, and the number of parts before it."""

    part: Part
    place: int


class Answer:
    """Writes one streaming message.

    Attributes:
        message: the message, or None before its first content.
        failure: the error of a failed write, or None.
        calls: the tool calls that another process had made in this answer, by their ids.
    """

    def __init__(
        self,
        document: SessionDocument,
        record: Run,
        author: str,
        batch_ms: int,
        begun: Message | None = None,
    ) -> None:
        """Prepare; nothing is written before there is content.

        Args:
            document: the document of the message.
            record: the run that writes it.
            author: the agent's participant id.
            batch_ms: how long a token may wait for others, in milliseconds; 0 writes each at once.
            begun: the message, where another process began it; the first token replaces its content.
        """
        self.message = begun
        self.failure: Exception | None = None
        self.calls: dict[str, JsonObject] = {}
        self._document = document
        self._record = record
        self._author = author
        self._batch_seconds = batch_ms / 1000
        self._current: GrowingText | None = None
        self._by_id: dict[tuple[Kind, str], GrowingText] = {}
        self._waiting: list[GrowingText] = []
        self._texts: list[GrowingText] = []
        self._said_before = ""
        """The text before those of `_texts`."""
        self._named: dict[tuple[str, str], _Named] = {}
        self._metadata: JsonObject = {}
        self._is_resumed = False
        self._written_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._instead: tuple[Mark, Callable[[], None] | None] | None = None
        if begun is not None:
            parts = [part.to_json() for part in begun.parts]
            self.calls = {part["toolCallId"]: part for part in parts if isinstance(part.get("toolCallId"), str)}
            self._instead = Mark(), None

    @property
    def standing(self) -> list[Part]:
        """The parts that stay as they are."""
        parts = self.message.parts if self.message is not None else []
        return parts if self._instead is None else parts[: self._instead[0].parts]

    def resume(self) -> str:
        """Continue after the text that another process wrote, and return that text."""
        self._instead = None
        if self.message is None or self._gone():
            return ""
        self._is_resumed = True
        self.message.set_status("streaming")
        self._said_before = self.message.text
        return self._said_before

    def mark(self) -> Mark:
        """Return the current end of the answer; later content begins a new part."""
        with self._document.transaction():
            self._finish()
        return Mark(self._part_count(), self._said())

    def redo(self, mark: Mark, also: Callable[[], None]) -> None:
        """Rewrite the content after a mark: the old content stays until its replacement is written.

        Args:
            mark: the place from which the answer is rewritten.
            also: called in the transaction that replaces the content.
        """
        with self._document.transaction():
            self._finish()
        self._instead = mark, also

    def settle(self) -> None:
        """Remove the content that was to be rewritten."""
        if self._instead is None:
            return
        (mark, also), self._instead = self._instead, None
        with self._document.transaction():
            if self.message is not None and not self._gone():
                is_cut_before = self._part_count() < mark.parts
                self.message.truncate(mark.parts)
                self.message.set_status("streaming")
                self._texts = [written for written in self._texts if written.part is None]
                self._forget_texts(self.message.text if is_cut_before else mark.said)
            if also is not None:
                also()

    def truncate(self) -> None:
        """Remove the parts after the last `step-start` part, or all parts where there is none."""
        with self._document.transaction():
            self._finish()
            self.settle()
            if self.message is None or self._gone():
                return
            parts = self.message.to_json()["parts"]
            starts = [place for place, part in enumerate(parts) if part.get("type") == "step-start"]
            self.message.truncate(starts[-1] + 1 if starts else 0)
            self._texts.clear()
            self._forget_texts(self.message.text)

    def grow(self, kind: Kind, text: str, id: str | None = None) -> None:  # noqa: A002
        """Add text to the part of an id, or begin a part.

        Args:
            kind: the kind of part.
            text: the text to add.
            id: the part within this run; None is the last part, if that is of this kind and has no id.

        Raises:
            InvalidValue: `text` isn't text.
        """
        if type(text) is not str:
            checked_text(text)
        if not text:
            return
        growing = self._current if id is None else self._by_id.get((kind, id))
        if growing is None or growing.kind != kind:
            self._begin(kind, text, id)
            return
        token = text if text.isascii() and not growing.half else growing.joined(text)
        if not growing.buffer:
            self._waiting.append(growing)
        growing.buffer.append(token)
        left = self._written_at + self._batch_seconds - time.monotonic()
        if left <= 0:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._flush_later)

    def open_input(self, part: Part, id: str) -> None:  # noqa: A002
        """Let the input of a tool call grow by `grow("input", …)`.

        Args:
            part: the call, in the state `input-streaming`.
            id: the id of the call.
        """
        self._by_id["input", id] = GrowingText("input", part)

    def close_input(self, id: str) -> None:  # noqa: A002
        """Discard what isn't written of a growing input: the whole input, or the end of the call, replaces it."""
        growing = self._by_id.pop(("input", id), None)
        if growing is not None and growing.buffer:
            growing.take()
            self._waiting.remove(growing)

    def add(self, part: dict[str, Any]) -> Part | None:
        """Append a part that isn't streamed, unless the message is gone."""
        with self._document.transaction():
            self._pause()
            if self._gone():
                return None
            added = self._append(part)
            if added.type == "text":
                written = GrowingText("text", added)
                written.said = [str(added.text)]
                self._texts.append(written)
            return added

    def put(self, part: dict[str, Any], id: str) -> Part | None:  # noqa: A002
        """Append a part, or change the one of this type and id, unless the message is gone.

        Args:
            part: the part.
            id: the part within this run.
        """
        key = str(part.get("type")), id
        found = self._find(*key)
        if found is not None:
            self.update(found, **{name: value for name, value in part.items() if name != "type"})
        elif (found := self.add(part)) is not None:
            self._named[key] = _Named(found, self._part_count() - 1)
        return found

    def update(self, part: Part, **fields: Any) -> None:
        """Change a part that `add` appended, unless the message is gone."""
        if self._gone():
            return
        part.update(**fields)
        for written in self._texts if "text" in fields else ():
            if written.part is part:
                written.said = [str(part.text)]

    def set_metadata(self, fields: JsonObject) -> None:
        """Set fields of the message's metadata, now or with its first content."""
        if self.message is None:
            self._metadata |= fields
        elif not self._gone():
            self.message.set_metadata(**fields)

    def heard(self) -> tuple[str, str]:
        """Return the text as it was written, or as it was at the last call, and the text that the message has now."""
        if self.message is None:
            return "", ""
        self.flush()
        before, after = self._said(), self.message.text
        if before != after:
            for written in self._texts:
                written.said = [] if written.part is None or written.part.gone else [str(written.part.text)]
            if self._said() != after:  # others wrote parts
                self._forget_texts(after)
        return before, after

    def flush(self) -> None:
        """Write the buffered text. Raises the error of this write, or of an earlier one."""
        if self.failure is not None:
            raise self.failure
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        self._written_at = time.monotonic()
        try:
            if len(waiting) == 1:
                self._write(waiting[0])
            else:
                with self._document.transaction():
                    for growing in waiting:
                        self._write(growing)
        except Exception as error:
            self.failure = error  # it may be partly written: another try could write it twice
            raise

    def close(self, status: str) -> None:
        """Write the buffered text and set the last status of the message; after a failure, only the status."""
        with self._document.transaction():
            if self.failure is None:
                self._finish()
            if self.message is not None and not self._gone():
                self.message.end_calls(CALLS_END.get(status, CALLS_END["error"]))
                self.message.set_status(status)

    def reopen(self) -> None:
        """Show the message as streaming again."""
        if self.message is not None and not self._gone():
            self.message.set_status("streaming")

    def drop(self) -> None:
        """Stop writing, and discard the buffered text."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for growing in self._waiting:
            growing.take()
        self._waiting.clear()

    def _begin(self, kind: Kind, text: str, id: str | None) -> None:  # noqa: A002
        with self._document.transaction():
            self._pause()
            growing = GrowingText(kind)
            if id is None:
                self._current = growing
            else:
                self._by_id[kind, id] = growing
            if kind == "text":
                self._texts.append(growing)
            growing.buffer.append(growing.joined(text))
            self._waiting.append(growing)
            self.flush()

    def _write(self, growing: GrowingText) -> None:
        text = growing.take()
        if not text or self._gone():
            return
        if growing.part is None:
            with self._document.transaction():
                growing.part = self._append({"type": growing.kind, "text": text, "state": "streaming"})
        elif growing.is_done:
            with self._document.transaction():
                growing.part.update(state="streaming")
                growing.part.grow(text)
        else:
            growing.part.grow(text)
        growing.is_done = False
        if growing.kind == "text":
            growing.said.append(text)

    def _flush_later(self) -> None:
        with suppress(Exception):  # kept in `failure`: the run raises it at its next step
            self.flush()

    def _pause(self) -> None:
        """Mark all texts done, as another part begins; those with an id may grow further."""
        if self._current is not None and self._current.end_half():
            self._waiting.append(self._current)
        self.flush()
        for growing in (*self._by_id.values(), *filter(None, [self._current])):
            if growing.part is not None and not growing.is_done and growing.kind != "input" and not self._gone():
                growing.part.finish()
            growing.is_done = growing.kind != "input"
        self._current = None

    def _finish(self) -> None:
        """Mark all texts done for good."""
        self._waiting += [growing for growing in self._by_id.values() if growing.end_half()]
        self._pause()
        self._by_id = {key: growing for key, growing in self._by_id.items() if growing.kind == "input"}

    def _append(self, part: dict[str, Any]) -> Part:
        self.settle()
        if self.message is not None:
            return self.message.append_part(part)
        self.message = self._document.messages.append(
            "assistant",
            [part],
            id=fresh_id(),
            author=self._author,
            created_at=now(),
            status="streaming",
            run=self._record.id,
        )
        if self._metadata:
            self.message.set_metadata(**self._metadata)
        self._record.add_message(self.message.id)
        return self.message.parts[0]

    def _find(self, kind: str, id: str) -> Part | None:  # noqa: A002
        """Return the part that the run named, if it is in the answer and isn't to be rewritten."""
        known = self._named.get((kind, id))
        if known is not None and not known.part.gone:
            return known.part if self._instead is None or known.place < self._instead[0].parts else None
        if not self._is_resumed or self.message is None:
            return None
        found = self.message.parts_like(lambda part: part.get("type") == kind and part.get("id") == id, 1)
        return found[0] if found else None

    def _said(self) -> str:
        return self._said_before + "".join("".join(written.said) for written in self._texts)

    def _forget_texts(self, said: str) -> None:
        """Keep the whole text of the parts so far as one; texts that still grow are counted as behind it."""
        self._said_before = said
        for written in self._texts:
            written.said = []

    def _part_count(self) -> int:
        return 0 if self.message is None else self.message.part_count

    def _gone(self) -> bool:
        """Check whether the message was deleted while it was written; later content is dropped.

        A message that was removed from the list reads as empty, and must not be written to: yrs never returns from
        an insertion into a type that isn't in the document.
        """
        return self.message is not None and (self.message.deleted or not self.message.id)
