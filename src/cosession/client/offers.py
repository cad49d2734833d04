"""Offers: the tools that clients, such as browsers, have for agents to call, as presence tells of them. Reads only.

Presence is whatever its clients wrote: what doesn't read as an offer is passed over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from .people import identities


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool that somebody's client offers.

    Attributes:
        name: what `AgentRun.call` calls.
        description: what it does, for a model.
        schema: the JSON Schema of its input; None where the client gives none.
        participant: whose client offers it.
    """

    name: str
    description: str
    schema: dict[str, Any] | None
    participant: str


def offered(states: Iterable[dict[str, Any]]) -> list[OfferedTool]:
    """Return the tools that presence states offer; one that two clients offer is there twice.

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
