"""Places in a document: shared types, and keys of them. Each knows its row of the table."""

from typing import Final, NamedTuple, TypeAlias

from pycrdt import Array, Text, XmlFragment

from cosession.document.session import RESERVED_PREFIX, ROOTS, TEXT_PREFIX, XML_PREFIX
from cosession.protocol.structs import Id

from .rules import NOWHERE, TABLE, Node

ARRAY, MAP, TEXT, XML_FRAGMENT, XML_TEXT = 0, 1, 2, 4, 6
"""Types, as in `Struct.type`."""

UNKNOWN: Final = -1
"""The type of an application's own root, which its name doesn't tell."""

_ROOT_TYPES: Final[dict[object, int]] = {Array: ARRAY, Text: TEXT, XmlFragment: XML_FRAGMENT}


class Container:
    """A shared type of the document: a root, or one that an item holds.

    Attributes:
        id: of the item that holds it; None for a root.
        type: its type, as in `Struct.type`.
        parent: the shared type that it is in; None for a root.
        root: the root that it is in, or is.
        key: its key there, or a root's name; None in a list.
        node: its place in the table.
        record: the record that it is in, or is.
        depth: the number of shared types that it is in.
        owner: of a record, its owner, as far as known.
        stamp: of a message, the server's stamp.
        taken: of a root, its records by key or id.
    """

    __slots__ = ("depth", "id", "key", "node", "owner", "parent", "record", "root", "stamp", "taken", "type")

    def __init__(self, id: Id | None, type: int, parent: "Container | None", key: str | None, node: Node) -> None:  # noqa: A002
        self.id = id
        self.type = type
        self.parent = parent
        self.root: Container = self if parent is None else parent.root
        self.key = key
        self.node = node
        self.depth = 0 if parent is None else parent.depth + 1
        self.record = self if node.is_record and self.depth == 1 else None if parent is None else parent.record
        self.owner: str | None = None
        self.stamp: dict[str, object] | None = None
        self.taken: dict[str, Container] | None = {} if parent is None else None

    @property
    def path(self) -> tuple[str, ...]:
        """The path to it: the root's name, then keys; `*` stands for an entry of a list."""
        own = ("*" if self.key is None else self.key,)
        return own if self.parent is None else (*self.parent.path, *own)


class MapSlot(NamedTuple):
    """A key of a shared type."""

    container: Container
    key: str


Place: TypeAlias = Container | MapSlot
"""Where an item is: in a list or text (the container itself), or under a key."""

NOTHING: Final = Container(None, -1, None, "", NOWHERE)
"""The place of collected items: their parent is deleted everywhere, and nothing in it can become visible again."""


def new_root(name: str) -> Container:
    """Make a root; a root with a reserved name has no row in the table."""
    if name.startswith(TEXT_PREFIX) and name != TEXT_PREFIX:
        return Container(None, TEXT, None, name, TABLE.child("text:NAME"))
    if name.startswith(XML_PREFIX) and name != XML_PREFIX:
        return Container(None, XML_FRAGMENT, None, name, TABLE.child("xml:NAME"))
    if name in ROOTS:
        return Container(None, _ROOT_TYPES.get(ROOTS[name], MAP), None, name, TABLE.child(name))
    is_reserved = name.startswith(RESERVED_PREFIX) or name in ("", TEXT_PREFIX, XML_PREFIX)
    return Container(None, UNKNOWN, None, name, NOWHERE if is_reserved else TABLE.child("root:NAME"))
