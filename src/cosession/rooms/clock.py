"""The clock of a server: RFC 3339 in UTC, to the millisecond."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def utc_now() -> str:
    """The time, RFC 3339 in UTC, to the millisecond."""
    return _written(time.time_ns() // 1_000_000)


@lru_cache(maxsize=1)
def _written(milliseconds: int) -> str:
    """A time since 1970, written out once for all that comes in the same millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
