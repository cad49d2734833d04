"""A run: one piece of agent work, from its start to its end, as an async context manager.

    enter ─→ running ─┬─ the body ends ──────────────────────→ complete
                      ├─ a cancel is recorded ───────────────→ cancelled, and the body's exception ends here
                      ├─ the task is cancelled from outside ─→ cancelled, and goes on as a cancellation
                      └─ the body raises ────────────────────→ error, and goes on

A cancel reaches the body in two ways: the next step (`text`, `check`, …) raises RunCancelled, and a body that
waits for something else is interrupted, by cancelling its task as `asyncio.timeout` does. The interruption is
counted back (`uncancel`) at the border, so a cancellation from outside stays one even when both come at once.
Entering and leaving never wait.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

from cosession.document import Change, Message, SessionDocument
from cosession.errors import CosessionError, RunCancelled

from .answer import Answer
from .stamps import fresh_id, now
from .tool import ToolCall


@dataclass(frozen=True, slots=True)
class Steer:
    """What somebody adds while a run works.

    Attributes:
        id: its id.
        by: the participant, as the server verified.
        text: what they say.
        at: when, RFC 3339.
    """

    id: str
    by: str
    text: str
    at: str


class AgentRun:
    """One run of this agent; made by `Session.run`, used as `async with`.

    Attributes:
        id: the run's id.
        agent: the agent's participant id.
        reply_to: id of the message it answers, if any.
    """

    def __init__(
        self,
        document: SessionDocument,
        agent: str,
        *,
        name: str,
        reply_to: str | None,
        task: str,
        batch_seconds: float,
        ended: Callable[[], CosessionError | None],
        current: Callable[[], SessionDocument] | None = None,
    ) -> None:
        """Prepare; the run begins when it is entered.

        Args:
            document: where it writes.
            agent: the agent's participant id.
            name: the agent's name, in case the document doesn't have it yet.
            reply_to: id of the message it answers.
            task: one line on what it does, for people.
            batch_seconds: how long a token may wait for others.
            ended: returns why it can't go on, or None.
            current: returns the session's document, another one after a refusal; None where there is but one.
        """
        self.id = fresh_id()
        self.agent = agent
        self.reply_to = reply_to
        self._document = document
        self._name = name
        self._task_line = task
        self._batch_seconds = batch_seconds
        self._ended = ended
        self._current = current or (lambda: document)
        self._open = False
        self._looked = True
        self._steered = False
        self._told = False
        self._interrupted = False
        self._worked = False
        self._cancel: RunCancelled | None = None

    @property
    def message(self) -> Message | None:
        """The message that it streams, or None before its first content."""
        return self._answer.message

    def text(self, token: str) -> None:
        """Grow the answer's text. Half a character at the end waits for the token that brings the other half.

        Raises:
            BadDocument: the token isn't text.
            RunCancelled: somebody cancelled the run.
            Disconnected: the session is over.
            WriteRefused: the server refused something that was written here, and this run is lost with it.
        """
        self._step()
        self._answer.grow("text", token)

    def reasoning(self, text: str) -> None:
        """Grow the answer's reasoning. Raises as `text` does."""
        self._step()
        self._answer.grow("reasoning", text)

    def tool(self, name: str, input: dict[str, Any] | None = None, *, id: str | None = None) -> ToolCall:  # noqa: A002
        """Show a call of a tool, its input known, its output to come. Raises as `text` does.

        Args:
            name: the tool's name.
            input: what it is called with.
            id: the model's id of the call; None makes one.
        """
        self._step()
        part = {
            "type": f"tool-{name}",
            "toolCallId": id or fresh_id(),
            "state": "input-available",
            "input": input or {},
        }
        return ToolCall(self._answer, self._answer.add(part), self._step)

    def progress(self, label: str, done: float | None = None, total: float | None = None) -> None:
        """Say how far the work is. Raises as `text` does.

        Args:
            label: one line that people understand.
            done: how much is done.
            total: of how much.
        """
        self._step()
        with self._document.transaction():
            self._record.set_progress(label, done, total)
            self._say(progress=self._record.progress)

    def steers(self) -> list[Steer]:
        """Return what people have added since the last call, and mark it as taken in. Raises as `text` does.

        Cheap enough to be called at every token: the document is read only after somebody changed the run.
        """
        self._step()
        if not self._steered:
            return []
        self._steered = False
        with self._document.transaction():
            seen = set(self._record.seen)
            new = [steer for steer in self._record.steers if steer["id"] not in seen]
            for steer in new:
                self._record.mark_seen(steer["id"])
        return [Steer(steer["id"], steer["by"], steer["text"], steer["at"]) for steer in new]

    def check(self) -> None:
        """Go on only if the run may.

        Raises:
            RunCancelled: somebody cancelled the run.
            Disconnected: the session is over.
            WriteRefused: the server refused something that was written here, and this run is lost with it.
        """
        if not self._open:
            raise RuntimeError("The run isn't open: use it inside its `async with` block.")
        self._look()
        if self._cancel is not None:
            self._told = True
            raise self._cancel
        if self._answer.failure is not None:
            raise self._answer.failure
        if (why := self._ended()) is not None:
            raise why

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._loop = asyncio.get_running_loop()
        with self._document.transaction():
            self._record = self._document.runs.start(
                self.id, agent=self.agent, started_at=now(), reply_to=self.reply_to
            )
            if self._document.agents.get(self.agent) is None:
                self._document.agents.declare(self.agent, name=self._name)
            self._say(status="thinking", run=self.id, task=self._task_line or None)
        self._answer = Answer(self._document, self._record, self.agent, self._batch_seconds)
        self._watch = self._document.observe(self._on_change, "runs")
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        self._look()
        self._open = False
        self._watch.close()
        unwritten = self._write_rest()
        only_ours = False
        if self._interrupted:
            counted_back = self._task.uncancel() <= self._cancelling
            only_ours = counted_back and isinstance(error, asyncio.CancelledError)
        stopped = only_ours or _is_run_cancelled(error)
        if stopped or isinstance(error, asyncio.CancelledError):
            self._end("cancelled")
        elif (failure := error or unwritten) is not None:
            self._end("error", str(failure) or type(failure).__name__)
            if error is None:
                raise failure
        else:
            self._end("complete" if self._cancel is None else "cancelled")
        return stopped and self._cancel is not None

    def _write_rest(self) -> Exception | None:
        """Write what waits; return what that, or an earlier write, failed with."""
        try:
            self._answer.flush()
        except Exception as failure:  # whatever it is, the run must end with it
            return failure
        return None

    def _step(self) -> None:
        self.check()
        if not self._worked:
            self._worked = True
            self._say(status="working")

    def _end(self, status: str, error: str | None = None) -> None:
        with self._document.transaction():
            self._record.end(status, at=now(), error=error)
            self._say(status="idle", run=None, task=None, progress=None)
            self._answer.close(status)
        if (document := self._current()) is not self._document:
            self._end_elsewhere(document, status, error)

    def _end_elsewhere(self, document: SessionDocument, status: str, error: str | None) -> None:
        """End what the server has of this run: the document that it wrote in was given up."""
        record, agent = document.runs.get(self.id), document.agents.get(self.agent)
        with document.transaction():
            if record is not None and not record.ended:
                record.end(status, at=now(), error=error)
            if agent is not None and agent.run == self.id:
                agent.set(status="idle", run=None, task=None, progress=None)
            for written in record.messages if record is not None else ():
                if (message := document.messages.get(written)) is not None and message.status == "streaming":
                    message.set_status(status)

    def _say(self, **fields: Any) -> None:
        agent = self._document.agents.get(self.agent)
        if agent is not None:
            agent.set(**fields)

    def _on_change(self, changes: list[Change]) -> None:
        if any(self.id in change.path or self.id in change.keys for change in changes):
            self._looked = False
            self._steered = True
            self._loop.call_soon(self._interrupt)

    def _look(self) -> None:
        """Read whether a cancel is recorded, if the run changed since the last look."""
        if self._looked:
            return
        self._looked = True
        recorded = self._record.cancel
        if recorded is not None and self._cancel is None:
            self._cancel = RunCancelled(recorded.get("by"), str(recorded.get("reason") or ""))

    def _interrupt(self) -> None:
        """Cancel what the body waits for, once. A callback of the loop: no task runs, so the body does wait."""
        if not self._open:
            return
        self._look()
        if self._cancel is not None and not self._told:
            self._told = self._interrupted = True
            self._task.cancel()


def _is_run_cancelled(error: BaseException | None) -> bool:
    """Whether this is a cancelled run, or a task group's report of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_run_cancelled(inner) for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions)
    return isinstance(error, RunCancelled)
