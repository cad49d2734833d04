"""Fresh ids and timestamps for the document, which has neither a clock nor randomness of its own.

Never reads a document.
"""

import secrets
import uuid
from datetime import UTC, datetime


def fresh_id() -> str:
    """Return a new unique id."""
    return uuid.uuid4().hex


def fresh_client_id() -> int:
    """Return a Yjs client id for this process; a reused one makes two documents diverge permanently and silently."""
    return secrets.randbelow(2**32 - 1) + 1


def now() -> str:
    """Return the time as RFC 3339 text, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
