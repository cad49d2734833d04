"""The clock of a server: RFC 3339 in UTC, to the millisecond."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def utc_now() -> str:
    """Return the time, RFC 3339 in UTC, to the millisecond."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_written(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=1)
def _written(seconds: int) -> str:
    """Return the text of a time since 1970; it is made once per second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
