"""What the server takes from its surroundings, here from the seed: ids, working time, a library that panics."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from pycrdt import Doc
from simulation.clock import VirtualLoop
from simulation.disk import APPLY

POISON = "POISON"
"""An update with this in it breaks the server's document."""


class PanicException(BaseException):
    """What a panic of the CRDT library looks like."""


@contextmanager
def chance(random: Random) -> Iterator[None]:
    """Take from the seed what else is chance: client ids, and how long work takes; let the server break on poison."""
    made = Doc.__init__

    def make(doc: Doc[Any], *arguments: Any, client_id: int | None = None, **options: Any) -> None:
        made(doc, *arguments, client_id=random.randrange(2, 2**32) if client_id is None else client_id, **options)

    def apply(doc: Doc[Any], update: bytes) -> None:
        APPLY(doc, update)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.work(random.choice((0.0, 0.0, 0.0002, 0.001)))
        if POISON.encode() in update:
            raise PanicException

    Doc.__init__, Doc.apply_update = make, apply
    try:
        yield
    finally:
        Doc.__init__, Doc.apply_update = made, APPLY


class _Reader(logging.Handler):
    def __init__(self, read: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self.emit = read


@contextmanager
def logging_to(read: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Let somebody read what the server logs as errors, and nobody else."""
    logger = logging.getLogger("cosession")
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [_Reader(read)], False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.handlers, _, logger.propagate = before
        logger.setLevel(before[1])
