"""Rows for tests, as a server would write them."""

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
