"""The context of one run: its document, record, answer and link, shared by the actions of the run."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cosession.document import Run, SessionDocument
from cosession.errors import WriteRefused

from .answer_stream import Answer
from .session_link import SessionLink

T = TypeVar("T")


@dataclass(slots=True)
class Work:
    """The context of a running run.

    Attributes:
        link: the link to the server.
        document: the document that the run writes to.
        record: the run's record.
        answer: the message that it streams.
        step: checks that the run may continue; raises the reason if it may not.
        on_suspended: called when the run begins to wait for people, and when it continues; None disables it.
    """

    link: SessionLink
    document: SessionDocument
    record: Run
    answer: Answer
    step: Callable[[], None]
    on_suspended: Callable[[bool], None] | None
    _numbers: dict[str, int] = field(default_factory=dict[str, int])
    _waits: int = 0

    @property
    def is_ours(self) -> bool:
        """Whether this process has the run."""
        return self.record.client == self.document.doc.client_id

    def name(self, kind: str, key: str | None) -> str:
        """Return the id of an object that the run makes; a process that resumes the run derives the same id.

        Args:
            kind: the kind of object.
            key: a name within the kind; None uses a counter.
        """
        number = self._numbers[kind] = self._numbers.get(kind, 0) + (key is None)
        return f"{self.record.id}/{number if key is None else key}"

    def call_id(self) -> str:
        """Return the id of the next tool call; a process that resumes the run derives the same ids.

        It has characters only that the interfaces of models take, if the run's id has.
        """
        number = self._numbers["tool"] = self._numbers.get("tool", 0) + 1
        return f"{self.record.id}-{number}"

    def say(self, **fields: Any) -> None:
        """Set fields of the agent's record."""
        agent = self.document.agents.get(self.record.agent)
        if agent is not None:
            agent.set(**fields)

    async def until(self, condition: Callable[[], T | None], *roots: str) -> T:
        """Wait until a condition holds, then check that the run may continue. Raises as `step` does."""
        try:
            found = await self.link.until(condition, self.document, *roots)
        except WriteRefused:
            self.step()  # it may raise the more exact RunLost
            raise
        self.step()
        return found

    async def saved(self) -> None:
        """Wait until everything that was written is saved, then check that the run may continue.

        Raises as `step` does.
        """
        try:
            await self.link.wait_saved()
        except WriteRefused:
            self.step()  # it may raise the more exact RunLost
            raise
        self.step()

    async def until_settled(self, condition: Callable[[], T | None], *roots: str) -> T:
        """Wait until a condition holds in the committed document; a value that a killed server lost doesn't count.

        Raises as `step` does.
        """
        while True:
            found = await self.until(condition, *roots)
            await self.link.confirm()
            if condition() == found:
                return found

    @contextmanager
    def suspended(self) -> Generator[None, None, None]:
        """Show the run as waiting for people."""
        self._waits += 1
        if self._waits == 1:
            self._show("suspended", "waiting")
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                if self.is_ours and self.record.status == "suspended":
                    self._show("running", "working")
                elif self.on_suspended is not None:
                    self.on_suspended(False)

    def _show(self, run: str, agent: str) -> None:
        with self.document.transaction():
            self.record.set_status(run)
            self.say(status=agent)
        if self.on_suspended is not None:
            self.on_suspended(run == "suspended")
