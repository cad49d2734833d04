"""A session's policy: its agents, and how a prompt is handled that arrives while one works."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cosession.errors import BadDocument

from .values import JsonObject, checked_id

DOUBLE_TEXTING = ("queue", "steer", "interrupt", "parallel", "reject")
"""How a prompt for a working agent is handled: it waits, is passed to the active run, ends that run, is answered in
parallel, or is never answered."""


MOST_AGENTS = 32
"""The number of agents that a session or a prompt may name: the server handles a prompt once for each."""


def agents_of(written: object) -> tuple[str, ...]:
    """Return the agents that a document names somewhere, each once; entries that don't fit are ignored."""
    listed = cast("list[object]", written) if isinstance(written, list) else []
    return tuple(dict.fromkeys(agent for agent in listed[:MOST_AGENTS] if isinstance(agent, str) and agent))


def checked_agents(agents: Sequence[object]) -> list[str]:
    """Return ids of agents, once they are checked.

    Raises:
        BadDocument: one of them is no id, or they are too many.
    """
    if isinstance(agents, str):
        raise BadDocument(f"The agents that are asked are a list of ids, not the text {agents!r}.")
    if len(agents) > MOST_AGENTS:
        raise BadDocument(f"{len(agents)} agents are named, and {MOST_AGENTS} may be; name fewer.")
    return [checked_id(agent, "An agent's id") for agent in agents]


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of a session.

    Attributes:
        agents: the agents of the session, also while none of their processes is connected. The first one answers
            prompts that name no agent; if there is none, any connected agent does.
        double_texting: one of `DOUBLE_TEXTING`.
    """

    agents: tuple[str, ...] = ()
    double_texting: str = "queue"

    def to_json(self) -> JsonObject:
        """Return the policy as the document holds it."""
        return {"agents": list(self.agents), "double_texting": self.double_texting}


def read_policy(written: Mapping[str, Any]) -> Policy:
    """Return the policy that a document holds; values that don't fit are ignored."""
    agents, double_texting = written.get("agents"), written.get("double_texting")
    return Policy(agents_of(agents), double_texting if double_texting in DOUBLE_TEXTING else "queue")


def checked_policy(written: Mapping[str, Any]) -> Policy:
    """Return a policy that was asked for, once it is checked.

    Raises:
        BadDocument: it has a field or a value that no policy has.
    """
    if surplus := sorted(written.keys() - {"agents", "double_texting"}):
        raise BadDocument(f"A policy has 'agents' and 'double_texting', not {', '.join(surplus)}.")
    agents, double_texting = written.get("agents", []), written.get("double_texting", "queue")
    if not isinstance(agents, list | tuple):
        raise BadDocument("The 'agents' of a policy are a list of participants' ids.")
    if double_texting not in DOUBLE_TEXTING:
        raise BadDocument(f"'double_texting' is one of {', '.join(DOUBLE_TEXTING)}, not {double_texting!r}.")
    ids = checked_agents(cast("list[object]", agents))
    return Policy(tuple(dict.fromkeys(ids)), double_texting)
