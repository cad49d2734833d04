"""The answer: the one assistant message that a run streams, token by token.

Tokens wait in a buffer for at most `batch_seconds` and then grow the Text of the last part in one transaction; the
first one after a pause goes in at once. The message is made with its first content, whole. A part that is followed
by another kind of part is done. Never waits: the timer is a callback of the loop, and `close` takes it down.
"""

import asyncio
import time
from typing import Any, Literal

from cosession.document import Message, Part, Run, SessionDocument

from .stamps import fresh_id, now

Kind = Literal["text", "reasoning"]


class Answer:
    """Writes one streaming message.

    Attributes:
        message: the message, or None before its first content.
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
        self._document = document
        self._record = record
        self._author = author
        self._batch_seconds = batch_seconds
        self._part: Part | None = None
        self._kind: Kind | None = None
        self._buffer: list[str] = []
        self._written_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def grow(self, kind: Kind, text: str) -> None:
        """Add text to the last part, or begin a part when that is of another kind."""
        if not text:
            return
        if kind != self._kind:
            with self._document.transaction():
                self._finish_part()
                self._kind = kind
                self._buffer.append(text)
                self.flush()
            return
        self._buffer.append(text)
        left = self._written_at + self._batch_seconds - time.monotonic()
        if left <= 0:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self.flush)

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
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._buffer or self._kind is None:
            return
        text = "".join(self._buffer)
        self._buffer.clear()
        self._written_at = time.monotonic()
        if self._gone():
            return
        if self._part is None:
            self._part = self._append({"type": self._kind, "text": text, "state": "streaming"})
        else:
            self._part.grow(text)

    def close(self, status: str) -> None:
        """Write what waits and give the message its last status."""
        with self._document.transaction():
            self._finish_part()
            if self.message is not None and not self._gone():
                self.message.set_status(status)

    def _finish_part(self) -> None:
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
