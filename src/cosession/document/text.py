"""Shared text, addressed as Python strings are.

Yjs counts UTF-16 units, yrs counts UTF-8 bytes, Python counts code points. Here, and only here, code points become
byte offsets, so an offset never falls inside a character: that would make an update that breaks every other client.
"""

import unicodedata
from typing import TypeAlias

from pycrdt import Assoc, StickyIndex, Text

from cosession.errors import BadDocument

from .values import checked_text, transaction

Position: TypeAlias = bytes
"""An encoded relative position: it stays with the character it was made at."""


class SharedText:
    """A text that many write at once. All indices are code points, as in `str`.

    Attributes:
        shared: the pycrdt Text behind it.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: Text) -> None:
        self.shared = shared

    def __str__(self) -> str:
        return str(self.shared)

    def __len__(self) -> int:
        return len(str(self))

    def __repr__(self) -> str:
        return f"SharedText({str(self)!r})"

    def append(self, text: str) -> None:
        """Add to the end; costs the same however long the text is."""
        if checked_text(text):
            self.shared.insert(len(self.shared), text)

    def insert(self, index: int, text: str) -> None:
        """Insert before the character at an index.

        Args:
            index: 0 to the length.
            text: what to insert.

        Raises:
            BadDocument: the index is outside of the text.
        """
        self.replace(index, index, text)

    def delete(self, start: int, stop: int) -> None:
        """Delete the characters from `start` up to, not including, `stop`.

        Raises:
            BadDocument: the range is outside of the text.
        """
        self.replace(start, stop, "")

    def replace(self, start: int, stop: int, text: str) -> None:
        """Put a text in the place of the characters from `start` up to `stop`, in one transaction.

        Raises:
            BadDocument: the range is outside of the text.
        """
        checked_text(text)
        with transaction(self.shared):
            content = str(self)
            if not 0 <= start <= stop <= len(content):
                raise BadDocument(f"The range {start} to {stop} is outside of a text of {len(content)} characters.")
            first, last = self._byte_offset(content, start), self._byte_offset(content, stop)
            if last > first:
                del self.shared[first:last]
            if text:
                self.shared.insert(first, text)

    def set(self, text: str) -> None:
        """Make the text equal to another by changing only what differs, so that concurrent edits merge."""
        checked_text(text)
        with transaction(self.shared):
            start, stop, middle = difference(str(self), text)
            self.replace(start, stop, middle)

    def position(self, index: int) -> Position:
        """A position that stays where it is when others write.

        Args:
            index: 0 to the length.

        Raises:
            BadDocument: the index is outside of the text.
        """
        content = str(self)
        if not 0 <= index <= len(content):
            raise BadDocument(f"The index {index} is outside of a text of {len(content)} characters.")
        return self.shared.sticky_index(self._byte_offset(content, index), Assoc.BEFORE).encode()

    def index_of(self, position: Position) -> int:
        """Where a position is now.

        Raises:
            BadDocument: the bytes are not a position in this text.
        """
        offset = StickyIndex.decode(position, self.shared).get_index()
        return len(str(self).encode()[:offset].decode(errors="ignore"))

    def _byte_offset(self, content: str, index: int) -> int:
        if content.isascii() and len(content) == len(self.shared):
            return index
        offset = len(content[:index].encode())
        if len(content.encode()) == len(self.shared):
            return offset
        # An embedded object, which an editor may put into a text, takes one place and is in no string.
        walked = embeds = 0
        for chunk, _ in self.shared.diff():
            if walked >= offset and offset:
                break
            if isinstance(chunk, str):
                walked += len(chunk.encode())
            elif walked <= offset:
                embeds += 1
        return offset + embeds


def difference(old: str, new: str) -> tuple[int, int, str]:
    """The smallest single replacement that makes one text of another and cuts no visible character in two.

    Returns:
        (start, stop, text): put `text` in the place of `old[start:stop]`.
    """
    limit = min(len(old), len(new))
    start = 0
    while start < limit and old[start] == new[start]:
        start += 1
    while start and not (_is_boundary(old, start) and _is_boundary(new, start)):
        start -= 1
    tail = 0
    while tail < limit - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    while tail and not (_is_boundary(old, len(old) - tail) and _is_boundary(new, len(new) - tail)):
        tail -= 1
    return start, len(old) - tail, new[start : len(new) - tail]


def _is_boundary(text: str, index: int) -> bool:
    """Whether what people see as one character doesn't reach over this index."""
    if index in (0, len(text)):
        return True
    before, after = text[index - 1], text[index]
    if before == "\r" and after == "\n":
        return False
    if before == "\u200d" or after in "\u200d\u200c":
        return False
    if unicodedata.category(after).startswith("M") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False
    if "\U000e0020" <= after <= "\U000e007f":
        return False
    return not (_is_flag_half(before) and _is_flag_half(after))


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
