"""The conversation for a model: copies of the messages that an answer follows."""

from collections.abc import Callable
from typing import Any, cast

from pycrdt import Doc, Map

from .message import Message
from .messages import Messages
from .policy import agents_of
from .values import JsonObject, to_shared


def conversation(
    messages: Messages, *, until: str | None = None, name_of: Callable[[str | None], str | None] | None = None
) -> list[Message]:
    """Return the messages that a model is told, oldest first, as copies that no later edit changes.

    Messages that are deleted, empty, refused or still streaming are left out. The last one, if it is `until`, has the
    role `user`: a task that another agent gives is a prompt as well.

    Args:
        messages: the messages of a session.
        until: the id of the last message, such as the prompt; None is all, as is an id that the session doesn't have.
        name_of: returns the name to show before the text of an author's messages, or None for none; called with the
            author's id. None: no names.
    """
    told: list[JsonObject] = []
    for message in messages.to_json():
        is_last = until is not None and message["id"] == until
        if is_last:
            told.append({**message, "role": "user"})
            break
        if _is_told(message):
            told.append(message)
    return [_copy(message if name_of is None else _named(message, name_of)) for message in told]


def _is_told(message: JsonObject) -> bool:
    about: JsonObject = message["metadata"]
    stamp = message.get("stamp")
    is_refused = isinstance(stamp, dict) and isinstance(cast(JsonObject, stamp).get("refused"), dict)
    is_over = about.get("status") != "streaming" and about.get("deleted") in (None, False)
    is_delegation = message["role"] == "assistant" and agents_of(about.get("to"))
    return is_over and not is_refused and not is_delegation and any(map(_says, message["parts"]))


def _says(part: JsonObject) -> bool:
    return part.get("type") != "step-start" and (part.get("type") != "text" or bool(part.get("text")))


def _named(message: JsonObject, name_of: Callable[[str | None], str | None]) -> JsonObject:
    """Return a message with the author's name before its first text."""
    name = name_of(_author(message))
    if name is None:
        return message
    parts: list[JsonObject] = list(message["parts"])
    place = next((place for place, part in enumerate(parts) if isinstance(part.get("text"), str)), None)
    if place is None or parts[place].get("type") != "text":
        parts.insert(0, {"type": "text", "text": f"{name}:", "state": "done"})
    else:
        parts[place] = {**parts[place], "text": f"{name}: {parts[place]['text']}"}
    return {**message, "parts": parts}


def _author(message: JsonObject) -> str | None:
    stamp = message.get("stamp")
    by: Any = (cast(JsonObject, stamp).get("by") if isinstance(stamp, dict) else None) or message["metadata"].get(
        "author"
    )
    return by if isinstance(by, str) else None


def _copy(message: JsonObject) -> Message:
    """Return a message that is in no session."""
    shared: Map[Any] = Doc[Any]().get("message", type=Map)
    for key, value in message.items():
        shared[key] = to_shared(value)
    return Message(shared)
