"""A run: one piece of agent work, and what an agent does in it. Its life is in `run_lifecycle`.

Every step may raise: RunCancelled when somebody cancelled the run, RunLost when another process has it.
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


class AgentRun(RunLifecycle):
    """One run of this agent; made by `Session.run`, used as `async with`. It has the attributes of `RunLifecycle`."""

    @property
    def message(self) -> Message | None:
        """The message that it streams, or None before its first content."""
        return self._answer.message

    def resume(self) -> str:
        """Go on in what the process before this one wrote, and return its text; empty where there is none.

        Without it, the first new word takes the place of all that. Raises as `text` does.
        """
        self._step()
        return self._answer.resume() if self.adopted else ""

    def text(self, token: str) -> None:
        """Grow the answer's text. Half a character at the end waits for the token that brings the other half.

        Raises:
            BadDocument: the token isn't text.
            RunCancelled: somebody cancelled the run.
            RunLost: another process of the agent goes on with it.
            Disconnected: the session is over.
            WriteRefused: the server refused something that was written here, and this run is lost with it.
        """
        self._step()
        self._answer.grow("text", token)

    def last_words(self, text: str) -> None:
        """Write to people although the run was cancelled, e.g. in `except RunCancelled`; it ends so all the same.

        Args:
            text: what is added to the answer.
        """
        if not self._open or self._cancel is None:
            raise RuntimeError("Last words are for a cancelled run, inside its `async with` block; use text().")
        self._answer.grow("text", text)
        self._answer.flush()

    def reasoning(self, text: str) -> None:
        """Grow the answer's reasoning. Raises as `text` does."""
        self._step()
        self._answer.grow("reasoning", text)

    def tool(self, name: str, input: dict[str, Any] | None = None, *, id: str | None = None) -> ToolCall:  # noqa: A002
        """Show a call of a tool, its input known, its output to come. Raises as `text` does.

        A call that has no end when the run ends is shown as failed.

        Args:
            name: the tool's name.
            input: what it is called with.
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
        """Say how far the work is. Raises as `text` does.

        Args:
            label: one line that people understand.
            done: how much is done.
            total: of how much.
        """
        self._step()
        self._link.check_text(label, "The label")
        with self._document.transaction():
            self._record.set_progress(label, done, total)
            self._say(progress=self._record.progress)

    def steers(self) -> list[Steer]:
        """Return what people have added since the last call, and mark it as taken in. Raises as `text` does.

        Cheap enough to be called at every token: the document is read only after somebody changed the run.
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
        """Whether people have added something since `steers` was called last. Raises as `text` does."""
        self._step()
        self._steered = self._steered and bool(self._new_steers())
        return self._steered

    async def step(
        self, name: str, work: Callable[[Step], Awaitable[T]], *, attempts: int = 1, pause_seconds: float = 1.0
    ) -> T:
        """Do a part of the work that people see as a step, again when it fails, and return what it returns.

        What a failed attempt wrote stays until the next one writes, and goes with that in one transaction.
        Raises as `text` does, and what the last attempt raises.

        Args:
            name: what the step does, in words that people understand.
            work: does it; called once for each attempt.
            attempts: how many there may be.
            pause_seconds: how long to wait before the second one; twice as long before each further one.
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

        Meanwhile the run is `suspended`. A process that takes the run up and asks again gets the same decision: the
        n-th question of a run is the same question, or the one of the same key. Raises as `text` does.

        Args:
            question: what is asked, in words that people understand.
            schema: the JSON Schema of the value that is approved.
            value: what is to be approved, e.g. the arguments of a tool; people may edit an object before they vote.
            who: the participants who may answer; none means everybody who may approve.
            quorum: how many must agree.
            seconds: for how long they may answer; None is for ever.
            key: a name of the question, unique in the run, where their order may differ the next time.

        Raises:
            BadDocument: something of the question doesn't fit.
            TooLarge: it is larger than the server takes.
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
        """Call a tool that a client offers, e.g. a browser; return what the one client that answers gives.

        Raises as `text` does.

        Args:
            tool: the tool's name.
            input: what it is called with.
            who: the participants whose clients may answer; none means everybody's.
            seconds: how long to wait.
            key: a name of the call, unique in the run; see `ask`.

        Raises:
            ToolFailed: the tool gave an error, or no client answered in time.
            TooLarge: the input is larger than the server takes.
        """
        self._link.check_fits(input, "The input")
        self._link.check_names("The name of a tool", tool)
        self._link.check_names("The key of a call", *filter(None, (key,)))
        self._link.check_names("The id of a participant", *_listed(who))
        return await human_input.call(self._work, tool, input, who=who, seconds=seconds, key=key)

    def delegate(
        self, agent: str, text: str, *, data: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Delegation:
        """Ask another agent for something, by a message that names it; `await delegation.done()` waits for its end.

        It writes its own answer and progress into the session. To cancel this run cancels what it asked for.
        Raises as `text` does.

        Args:
            agent: the agent's participant id.
            text: what is asked.
            data: more of it, as JSON.
            key: a name of the delegation, unique in the run; see `ask`.

        Raises:
            TooLarge: what is asked is larger than the server takes.
        """
        self._link.check_text(text, "The message")
        self._link.check_fits({"text": text, "data": dict(data or {})}, "The message")
        self._link.check_names("The id of an agent", agent)
        self._link.check_names("The key of a delegation", *filter(None, (key,)))
        return delegation.delegate(self._work, agent, text, data=data, key=key)

    def edits(self) -> list[Edit]:
        """Return what others have changed in the words of this run since the last call. Raises as `text` does."""
        self._step()
        return edits_of(self._answer)

    def _new_steers(self) -> list[Steer]:
        seen = set(self._record.seen)
        new = [steer for steer in self._record.steers if steer["id"] not in seen]
        return [Steer(steer["id"], steer["by"], steer["text"], steer["at"]) for steer in new]


def _listed(who: Sequence[str]) -> Sequence[str]:
    """Return the participants who are asked; a text would be taken for a list of its letters."""
    if isinstance(who, str):
        raise BadDocument(f"Those who are asked are a list of ids, not the text {who!r}.")
    return who
