"""Offers: the tools that clients, such as browsers, let agents call, as listed in presence. Read-only.

Presence may hold anything that a client wrote: an entry that isn't a valid offer is skipped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from .people import identities


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool that a client of a participant offers.

    Attributes:
        name: the name to give to `AgentRun.call`.
        description: a description of the tool, for a model.
        schema: the JSON Schema of its input; None where the client gives none.
        participant: the participant whose client offers it.
    """

    name: str
    description: str
    schema: dict[str, Any] | None
    participant: str


def offered(states: Iterable[dict[str, Any]]) -> list[OfferedTool]:
    """Return the tools that presence states offer; a tool that two clients offer is returned twice.

    Args:
        states: awareness states of the others; they may be anything.
    """
    return [
        OfferedTool(tool["name"], _text(tool.get("description")), _object(tool.get("schema")), who.id)
        for state in states
        for who in identities([state])
        for tool in _objects(state.get("tools"))
        if isinstance(tool.get("name"), str)
    ]


def _objects(value: object) -> list[dict[str, Any]]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in listed if isinstance(item, dict)]


def _object(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
