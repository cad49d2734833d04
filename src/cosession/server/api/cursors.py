"""Cursors: places in the list of sessions as clients keep them.

A cursor is encrypted, because it may name a session that its holder may not know of: the last one that was looked at
for a page. The storage has the key, so that a cursor outlives the process. It gives no access to anything.
"""

from base64 import b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from starlette.requests import HTTPConnection

from cosession.errors import BadRequest
from cosession.storage import Place

_MOST_CHARACTERS = 1024
"""The longest cursor: that of a session with an id of 512 bytes is shorter."""


def write_cursor(key: bytes, place: Place) -> str:
    """Return the cursor of a place."""
    written = f"{place.updated_at}\n{place.id}".encode()
    return urlsafe_b64encode(AESSIV(key).encrypt(written, None)).decode().rstrip("=")


def read_cursor(connection: HTTPConnection, name: str, key: bytes) -> Place | None:
    """Read a parameter of the query that is a cursor; return None if it is missing.

    Raises:
        BadRequest: it is no cursor of this storage.
    """
    written = connection.query_params.get(name)
    if written is None:
        return None
    padded = written + "=" * (-len(written) % 4) if len(written) <= _MOST_CHARACTERS else ""
    try:
        data = b64decode(padded, altchars=b"-_", validate=True)
        updated_at, _, session = AESSIV(key).decrypt(data, None).decode().partition("\n")
    except (ValueError, InvalidTag):
        raise BadRequest(
            f"`{name}` must be the `next` of an earlier page, not {written[:20]!r}; leave it out to begin again."
        ) from None
    return Place(updated_at, session)
