"""A text that grows token by token: a text or reasoning part, or the input of a tool call that a model writes.

Tokens wait in a buffer; an emoji that a model split in two is joined again.
"""

from typing import Literal

from cosession.document import Part, checked_text

Kind = Literal["text", "reasoning", "input"]


class GrowingText:
    """One growing text of an answer.

    Attributes:
        kind: a text, reasoning, or the input of a tool call.
        part: the part that it grows, or None before its first content.
        said: the written text, in pieces; kept for texts only.
        is_done: whether the part is marked complete; it is marked as streaming again when it grows.
        buffer: the tokens that aren't written yet.
        half: the first half of an emoji at the end of the last token, or an empty string.
    """

    __slots__ = ("buffer", "half", "is_done", "kind", "part", "said")

    def __init__(self, kind: Kind, part: Part | None = None) -> None:
        """Prepare.

        Args:
            kind: the kind of text.
            part: the part, where it exists.
        """
        self.kind: Kind = kind
        self.part = part
        self.said: list[str] = []
        self.is_done = False
        self.buffer: list[str] = []
        self.half = ""

    def end_half(self) -> bool:
        """Replace half an emoji at the end, which won't be completed, by U+FFFD; return whether there was one."""
        had_half = bool(self.half)
        if had_half:
            self.half = ""
            self.buffer.append("\ufffd")
        return had_half

    def take(self) -> str:
        """Remove and return the buffered text."""
        text = "".join(self.buffer)
        self.buffer.clear()
        return text

    def joined(self, token: str) -> str:
        """Return a token with the half emoji that ended the token before it, and without a half at its own end.

        Raises:
            InvalidValue: the token isn't text.
        """
        joined, self.half = self.half + token, ""
        if "\ud800" <= joined[-1] <= "\udbff":
            joined, self.half = joined[:-1], joined[-1]
        return checked_text(joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass"))
