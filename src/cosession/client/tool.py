"""A call of a tool, shown as a part of the answer that a run streams. Never calls the tool itself."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from cosession.document import Part
from cosession.document.part_schema import ENDED_CALLS
from cosession.errors import InvalidValue

from . import human_input
from .human_input import Decision
from .ids import fresh_id
from .run_context import Work
from .session_link import leaves


class ToolCall:
    """One call of a tool, shown as a part of the answer; made by `AgentRun.tool`.

    Its states are those of the AI SDK. A call without an output, an error or a denial when the run ends is shown as
    failed.

    Attributes:
        id: the id of the call, as models get it.
    """

    def __init__(
        self,
        work: Work,
        id: str,  # noqa: A002 - the attribute's name
        part: Part | None,
        given: dict[str, Any] | None,
    ) -> None:
        """Prepare; `begin` makes them."""
        self.id = id
        self._work = work
        self._part = part
        self._input = given

    def grow(self, delta: str) -> None:
        """Append to the input as the model writes it, in JSON; for a call with `streaming=True`.

        Args:
            delta: the text to append.

        Raises:
            InvalidValue: the input is complete, or `delta` isn't text.
            RunCancelled: a participant cancelled the run; the other errors of `AgentRun.text` as well.
        """
        self._work.step()
        if self._part is None:
            return
        if self._part.state != "input-streaming" and not self._part.gone:
            raise InvalidValue("The input of this call is complete; call tool(…, streaming=True) for one that grows.")
        self._work.answer.grow("input", delta, self.id)

    def ready(self, input: Mapping[str, Any]) -> None:  # noqa: A002 - the part's field
        """Set the whole input, after it has grown; raises as `AgentRun.tool` does.

        Args:
            input: the input of the call.
        """
        self._work.link.check_fits(input, "The input", leaves(input))
        self._input = dict(input)
        self._update(state="input-available", input=self._input)

    def output(self, value: Any, *, preliminary: bool = False) -> None:
        """Record the output of the tool; raises as `AgentRun.tool` does.

        Args:
            value: the output, as JSON.
            preliminary: whether another output replaces it later.
        """
        self._work.link.check_fits(value, "The output")
        self._update(state="output-available", output=value, preliminary=preliminary or None)

    def error(self, text: str) -> None:
        """Record that the tool failed; raises as `AgentRun.tool` does.

        Args:
            text: the reason.
        """
        self._work.link.check_text(text, "The error")
        self._update(state="output-error", errorText=text)

    def deny(self, reason: str = "") -> None:
        """Record that the tool may not be called; raises as `AgentRun.tool` does.

        Args:
            reason: the reason; may be empty.
        """
        self._work.link.check_text(reason, "The reason")
        self._deny((self._approval or {}).get("id") or fresh_id(), reason)

    async def ask(
        self,
        question: str,
        *,
        schema: dict[str, Any] | None = None,
        participants: Sequence[str] = (),
        quorum: int = 1,
        seconds: float | None = None,
        key: str | None = None,
    ) -> Decision:
        """Ask people to approve the call, and wait for their decision.

        The value to approve is the input: people may edit it, and the approved value becomes the input. After a no,
        or when the time is over, the call is denied. Arguments and errors as those of `AgentRun.ask`.

        Raises:
            InvalidValue: an argument is invalid, or the input isn't complete.
        """
        if self._input is None:
            raise InvalidValue(
                "The input of this call still streams; complete it by ready() before people are asked."
            )
        decision = await human_input.ask(
            self._work,
            question,
            schema=schema,
            value=self._input,
            participants=participants,
            quorum=quorum,
            seconds=seconds,
            key=key,
            tool_call=self.id,
            on_asked=lambda approval: self._update(state="approval-requested", approval={"id": approval}),
        )
        asked = (self._approval or {}).get("id") or fresh_id()
        if decision.approved:
            self._input = decision.value
            self._update(state="approval-responded", approval={"id": asked, "approved": True}, input=decision.value)
        else:
            self._deny(asked, "No decision was made in time." if decision.status == "expired" else "")
        return decision

    @property
    def _approval(self) -> dict[str, Any] | None:
        approval = None if self._part is None else self._part.get("approval")
        return cast("dict[str, Any]", approval) if isinstance(approval, dict) else None

    def _deny(self, approval: str, reason: str) -> None:
        said = {"reason": reason} if reason else {}
        self._update(state="output-denied", approval={"id": approval, "approved": False, **said})

    def _update(self, **fields: Any) -> None:
        self._work.step()
        if self._part is not None:
            self._work.answer.close_input(self.id)
            self._work.answer.update(self._part, **fields)


def begin(
    work: Work,
    name: str,
    given: Mapping[str, Any] | None,
    *,
    id: str | None,  # noqa: A002 - the field's name
    title: str | None,
    streaming: bool,
    dynamic: bool,
    provider_executed: bool,
) -> ToolCall:
    """Show a call of a tool; see `AgentRun.tool`."""
    work.step()
    if streaming and given is not None:
        raise InvalidValue("A call with `streaming=True` begins without an input; give it to ready().")
    kind = "dynamic-tool" if dynamic else f"tool-{name}"
    call_id = id or work.call_id()
    standing = next((part for part in work.answer.standing if part.get("toolCallId") == call_id), None)
    if standing is not None and (standing.type != kind or standing.state in ENDED_CALLS):
        if id is not None:
            raise InvalidValue(f"The answer has a call {id!r} already; the id of a call is used once.")
        call_id, standing = f"{work.record.id}-{fresh_id()[:8]}", None
    state: dict[str, Any] = {"state": "input-streaming"} if streaming else {"state": "input-available"}
    whole = None if streaming else dict(given or {})
    if whole is not None:
        state["input"] = whole
    if standing is not None:  # of the process before this one, in an answer that is resumed
        work.answer.update(standing, **state)
    else:
        part = {
            "type": kind,
            **({"toolName": name} if dynamic else {}),
            "toolCallId": call_id,
            **state,
            **({"title": title} if title is not None else {}),
            **({"providerExecuted": True} if provider_executed else {}),
        }
        standing = work.answer.add(part)
    if streaming and standing is not None:
        work.answer.open_input(standing, call_id)
    return ToolCall(work, call_id, standing, whole)
