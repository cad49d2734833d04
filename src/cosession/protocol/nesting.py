"""The depth to which one update nests shared types: read without a document, before the update is applied.

yrs deletes a shared type by deleting its contents recursively: some ten thousand nested maps crash the whole process
when the outermost is deleted. So no update may nest that deep; documents need far less.

A struct names its parent or a neighbour (its origin), which is in the same parent; both may be anywhere in the
update, or in the document already. A parent or neighbour that is not in the update counts as the outermost level.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from cosession.errors import MalformedFrame

from .steps import AT_ONCE, finish
from .structs import Struct, read_structs
from .update_format import GC, TYPE

MAX_TYPES_DEEP = 100
"""The number of shared types nested in each other: more than any document needs."""

_Place: TypeAlias = tuple[int, int, int] | None
"""The place that a struct names: a client and a clock, and 1 if that is its parent, 0 if it is a neighbour."""


@dataclass(slots=True)
class _Structs:
    """The structs of one client: the first clock, named place and, once known, depth of each; and those of types."""

    clocks: list[int] = field(default_factory=list[int])
    places: list[_Place] = field(default_factory=list[_Place])
    depths: list[int] = field(default_factory=list[int])
    types: list[int] = field(default_factory=list[int])


def check_nesting(update: bytes) -> None:
    """Check that an update does not nest shared types deeper than a document may.

    Args:
        update: the update; it is whole and well-formed, as `read_update_header` found it.

    Raises:
        MalformedFrame: it nests deeper.
    """
    finish(check_nesting_in_steps(update))


def check_nesting_in_steps(update: bytes) -> Generator[None, None, None]:
    """Do the same in steps; see `check_nesting`."""
    clients: dict[int, _Structs] = {}
    yield from _read(update, clients)
    for structs in clients.values():
        for count, index in enumerate(structs.types, 1):
            if not count % AT_ONCE:
                yield
            if _depth(clients, structs, index) >= MAX_TYPES_DEEP:
                raise MalformedFrame(
                    f"An update holds shared types nested deeper than {MAX_TYPES_DEEP}; keep the document flatter."
                )


def _read(update: bytes, clients: dict[int, _Structs]) -> Iterator[None]:
    for count, struct in enumerate(read_structs(update), 1):
        if not count % AT_ONCE:
            yield
        if struct.kind == GC:
            continue
        structs = clients.setdefault(struct.client, _Structs())
        if struct.kind == TYPE:
            structs.types.append(len(structs.clocks))
        structs.clocks.append(struct.clock)
        structs.places.append(_place(struct))
        structs.depths.append(-1)


def _place(struct: Struct) -> _Place:
    neighbour = struct.left or struct.right
    if neighbour:
        return *neighbour, 0
    return (*struct.parent, 1) if isinstance(struct.parent, tuple) else None


def _depth(clients: dict[int, _Structs], structs: _Structs, index: int) -> int:
    """Return the number of types of the update that a struct is in."""
    way: list[tuple[_Structs, int, int]] = []
    depth = 0
    while True:
        if structs.depths[index] >= 0:
            depth = structs.depths[index]
            break
        structs.depths[index] = 0  # a struct that depends on itself, through others, has no place
        place = structs.places[index]
        if place is None:
            break
        client, clock, inner = place
        way.append((structs, index, inner))
        found = clients.get(client)
        at = bisect_right(found.clocks, clock) - 1 if found else -1
        if found is None or at < 0:
            break
        structs, index = found, at
    for passed, at, inner in reversed(way):
        depth += inner
        passed.depths[at] = depth
    return depth
