"""An application's own roots, read as plain JSON. A document doesn't say of which type a root is: its content does.

Invariant: no root is read as another type than its content has; the CRDT library doesn't end at some that are.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from typing import Any, cast

from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from cosession.protocol.structs import Id, Struct, read_structs
from cosession.protocol.update_format import DELETED, EMBED, FORMAT, GC, STRING, TYPE

from .values import plain

_XML_ELEMENT = 3
_XML_TEXT = 6
_SHARED = (Array, Map, Text, XmlElement, XmlFragment, XmlText)
_MAX_DEPTH = 64
"""How deep texts that are in texts are read; beyond it there is null."""


def read_own_roots(update: bytes, names: Collection[str]) -> dict[str, Any]:
    """Read roots that the schema doesn't have.

    Args:
        update: the whole document, as an update.
        names: the names of the roots.

    Returns:
        Of each that holds something: an object, a list, a text (a string, or the parts of a delta where it is rich or
        holds shared types), or XML as a string.
    """
    doc: Doc[Any] = Doc()
    doc.apply_update(update)
    found = {name: _read(doc, name, kind) for name, kind in _kinds(update, names).items()}
    return {name: value for name, value in sorted(found.items()) if value not in ("", [], {})}


def read_text(text: Text) -> Any:
    """Read a text: as a string without its formats, or as the parts of a delta where it holds shared types."""
    words = str(text)
    if len(text) == len(words.encode()):
        return words
    holds_types = any(isinstance(insert, _SHARED) for insert, _ in text.diff())
    return _delta(text, 0) if holds_types else words


def _read(doc: Doc[Any], name: str, kind: type) -> Any:
    root: Any = doc.get(name, type=kind)
    with doc.transaction():
        return _delta(cast(Text, root), 0) if kind is Text else plain(root)


def _delta(text: Text | XmlText, depth: int) -> Any:
    """A text as a string where it is plain, else as the parts of a delta, as Quill and Yjs write it."""
    if depth > _MAX_DEPTH:
        return None
    parts = text.diff()
    if all(isinstance(insert, str) and not attributes for insert, attributes in parts):
        return "".join(cast("list[str]", [insert for insert, _ in parts]))
    return [_part(insert, attributes, depth) for insert, attributes in parts]


def _part(insert: Any, attributes: Mapping[str, Any] | None, depth: int) -> dict[str, Any]:
    value: Any = _delta(insert, depth + 1) if isinstance(insert, Text | XmlText) else plain(insert)
    return {"insert": value} | ({"attributes": plain(dict(attributes))} if attributes else {})


def _kinds(update: bytes, names: Collection[str]) -> dict[str, type]:
    """The types of roots, each by what stands in it."""
    structs = {(struct.client, struct.clock): struct for struct in read_structs(update)}
    firsts: dict[int, list[int]] = {}
    for client, clock in sorted(structs):
        firsts.setdefault(client, []).append(clock)
    wanted, roots, kinds = set(names), dict[Id, str | None](), dict[str, type]()
    for id_, struct in structs.items():
        name = _root_of(id_, structs, firsts, roots)
        if name in wanted and (kind := _kind_of(struct)) is not None:
            known = kinds.setdefault(name, kind)
            if kind is Text or (known is Array and kind is XmlFragment):
                kinds[name] = kind  # texts hold shared types too, and XML holds elements beside texts
    return kinds


def _root_of(
    id_: Id, structs: Mapping[Id, Struct], firsts: Mapping[int, list[int]], roots: dict[Id, str | None]
) -> str | None:
    """The root that a struct stands in itself; None where it is in a shared type. Only the first ones name it."""
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
        clocks = firsts.get(neighbour[0], [])
        at = bisect_right(clocks, neighbour[1]) - 1
        if at < 0:
            break
        id_ = (neighbour[0], clocks[at])
    roots.update(dict.fromkeys(way, name))
    return name


def _kind_of(struct: Struct) -> type | None:
    """The type of the root that a struct stands in; None where it says nothing."""
    if struct.key is not None:
        return Map
    if struct.kind in (STRING, EMBED, FORMAT):
        return Text
    if struct.kind == TYPE and struct.type in (_XML_ELEMENT, _XML_TEXT):
        return XmlFragment
    return None if struct.kind in (GC, DELETED) else Array
