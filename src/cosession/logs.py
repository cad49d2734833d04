"""Log events: a name and fields. As a library, cosession logs to the standard library's logging, which the program
that uses it configures; our own programs call `configure_logs`.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, cast

import structlog

_TOKEN: Final = re.compile(r"((?:^|[?&\s\"'])(?:access_)?token=)[^&\s\"']+", re.IGNORECASE)
_WITH_ADDRESSES: Final = ("uvicorn.access", "uvicorn.error", "uvicorn.asgi", "hypercorn.access", "gunicorn.access")
"""Loggers of servers that write whole URLs, which may contain a token."""


class Sparingly:
    """Limits the events of each key: a burst, then one a second; omitted events are counted.

    Beyond the limit of remembered keys the oldest is forgotten.

    Args:
        burst: the events that are allowed at once.
        most: the number of keys that are remembered.
    """

    def __init__(self, burst: int = 20, most: int = 4096) -> None:
        self._burst = burst
        self._most = most
        self._paces: dict[str, tuple[float, float, int]] = {}

    def admit(self, key: str, now: float) -> int | None:
        """Return how many events of the key were omitted before this one; None when this one is to be omitted too.

        Args:
            key: the key of the event.
            now: the time, in seconds, on a monotonic clock.
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
    """Removes tokens from the URLs in a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove tokens from a record; it is always logged."""
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
    """Remove tokens from the URLs that the usual servers log, also where another program starts the server."""
    for name in _WITH_ADDRESSES:
        logging.getLogger(name).addFilter(_hide_tokens)  # a second time changes nothing


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger of events with structured fields, e.g. `log.info("room.loaded", session=…)`.

    Args:
        name: the module's name; the standard library's logger of this name gets the fields as `extra`.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
    )
    return cast(structlog.stdlib.BoundLogger, logger)


def configure_logs(level: str, style: Literal["console", "json"] = "console") -> None:
    """Write log events to stderr, libraries' records included: for programs, never for a library.

    Args:
        level: the lowest level that is logged: `debug`, `info`, `warning` or `error`.
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
    # At level info uvicorn logs the query of every socket, which may contain a token. Any client can cause its
    # warnings, without limit. Its errors are defects of this server.
    for name in ("uvicorn", "uvicorn.error", "websockets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("aiosqlite", "asyncio", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
