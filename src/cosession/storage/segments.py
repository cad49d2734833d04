"""Chapters: the thinned beginning of a log, many rows packed and compressed together, as one value in the database.

Rows are packed together because one alone compresses badly: a chat of 12,500 tokens takes 92 KB row by row, and 35 KB
as one chapter. A chapter is the length of a JSON head, the head with the rows' columns, and the concatenated bytes of
the rows, compressed if that makes it smaller. It is never changed, only replaced by one that extends it.

Bounds: a chapter holds at most `MOST_BYTES` of updates, or one range, and replaces at most `MOST_ROWS` single rows,
so that neither reading a page of history nor storing a chapter takes long.

Pure: no database, no clock.
"""

import json
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from .interface import LoggedUpdate

PLAIN: Final = 0
"""The codec of uncompressed bytes."""

LZMA: Final = 1
"""The codec of rarely read, permanent data: its window covers a whole session, where that of zlib has 32 KB."""

MOST_BYTES: Final = 256 * 2**10
MOST_ROWS: Final = 16384

_PRESET = 4
"""The lzma preset: 20 ms for a snapshot of 160 KB, which becomes 35 KB; a higher one saves 1 % of that."""

_LARGEST = 2**30
"""The largest decompressed size: a damaged or hostile value must not fill the memory; stored values are smaller."""


class UnknownCodec(ValueError):
    """Bytes that a newer cosession compressed."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A range of a session's log, as it is stored."""

    session: str
    first: int
    version: int
    codec: int
    data: bytes
    checksum: int

    @property
    def is_intact(self) -> bool:
        """Whether it equals the saved chapter, by its checksum."""
        return isinstance(self.data, bytes) and self.checksum == _checksum(self)  # pyright: ignore[reportUnnecessaryIsInstance]


@dataclass(frozen=True, slots=True)
class PackedSnapshot:
    """A session's snapshot, compressed."""

    session: str
    version: int
    codec: int
    data: bytes


def compress(data: bytes) -> tuple[int, bytes]:
    """Return the codec and the bytes to store: compressed if that is smaller, or unchanged."""
    smaller = lzma.compress(data, preset=_PRESET)
    return (LZMA, smaller) if len(smaller) < len(data) else (PLAIN, data)


def decompress(codec: int, data: bytes) -> bytes:
    """Return the bytes that were given to `compress`.

    Raises:
        UnknownCodec: this version of cosession doesn't know the codec.
        ValueError: the data is damaged.
    """
    if codec == PLAIN:
        return data
    if codec != LZMA:
        raise UnknownCodec(f"it is in codec {codec}, which this version of cosession doesn't know: use a newer one")
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        found = reader.decompress(data, _LARGEST)
    except lzma.LZMAError as error:
        raise ValueError(f"it can't be decompressed ({error})") from error
    if not reader.eof or reader.unused_data:
        raise ValueError("it can't be decompressed (cut off, or too long)")
    return found


def pack(rows: Sequence[LoggedUpdate]) -> Chapter:
    """Make a chapter of consecutive rows of one session; at least one."""
    columns = [
        [row.versions for row in rows],
        [row.at for row in rows],
        [row.participant for row in rows],
        [row.client for row in rows],
        [len(row.update) for row in rows],
    ]
    head = json.dumps(columns, separators=(",", ":")).encode()
    codec, data = compress(len(head).to_bytes(4) + head + b"".join(row.update for row in rows))
    chapter = Chapter(rows[0].session, rows[0].first, rows[-1].version, codec, data, 0)
    return Chapter(chapter.session, chapter.first, chapter.version, codec, data, _checksum(chapter))


def unpack(chapter: Chapter) -> list[LoggedUpdate]:
    """Return the rows of a chapter.

    Raises:
        UnknownCodec: a newer cosession wrote it.
        ValueError: it is damaged.
    """
    if not chapter.is_intact:
        raise ValueError("it is not what was saved")
    data = decompress(chapter.codec, chapter.data)
    start = 4 + int.from_bytes(data[:4])
    columns: list[list[Any]] = json.loads(data[4:start])
    rows: list[LoggedUpdate] = []
    version = chapter.first - 1
    for versions, at, participant, client, length in zip(*columns, strict=True):
        version += versions
        update = data[start : start + length]
        rows.append(LoggedUpdate(chapter.session, version, at, participant, client, update, versions))
        start += length
    if version != chapter.version or start != len(data):
        raise ValueError("its rows are not as many as they should be")
    return rows


def split(rows: Iterable[LoggedUpdate], before: Sequence[LoggedUpdate] = ()) -> Iterator[list[LoggedUpdate]]:
    """Divide rows into groups of one chapter each.

    Args:
        rows: the single or just thinned rows.
        before: the rows of the last chapter, if that is to be extended.
    """
    group, versions = list(before), 0
    size = sum(len(row.update) for row in group)
    for row in rows:
        if versions and row.versions and (size + len(row.update) > MOST_BYTES or versions + row.versions > MOST_ROWS):
            yield group
            group, size, versions = [], 0, 0
        group.append(row)
        size += len(row.update)
        versions += row.versions
    if versions:
        yield group


def _checksum(chapter: Chapter) -> int:
    head = f"{chapter.session}\0{chapter.first}\0{chapter.version}\0{chapter.codec}\0"
    return crc32(chapter.data, crc32(head.encode()))
