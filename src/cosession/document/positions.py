"""Relative positions in a text, as Yjs encodes them, and the strings of a document by the ids of their characters.

pycrdt's sticky indexes mix byte offsets with UTF-16 clocks: beside a character that isn't ASCII they name another
character, or panic. So the ids are read from the document's own update, where a clock counts UTF-16 units; pycrdt is
asked only for the place of the first character of a struct, which is exact.
"""

from bisect import bisect_right

from cosession.errors import BadDocument, MalformedFrame
from cosession.protocol import lib0, read_update_header
from cosession.protocol.structs import Id, Struct, read_structs
from cosession.protocol.update_format import DELETED, GC, STRING

_ROOT, _TYPE = b"\x01", b"\x02"
"""The first byte of the head of a position in a root, and in another shared type."""


class DocumentStrings:
    """The strings of a document, with the id of each character.

    Args:
        update: the whole document as an update.
    """

    def __init__(self, update: bytes) -> None:
        self._update = update
        self._clients: dict[int, list[Struct]] = {}
        self._parents: dict[Id, str | Id | None] = {}
        for struct in read_structs(update):
            self._clients.setdefault(struct.client, []).append(struct)
        self._deleted: dict[int, list[tuple[int, int]]] = {}
        for span in read_update_header(update).deletes:
            self._deleted.setdefault(span.client, []).append((span.clock, span.end))
        for spans in self._deleted.values():
            spans.sort()

    def find(self, id: Id) -> Struct | None:  # noqa: A002 - Yjs's word
        """Return the struct that an id is in, or None."""
        structs = self._clients.get(id[0], [])
        place = bisect_right(structs, id[1], key=lambda struct: struct.clock) - 1
        return structs[place] if place >= 0 and id[1] < structs[place].clock + structs[place].length else None

    def text_of(self, struct: Struct) -> str | None:
        """Return the text of a struct; None if it holds none, or is deleted."""
        if struct.kind != STRING or self._is_deleted(struct):
            return None
        reader = lib0.Reader(self._update)
        reader.at = struct.content
        return reader.string()

    def head_of(self, struct: Struct) -> bytes | None:
        """Return the head of a position in the shared type that a struct is in; None if that isn't known."""
        parent = self._parent_of(struct)
        match parent:
            case None:
                return None
            case str():
                name = parent.encode()
                return _ROOT + lib0.uint(len(name)) + name
            case (client, clock):
                return _TYPE + lib0.uint(client) + lib0.uint(clock)

    def strings_in(self, head: bytes) -> list[tuple[Struct, str]]:
        """Return the structs with text in one shared type, which are not deleted, in no order."""
        return [
            (struct, text)
            for structs in self._clients.values()
            for struct in structs
            if (text := self.text_of(struct)) is not None and self.head_of(struct) == head
        ]

    def _parent_of(self, struct: Struct) -> str | Id | None:
        """Return the shared type that a struct is in; it is noted for the neighbours on the way."""
        way: list[Id] = []
        at: Struct | None = struct
        parent: str | Id | None = None
        while at is not None:
            id_ = (at.client, at.clock)
            if at.parent is not None or id_ in self._parents:
                parent = at.parent if at.parent is not None else self._parents[id_]
                break
            way.append(id_)
            beside = at.left or at.right
            at = None if beside is None else self.find(beside)
        for passed in way:
            self._parents[passed] = parent
        return parent

    def _is_deleted(self, struct: Struct) -> bool:
        if struct.kind in (GC, DELETED):
            return True
        spans = self._deleted.get(struct.client, [])
        place = bisect_right(spans, struct.clock, key=lambda span: span[0]) - 1
        return place >= 0 and struct.clock < spans[place][1]


def encode_position(id: Id, assoc: int) -> bytes:  # noqa: A002 - Yjs's word
    """Encode a relative position at a character: before it (assoc 0) or behind it (-1)."""
    return b"\x00" + lib0.uint(id[0]) + lib0.uint(id[1]) + (b"\x41" if assoc < 0 else b"\x00")


def decode_position(position: bytes) -> tuple[Id | None, bytes, int]:
    """Decode a relative position.

    Returns:
        (id, head, assoc): the character it is at, or None when it is at an end of the text that `head` names.

    Raises:
        BadDocument: the bytes are no relative position.
    """
    found: Id | None = None
    try:
        reader = lib0.Reader(position)
        tag = reader.uint()
        if tag == 0:
            found = reader.uint(), reader.uint()
        elif tag == 1:
            reader.string()
        elif tag == 2:
            _ = reader.uint(), reader.uint()
        head = position[: reader.at]
        sign = reader.byte() if reader.at < len(position) else 0
    except MalformedFrame:
        tag, head, sign = 3, b"", 0
    if tag > 2:
        raise BadDocument("The bytes are no position; take one from position() or from Yjs's encodeRelativePosition.")
    return found, head, -1 if sign & 0x40 else 0
