"""The answer: the one assistant message that a run streams, token by token.

Tokens wait in a buffer for at most `batch_seconds` and then grow the Text of the last part in one transaction; the
first one after a pause goes in at once. The message is made with its first content, whole. A part that is followed
by another kind of part is done. Never waits: the timer is a callback of the loop, and `close` takes it down.

No token is lost in silence. Each is checked before it waits, an emoji that a model cut in two is put together again,
and after a write that failed every further call raises what failed.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any, Literal, cast

from cosession.document import Message, Part, Run, SessionDocument, checked_text

from .stamps import fresh_id, now

Kind = Literal["text", "reasoning"]


class Answer:
    """Writes one streaming message.

    Attributes:
        message: the message, or None before its first content.
        failure: what a write failed with, or None.
    """

    def __init__(self, document: SessionDocument, record: Run, author: str, batch_seconds: float) -> None:
        """Prepare; nothing is written before there is content.

        Args:
            document: where the message goes.
            record: the run that writes it.
            author: the agent's participant id.
            batch_seconds: how long a token may wait for others; 0 writes each at once.
        """
        self.message: Message | None = None
        self.failure: Exception | None = None
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

    def grow(self, kind: Kind, text: str) -> None:
        """Add text to the last part, or begin a part when that is of another kind.

        Raises:
            BadDocument: it isn't text.
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
        """Write what waits. Raises what this write, or an earlier one, failed with."""
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
                self._part = self._append({"type": self._kind, "text": text, "state": "streaming"})
            else:
                self._part.grow(text)
        except Exception as error:
            self.failure = error  # what was written of it, nobody knows: to write it again could double it
            raise

    def close(self, status: str) -> None:
        """Write what waits and give the message its last status; after a failure, only that."""
        with self._document.transaction():
            if self.failure is None:
                self._finish_part()
            if self.message is not None and not self._gone():
                self.message.set_status(status)

    def _flush_later(self) -> None:
        with suppress(Exception):  # it is in `failure`: the run raises it at its next step
            self.flush()

    def _joined(self, text: str) -> str:
        """Return a token with the half of an emoji that the one before it ended with, and without one of its own."""
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
        """Whether somebody deleted the message while it grew; what comes after that is dropped.

        A message that was taken out of the list altogether reads as empty, and must not be written to: yrs never
        comes back from adding to a type that isn't in the document.
        """
        return self.message is not None and (self.message.deleted or not self.message.id)
