"""Asking: questions to people, and calls to tools that their browsers offer. Both outlive the process that asks.

What is asked stands in the document under an id that the run's next process makes again: it finds the answer that
came meanwhile, or waits on. What an agent acts on was committed by the server before.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cosession.document import Part, later
from cosession.errors import ToolFailed

from .ids import now
from .run_context import Work


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a question.

    Attributes:
        decision: `approved`, `rejected`, `expired`, or `withdrawn` where the run ended before.
        value: what was approved; people may have changed it.
        by: the participants whose votes made it.
        at: when, RFC 3339.
    """

    decision: str
    value: Any
    by: tuple[str, ...]
    at: str

    @property
    def approved(self) -> bool:
        """Whether people said yes."""
        return self.decision == "approved"


async def ask(
    work: Work,
    question: str,
    *,
    schema: dict[str, Any] | None,
    value: Any,
    who: Sequence[str],
    quorum: int,
    seconds: float | None,
    key: str | None,
) -> Decision:
    """Ask people, and wait for the decision; see `AgentRun.ask`."""
    work.step()
    id_, at = work.name("approval", key), now()
    approval = work.document.approvals.get(id_) or work.document.approvals.ask(
        id_,
        question=question,
        created_at=at,
        schema=schema,
        run=work.record.id,
        who=who,
        quorum=quorum,
        expires_at=None if seconds is None else later(at, seconds),
        value=value,
    )
    with work.suspended():
        found = await work.until_settled(lambda: approval.decision, "approvals")
    work.step()
    by = tuple(str(one) for one in found.get("by") or ())
    return Decision(str(found.get("decision")), found.get("value"), by, str(found.get("at")))


async def call(
    work: Work, tool: str, given: dict[str, Any] | None, *, who: Sequence[str], seconds: float, key: str | None
) -> Any:
    """Call a tool that a client offers, and wait for its output; see `AgentRun.call`."""
    work.step()
    id_ = work.name("call", key)
    part = _find(work, id_) or work.answer.add(work.answer.calls.get(id_) or _new_call(id_, tool, given, who))
    if part is None:
        raise ToolFailed(f"Nobody can answer {tool!r}: the message that it is called in was deleted.")

    def answer() -> tuple[str, Any, Any] | None:
        state = part.state
        return None if state in ("input-available", None) else (state, part.get("output"), part.get("errorText"))

    try:
        async with asyncio.timeout(seconds):
            state, output, error = await work.until_settled(answer, "messages")
    except TimeoutError:
        raise ToolFailed(f"No client answered {tool!r} in {seconds:g} s; is a page that offers it open?") from None
    finally:
        if part.state == "input-available" and work.is_ours:  # a call without an end would spoil the conversation
            work.answer.update(part, state="output-error", errorText="No client answered.")
    if state == "output-error":
        raise ToolFailed(f"{tool!r} failed: {error}")
    return output


def _find(work: Work, id_: str) -> Part | None:
    """The call that stands in the answer already, where that isn't to be written anew."""
    parts = work.answer.standing
    return next((part for part in parts if part.get("toolCallId") == id_), None)


def _new_call(id_: str, tool: str, given: dict[str, Any] | None, who: Sequence[str]) -> dict[str, Any]:
    return {
        "type": f"tool-{tool}",
        "toolCallId": id_,
        "state": "input-available",
        "input": given or {},
        "callProviderMetadata": {"cosession": {"client": True, "who": list(who)}},
    }
