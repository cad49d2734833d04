"""Shared text, addressed as Python strings are.

Yjs counts UTF-16 units, yrs counts UTF-8 bytes, Python counts code points. Only this module turns code points into
byte offsets, so an offset never falls inside a character: that would make an update that breaks every other client.
"""

import unicodedata
from typing import TypeAlias

from pycrdt import Assoc, StickyIndex, Text

from cosession.errors import BadDocument

from .positions import DocumentStrings, decode_position, encode_position
from .values import checked_text, document_of, transaction

Position: TypeAlias = bytes
"""An encoded relative position: it stays with the character that it was made at."""


class SharedText:
    """A text that several clients edit concurrently. All indices are code points, as in `str`.

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
        """Append text, in a time that doesn't depend on the length of the text."""
        if checked_text(text):
            self.shared.insert(len(self.shared), text)

    def insert(self, index: int, text: str) -> None:
        """Insert before the character at an index.

        Args:
            index: 0 to the length.
            text: the text to insert.

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
        """Replace the characters from `start` up to, not including, `stop`, in one transaction.

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
        """Set the text to another by changing only the difference, so that concurrent edits merge."""
        checked_text(text)
        with transaction(self.shared):
            start, stop, middle = difference(str(self), text)
            self.replace(start, stop, middle)

    def position(self, index: int) -> Position:
        """Return a position that stays behind the character before it when others write; a Yjs relative position.

        In a text that isn't ASCII this reads the whole document once.

        Args:
            index: 0 to the length.

        Raises:
            BadDocument: the index is outside of the text.
        """
        content = str(self)
        if not 0 <= index <= len(content):
            raise BadDocument(f"The index {index} is outside of a text of {len(content)} characters.")
        offset = self._byte_offset(content, index)
        if index and not content.isascii():
            for struct, text in DocumentStrings(document_of(self.shared).get_update()).strings_in(self._head()):
                start, encoded = self._start_of((struct.client, struct.clock)), text.encode()
                if start < offset <= start + len(encoded):
                    behind = len(encoded[: offset - start].decode().encode("utf-16-le")) // 2
                    return encode_position((struct.client, struct.clock + behind - 1), -1)
        return self.shared.sticky_index(offset, Assoc.BEFORE).encode()

    def index_of(self, position: Position) -> int:
        """Return the present index of a position, also of one that Yjs made. This reads the whole document once.

        Raises:
            BadDocument: the bytes are no position, or one in another text, or beside a missing character.
        """
        at, head, assoc = decode_position(position)
        if at is None:
            if head != self._head():
                raise BadDocument("The position is in another text.")
            return 0 if assoc < 0 else len(self)
        strings = DocumentStrings(document_of(self.shared).get_update())
        struct = strings.find(at)
        if struct is None or strings.head_of(struct) != self._head():
            raise BadDocument("The position is beside a character that this text doesn't have, or not yet.")
        start = self._index_at(self._start_of((struct.client, struct.clock)))
        text = strings.text_of(struct)
        if text is None:
            return start
        units = at[1] - struct.clock + (1 if assoc < 0 else 0)
        return start + len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore"))

    def _head(self) -> bytes:
        """Return the prefix of a relative position at the start or end of this text."""
        return self.shared.sticky_index(0, Assoc.BEFORE).encode()[:-1]

    def _start_of(self, struct: tuple[int, int]) -> int:
        """Return the offset in bytes of a struct's first character: the only one that pycrdt computes exactly."""
        return StickyIndex.decode(encode_position(struct, 0), self.shared).get_index()

    def _index_at(self, offset: int) -> int:
        """Return the code point at an offset in bytes; an embedded object counts as one byte and no code point."""
        walked = index = 0
        for chunk, _ in self.shared.diff():
            encoded = chunk.encode() if isinstance(chunk, str) else b"\0"
            if isinstance(chunk, str):
                index += len(encoded[: max(offset - walked, 0)].decode(errors="ignore"))
            walked += len(encoded)
        return index

    def _byte_offset(self, content: str, index: int) -> int:
        if content.isascii() and len(content) == len(self.shared):
            return index
        offset = len(content[:index].encode())
        if len(content.encode()) == len(self.shared):
            return offset
        # An embedded object, which an editor may put into a text, counts as one byte and is in no string.
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
    """Return the smallest single replacement that turns one text into another and splits no visible character.

    Returns:
        (start, stop, text): `text` replaces `old[start:stop]`.
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
    """Return whether an index is a boundary between two visible characters."""
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
