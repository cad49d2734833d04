"""Questions to people, and calls of tools that browsers offer. Both survive the process that asks.

A question is in the document under an id that the run's next process derives again: that process finds an answer that
arrived meanwhile, or continues to wait. An agent acts only on answers that the server has committed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from cosession.document import Part, later
from cosession.errors import InvalidValue, ToolFailed

from .ids import now
from .run_context import Work

DecisionStatus: TypeAlias = Literal["approved", "rejected", "expired", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a question.

    Attributes:
        status: `approved`, `rejected`, `expired`, or `withdrawn` where the run ended before.
        value: the approved value; people may have changed it.
        by: the participants whose votes decided.
        at: the time, RFC 3339.
    """

    status: DecisionStatus
    value: Any
    by: tuple[str, ...]
    at: str

    @property
    def approved(self) -> bool:
        """Whether the question was approved."""
        return self.status == "approved"


async def ask(
    work: Work,
    question: str,
    *,
    schema: dict[str, Any] | None,
    value: Any,
    participants: Sequence[str],
    quorum: int,
    seconds: float | None,
    key: str | None,
    tool_call: str | None = None,
    on_asked: Callable[[str], None] | None = None,
) -> Decision:
    """Ask people, and wait for the decision; see `AgentRun.ask`.

    Args:
        tool_call: the id of the call that the question is about.
        on_asked: called with the id of the question, in the transaction that asks it.
    """
    link = work.link
    link.check_text(question, "The question")
    link.check_fits({"question": question, "schema": schema, "value": value}, "The question")
    link.check_names("The key of a question", *filter(None, (key,)))
    link.check_names("The id of a participant", *_listed(participants))
    work.step()
    id_, at = work.name("approval", key), now()
    with work.document.transaction():
        approval = work.document.approvals.get(id_) or work.document.approvals.ask(
            id_,
            question=question,
            created_at=at,
            schema=schema,
            run=work.record.id,
            tool_call=tool_call,
            who=participants,
            quorum=quorum,
            expires_at=None if seconds is None else later(at, seconds),
            value=value,
        )
        if on_asked is not None:
            on_asked(id_)
    with work.suspended():
        found = await work.until_settled(lambda: approval.decision, "approvals")
    work.step()
    by = tuple(str(one) for one in found.get("by") or ())
    return Decision(cast(DecisionStatus, found.get("decision")), found.get("value"), by, str(found.get("at")))


async def call(
    work: Work,
    tool: str,
    given: dict[str, Any] | None,
    *,
    participants: Sequence[str],
    seconds: float,
    key: str | None,
) -> Any:
    """Call a tool that a client offers, and wait for its output; see `AgentRun.call`."""
    link = work.link
    link.check_fits(given, "The input")
    link.check_names("The name of a tool", tool)
    link.check_names("The key of a call", *filter(None, (key,)))
    link.check_names("The id of a participant", *_listed(participants))
    work.step()
    id_ = work.name("call", key)
    part = _find(work, id_) or work.answer.add(
        work.answer.calls.get(id_) or _new_call(id_, tool, given, participants)
    )
    if part is None:
        raise ToolFailed(f"No client can answer {tool!r}: the message that it is called in was deleted.")

    def answer() -> tuple[str, Any, Any] | None:
        state = part.state
        return None if state in ("input-available", None) else (state, part.get("output"), part.get("errorText"))

    try:
        async with asyncio.timeout(seconds):
            state, output, error = await work.until_settled(answer, "messages")
    except TimeoutError:
        raise ToolFailed(f"No client answered {tool!r} in {seconds:g} s; is a page that offers it open?") from None
    finally:
        if part.state == "input-available" and work.is_ours:  # an open call would make the conversation invalid
            work.answer.update(part, state="output-error", errorText="No client answered.")
    if state == "output-error":
        raise ToolFailed(f"{tool!r} failed: {error}")
    return output


def _listed(participants: Sequence[str]) -> Sequence[str]:
    """Return a list of participants; reject a string, which would be read as a list of its letters."""
    if isinstance(participants, str):
        raise InvalidValue(f"The participants that are asked are a list of ids, not the text {participants!r}.")
    return participants


def _find(work: Work, id_: str) -> Part | None:
    """Return the call from the part of the answer that isn't to be rewritten."""
    parts = work.answer.standing
    return next((part for part in parts if part.get("toolCallId") == id_), None)


def _new_call(id_: str, tool: str, given: dict[str, Any] | None, participants: Sequence[str]) -> dict[str, Any]:
    return {
        "type": f"tool-{tool}",
        "toolCallId": id_,
        "state": "input-available",
        "input": given or {},
        "callProviderMetadata": {"cosession": {"client": True, "who": list(participants)}},
    }
