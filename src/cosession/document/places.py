"""Places in a text, in Yjs's terms: the id of each character. Read from the document's own update.

pycrdt's sticky indexes mix byte offsets with UTF-16 clocks: beside a character that isn't ASCII they name another
character, or panic. So the ids are read from an update, which holds every struct with its client, its first clock and
its text; a clock counts UTF-16 units. pycrdt is asked only for the place of the first character of a struct, which is
exact. Format: the update encoding (version 1) and the relative positions of `yjs`.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from cosession.errors import BadDocument

Id = tuple[int, int]


@dataclass(slots=True)
class Struct:
    """A run of clocks of one client.

    Attributes:
        id: its client and first clock.
        length: the number of its clocks.
        string: its text, if it holds one.
        beside: a struct in the same parent, if its own parent isn't written.
        parent: the encoded head of a relative position in its parent, if it is written.
        deleted: whether it is deleted.
    """

    id: Id
    length: int
    string: str | None = None
    beside: Id | None = None
    parent: bytes | None = None
    deleted: bool = False


@dataclass(slots=True)
class Places:
    """Every struct of a document, by client and clock."""

    clients: dict[int, list[Struct]] = field(default_factory=dict[int, list[Struct]])

    def find(self, id: Id) -> Struct | None:  # noqa: A002 - Yjs's word
        """Return the struct that an id is in, or None."""
        structs = self.clients.get(id[0], [])
        place = bisect_right(structs, id[1], key=lambda struct: struct.id[1]) - 1
        return structs[place] if place >= 0 and id[1] < structs[place].id[1] + structs[place].length else None

    def parent_of(self, struct: Struct) -> bytes | None:
        """Return the encoded head of a relative position in a struct's parent; neighbours on the way store it."""
        way: list[Struct] = []
        at: Struct | None = struct
        while at is not None and at.parent is None and at.beside is not None:
            way.append(at)
            at = self.find(at.beside)
        parent = None if at is None else at.parent
        for passed in way:
            passed.parent = parent
        return parent

    def strings_in(self, parent: bytes) -> list[Struct]:
        """Return the texts in a parent that are not deleted, in no order."""
        return [
            struct
            for structs in self.clients.values()
            for struct in structs
            if struct.string is not None and not struct.deleted and self.parent_of(struct) == parent
        ]


def read_places(update: bytes) -> Places:
    """Read the structs of a whole document's update."""
    reader = _Reader(update)
    places = Places()
    for _ in range(reader.uint()):
        count, client, clock = reader.uint(), reader.uint(), reader.uint()
        structs = places.clients.setdefault(client, [])
        for _ in range(count):
            struct = reader.struct((client, clock))
            structs.append(struct)
            clock += struct.length
    for _ in range(reader.uint()):
        client = reader.uint()
        for _ in range(reader.uint()):
            start, length = reader.uint(), reader.uint()
            _mark_deleted(places.clients.get(client, []), start, start + length)
    return places


def _mark_deleted(structs: list[Struct], start: int, stop: int) -> None:
    place = max(bisect_right(structs, start, key=lambda struct: struct.id[1]) - 1, 0)
    while place < len(structs) and structs[place].id[1] < stop:
        structs[place].deleted = structs[place].deleted or structs[place].id[1] >= start
        place += 1


def encode_position(id: Id, assoc: int) -> bytes:  # noqa: A002 - Yjs's word
    """Encode a relative position at a character: before it (assoc 0) or behind it (-1)."""
    return b"\x00" + _uint(id[0]) + _uint(id[1]) + (b"\x41" if assoc < 0 else b"\x00")


def decode_position(position: bytes) -> tuple[Id | None, bytes, int]:
    """Decode a relative position.

    Returns:
        (id, head, assoc): the character it is at, or None when it is at an end of the text that `head` names.

    Raises:
        BadDocument: the bytes are no relative position.
    """
    try:
        reader = _Reader(position)
        tag, found = reader.uint(), None
        if tag == 0:
            found = reader.id()
        elif tag == 1:
            reader.skip(reader.uint())
        elif tag == 2:
            reader.id()
        head, sign = position[: reader.at], reader.byte() if reader.at < len(position) else 0
    except IndexError:
        tag, found, head, sign = 3, None, b"", 0
    if tag > 2:
        raise BadDocument("The bytes are no position; take one from position() or from Yjs's encodeRelativePosition.")
    return found, head, -1 if sign & 0x40 else 0


def _uint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(0x80 | number & 0x7F)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


class _Reader:
    """Reads lib0's encoding, from a valid document: pycrdt wrote it. A premature end is an IndexError."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def uint(self) -> int:
        number = shift = 0
        while (byte := self.byte()) > 0x7F:
            number |= (byte & 0x7F) << shift
            shift += 7
        return number | byte << shift

    def id(self) -> Id:
        return self.uint(), self.uint()

    def skip(self, length: int) -> bytes:
        start = self.at
        self.at += length
        if self.at > len(self.data):
            raise IndexError
        return self.data[start : self.at]

    def struct(self, id: Id) -> Struct:  # noqa: A002 - Yjs's word
        info = self.byte()
        kind = info & 0x1F
        if kind in (0, 10):  # collected, or skipped
            return Struct(id, self.uint(), deleted=True)
        left = self.id() if info & 0x80 else None
        right = self.id() if info & 0x40 else None
        parent = None
        if left is None and right is None:
            start = self.at
            if self.uint() == 1:
                self.skip(self.uint())
                parent = b"\x01" + self.data[start + 1 : self.at]
            else:
                start = self.at
                self.id()
                parent = b"\x02" + self.data[start : self.at]
            if info & 0x20:
                self.skip(self.uint())
        if kind == 4:
            string = self.skip(self.uint()).decode()
            return Struct(id, _units(string), string, left or right, parent)
        return Struct(id, self._content(kind), None, left or right, parent, deleted=kind == 1)

    def _content(self, kind: int) -> int:
        """Skip content that isn't text, and return the number of its clocks."""
        match kind:
            case 1:
                return self.uint()
            case 2 | 8:
                count = self.uint()
                for _ in range(count):
                    self.skip(self.uint()) if kind == 2 else self._value()
                return count
            case 3 | 5:
                self.skip(self.uint())
            case 6:
                self.skip(self.uint())
                self.skip(self.uint())
            case 7:
                if self.uint() in (3, 5):
                    self.skip(self.uint())
            case _:
                self.skip(self.uint())
                self._value()
        return 1

    def _value(self) -> None:
        match self.byte():
            case 125:
                if self.byte() & 0x80:
                    self.uint()
            case 124:
                self.skip(4)
            case 123 | 122:
                self.skip(8)
            case 119 | 116:
                self.skip(self.uint())
            case 118:
                for _ in range(self.uint()):
                    self.skip(self.uint())
                    self._value()
            case 117:
                for _ in range(self.uint()):
                    self._value()
            case _:
                pass


def _units(string: str) -> int:
    return len(string) if string.isascii() else len(string.encode("utf-16-le")) // 2
