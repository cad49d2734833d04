"""Delegation: work that a run gives to another agent by a message. That agent answers with a run."""

from collections.abc import Mapping
from typing import Any

from cosession.document import Message, Run
from cosession.document.run_states import FINAL

from .ids import fresh_id, now
from .run_context import Work


class Delegation:
    """A task that was given to another agent; made by `AgentRun.delegate`.

    Attributes:
        agent: the agent that is asked.
        message: the message with the task; people see it.
    """

    def __init__(self, work: Work, agent: str, message: Message) -> None:
        """Prepare; `delegate` makes them."""
        self.agent = agent
        self.message = message
        self._work = work

    @property
    def run(self) -> Run | None:
        """The run that answers, or None before it has begun.

        Of several runs it is the complete one, else an active one, else the last to start.
        """
        runs = self._work.document.runs
        found = [run for run in runs if run.reply_to == self.message.id and run.agent == self.agent]
        return max(found, key=_counts, default=None)

    async def done(self) -> Run | None:
        """Wait for the end of the other agent's run, and return it; None when the task was cancelled before it began.

        A lost run hasn't ended: another process may resume it. Raises as `AgentRun.text` does.
        """

        def end() -> tuple[Run | None] | None:
            run = self.run
            if run is None:
                return (None,) if self.message.refused or self.message.deleted else None
            return (run,) if run.status in FINAL else None

        (run,) = await self._work.until(end, "runs", "messages")
        return run

    def cancel(self, reason: str = "") -> None:
        """Ask the server to cancel the task, also before its run has begun. Raises as `AgentRun.text` does."""
        self._work.step()
        run = self.run
        about = run.id if run is not None else self.message.id
        self._work.document.requests.ask_cancel(about, self._work.record.agent, reason)

    def steer(self, text: str) -> None:
        """Add text to the task: as a steer of the run, or, before the run has begun, in the message itself.

        Raises as `AgentRun.text` does.
        """
        self._work.step()
        run, me = self.run, self._work.record.agent
        if run is None:
            self.message.edit(f"{self.message.text}\n\n{text}", at=now(), by=me)
        else:
            self._work.document.requests.ask_steer(run.id, fresh_id(), me, text)


def delegate(work: Work, agent: str, text: str, *, data: Mapping[str, Any] | None, key: str | None) -> Delegation:
    """Give a task to another agent; see `AgentRun.delegate`."""
    work.step()
    id_, document = work.name("delegation", key), work.document
    message = document.messages.get(id_)
    if message is None:
        parts: list[dict[str, Any]] = [{"type": "text", "text": text, "state": "done"}]
        if data is not None:
            parts.append({"type": "data-delegation", "data": dict(data)})
        with document.transaction():
            message = document.messages.append(
                "assistant",
                parts,
                id=id_,
                author=work.record.agent,
                created_at=now(),
                run=work.record.id,
                to=(agent,),
            )
            work.record.add_message(id_)
    return Delegation(work, agent, message)


def _counts(run: Run) -> tuple[bool, bool, str]:
    return run.status == "complete", run.status not in FINAL, run.started_at or ""
