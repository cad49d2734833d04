"""Waiting with a time limit that ends in `TimedOut`, whose message says what hasn't come."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from cosession.errors import TimedOut

T = TypeVar("T")


async def in_time(work: Coroutine[Any, Any, T], seconds: float | None, what: str) -> T:
    """Return the result of a coroutine, which is cancelled when the time is over.

    Args:
        work: the coroutine.
        seconds: the time; None is for ever.
        what: what hasn't come, for the message: "The document hasn't come".

    Raises:
        TimedOut: the time is over.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimedOut(f"{what} within {seconds} s; wait for it again, or look at `session.status`.") from None
