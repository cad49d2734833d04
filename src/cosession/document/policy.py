"""A session's policy: which agents belong to it, and what becomes of a prompt that arrives while one works."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cosession.errors import BadDocument

from .values import JsonObject, checked_id

DOUBLE_TEXTING = ("queue", "steer", "interrupt", "parallel", "reject")
"""What may become of a prompt for an agent that works: it waits, is told to the running run, ends that run, is
answered beside it, or is never answered."""


MOST_AGENTS = 32
"""How many agents a session or a prompt names at most: for each the server decides what becomes of a prompt."""


def agents_of(written: object) -> tuple[str, ...]:
    """The agents that a document names somewhere, each once; what doesn't fit is as though it weren't there."""
    listed = cast("list[object]", written) if isinstance(written, list) else []
    return tuple(dict.fromkeys(agent for agent in listed[:MOST_AGENTS] if isinstance(agent, str) and agent))


def checked_agents(agents: Sequence[object]) -> list[str]:
    """The agents that somebody names.

    Raises:
        BadDocument: one of them is none, or they are too many.
    """
    if isinstance(agents, str):
        raise BadDocument(f"The agents that are asked are a list of ids, not the text {agents!r}.")
    if len(agents) > MOST_AGENTS:
        raise BadDocument(f"{len(agents)} agents are named, and {MOST_AGENTS} may be; name fewer.")
    return [checked_id(agent, "An agent's id") for agent in agents]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a session's rules are.

    Attributes:
        agents: the agents that belong here, also while none of their processes is connected. The first one answers
            prompts that name nobody; without any, whichever agent is there does.
        double_texting: one of `DOUBLE_TEXTING`.
    """

    agents: tuple[str, ...] = ()
    double_texting: str = "queue"

    def to_json(self) -> JsonObject:
        """The policy as the document holds it."""
        return {"agents": list(self.agents), "double_texting": self.double_texting}


def read_policy(written: Mapping[str, Any]) -> Policy:
    """The policy that a document holds; what doesn't fit is as though it weren't there."""
    agents, double_texting = written.get("agents"), written.get("double_texting")
    return Policy(agents_of(agents), double_texting if double_texting in DOUBLE_TEXTING else "queue")


def checked_policy(written: Mapping[str, Any]) -> Policy:
    """The policy that somebody wants.

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
