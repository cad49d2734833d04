"""Valid session ids: texts that can be part of every URL, token pattern and log line."""

import unicodedata
from typing import Final

from cosession.errors import BadSessionId

MAX_SESSION_BYTES: Final = 512
"""The bytes of a session id that are allowed: ids are in URLs (up to 3 characters a byte), log rows and tokens."""

_UNPRINTED: Final = frozenset({"Cc", "Zl", "Zp"})
"""Control characters and line ends, which would break the output of logs and terminals."""


def check_session_id(session: str) -> str:
    """Return the id if it is a valid session id.

    Raises:
        BadSessionId: the id is invalid.
    """
    try:
        size = len(session.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= MAX_SESSION_BYTES:
        raise BadSessionId(f"A session id is 1 to {MAX_SESSION_BYTES} bytes of UTF-8.")
    if "*" in session or any(unicodedata.category(character) in _UNPRINTED for character in session):
        raise BadSessionId("A session id holds no control characters, and no `*`: that is for patterns in tokens.")
    parts = session.split("/")
    if not (parts[0] and parts[-1]) or not {".", ".."}.isdisjoint(parts):
        raise BadSessionId(
            "A session id doesn't begin or end with a `/`, and has no part `.` or `..`: browsers and proxies would "
            "ask for another one."
        )
    return session
