"""How much of a conversation a model is told: what fits into its context, counted in its own tokens."""

from collections.abc import Callable, Sequence
from typing import TypedDict

MESSAGE_TOKENS = 8
"""What a message takes besides its content: its role, and the marks around it."""

LONGEST_TOKEN = 16
"""No text needs fewer tokens than its characters divided by this, but for rare runs of one character."""


class ChatMessage(TypedDict):
    """One message of a conversation, in the form that chat models take.

    Attributes:
        role: `system`, `user` or `assistant`.
        content: its text.
    """

    role: str
    content: str


def recent(messages: Sequence[ChatMessage], tokens: int, count: Callable[[str], int]) -> list[ChatMessage]:
    """Return the instructions, and the last of the other messages that fit; the newest is cut at its beginning.

    Args:
        messages: a conversation; what the role `system` says is always kept.
        tokens: how many there is room for.
        count: returns how many tokens a text takes. In some scripts a character takes more than one.
    """
    instructions = [message for message in messages if message["role"] == "system"]
    left = tokens - sum(count(message["content"]) + MESSAGE_TOKENS for message in instructions)
    kept: list[ChatMessage] = []
    for message in reversed(messages):
        if message["role"] == "system":
            continue
        text = _end(message["content"], left - MESSAGE_TOKENS, count)
        if kept and text != message["content"]:
            break
        kept.append({"role": message["role"], "content": text})
        left -= count(text) + MESSAGE_TOKENS
    return [*instructions, *reversed(kept)]


def _end(text: str, tokens: int, count: Callable[[str], int]) -> str:
    """Return as much of a text's end as fits."""
    if tokens <= 0:
        return ""
    text_end = text[-tokens * LONGEST_TOKEN :]
    if count(text_end) <= tokens:
        return text_end
    fits, low = len(text_end), 1
    while low < fits:
        middle = (low + fits) // 2
        if count(text_end[middle:]) <= tokens:
            fits = middle
        else:
            low = middle + 1
    return text_end[fits:]
