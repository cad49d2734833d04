"""A run: one piece of agent work, and the actions of an agent in it. Its start and end are in `run_lifecycle`.

Every action may raise: RunCancelled when a participant cancelled the run, RunLost when another process has it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cosession.document import Message, conversation
from cosession.document.message import OWN_METADATA
from cosession.document.parts import values_of_parts
from cosession.document.values import checked_object
from cosession.errors import InvalidValue

from . import delegation, human_input
from .delegation import Delegation
from .edits import Edit, edits_of
from .human_input import Decision
from .ids import fresh_id
from .part_handle import PartHandle
from .run_lifecycle import RunLifecycle
from .session_link import leaves
from .steps import Step, run_step
from .tool import ToolCall, begin

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

    def history(self, *, attributed: bool = False) -> list[Message]:
        """Return the conversation up to the prompt, oldest message first, for a model.

        Messages that are deleted, empty, refused or still streaming are left out, and so are tasks for other agents.
        The prompt comes last, with the role `user`, also where another agent gives the task. The messages are copies:
        later edits don't change them.

        Args:
            attributed: whether each text begins with its author's name and a colon; those of this agent don't.
        """

        def name_of(author: str | None) -> str | None:
            return None if author == self.agent else self.session.who(author).name

        return conversation(self._document.messages, until=self.reply_to, name_of=name_of if attributed else None)

    def text(self, delta: str, *, id: str | None = None, after_cancel: bool = False) -> None:  # noqa: A002
        """Append to the answer's text. Half a character at the end waits for the token with the other half.

        Args:
            delta: the text to append.
            id: the text part within this run, for an answer that writes several at a time; None continues the last
                part, or begins a new one behind a part of another kind.
            after_cancel: whether a cancelled run may write it, e.g. in `except RunCancelled`; the run still ends as
                cancelled.

        Raises:
            InvalidValue: `delta` isn't text.
            RunCancelled: a participant cancelled the run.
            RunLost: another process of the agent has taken over the run.
            Disconnected: the session is over.
            WriteRefused: the server refused a write of this client, and this run is lost with it.
        """
        if after_cancel and self._is_cancelled():
            self._answer.grow("text", delta, id)
            self._answer.flush()
            return
        self._step()
        self._answer.grow("text", delta, id)

    def reasoning(self, delta: str, *, id: str | None = None) -> None:  # noqa: A002 - the field's name
        """Append to the answer's reasoning; arguments and errors as those of `text`."""
        self._step()
        self._answer.grow("reasoning", delta, id)

    def part(self, part: Mapping[str, Any], *, id: str | None = None) -> PartHandle:  # noqa: A002
        """Append a part of an AI SDK message, e.g. `source-url` or `step-start`. Raises as `text` does.

        Args:
            part: the part, with its keys as in the AI SDK.
            id: the part within this run: a second call with this type and id changes the part. None is the `id` of
                a data part, and otherwise a new one.

        Raises:
            InvalidValue: it is no such part.
            TooLarge: the part is larger than the server accepts.
        """
        self._step()
        whole = dict(part)
        if str(whole.get("type")).startswith("data-"):  # those have an id in the AI SDK too
            id = id if id is not None else whole.get("id")  # noqa: A001
            whole |= {} if id is None else {"id": id}
        self._link.check_names("The id of a part", *([] if id is None else [id]))
        self._link.check_fits(whole, "The part", values_of_parts([whole]))
        written = self._answer.add(whole) if id is None else self._answer.put(whole, id)
        return PartHandle(id or fresh_id(), written, self._link, self._answer, self._step)

    def data(self, name: str, data: Any, *, id: str | None = None) -> PartHandle:  # noqa: A002 - the part's field
        """Append a `data-NAME` part, as the AI SDK's data parts. Raises as `part` does.

        Args:
            name: the name, without `data-`.
            data: the content, as JSON.
            id: the part's id: a second call with this name and id replaces the content. None makes a part without.
        """
        self._link.check_names("The name of data", name)
        return self.part({"type": f"data-{name}", "data": data}, id=id)

    def file(self, file: Mapping[str, Any]) -> None:
        """Append a file. Raises as `part` does.

        Args:
            file: a file part, `{"type": "file", "mediaType": …, "url": …}`.
        """
        if file.get("type") != "file":
            raise InvalidValue("A file is a part of the type 'file', with 'mediaType' and 'url'.")
        self.part(file)

    def metadata(self, **fields: Any) -> None:
        """Set fields of the answer's metadata, e.g. the application's own. Raises as `text` does.

        They are written with the first content, if there is none yet.

        Args:
            fields: the fields, as JSON; None is stored as null.

        Raises:
            InvalidValue: a field isn't JSON, or it is one that the session keeps itself, such as `author`.
            TooLarge: a value is larger than the server accepts.
        """
        self._step()
        if own := sorted(OWN_METADATA & fields.keys()):
            raise InvalidValue(f"The session keeps {', '.join(own)} of a message itself; use other names.")
        self._link.check_names("The name of a field", *fields)
        self._link.check_fits(fields, "The metadata", fields.values())
        self._answer.set_metadata(checked_object(fields, "The metadata"))

    def usage(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cached_tokens: int = 0,
        reasoning_tokens: int = 0,
        requests: int = 0,
        model: str | None = None,
        cost: Mapping[str, Any] | None = None,
    ) -> None:
        """Add to the usage of the run, once for each call of a model, or for all of them. Raises as `text` does.

        Args:
            input_tokens: the tokens that the model read.
            output_tokens: the tokens that it wrote.
            cached_tokens: those of the input that came from a cache.
            reasoning_tokens: those of the output that were reasoning.
            requests: the number of calls.
            model: the model; the last one is shown.
            cost: amounts of money, e.g. `{"USD": 0.02}`, which add up as well.
        """
        self._step()
        given = {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cached_tokens": cached_tokens,
            "reasoning_tokens": reasoning_tokens,
            "requests": requests,
            "model": model,
            "cost": None if cost is None else dict(cost),
        }
        usage = {name: value for name, value in given.items() if value}
        self._link.check_fits(usage, "The usage")
        self._record.add_usage(**usage)

    def truncate(self) -> None:
        """Remove what the answer has after its last `step-start` part, or all, where there is none.

        For a call of a model that is made again. Raises as `text` does.
        """
        self._step()
        self._answer.truncate()

    def tool(
        self,
        name: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the part's field
        *,
        id: str | None = None,  # noqa: A002 - the part's field
        title: str | None = None,
        streaming: bool = False,
        dynamic: bool = False,
        provider_executed: bool = False,
    ) -> ToolCall:
        """Show a call of a tool; the output follows. Raises as `text` does.

        A call without an output or error when the run ends is shown as failed.

        Args:
            name: the tool's name.
            input: the input of the call; None is empty, or not known yet where it is streamed.
            id: the model's id of the call, unique in the answer; None makes one.
            title: the name of the tool for people.
            streaming: whether the model still writes the input: `grow` appends to it, `ready` completes it.
            dynamic: whether the tool is known at run time only; the part is a `dynamic-tool`.
            provider_executed: whether the provider of the model calls the tool.

        Raises:
            InvalidValue: an argument is invalid, or the answer has a call of this id.
            TooLarge: the input is larger than the server accepts.
        """
        self._link.check_names("The name of a tool", name)
        self._link.check_names("The id of a call", *filter(None, (id,)))
        self._link.check_text(title or "", "The title")
        self._link.check_fits(input, "The input", leaves(input))
        return begin(
            self._work,
            name,
            input,
            id=id,
            title=title,
            streaming=streaming,
            dynamic=dynamic,
            provider_executed=provider_executed,
        )

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
        """Return the steers since the last call, each exactly once, and mark them as seen. Raises as `text` does.

        Cheap enough to be called at every token: the document is read only after the run was changed.
        """
        self._step()
        if not self._steered:
            return []
        self._steered = False
        new = self._new_steers()
        if new:
            with self._document.transaction():
                for steer in new:
                    self._record.mark_seen(steer.id)
        return new

    async def next_steer(self) -> Steer:
        """Wait for the next steer that `steers` hasn't returned, and mark it as seen. Raises as `text` does."""

        def take() -> Steer | None:
            steer = next(iter(self._new_steers()), None)
            if steer is not None:
                self._record.mark_seen(steer.id)
            return steer

        self._step()
        return await self._work.until(take, "runs")

    async def save_checkpoint(self, value: Mapping[str, Any] | None) -> None:
        """Save what another process needs to go on with this run: it finds the value as `checkpoint`.

        The answer so far is saved in the session before. The value is removed when the run has ended. Raises as
        `text` does, and the errors of the store.

        Args:
            value: the value, as JSON; None removes the one before.

        Raises:
            InvalidValue: the value isn't JSON, or the worker has no store (`Worker(checkpoints=…)`).
        """
        store = self._runs.checkpoints
        if store is None:
            raise InvalidValue("Checkpoints need a store: give the worker one, Worker(…, checkpoints=store).")
        self._step()
        saved = None if value is None else checked_object(value, "The checkpoint")
        self._answer.flush()
        await self._work.saved()
        await store.save(self.id, saved)
        self._checkpoint = saved

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
        participants: Sequence[str] = (),
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
            participants: the participants that may answer; empty means every participant that may approve.
            quorum: the number of participants that must agree.
            seconds: the time to answer; None is for ever.
            key: a name of the question, unique in the run, for questions whose order may change in a resumed run.

        Raises:
            InvalidValue: an argument is invalid.
            TooLarge: the question is larger than the server accepts.
        """
        return await human_input.ask(
            self._work,
            question,
            schema=schema,
            value=value,
            participants=participants,
            quorum=quorum,
            seconds=seconds,
            key=key,
        )

    async def call(
        self,
        tool: str,
        input: dict[str, Any] | None = None,  # noqa: A002
        *,
        participants: Sequence[str] = (),
        seconds: float = 20.0,
        key: str | None = None,
    ) -> Any:
        """Call a tool that a client, e.g. a browser, offers, and return its output; one client answers.

        Raises as `text` does.

        Args:
            tool: the tool's name.
            input: the input of the call.
            participants: the participants whose clients may answer; empty means all.
            seconds: how long to wait.
            key: a name of the call, unique in the run; see `ask`.

        Raises:
            ToolFailed: the tool gave an error, or no client answered in time.
            TooLarge: the input is larger than the server accepts.
        """
        return await human_input.call(self._work, tool, input, participants=participants, seconds=seconds, key=key)

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
