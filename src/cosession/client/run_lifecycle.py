"""The lifecycle of a run, from its start to its end, as an async context manager.

    enter ─→ running ─┬─ the body ends ──────────────────────→ complete
                      ├─ a cancel is recorded ───────────────→ cancelled, and the body's exception is suppressed
                      ├─ the task is cancelled from outside ─→ cancelled, and the cancellation propagates
                      ├─ another process has taken over ─────→ nothing more is written, and the block ends
                      ├─ the server has ended it ────────────→ the same; as a cancel, if its prompt was cancelled
                      └─ the body raises ────────────────────→ error, and the exception propagates

A cancel reaches the body in two ways: the next step (`text`, `check`, …) raises RunCancelled, and a body that
awaits something else is interrupted by cancelling its task, as `asyncio.timeout` does. The interruption is
reverted (`uncancel`) on exit, so a cancellation from outside stays one even when both come at once. A takeover by
another process reaches the body in the same way, as RunLost. In a worker's handler (`interruptible`) the interrupted
`await` raises these errors too. Entering and leaving never wait, except for a store of checkpoints.

A run that the server declared lost while this process was away, and that no other process has taken over, continues:
this process adopts it again.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType, coroutine
from typing import TYPE_CHECKING, Any, Self, cast

from cosession.document import Change, JsonObject, Message, Run
from cosession.document.run_states import FINAL
from cosession.errors import Conflict, RunCancelled, RunLost, WriteRefused

from . import run_takeover
from .answer_stream import Answer
from .ids import fresh_id, now
from .run_context import Work
from .session_link import SessionLink

if TYPE_CHECKING:
    from .session import Session

_MOST_SAID = 2000
"""The number of characters of an error that are shown; some errors include a whole request."""

_TAKEN_OVER = "Another process goes on with this run; what is written here gets nowhere."

_ENDED = "The server ended this run, as its prompt has another answer, or it was lost too often; it isn't written on."


class RunLifecycle:
    """The start and end of one run of this agent.

    Attributes:
        id: the run's id.
        session: the session that it works in.
        agent: the agent's participant id.
        reply_to: id of the message it answers, if any.
        adopted: whether the run was begun by another process, or by this one before it lost the run.
    """

    def __init__(
        self,
        session: "Session[Any, Any, Any]",
        link: SessionLink,
        *,
        reply_to: str | None,
        id: str | None,  # noqa: A002 - the attribute's name
        task: str,
        batch_ms: int,
        runs: run_takeover.Adoption,
    ) -> None:
        """Prepare; the run begins when it is entered.

        Args:
            session: the session that the run works in.
            link: the link to the server; the run writes into the document that it has now.
            reply_to: id of the message it answers.
            id: the run's id; None makes one. A run that is adopted has its own.
            task: one line that describes the work, for people.
            batch_ms: how long a token may wait for others, in milliseconds.
            runs: the runs of this process, one of which may have been adopted for this prompt.
        """
        adopted = runs.take(reply_to)
        self.id = adopted or id or fresh_id()
        self.session = session
        self.agent = link.me.id
        self.reply_to = reply_to
        self.adopted = adopted is not None
        self._link = link
        self._document = link.document
        self._client = link.document.doc.client_id
        self._prompt: Message | None = None
        self._task_line = task
        self._batch_ms = batch_ms
        self._runs = runs
        self._open = False
        self._lost: RunLost | None = None
        self._adopting = 0
        self._looked = True
        self._steered = False
        self._told = False
        self._interrupted = False
        self._worked = False
        self._cancel: RunCancelled | None = None
        self._checkpoint: JsonObject | None = None

    @property
    def prompt(self) -> Message | None:
        """The message that it answers; None where there is none."""
        if self._prompt is None and self.reply_to is not None:
            self._prompt = self._document.messages.get(self.reply_to)
        return self._prompt

    @property
    def epoch(self) -> int:
        """The number of this attempt, from 1: it grows whenever a process adopts the run."""
        return self._record.epoch

    @property
    def checkpoint(self) -> JsonObject | None:
        """The value that was saved last by `save_checkpoint`, also in another process; None where there is none."""
        return self._checkpoint

    def check(self) -> None:
        """Check that the run may continue.

        Raises:
            RunCancelled: a participant cancelled the run.
            RunLost: another process of the agent has taken over the run.
            Disconnected: the session is over.
            WriteRefused: the server refused a write of this client, and this run is lost with it.
        """
        if not self._open:
            raise RuntimeError("The run isn't open: use it inside its `async with` block.")
        if not self._looked:
            self._look()
        if (stop := self._lost or self._cancel) is not None:
            self._told = True
            raise stop
        if self._answer.failure is not None:
            raise self._answer.failure
        if (why := self._link.ended or self._link.lost(self._document)) is not None:
            if isinstance(why, WriteRefused) and self._is_taken_over(self._link.document.runs.get(self.id)):
                self._lost = RunLost(_TAKEN_OVER)
                raise self._lost from why
            raise why

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._link.go_on()
        self._link.check_text(self._task_line, "The task")
        self._link.check_text(self._link.me.name, "The agent's name")
        self._link.check_names("The id of a message", *filter(None, (self.reply_to,)))
        self._link.check_names("The id of a run", self.id)
        if self.adopted and self._runs.checkpoints is not None:
            self._checkpoint = await self._runs.checkpoints.load(self.id)
        with self._document.transaction():
            self._record = self._begin()
            if self._document.agents.get(self.agent) is None:
                self._document.agents.declare(self.agent, name=self._link.me.name)
            self._say(status="thinking", run=self.id, task=self._task_line or None)
        begun = self._begun_message() if self.adopted else None
        self._answer = Answer(self._document, self._record, self.agent, self._batch_ms, begun)
        self._work = Work(self._link, self._document, self._record, self._answer, self._step, self._runs.on_suspended)
        self._watch = self._document.observe(self._on_change, "runs")
        self._runs.at_work.add(self.id)
        self._open = True
        self._steered = self.adopted
        self._looked = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        self._look()
        self._open = False
        self._watch.close()
        self._runs.at_work.discard(self.id)
        unwritten = None if self._lost else self._write_rest()
        only_ours = False
        if self._interrupted:
            counted_back = self._task.uncancel() <= self._cancelling
            only_ours = counted_back and isinstance(error, asyncio.CancelledError)
        stopped = only_ours or _is_stopped(error)
        if self._lost is not None:
            self._answer.drop()
            return stopped
        if stopped or isinstance(error, asyncio.CancelledError):
            self._end("cancelled")
        elif (failure := error or unwritten) is not None:
            self._end("error", sentence_of(failure))
            if error is None:
                raise failure
        else:
            self._end("complete" if self._cancel is None else "cancelled")
        return stopped and self._cancel is not None

    def _is_cancelled(self) -> bool:
        """Return whether a participant cancelled the run, and this process may still write the end of its answer."""
        if self._open:
            self._look()
        return self._open and self._lost is None and self._cancel is not None

    def _begin(self) -> Run:
        known = self._document.runs.get(self.id)
        if known is not None and not self.adopted:
            raise Conflict(f"The session has a run {self.id!r} already; give another id, or none.")
        return known or self._document.runs.start(
            self.id,
            agent=self.agent,
            started_at=now(),
            reply_to=self.reply_to,
            client=self._client,
            task=self._task_line,
        )

    def _begun_message(self) -> Message | None:
        """Return the unfinished answer among the messages of the run; those with `to` are delegations."""
        written = (self._document.messages.get(id_) for id_ in self._record.messages)
        return next((message for message in written if message is not None and not message.to), None)

    def _write_rest(self) -> Exception | None:
        """Write the buffered text; return the error of this or an earlier write, or None."""
        try:
            self._answer.flush()
        except Exception as failure:  # the run must end with any error
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
        self._runs.ended(self._record, status, error)
        if (document := self._link.document) is not self._document:  # the document of the run was replaced
            record = document.runs.get(self.id)
            if record is not None and not record.ended and not self._is_taken_over(record):
                run_takeover.end(document, record, status, error)

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
        """Check for a recorded cancel or a takeover, if the run changed since the last check."""
        if self._looked:
            return
        self._looked = True
        recorded = self._record.cancel
        if recorded is not None and self._cancel is None:
            self._cancel = RunCancelled(recorded.get("by"), str(recorded.get("reason") or ""))
        if self._is_taken_over(self._record):
            self._lost = RunLost(_TAKEN_OVER)
        elif self._cancel is None and self._record.status in FINAL:
            prompt = self._document.messages.get(self.reply_to) if self.reply_to else None
            refused = prompt.refused if prompt is not None else None
            if refused is not None:
                self._cancel = RunCancelled(refused.get("by"))
            else:
                self._lost = RunLost(_ENDED)

    def _is_taken_over(self, record: Run | None) -> bool:
        return record is not None and not record.gone and record.client != self._client

    def _return(self) -> None:
        """Adopt the run again, if the server declared it lost while this process was away."""
        if self._record.status == "lost" and self._adopting < self._record.epoch:
            self._adopting = self._record.epoch
            self._document.requests.ask_adopt(self.id, self._client, self.agent)
        elif self._record.status == "running" and self._adopting and self._adopting < self._record.epoch:
            self._adopting = 0
            self._answer.reopen()
            self._say(status="working", run=self.id, task=self._task_line or None)

    def _interruption(self) -> RunCancelled | RunLost | None:
        """Return the error for a body that is interrupted; None where the task was cancelled from outside as well."""
        if not self._interrupted or self._task.cancelling() != self._cancelling + 1:
            return None
        if self._lost is not None:
            return _LostInside(str(self._lost))
        return None if self._cancel is None else _CancelledInside(self._cancel.by, self._cancel.reason)

    def _interrupt(self) -> None:
        """Interrupt the body, once. This is a callback of the loop: no task is running, so the body is waiting."""
        if not self._open:
            return
        self._look()
        if self._lost is None and self._link.document is self._document:
            self._return()
        if (self._lost or self._cancel) is not None and not self._told:
            self._told = self._interrupted = True
            self._task.cancel()


class _CancelledInside(RunCancelled, asyncio.CancelledError):
    """A cancel of the run, at the `await` at which its handler waits."""


class _LostInside(RunLost, asyncio.CancelledError):
    """A takeover of the run, at the `await` at which its handler waits."""


@coroutine
def interruptible(run: RunLifecycle, work: Coroutine[Any, None, None]) -> Generator[Any, None, None]:
    """Run a coroutine in the block of a run; where it waits, an interruption raises RunCancelled or RunLost.

    The error is also an `asyncio.CancelledError`: a timeout, a task group or a connection that is left by it does the
    same as for a cancelled task. A task group may raise it in an exception group.

    Args:
        run: the run whose block is entered by this task.
        work: the coroutine.
    """
    error: BaseException | None = None
    is_told = False
    while True:
        try:
            waits_for = work.send(None) if error is None else work.throw(error)
        except StopIteration:
            return
        error = None
        try:
            yield waits_for
        except GeneratorExit:
            work.close()
            raise
        except BaseException as thrown:
            error = thrown
            if isinstance(thrown, asyncio.CancelledError) and not is_told:
                reason = run._interruption()  # pyright: ignore[reportPrivateUsage] - part of the life cycle
                is_told = reason is not None
                error = reason or thrown


def sentence_of(error: BaseException) -> str:
    """Return the text of an error for people: its message, or else its type, truncated if long."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = next((one for one in group.exceptions if not _is_stopped(one)), group.exceptions[0])
    try:
        said = str(error).strip()
    except Exception:  # the `__str__` of an application's error may fail
        said = ""
    said = said or f"{type(error).__name__}, without a word."
    shown = said.encode("utf-8", "replace").decode()
    return shown if len(shown) <= _MOST_SAID else f"{shown[:_MOST_SAID]}…"


def _is_stopped(error: BaseException | None) -> bool:
    """Return whether an error means that the run was cancelled or taken over, also as the only content of a group."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_stopped(inner) for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions)
    return isinstance(error, RunCancelled | RunLost)
