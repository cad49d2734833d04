"""The headers of a keystroke's updates, read fast: one string beside others, or one deleted range.

Nearly every update is of these shapes, so they are read by regular expressions; `header.py` reads all the others.
"""

import re
from functools import lru_cache

from .update_format import utf16_length

_NUMBER = rb"([\x00-\x7f]|[\x80-\xff]{1,6}[\x01-\x7f]|[\x80-\xff]{7}[\x01-\x0f])"
"""Below 2**53, which nothing on this wire is above, in its shortest form."""

_TOKEN = re.compile(rb"\x01\x01" + _NUMBER + _NUMBER + rb"\x84" + _NUMBER + _NUMBER + _NUMBER)
"""One client, one struct, its client and clock; a string after (client, clock), without a right origin; its bytes."""

_BETWEEN = re.compile(rb"\x01\x01" + _NUMBER + _NUMBER + rb"\xc4" + 5 * _NUMBER)
"""The same with a right origin."""

_DELETION = re.compile(rb"\x00\x01" + _NUMBER + rb"\x01" + _NUMBER + _NUMBER)
"""No struct; one client, one range, its clock and length."""


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
    length = _length(update[match.end() : -1], size)
    return (_client(client), _number(clock), length, _client(origin), _number(origin_clock)) if length else None


def read_between(update: bytes) -> tuple[int, int, int, int, int, int, int] | None:
    """Read the update of a string that was written between two things.

    Returns:
        As `read_token`, then the client and clock of the right origin; None if the update is of another shape.

    Raises:
        MalformedFrame: its text is none.
    """
    match = _BETWEEN.match(update)
    if match is None or update[-1]:
        return None
    client, clock, left, left_clock, right, right_clock, size = match.groups()
    length = _length(update[match.end() : -1], size)
    if not length:
        return None
    ids = (_client(left), _number(left_clock), _client(right), _number(right_clock))
    return (_client(client), _number(clock), length, *ids)


def read_deletion(update: bytes) -> tuple[int, int, int] | None:
    """Read the update of one deletion.

    Returns:
        The client, first clock and length of the deleted range; None if the update is of another shape.
    """
    match = _DELETION.fullmatch(update)
    if match is None:
        return None
    client, clock, length = match.groups()
    return _client(client), _number(clock), _number(length)


def _length(text: bytes, size: bytes) -> int:
    """Return the number of clocks of a text that ends an update; 0 if its size differs from the encoded one."""
    if len(text) != _number(size):
        return 0
    return len(text) if text.isascii() else utf16_length(text)


def _number(data: bytes) -> int:
    number = data[0]
    if number < 0x80:
        return number
    if len(data) == 2:
        return number & 0x7F | data[1] << 7
    number = 0
    for byte in reversed(data):
        number = number << 7 | byte & 0x7F
    return number


_client = lru_cache(maxsize=4096)(_number)
