"""Updates that no Yjs client would make, struct by struct."""

from dataclasses import dataclass

from cosession.protocol.lib0 import buffer, uint
from cosession.protocol.update_format import ANY, DELETED, EMBED, FORMAT, GC, STRING, SUBDOCUMENT, TYPE

Id = tuple[int, int]


@dataclass(frozen=True)
class Item:
    """One struct: what it holds, and where it says that it is."""

    kind: int
    content: bytes
    left: Id | None = None
    right: Id | None = None
    parent: str | Id | None = None
    key: str | None = None

    def encode(self) -> bytes:
        info = self.kind | (0x80 if self.left else 0) | (0x40 if self.right else 0) | (0x20 if self.key else 0)
        out = bytes([info])
        for beside in (self.left, self.right):
            if beside is not None:
                out += uint(beside[0]) + uint(beside[1])
        if self.left is None and self.right is None and self.kind != GC:
            if isinstance(self.parent, str):
                out += b"\x01" + buffer(self.parent.encode())
            else:
                assert self.parent is not None
                out += b"\x00" + uint(self.parent[0]) + uint(self.parent[1])
            if self.key is not None:
                out += buffer(self.key.encode())
        return out + self.content


def string(text: str, **where: object) -> Item:
    """A piece of text."""
    return Item(STRING, buffer(text.encode()), **where)


def value(text: str, **where: object) -> Item:
    """A string as a value."""
    return Item(ANY, b"\x01\x77" + buffer(text.encode()), **where)


def shared(kind: int, **where: object) -> Item:
    """A shared type: 0 array, 1 map, 2 text."""
    return Item(TYPE, uint(kind), **where)


def nothing(length: int = 1, **where: object) -> Item:
    """Something that is deleted already."""
    return Item(DELETED, uint(length), **where)


def bold(**where: object) -> Item:
    """A mark that makes text bold."""
    return Item(FORMAT, buffer(b"bold") + buffer(b"true"), **where)


def embed(**where: object) -> Item:
    """An embedded object."""
    return Item(EMBED, buffer(b"{}"), **where)


def subdocument(**where: object) -> Item:
    """A document in the document."""
    return Item(SUBDOCUMENT, buffer(b"inner") + b"\x76\x00", **where)


def forge(client: int, clock: int, *items: Item, deletes: tuple[tuple[int, int, int], ...] = ()) -> bytes:
    """An update of one client.

    Args:
        client: whose structs they are.
        clock: of the first one.
        items: the structs.
        deletes: (client, clock, length) of what it deletes.
    """
    out = uint(1) + uint(len(items)) + uint(client) + uint(clock) if items else uint(0)
    out += b"".join(item.encode() for item in items)
    out += uint(len({one for one, _, _ in deletes}))
    for one in sorted({one for one, _, _ in deletes}):
        ranges = [(at, length) for client, at, length in deletes if client == one]
        out += uint(one) + uint(len(ranges)) + b"".join(uint(at) + uint(length) for at, length in ranges)
    return out
