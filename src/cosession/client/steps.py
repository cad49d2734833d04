"""Steps: parts of a run that people see, and that may be tried again.

What a failed attempt wrote stays until the next one writes: then it goes, with the new words, in one transaction.
So people never see an empty place, nor an answer twice. Steps that write follow one another; what runs beside one
another writes into the shared state.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cosession.errors import Disconnected, RunCancelled, RunLost, WriteRefused

from .run_context import Work
from .run_lifecycle import sentence_of

T = TypeVar("T")

FINAL = (RunCancelled, RunLost, Disconnected, WriteRefused)
"""What ends a run, and no attempt of it can mend."""


class Step:
    """One attempt of a step, as the work in it sees it.

    Attributes:
        name: what the step does.
        attempt: which attempt this is, from 1.
        attempts: how many there may be.
    """

    def __init__(self, work: Work, id: str, name: str, attempt: int, attempts: int) -> None:  # noqa: A002
        """Prepare; `run_step` makes them."""
        self.name = name
        self.attempt = attempt
        self.attempts = attempts
        self._work = work
        self._id = id

    def detail(self, text: str) -> None:
        """Say how far the step is, in a line that people understand. Raises as `AgentRun.text` does."""
        self._work.step()
        self._work.link.check_text(text, "The detail")
        self.note("running", text)

    def note(self, status: str, detail: str | None = None) -> None:
        """Write how far the step is."""
        fields = {"attempt": self.attempt, "attempts": self.attempts, "detail": detail}
        self._work.record.add_step(self._id, self.name, status, **fields)


async def run_step(
    work: Work, name: str, do: Callable[[Step], Awaitable[T]], *, attempts: int, pause_seconds: float
) -> T:
    """Do a step, again when it fails; what the last attempt raises is raised.

    Args:
        work: the run.
        name: what the step does.
        do: the work; called once for each attempt.
        attempts: how many there may be.
        pause_seconds: how long to wait before the second one; twice as long before each further one.
    """
    if attempts < 1:
        raise ValueError("A step needs at least one attempt.")
    work.step()
    work.link.check_text(name, "The name of a step")
    id_ = work.name("step", None).rpartition("/")[2]
    mark = work.answer.mark()
    step = Step(work, id_, name, 1, attempts)
    step.note("running")
    while True:
        try:
            result = await do(step)
            work.step()
        except FINAL:
            raise
        except Exception as error:
            reason = sentence_of(error)
            if step.attempt == attempts:
                if work.is_ours:
                    step.note("error", reason)
                raise
            step.note("retrying", reason)
            await asyncio.sleep(pause_seconds * 2 ** (step.attempt - 1))
            work.step()
            step = Step(work, id_, name, step.attempt + 1, attempts)
            work.answer.redo(mark, lambda step=step: step.note("running"))
        except BaseException:
            raise
        else:
            with work.document.transaction():
                work.answer.settle()
                step.note("complete")
            return result
