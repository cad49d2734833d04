"""A run: one piece of agent work, and the actions of an agent in it. Its start and end are in `run_lifecycle`.

Every action may raise: RunCancelled when a participant cancelled the run, RunLost when another process has it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cosession.document import Message
from cosession.errors import BadDocument

from . import delegation, human_input
from .delegation import Delegation
from .edits import Edit, edits_of
from .human_input import Decision
from .ids import fresh_id
from .run_lifecycle import RunLifecycle
from .session_link import leaves
from .steps import Step, run_step
from .tool import ToolCall

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Steer:
    """An instruction that a participant adds to a running run.

    Attributes:
        id: the steer's id.
        by: the participant, as the server verified.
        text: the instruction.
        at: the time, RFC 3339.
    """

    id: str
    by: str
    text: str
    at: str


class AgentRun(RunLifecycle):
    """One run of this agent; made by `Session.run`, used as `async with`. It has the attributes of `RunLifecycle`."""

    @property
    def message(self) -> Message | None:
        """The message that the run streams, or None before its first content."""
        return self._answer.message

    def resume(self) -> str:
        """Continue the answer of the process before this one, and return its text; empty where there is none.

        Without this call, the first new token replaces that answer. Raises as `text` does.
        """
        self._step()
        return self._answer.resume() if self.adopted else ""

    def text(self, token: str) -> None:
        """Append to the answer's text. Half a character at the end waits for the token with the other half.

        Raises:
            BadDocument: the token isn't text.
            RunCancelled: a participant cancelled the run.
            RunLost: another process of the agent has taken over the run.
            Disconnected: the session is over.
            WriteRefused: the server refused a write of this client, and this run is lost with it.
        """
        self._step()
        self._answer.grow("text", token)

    def last_words(self, text: str) -> None:
        """Append to the answer of a cancelled run, e.g. in `except RunCancelled`; the run still ends as cancelled.

        Args:
            text: the text to append.
        """
        if not self._open or self._cancel is None:
            raise RuntimeError("Last words are for a cancelled run, inside its `async with` block; use text().")
        self._answer.grow("text", text)
        self._answer.flush()

    def reasoning(self, text: str) -> None:
        """Append to the answer's reasoning. Raises as `text` does."""
        self._step()
        self._answer.grow("reasoning", text)

    def tool(self, name: str, input: dict[str, Any] | None = None, *, id: str | None = None) -> ToolCall:  # noqa: A002
        """Show a call of a tool with its input; the output follows. Raises as `text` does.

        A call without an output or error when the run ends is shown as failed.

        Args:
            name: the tool's name.
            input: the input of the call.
            id: the model's id of the call; None makes one.
        """
        self._step()
        self._link.check_names("The name of a tool", name)
        self._link.check_names("The id of a call", *filter(None, (id,)))
        self._link.check_fits(input, "The input", leaves(input))
        part = {
            "type": f"tool-{name}",
            "toolCallId": id or fresh_id(),
            "state": "input-available",
            "input": input or {},
        }
        return ToolCall(self._link, self._answer, self._answer.add(part), self._step)

    def progress(self, label: str, done: float | None = None, total: float | None = None) -> None:
        """Set the progress of the run. Raises as `text` does.

        Args:
            label: one line for people.
            done: the amount that is done.
            total: the whole amount.
        """
        self._step()
        self._link.check_text(label, "The label")
        with self._document.transaction():
            self._record.set_progress(label, done, total)
            self._say(progress=self._record.progress)

    def steers(self) -> list[Steer]:
        """Return the steers since the last call, and mark them as seen. Raises as `text` does.

        Cheap enough to be called at every token: the document is read only after the run was changed.
        """
        if not self.has_steers():
            return []
        self._steered = False
        with self._document.transaction():
            new = self._new_steers()
            for steer in new:
                self._record.mark_seen(steer.id)
        return new

    def has_steers(self) -> bool:
        """Return whether there are steers since the last call of `steers`. Raises as `text` does."""
        self._step()
        self._steered = self._steered and bool(self._new_steers())
        return self._steered

    async def step(
        self, name: str, work: Callable[[Step], Awaitable[T]], *, attempts: int = 1, pause_seconds: float = 1.0
    ) -> T:
        """Run a part of the work as a visible step, with retries, and return its result.

        The text of a failed attempt stays until the next one writes, which replaces it in one transaction.
        Raises as `text` does, and the error of the last attempt.

        Args:
            name: a description of the step, for people.
            work: the function to run; called once for each attempt.
            attempts: the largest number of attempts.
            pause_seconds: the pause before the second attempt; it doubles before each further one.
        """
        return await run_step(self._work, name, work, attempts=attempts, pause_seconds=pause_seconds)

    async def ask(
        self,
        question: str,
        *,
        schema: dict[str, Any] | None = None,
        value: Any = None,
        who: Sequence[str] = (),
        quorum: int = 1,
        seconds: float | None = None,
        key: str | None = None,
    ) -> Decision:
        """Ask people to approve something, and wait for their decision, which is never an error.

        Meanwhile the run is `suspended`. A process that resumes the run and asks again gets the same decision:
        questions are matched by `key`, or else by their order in the run. Raises as `text` does.

        Args:
            question: the question, for people.
            schema: the JSON Schema of the value to approve.
            value: the value to approve, e.g. the arguments of a tool; people may edit an object before they vote.
            who: the participants that may answer; empty means every participant that may approve.
            quorum: the number of participants that must agree.
            seconds: the time to answer; None is for ever.
            key: a name of the question, unique in the run, for questions whose order may change in a resumed run.

        Raises:
            BadDocument: an argument is invalid.
            TooLarge: the question is larger than the server accepts.
        """
        self._link.check_text(question, "The question")
        self._link.check_fits({"question": question, "schema": schema, "value": value}, "The question")
        self._link.check_names("The key of a question", *filter(None, (key,)))
        self._link.check_names("The id of a participant", *_listed(who))
        return await human_input.ask(
            self._work, question, schema=schema, value=value, who=who, quorum=quorum, seconds=seconds, key=key
        )

    async def call(
        self,
        tool: str,
        input: dict[str, Any] | None = None,  # noqa: A002
        *,
        who: Sequence[str] = (),
        seconds: float = 20.0,
        key: str | None = None,
    ) -> Any:
        """Call a tool that a client, e.g. a browser, offers, and return its output; one client answers.

        Raises as `text` does.

        Args:
            tool: the tool's name.
            input: the input of the call.
            who: the participants whose clients may answer; empty means all.
            seconds: how long to wait.
            key: a name of the call, unique in the run; see `ask`.

        Raises:
            ToolFailed: the tool gave an error, or no client answered in time.
            TooLarge: the input is larger than the server accepts.
        """
        self._link.check_fits(input, "The input")
        self._link.check_names("The name of a tool", tool)
        self._link.check_names("The key of a call", *filter(None, (key,)))
        self._link.check_names("The id of a participant", *_listed(who))
        return await human_input.call(self._work, tool, input, who=who, seconds=seconds, key=key)

    def delegate(
        self, agent: str, text: str, *, data: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Delegation:
        """Give a task to another agent, by a message to it; `await delegation.done()` waits for its end.

        The other agent writes its own answer and progress into the session. Cancelling this run cancels its
        delegations. Raises as `text` does.

        Args:
            agent: the agent's participant id.
            text: the task.
            data: further data of the task, as JSON.
            key: a name of the delegation, unique in the run; see `ask`.

        Raises:
            TooLarge: the task is larger than the server accepts.
        """
        self._link.check_text(text, "The message")
        self._link.check_fits({"text": text, "data": dict(data or {})}, "The message")
        self._link.check_names("The id of an agent", agent)
        self._link.check_names("The key of a delegation", *filter(None, (key,)))
        return delegation.delegate(self._work, agent, text, data=data, key=key)

    def edits(self) -> list[Edit]:
        """Return the edits by others in the answer of this run since the last call. Raises as `text` does."""
        self._step()
        return edits_of(self._answer)

    def _new_steers(self) -> list[Steer]:
        seen = set(self._record.seen)
        new = [steer for steer in self._record.steers if steer["id"] not in seen]
        return [Steer(steer["id"], steer["by"], steer["text"], steer["at"]) for steer in new]


def _listed(who: Sequence[str]) -> Sequence[str]:
    """Return a list of participants; reject a string, which would be read as a list of its letters."""
    if isinstance(who, str):
        raise BadDocument(f"Those who are asked are a list of ids, not the text {who!r}.")
    return who
