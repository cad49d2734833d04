"""An update taken apart by who wrote it: for each client its structs, then for each what of it is deleted.

Each part is an update of its own.
"""

from collections.abc import Iterator

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
    for _ in range(reader.uint()):
        start = reader.at
        structs = reader.uint()
        reader.uint()
        reader.uint()
        for _ in range(structs):
            skip_struct(reader, reader.byte(), {})
        yield b"\x01" + update[start : reader.at] + b"\x00"
    for _ in range(reader.uint()):
        start = reader.at
        reader.uint()
        for _ in range(reader.uint()):
            reader.uint()
            reader.uint()
        yield b"\x00\x01" + update[start : reader.at]
