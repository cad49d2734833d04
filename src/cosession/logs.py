"""Log events: a name and fields. What a library logs goes to the standard library's logging, where the program that
uses it decides what becomes of it; a program of ours calls `configure_logs`.
"""

import logging
import sys
from typing import Literal, cast

import structlog


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
