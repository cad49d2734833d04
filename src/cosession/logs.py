"""Log events: a name and fields. What a library logs goes to the standard library's logging, where the program that
uses it decides what becomes of it; a program of ours calls `configure_logs`.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, cast

import structlog

_TOKEN: Final = re.compile(r"((?:^|[?&\s\"'])(?:access_)?token=)[^&\s\"']+", re.IGNORECASE)
_WITH_ADDRESSES: Final = ("uvicorn.access", "uvicorn.error", "uvicorn.asgi", "hypercorn.access", "gunicorn.access")
"""Loggers of servers that write whole addresses, in which a token may be."""


class Sparingly:
    """Lets through so many events of each key: some at once, then one a second; what is left out is counted.

    Of more keys than are remembered the one that came first is forgotten.

    Args:
        burst: how many at once.
        most: how many keys are remembered.
    """

    def __init__(self, burst: int = 20, most: int = 4096) -> None:
        self._burst = burst
        self._most = most
        self._paces: dict[str, tuple[float, float, int]] = {}

    def admit(self, key: str, now: float) -> int | None:
        """Return how many events of the key were left out before this one; None leaves this one out as well.

        Args:
            key: whose event it is.
            now: the time, in seconds, on a clock that doesn't go back.
        """
        left, since, omitted = self._paces.get(key, (float(self._burst), now, 0))
        left = min(self._burst, left + now - since)
        if left < 1:
            self._paces[key] = (left, now, omitted + 1)
            return None
        self._paces[key] = (left - 1, now, 0)
        if len(self._paces) > self._most:
            del self._paces[next(iter(self._paces))]
        return omitted


class _HideTokens(logging.Filter):
    """Takes tokens out of the addresses in a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record; it is always logged."""
        record.msg = _without_token(record.msg)
        arguments: Any = record.args
        if isinstance(arguments, tuple):
            record.args = tuple(_without_token(one) for one in cast("tuple[Any, ...]", arguments))
        elif isinstance(arguments, MutableMapping):
            said = cast("MutableMapping[Any, Any]", arguments)
            for name, value in list(said.items()):
                said[name] = _without_token(value)
        return True


def _without_token(value: Any) -> Any:
    return _TOKEN.sub(r"\1…", value) if isinstance(value, str) else value


_hide_tokens = _HideTokens()


def hide_tokens() -> None:
    """Take tokens out of what the usual servers log of addresses, also where another program starts the server."""
    for name in _WITH_ADDRESSES:
        logging.getLogger(name).addFilter(_hide_tokens)  # a second time changes nothing


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of events with structured fields, e.g. `log.info("room.loaded", session=…)`.

    Args:
        name: the module's; that of the standard library's logger behind it, which gets the fields as `extra`.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
    )
    return cast(structlog.stdlib.BoundLogger, logger)


def configure_logs(level: str, style: Literal["console", "json"] = "console") -> None:
    """Send log events to stderr, libraries' records included: for programs, never for a library.

    Args:
        level: the least that is logged: `debug`, `info`, `warning` or `error`.
        style: lines for people, or JSON for machines.
    """
    renderer: list[structlog.typing.Processor]
    if style == "json":
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderer = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,  # the rich one shows locals, and secrets in them
            )
        ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.ExtraAdder(),
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    # At level info uvicorn logs the query of every socket, in which a token may be; its warnings are of what
    # strangers send, as many as they like. Its errors are ours.
    for name in ("uvicorn", "uvicorn.error", "websockets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("aiosqlite", "asyncio", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
