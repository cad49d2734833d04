"""Reservations: the jobs that workers are given, written into the session before the worker is notified.

A reservation is a claim of the next prompt, or a lost run that is handed over, in the name of a Yjs client that the
server draws for it. The worker is present under that client; if none comes, the job is free again after a grace.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cosession.document import Run
from cosession.document.times import seconds_until

from ..effects import Remind
from . import claims, runs
from .context import DecisionContext
from .prompt_lanes import ANYBODY, OpenPrompt, PromptLane


@dataclass(frozen=True, slots=True)
class Job:
    """A job for a worker.

    Attributes:
        session: the name of the session; empty within the room, which doesn't know it.
        message: the prompt.
        run: the lost run that it continues; None if it begins one.
        client: the Yjs client id that the worker writes with.
        epoch: the epoch of the claim, or of the run.
    """

    session: str
    message: str
    run: str | None
    client: int
    epoch: int


def reserve(case: DecisionContext, agent: str, client: int) -> Job | None:
    """Reserve the next job of an agent, for a client of its own."""
    case.memory.prompts.read(case)
    lane = case.memory.prompts.lanes.get(agent)
    if lane is None:
        return None
    for id_, run in _lost(case, agent, lane):
        if runs.hand_over(case, id_, run, client):
            return Job("", lane.runs[id_], id_, client, run.epoch)
    for prompt in _waiting(case, lane):
        prompt.offers -= 1
        prompt.was_taken = True
        claims.grant(case, prompt.key, by=agent, client=client, seconds=case.settings.begin_seconds)
        return Job("", prompt.id, None, client, case.epoch)
    return None


def demand(case: DecisionContext) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return the agents with unfinished work, and those with work that can be taken now.

    Before the messages are read this isn't known, and the last result is returned.
    """
    prompts = case.memory.prompts
    if not prompts.is_read:
        return case.memory.told
    lanes = {name: lane for name, lane in prompts.lanes.items() if name != ANYBODY}
    unfinished = {name for name, lane in lanes.items() if lane.runs or any(one.offers for one in lane.open.values())}
    takeable = {name for name in unfinished if _is_takeable(case, name, lanes[name])}
    return frozenset(unfinished), frozenset(takeable)


def _is_takeable(case: DecisionContext, agent: str, lane: PromptLane) -> bool:
    return any(True for _ in _lost(case, agent, lane)) or any(True for _ in _waiting(case, lane))


def _lost(case: DecisionContext, agent: str, lane: PromptLane) -> Iterator[tuple[str, Run]]:
    """Yield the lost runs that may be continued now: from the second attempt on, only after a pause."""
    for id_ in list(lane.runs):
        run, seen = case.document.runs.get(id_), case.memory.ledger.get(id_)
        if run is None or seen is None or seen.status != "lost" or run.cancel is not None:
            continue
        pause = case.settings.lease_grace_seconds * (2 ** (seen.epoch - 1) - 1)
        left = pause - seconds_until(run.ended_at or case.at, case.at)
        if left > 0:
            case.effects.append(Remind(f"retry/{id_}", left))
        elif run.agent == agent and case.memory.prompts.has_turn(case, agent, is_persons=True):
            yield id_, run


def _waiting(case: DecisionContext, lane: PromptLane) -> Iterator[OpenPrompt]:
    """Return the prompts that may be taken now, in order of arrival."""
    prompts = sorted(lane.open.values(), key=lambda prompt: prompt.seq) if len(lane.open) > 1 else lane.open.values()
    return (prompt for prompt in list(prompts) if prompt.offers and case.memory.prompts.may_begin(case, prompt))
