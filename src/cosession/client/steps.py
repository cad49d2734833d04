"""Steps: parts of a run that people see, and that may be tried again.

The text of a failed attempt stays until the next one writes; one transaction then replaces it. So people never see
an empty answer, nor an answer twice. Steps that write text run one after another; parallel work writes into the
shared state.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cosession.errors import Disconnected, InvalidValue, RunCancelled, RunLost, WriteRefused

from .run_context import Work
from .run_lifecycle import sentence_of

T = TypeVar("T")

FINAL = (RunCancelled, RunLost, Disconnected, WriteRefused)
"""Errors that end the run, so that no retry helps."""


class Step:
    """One attempt of a step, as passed to its function.

    Attributes:
        name: a description of the step.
        attempt: the number of this attempt, from 1.
        attempts: the largest number of attempts.
    """

    def __init__(self, work: Work, id: str, name: str, attempt: int, attempts: int) -> None:  # noqa: A002
        """Prepare; `run_step` makes them."""
        self.name = name
        self.attempt = attempt
        self.attempts = attempts
        self._work = work
        self._id = id

    def detail(self, text: str) -> None:
        """Set the progress of the step, as a line for people. Raises as `AgentRun.text` does."""
        self._work.step()
        self._work.link.check_text(text, "The detail")
        self.note("running", text)

    def note(self, status: str, detail: str | None = None) -> None:
        """Write the status of the step."""
        fields = {"attempt": self.attempt, "attempts": self.attempts, "detail": detail}
        self._work.record.add_step(self._id, self.name, status, **fields)


async def run_step(
    work: Work, name: str, do: Callable[[Step], Awaitable[T]], *, attempts: int, pause_seconds: float
) -> T:
    """Run a step, with retries; raise the error of the last attempt.

    Args:
        work: the context of the run.
        name: a description of the step.
        do: the function to run; called once for each attempt.
        attempts: the largest number of attempts.
        pause_seconds: the pause before the second attempt; it doubles before each further one.
    """
    if attempts < 1:
        raise InvalidValue("A step needs at least one attempt.")
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
