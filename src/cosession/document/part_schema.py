"""The fields of each type of part: the one table of part types and states, which are AI SDK 7's.

A part written through this package fits the table. A part of a foreign client may not; it is read as it is.
"""

from collections.abc import Mapping
from typing import Any, cast

from cosession.errors import BadDocument

from .values import JsonObject, checked_object

PART_DEPTH = 3
"""The nesting depth of a part: in the messages, a message, its parts."""

TEXT_STATES = ("streaming", "done")

TOOL_STATES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "input-streaming": (frozenset(), frozenset({"output", "preliminary", "errorText", "approval"})),
    "input-available": (
        frozenset({"input"}),
        frozenset({"rawInput", "output", "preliminary", "errorText", "approval"}),
    ),
    "approval-requested": (
        frozenset({"input", "approval"}),
        frozenset({"rawInput", "output", "preliminary", "errorText"}),
    ),
    "approval-responded": (
        frozenset({"input", "approval"}),
        frozenset({"rawInput", "output", "preliminary", "errorText"}),
    ),
    "output-available": (frozenset({"input", "output"}), frozenset({"rawInput", "errorText"})),
    "output-error": (frozenset({"errorText"}), frozenset({"rawInput", "output", "preliminary"})),
    "output-denied": (
        frozenset({"input", "approval"}),
        frozenset({"rawInput", "output", "preliminary", "errorText"}),
    ),
}
"""Per state of a tool call: the keys that it needs, and those that it can't have (an update drops them)."""

ENDED_CALLS = frozenset({"output-available", "output-error", "output-denied"})
"""The final states of a tool call."""

_APPROVED: Mapping[str, tuple[Any, ...]] = {
    "input-streaming": (),
    "approval-requested": (None,),
    "approval-responded": (True, False),
    "output-available": (True,),
    "output-error": (True,),
    "output-denied": (False,),
}
"""Per state of a tool call: the values of `approval.approved` (None: missing)."""

_STRINGS: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "reasoning": ("text",),
    "custom": ("kind",),
    "source-url": ("sourceId", "url"),
    "source-document": ("sourceId", "mediaType", "title"),
    "file": ("mediaType", "url"),
    "reasoning-file": ("mediaType", "url"),
    "steering-message": ("id",),
    "step-start": (),
    "dynamic-tool": ("toolCallId", "toolName"),
}
"""Per type of part: the strings that it needs."""


def is_tool(kind: str) -> bool:
    """Return whether parts of this type are tool calls."""
    return kind == "dynamic-tool" or (kind.startswith("tool-") and kind != "tool-")


def is_growing_text(kind: str) -> bool:
    """Return whether parts of this type hold a Text that grows in place."""
    return kind in ("text", "reasoning")


def checked_part(part: Mapping[str, Any]) -> JsonObject:
    """Return a copy of a part that fits the table.

    Args:
        part: an AI SDK 7 UI message part; a text part may leave out `text` (it is empty then).

    Raises:
        BadDocument: it doesn't fit.
    """
    result = checked_object(part, "A part", depth=PART_DEPTH)
    kind = result.get("type")
    if not isinstance(kind, str):
        raise BadDocument("A part needs a 'type', such as 'text'.")
    if is_growing_text(kind):
        result.setdefault("text", "")
        if result.setdefault("state", "done") not in TEXT_STATES:
            raise BadDocument(
                f"The state of a {kind} part is one of {', '.join(TEXT_STATES)}, not {result['state']!r}."
            )
    _require_strings(result, kind)
    if is_tool(kind):
        _check_tool(result, kind)
    elif kind.startswith("data-") and "data" not in result:
        raise BadDocument(f"A {kind} part needs 'data'.")
    elif kind == "steering-message" and not isinstance(result.get("parts"), list):
        raise BadDocument("A steering-message part needs 'parts', a list of text and file parts.")
    return result


def _require_strings(part: JsonObject, kind: str) -> None:
    if kind in _STRINGS:
        needed = _STRINGS[kind]
    elif is_tool(kind):
        needed = ("toolCallId",)
    elif kind.startswith("data-") and kind != "data-":
        needed = ()
    else:
        raise BadDocument(f"{kind!r} is no type of part; use {', '.join(_STRINGS)}, 'tool-NAME' or 'data-NAME'.")
    for key in needed:
        if not isinstance(part.get(key), str):
            raise BadDocument(f"A {kind} part needs {key!r}, a string.")


def _check_tool(part: JsonObject, kind: str) -> None:
    state = part.get("state")
    if not isinstance(state, str) or state not in TOOL_STATES:
        raise BadDocument(f"The state of a {kind} part is one of {', '.join(TOOL_STATES)}, not {state!r}.")
    needed, forbidden = TOOL_STATES[state]
    if missing := sorted(needed - part.keys()):
        raise BadDocument(f"A {kind} part in the state {state!r} needs {', '.join(missing)}.")
    if surplus := sorted(forbidden & part.keys()):
        raise BadDocument(f"A {kind} part in the state {state!r} can't have {', '.join(surplus)}.")
    if not isinstance(part.get("rawInput", ""), str) or not isinstance(part.get("errorText", ""), str):
        raise BadDocument(f"'rawInput' and 'errorText' of a {kind} part are strings.")
    approval = part.get("approval")
    if "approval" in part:
        allowed = _APPROVED[state]
        fields = cast(JsonObject, approval) if isinstance(approval, dict) else {}
        if not isinstance(fields.get("id"), str):
            raise BadDocument(f"'approval' of a {kind} part is an object with an 'id'.")
        if fields.get("approved") not in allowed:
            raise BadDocument(f"'approval.approved' of a {kind} part in the state {state!r} must be {allowed[0]}.")
