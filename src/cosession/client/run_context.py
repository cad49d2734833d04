"""What the parts of one run work with: its place in the document, and the way on. Never waits by itself."""

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
    """One run at work.

    Attributes:
        link: the tie to the server.
        document: where the run writes.
        record: the run.
        answer: the message that it streams.
        step: goes on only if the run may; raises why it may not.
        on_suspended: told when the run begins to wait for people, and when it goes on; None where nobody asks.
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
        """The id of something that the run makes; the same for a process that does the same once more.

        Args:
            kind: what it makes.
            key: a name of its own; None counts.
        """
        number = self._numbers[kind] = self._numbers.get(kind, 0) + (key is None)
        return f"{self.record.id}/{number if key is None else key}"

    def say(self, **fields: Any) -> None:
        """Say something of the agent."""
        agent = self.document.agents.get(self.record.agent)
        if agent is not None:
            agent.set(**fields)

    async def until(self, condition: Callable[[], T | None], *roots: str) -> T:
        """Wait until something holds, and for the right to go on then. Raises as `step` does."""
        try:
            found = await self.link.until(condition, self.document, *roots)
        except WriteRefused:
            self.step()  # it may know better: that another process has the run
            raise
        self.step()
        return found

    async def until_settled(self, condition: Callable[[], T | None], *roots: str) -> T:
        """Wait until the server has said and saved something; what it hadn't saved when it was killed is nothing.

        Raises as `step` does.
        """
        while True:
            found = await self.until(condition, *roots)
            await self.link.confirm()
            if condition() == found:
                return found

    @contextmanager
    def suspended(self) -> Generator[None, None, None]:
        """Let people see that the run waits for them."""
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
