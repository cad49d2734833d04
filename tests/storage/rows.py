"""Rows for tests, as a server would write them."""

from collections.abc import Sequence
from dataclasses import replace

from cosession.storage import LoggedUpdate


def at(second: int) -> str:
    """A time; a greater number is later."""
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000000Z"


def update(session: str, version: int, data: bytes | None = None, *, second: int = 0, client: int | None = 7):
    """One row of a log; without `data`, its bytes tell where it belongs."""
    content = f"{session}/{version}".encode() if data is None else data
    return LoggedUpdate(session, version, at(second or version), "ada", client, content)


def updates(session: str, first: int, last: int) -> list[LoggedUpdate]:
    """The rows `first` to `last` of a log."""
    return [update(session, version) for version in range(first, last + 1)]


def by_tens(_: Sequence[LoggedUpdate], rows: Sequence[LoggedUpdate]) -> list[LoggedUpdate]:
    """A way to thin: ten rows become one, whose bytes are theirs in a row."""
    groups = [rows[first : first + 10] for first in range(0, len(rows), 10)]
    return [replace(group[-1], update=b"".join(row.update for row in group), versions=len(group)) for group in groups]


def by_turns(_: Sequence[LoggedUpdate], rows: Sequence[LoggedUpdate]) -> list[LoggedUpdate]:
    """Another: ten rows become one range of two rows, as if two had written them by turns."""
    groups = [rows[first : first + 10] for first in range(0, len(rows), 10)]
    return [
        replace(group[-1], update=b"".join(row.update for row in group[start::2]), versions=versions)
        for group in groups
        for start, versions in ((0, len(group)), (1, 0))
    ]
