"""Times as sessions write them: RFC 3339 in UTC, to the millisecond. No clock: arithmetic only, and it never raises.

A time that can't be parsed, which a foreign client may have written, counts as never reached.
"""

import math
from datetime import UTC, datetime, timedelta

_LAST = datetime(9999, 12, 31, tzinfo=UTC)


def later(at: str, seconds: float) -> str:
    """Return the time that is some seconds later, at most the last day of the year 9999.

    Args:
        at: a time, RFC 3339.
        seconds: the seconds to add; a negative number, or NaN, is 0.
    """
    start = _read(at) or _LAST
    left = (_LAST - start).total_seconds()
    end = start + timedelta(seconds=min(seconds, left)) if seconds > 0 else start
    return end.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_until(at: str, then: str) -> float:
    """Return the seconds from one time to another: negative if it is past, infinite if one can't be parsed.

    Args:
        at: the time now, RFC 3339.
        then: the other time.
    """
    now, due = _read(at), _read(then)
    return math.inf if now is None or due is None else (due - now).total_seconds()


def _read(at: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(at)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
