"""An application's own roots, read as plain JSON. A document doesn't hold the type of a root: its content shows it.

Invariant: no root is read as another type than its content has; the CRDT library may loop forever on a wrong type.
"""

from bisect import bisect_right
from collections.abc import Collection, Generator, Mapping
from typing import Any, Final, cast

from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from cosession.protocol import EMPTY_UPDATE, split_update
from cosession.protocol.pieces import measure_in_steps
from cosession.protocol.steps import AT_ONCE, finish
from cosession.protocol.structs import Id, Struct, read_structs
from cosession.protocol.update_format import DELETED, EMBED, FORMAT, GC, STRING, TYPE

from .values import plain, plain_in_steps, value_in_steps

_XML_ELEMENT = 3
_XML_TEXT = 6
_SHARED = (Array, Map, Text, XmlElement, XmlFragment, XmlText)
_SURER: Final[dict[type, int]] = {Array: 0, XmlFragment: 1, Map: 2, Text: 3}
"""The rank of a type where the content of a root shows several: texts hold shared types, XML holds elements beside
texts, and a value that replaced another doesn't name its key."""

_MAX_DEPTH = 64
"""The depth to which texts in texts are read; deeper ones become null."""

_PIECE: Final = 2**12
"""Bytes of the document that are read in one step."""


def read_own_roots(update: bytes, names: Collection[str]) -> dict[str, Any]:
    """Read roots that the schema doesn't have.

    Args:
        update: the whole document, as an update.
        names: the names of the roots.

    Returns:
        The value of each root that isn't empty: an object, a list, a text (a string, or the parts of a delta where it
        is rich or holds shared types), or XML as a string.
    """
    return finish(read_own_roots_in_steps(update, names))


def read_own_roots_in_steps(update: bytes, names: Collection[str]) -> Generator[None, None, dict[str, Any]]:
    """Do the same in steps, except for XML and values in rich texts, which the library returns at once."""
    doc: Doc[Any] = Doc()
    places = _Places(names)
    for piece in split_update((yield from measure_in_steps(update)), _PIECE):
        if piece != EMPTY_UPDATE:
            doc.apply_update(piece)
            yield from places.learn(piece)
        yield
    found: dict[str, Any] = {}
    for name, kind in sorted(places.kinds.items()):
        value = yield from _read(doc.get(name, type=kind))
        if value not in ("", [], {}):
            found[name] = value
        yield
    return found


def read_text(text: Text) -> Any:
    """Return a text: as a string without its formats, or as the parts of a delta where it holds shared types."""
    words = str(text)
    if len(text) == len(words.encode()):
        return words
    holds_types = any(isinstance(insert, _SHARED) for insert, _ in text.diff())
    return _delta(text, 0) if holds_types else words


def _read(root: Any) -> Generator[None, None, Any]:
    if isinstance(root, Text):
        return (yield from _delta_in_steps(root, 0))
    if isinstance(root, Map):
        return (yield from plain_in_steps(cast("Map[Any]", root)))
    return (yield from value_in_steps(root))


def _delta(text: Text | XmlText, depth: int) -> Any:
    return finish(_delta_in_steps(text, depth))


def _delta_in_steps(text: Text | XmlText, depth: int) -> Generator[None, None, Any]:
    """Return a text as a string where it is plain, else as the parts of a delta, as Quill and Yjs write it."""
    if depth > _MAX_DEPTH:
        return None
    shown: list[dict[str, Any]] = []
    is_plain = True
    for count, (insert, attributes) in enumerate(text.diff(), 1):
        shown.append(_part(insert, attributes, depth))
        is_plain = is_plain and not attributes and isinstance(insert, str)
        if not count % AT_ONCE:
            yield
    return "".join(part["insert"] for part in shown) if is_plain else shown


def _part(insert: Any, attributes: Mapping[str, Any] | None, depth: int) -> dict[str, Any]:
    value: Any = _delta(insert, depth + 1) if isinstance(insert, Text | XmlText) else plain(insert)
    return {"insert": value} | ({"attributes": plain(dict(attributes))} if attributes else {})


class _Places:
    """The root of each struct of a document, which is read in pieces; each piece must fit when it is read.

    Args:
        names: the names of the wanted roots.

    Attributes:
        kinds: the types of those roots, each found from its content.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.kinds: dict[str, type] = {}
        self._names = frozenset(names)
        self._roots: dict[int, tuple[list[int], list[str | None]]] = {}

    def learn(self, piece: bytes) -> Generator[None, None, None]:
        """Read the next piece, in steps."""
        structs = {(struct.client, struct.clock): struct for struct in read_structs(piece)}
        clocks: dict[int, list[int]] = {}
        for client, clock in structs:
            clocks.setdefault(client, []).append(clock)
        roots: dict[Id, str | None] = {}
        name, end = None, 0
        for count, (id_, struct) in enumerate(structs.items(), 1):
            client, clock = id_
            if struct.left == (client, clock - 1) and clock == end and clock - 1 >= clocks[client][0]:
                roots[id_] = name  # right behind the one before, as most are
            else:
                name = self._root_of(id_, structs, clocks, roots)
            end = clock + struct.length
            if name in self._names and (kind := _kind_of(struct)) is not None:
                known = self.kinds.setdefault(name, kind)
                if _SURER[kind] > _SURER[known]:
                    self.kinds[name] = kind
            if not count % AT_ONCE:
                yield
        for (client, clock), root in ((id_, roots[id_]) for id_ in structs):  # the clocks of each client in order
            starts, names = self._roots.setdefault(client, ([], []))
            if not names or names[-1] != root:
                starts.append(clock)
                names.append(root)

    def _root_of(
        self,
        id_: Id,
        structs: Mapping[Id, Struct],
        clocks: Mapping[int, list[int]],
        roots: dict[Id, str | None],
    ) -> str | None:
        """Return the root that directly holds a struct, through its neighbours; None if it is in a shared type."""
        way: dict[Id, None] = {}
        name: str | None = None
        while id_ not in way:  # origins in a circle lead nowhere
            if id_ in roots:
                name = roots[id_]
                break
            way[id_] = None
            struct = structs[id_]
            neighbour = struct.left or struct.right
            if neighbour is None:
                name = struct.parent if isinstance(struct.parent, str) else None
                break
            client, clock = neighbour
            here = clocks.get(client, [])
            at = bisect_right(here, clock) - 1
            if at < 0:
                name = self._known_root(client, clock)
                break
            id_ = (client, here[at])
        roots.update(dict.fromkeys(way, name))
        return name

    def _known_root(self, client: int, clock: int) -> str | None:
        """Return the root that holds a struct of an earlier piece."""
        starts, names = self._roots.get(client, ([], []))
        at = bisect_right(starts, clock) - 1
        return names[at] if at >= 0 else None


def _kind_of(struct: Struct) -> type | None:
    """Return the type of the root that holds a struct; None if the struct doesn't show it."""
    if struct.key is not None:
        return Map
    if struct.kind in (STRING, EMBED, FORMAT):
        return Text
    if struct.kind == TYPE and struct.type in (_XML_ELEMENT, _XML_TEXT):
        return XmlFragment
    return None if struct.kind in (GC, DELETED) else Array
