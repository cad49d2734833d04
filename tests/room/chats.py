"""Sessions as they come to be compacted: real prose, streamed token by token into a document."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pydoc_data import topics
from typing import Any
from uuid import UUID

from pycrdt import Doc, TransactionEvent

from cosession.document import Message, SessionDocument
from cosession.storage import LoggedUpdate

TOKENS = 12_500
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_AT = "2026-01-01T00:00:00Z"


def english() -> list[str]:
    """Tokens of real prose: the reference manual that Python carries, in pieces of words as models make them."""
    prose = " ".join(" ".join(topics.topics[name].split()) for name in sorted(topics.topics))
    return re.findall(r" ?\w{1,10}| ?[^\w\s]+| ", prose)


@dataclass
class Chat:
    """A session that is being written.

    Attributes:
        log: its log.
        second: the time since it began.
    """

    log: list[LoggedUpdate] = field(default_factory=list[LoggedUpdate])
    second: float = 0.0
    _whole: Doc[Any] = field(default_factory=Doc[Any])
    _dice: random.Random = field(default_factory=lambda: random.Random(1))
    _tokens: Iterator[str] = field(default_factory=lambda: iter(english()))

    @contextmanager
    def logged(self, doc: Doc[Any], who: str) -> Iterator[SessionDocument]:
        """Bring a document up to date, and log what is written into it for the length of a block."""
        doc.apply_update(self._whole.get_update(doc.get_state()))

        def note(event: TransactionEvent) -> None:
            at = (_BEGAN + timedelta(seconds=self.second)).isoformat(timespec="milliseconds")
            self.log.append(LoggedUpdate("chat", len(self.log) + 1, at, who, doc.client_id, event.update))
            self._whole.apply_update(event.update)

        watch = doc.observe(note)
        yield SessionDocument(doc)
        doc.unobserve(watch)

    def pause(self) -> None:
        """Let somebody think."""
        self.second += self._dice.uniform(5, 40)

    def begin(self, session: SessionDocument, who: str, role: str) -> Message:
        """Begin a message, and the run of an agent's."""
        run = self._id() if role == "assistant" else None
        if run:
            session.runs.start(run, agent=who, started_at=_AT)
        part = {"type": "text", "text": "", "state": "streaming"}
        return session.messages.append(role, [part], id=self._id(), author=who, created_at=_AT, run=run)

    def stream(self, message: Message) -> None:
        """Write one more token into a message."""
        self.second += 0.02
        text = message.shared["parts"][0]["text"]
        text += next(self._tokens)

    def end(self, message: Message) -> None:
        """Say that a message is whole."""
        message.shared["parts"][0]["state"] = "done"

    def document(self) -> Doc[Any]:
        """What the log replays to."""
        doc: Doc[Any] = Doc()
        for row in self.log:
            doc.apply_update(row.update)
        return doc

    def _id(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128)))


def one_at_a_time(messages: int = 200) -> Chat:
    """A person and an agent who answer each other; the agent's runs each have a client id of their own."""
    chat, person = Chat(), Doc[Any]()
    for number in range(messages):
        chat.pause()
        if number % 2:
            doc, who, role = Doc[Any](), "agent", "assistant"
        else:
            doc, who, role = person, "ada", "user"
        with chat.logged(doc, who) as session:
            message = chat.begin(session, who, role)
            for _ in range(TOKENS // messages + number % 2):
                chat.stream(message)
            chat.end(message)
    return chat


def two_at_once(messages: int = 100) -> Chat:
    """Two agents who answer at the same time, a token of one after a token of the other."""
    chat = Chat()
    for _ in range(messages // 2):
        chat.pause()
        with chat.logged(Doc(), "poet") as poems, chat.logged(Doc(), "critic") as criticism:
            both = chat.begin(poems, "poet", "assistant"), chat.begin(criticism, "critic", "assistant")
            for _ in range(TOKENS // messages):
                for message in both:
                    chat.stream(message)
            for message in both:
                chat.end(message)
    return chat
