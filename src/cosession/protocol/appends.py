"""Whether an update appends one Map to a list; and that update in three: up to the Map, its first content, the rest.

Read from its bytes alone, for a caller that knows the last entry of each list. Also the updates written for it.
"""

from dataclasses import dataclass
from typing import Final

from . import lib0
from .structs import Id, Struct, read_structs
from .update_format import MAP, TYPE, skip_struct

_ONE_CLIENT: Final = b"\x01"
_NO_DELETES: Final = b"\x00"


@dataclass(slots=True)
class ListAppend:
    """A Map that is appended behind an entry of a list.

    Attributes:
        id: the id of the new entry.
        left: the entry that it is appended behind.
        first: the update up to the new entry, which is empty in it.
        filled: the one struct that follows: the first content of the new entry.
        rest: the structs behind that, with the deletions.
    """

    id: Id
    left: Id
    first: bytes
    filled: bytes
    rest: bytes


def read_append(update: bytes) -> ListAppend | None:
    """Read an update that adds one Map behind an item, and nothing else to any list that existed before.

    That item may be an entry of any list, or an earlier value of a key. The next struct is content of the Map.

    Args:
        update: its header was read, so it is one whole update.

    Returns:
        None for an update of another shape.
    """
    if not update.startswith(_ONE_CLIENT):
        return None
    found: Struct | None = None
    number = count = filled = 0
    begin = -1
    for struct in read_structs(update):
        count += 1
        if found is not None and count == number + 1:
            if struct.parent != (found.client, found.clock) or struct.key is None:
                return None
            filled = struct.length
        if begin < 0:
            begin = struct.clock
        if struct.right is not None:
            return None
        if struct.left is None:
            if isinstance(struct.parent, str) and struct.key is None:
                return None  # the first entry of a root
        elif not _is_inside(struct, begin, found):
            if found is not None or struct.kind != TYPE or struct.type != MAP:
                return None
            found, number = struct, count
    reader = lib0.Reader(update)
    reader.uint()
    if found is None or found.left is None or not filled or reader.uint() != count:
        return None
    client, clock, split = reader.uint(), reader.uint(), found.content + 1
    start, behind = reader.at, lib0.Reader(update)
    behind.at = split
    skip_struct(behind, behind.byte(), {})
    middle, left = behind.at, count - number - 1
    rest = _section(left, client, found.clock + 1 + filled) if left else b"\x00"
    return ListAppend(
        id=(client, found.clock),
        left=found.left,
        first=_section(number, client, clock) + update[start:split] + _NO_DELETES,
        filled=_section(1, client, found.clock + 1) + update[split:middle] + _NO_DELETES,
        rest=rest + update[middle:],
    )


def write_last(name: str, last: Id, client: int, clock: int) -> bytes:
    """Write an update that gives an empty document a root list with one entry, an empty Map, and a client's clock.

    Args:
        name: the name of the root.
        last: the entry's id.
        client: the client that gets the clock.
        clock: the clock of the client's next write.
    """
    writer, at = last
    entry = b"\x07\x01" + lib0.buffer(name.encode()) + lib0.uint(MAP)
    structs = [*_unknown(at), entry]
    if writer == client:
        structs += _unknown(clock - at - 1)
    sections = [lib0.uint(len(structs)) + lib0.uint(writer) + lib0.uint(0) + b"".join(structs)]
    if writer != client and clock:
        sections.append(lib0.uint(1) + lib0.uint(client) + lib0.uint(0) + b"".join(_unknown(clock)))
    return b"".join((lib0.uint(len(sections)), *sections, _NO_DELETES))


def delete_struct(id: Id) -> bytes:  # noqa: A002
    """Return an update that deletes the item of a Yjs client and clock."""
    client, clock = id
    return b"\x00\x01" + lib0.uint(client) + b"\x01" + lib0.uint(clock) + b"\x01"


def _is_inside(struct: Struct, begin: int, entry: Struct | None) -> bool:
    """Return whether a struct is beside one of the same update that is no entry of an earlier list."""
    client, clock = struct.left or (-1, -1)
    return client == struct.client and clock >= begin and (entry is None or clock != entry.clock)


def _section(count: int, client: int, clock: int) -> bytes:
    """Return the beginning of an update of one client."""
    return _ONE_CLIENT + lib0.uint(count) + lib0.uint(client) + lib0.uint(clock)


def _unknown(length: int) -> list[bytes]:
    """Return a struct of so many clocks without content."""
    return [b"\x00" + lib0.uint(length)] if length else []
