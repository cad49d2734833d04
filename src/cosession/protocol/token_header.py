"""The header of a token's update, read fast: a growing text sends a string that follows the last one.

Nearly every update is of this shape, so it is read by one regular expression; `header.py` reads all the others.
"""

import re
from functools import lru_cache

from .update_format import utf16_length

_NUMBER = rb"([\x00-\x7f]|[\x80-\xff]{1,6}[\x01-\x7f]|[\x80-\xff]{7}[\x01-\x0f])"
"""Below 2**53, which nothing on this wire is above, in its shortest form."""

_TOKEN = re.compile(rb"\x01\x01" + _NUMBER + _NUMBER + rb"\x84" + _NUMBER + _NUMBER + _NUMBER)
"""One client, one struct, its client and clock; a string after (client, clock), without a right origin; its bytes."""


def read_token(update: bytes) -> tuple[int, int, int, int, int] | None:
    """Read the update of a token.

    Args:
        update: the update's bytes.

    Returns:
        the client, its clock, the length in clocks (UTF-16 units), and the client and clock of the left origin;
        None if the update is of another shape.

    Raises:
        MalformedFrame: its text is none.
    """
    match = _TOKEN.match(update)
    if match is None or update[-1]:  # the empty delete set
        return None
    client, clock, origin, origin_clock, size = match.groups()
    text = update[match.end() : -1]
    if len(text) != _number(size):
        return None
    length = len(text) if text.isascii() else utf16_length(text)
    return (_client(client), _number(clock), length, _client(origin), _number(origin_clock)) if length else None


def _number(data: bytes) -> int:
    number = 0
    for byte in reversed(data):
        number = number << 7 | byte & 0x7F
    return number


_client = lru_cache(maxsize=4096)(_number)
