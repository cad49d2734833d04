"""An update taken apart by who wrote it: for each client its structs, then for each what else of it is deleted.

Each part is an update of its own. Structs go with what of themselves is deleted: who has seen them before that learns
it from nothing else.
"""

from collections.abc import Iterable, Iterator

from . import lib0
from .update_format import skip_struct


def split_by_client(update: bytes) -> Iterator[bytes]:
    """Take an update apart.

    Args:
        update: its header was read, so it is one whole update.

    Raises:
        MalformedFrame: it isn't.
    """
    reader = lib0.Reader(update)
    structs: dict[int, tuple[int, bytes]] = {}
    for _ in range(reader.uint()):
        start = reader.at
        count = reader.uint()
        client, clock = reader.uint(), reader.uint()
        for _ in range(count):
            skip_struct(reader, reader.byte(), {})
        structs[client] = clock, update[start : reader.at]
    deletes: dict[int, list[tuple[int, int]]] = {}
    for _ in range(reader.uint()):
        client = reader.uint()
        spans = [(reader.uint(), reader.uint()) for _ in range(reader.uint())]
        deletes[client] = [(clock, clock + length) for clock, length in spans]
    for client, (first, section) in structs.items():
        own = [(max(clock, first), end) for clock, end in deletes.get(client, ()) if end > first]
        yield b"\x01" + section + _delete_set(client, own)
    for client, spans in deletes.items():
        first = structs[client][0] if client in structs else None
        older = [(clock, end if first is None else min(end, first)) for clock, end in spans]
        if rest := [(clock, end) for clock, end in older if clock < end]:
            yield b"\x00" + _delete_set(client, rest)


def _delete_set(client: int, spans: Iterable[tuple[int, int]]) -> bytes:
    spans = tuple(spans)
    if not spans:
        return b"\x00"
    written = b"".join(lib0.uint(clock) + lib0.uint(end - clock) for clock, end in spans)
    return b"\x01" + lib0.uint(client) + lib0.uint(len(spans)) + written
