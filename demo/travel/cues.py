"""What both parts of the script go by: what the model was told, and the words that it knows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Messages: TypeAlias = Sequence[Mapping[str, Any]]

Line: TypeAlias = str | tuple[str, dict[str, Any]]
"""Words to say, or a tool to call."""

SIGNATURE = "*No language model is connected: I am a script that reads cities, numbers and a few words.*"

ABOUT = {
    "flights": r"fl(y|ight|ights)\b|plane",
    "hotels": r"hotel|sleep|room",
    "activities": r"activit|\bdo\b|museum|tour",
}
"""Which words are about what."""


def given(messages: Messages, begin: str) -> dict[str, Any]:
    """The JSON of the message that begins so."""
    told = next(str(m["content"]) for m in messages if str(m["content"]).startswith(begin))
    return dict(json.loads(told[len(begin) :]))


def results(messages: Messages) -> dict[str, Any]:
    """What the tools gave since a person last asked something, by the tool's name."""
    names = {call["id"]: call["function"]["name"] for m in messages for call in m.get("tool_calls", ())}
    return {names[m["tool_call_id"]]: json.loads(str(m["content"])) for m in messages if m["role"] == "tool"}
