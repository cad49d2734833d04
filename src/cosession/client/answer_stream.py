"""The answer: the one assistant message that a run streams, token by token.

Tokens wait in a buffer for at most `batch_seconds` and then grow the Text of the last part in one transaction; the
first one after a pause goes in at once. The message is made with its first content, whole. A part that is followed
by another kind of part is done. Never waits: the timer is a callback of the loop, and `close` cancels it.

Text that a retried step or a resumed run writes anew stays until its first new token; one transaction then replaces
the old text.

No token is lost silently. Each is checked before it is buffered, an emoji that a model split in two is joined again,
and after a failed write every further call raises its error.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

from cosession.document import JsonObject, Message, Part, Run, SessionDocument, checked_text

from .ids import fresh_id, now

Kind = Literal["text", "reasoning"]


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


class Answer:
    """Writes one streaming message.

    Attributes:
        message: the message, or None before its first content.
        failure: the error of a failed write, or None.
        said: the text, in pieces, as it was written or as the last `edits_of` returned it.
        calls: the tool calls that another process had made in this answer, by their ids.
    """

    def __init__(
        self,
        document: SessionDocument,
        record: Run,
        author: str,
        batch_seconds: float,
        begun: Message | None = None,
    ) -> None:
        """Prepare; nothing is written before there is content.

        Args:
            document: the document of the message.
            record: the run that writes it.
            author: the agent's participant id.
            batch_seconds: how long a token may wait for others; 0 writes each at once.
            begun: the message, where another process began it; the first token replaces its content.
        """
        self.message = begun
        self.failure: Exception | None = None
        self.said: list[str] = []
        self.calls: dict[str, JsonObject] = {}
        self._document = document
        self._record = record
        self._author = author
        self._batch_seconds = batch_seconds
        self._part: Part | None = None
        self._kind: Kind | None = None
        self._buffer: list[str] = []
        self._half = ""
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
        self.message.set_status("streaming")
        self.said = [self.message.text]
        return self.said[0]

    def mark(self) -> Mark:
        """Return the current end of the answer; later content begins a new part."""
        with self._document.transaction():
            self._finish_part()
        return Mark(len(self.message.parts) if self.message is not None else 0, "".join(self.said))

    def redo(self, mark: Mark, also: Callable[[], None]) -> None:
        """Rewrite the content after a mark: the old content stays until its replacement is written.

        Args:
            mark: the place from which the answer is rewritten.
            also: called in the transaction that replaces the content.
        """
        with self._document.transaction():
            self._finish_part()
        self._instead = mark, also

    def settle(self) -> None:
        """Remove the content that was to be rewritten."""
        if self._instead is None:
            return
        (mark, also), self._instead = self._instead, None
        with self._document.transaction():
            if self.message is not None and not self._gone():
                self.message.truncate(mark.parts)
                self.message.set_status("streaming")
            self.said = [mark.said]
            if also is not None:
                also()

    def grow(self, kind: Kind, text: str) -> None:
        """Add text to the last part, or begin a part when that is of another kind.

        Raises:
            BadDocument: `text` isn't text.
        """
        if not isinstance(cast(object, text), str):
            checked_text(text)
        if not text:
            return
        if kind != self._kind:
            with self._document.transaction():
                self._finish_part()
                self._kind = kind
                self._buffer.append(self._joined(text))
                self.flush()
            return
        self._buffer.append(self._joined(text))
        left = self._written_at + self._batch_seconds - time.monotonic()
        if left <= 0:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._flush_later)

    def add(self, part: dict[str, Any]) -> Part | None:
        """Append a part that isn't streamed, unless the message is gone."""
        with self._document.transaction():
            self._finish_part()
            return None if self._gone() else self._append(part)

    def update(self, part: Part, **fields: Any) -> None:
        """Change a part that `add` appended, unless the message is gone."""
        if not self._gone():
            part.update(**fields)

    def flush(self) -> None:
        """Write the buffered text. Raises the error of this write, or of an earlier one."""
        if self.failure is not None:
            raise self.failure
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._buffer or self._kind is None:
            return
        text = "".join(self._buffer)
        self._buffer.clear()
        if not text:
            return
        self._written_at = time.monotonic()
        if self._gone():
            return
        try:
            if self._part is None:
                with self._document.transaction():
                    self._part = self._append({"type": self._kind, "text": text, "state": "streaming"})
            else:
                self._part.grow(text)
            if self._kind == "text":
                self.said.append(text)
        except Exception as error:
            self.failure = error  # it may be partly written: another try could write it twice
            raise

    def close(self, status: str) -> None:
        """Write the buffered text and set the last status of the message; after a failure, only the status."""
        with self._document.transaction():
            if self.failure is None:
                self._finish_part()
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
        self._buffer.clear()

    def _flush_later(self) -> None:
        with suppress(Exception):  # kept in `failure`: the run raises it at its next step
            self.flush()

    def _joined(self, text: str) -> str:
        """Return a token with the half emoji that ended the token before it, and without a half at its own end."""
        if text.isascii() and not self._half:
            return text
        joined, self._half = self._half + text, ""
        if "\ud800" <= joined[-1] <= "\udbff":
            joined, self._half = joined[:-1], joined[-1]
        return checked_text(joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass"))

    def _finish_part(self) -> None:
        if self._half:
            self._buffer.append("\ufffd")  # the other half never came
            self._half = ""
        self.flush()
        if self._part is not None and not self._gone():
            self._part.finish()
        self._part = self._kind = None

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
        self._record.add_message(self.message.id)
        return self.message.parts[0]

    def _gone(self) -> bool:
        """Check whether the message was deleted while it was written; later content is dropped.

        A message that was removed from the list reads as empty, and must not be written to: yrs never returns from
        an insertion into a type that isn't in the document.
        """
        return self.message is not None and (self.message.deleted or not self.message.id)
