"""JSON text in an update or a presence state, which every reader (Yjs, yrs, Python) must read as the same value.

Yjs keeps embeds and formatting as JSON text, and presence is JSON text. The readers disagree about NaN, numbers that
no float holds, deep nesting and the key `__proto__`, so those are refused.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, Final

from cosession.errors import MalformedFrame

MAX_DEPTH: Final = 100
"""The nesting depth of a JSON-like value: more than any document needs, and less than every reader's stack allows."""

FORBIDDEN_KEY: Final = "__proto__"
"""A string that may not be a key: a browser that reads it sets the prototype of its object."""

_MAX_DIGITS: Final = 308
"""The digits of an integer; one with more exceeds every float."""

_MARKS: Final = b",:[{"

_ESCAPED_SURROGATE: Final = b"\\u"


def read_json(data: bytes | str, what: str) -> Any:
    """Read a JSON text.

    Args:
        data: the text.
        what: how the error's sentence names it, e.g. "An embed".

    Raises:
        MalformedFrame: it is not JSON, holds a number that no float holds, is nested deeper than `MAX_DEPTH`, or has
            the key `__proto__`.
    """
    try:
        value = _DECODER.decode(data if isinstance(data, str) else data.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"{what} is not JSON: {_reason(error)}.") from error
    if _depth(value) > MAX_DEPTH:
        raise MalformedFrame(f"{what} is nested deeper than {MAX_DEPTH}; make it flatter.")
    return value


def check_json(data: bytes, what: str) -> None:
    """Check a JSON text that a document will hold; see `read_json`.

    Raises:
        MalformedFrame: see `read_json`; or a string in it holds half of a surrogate pair, which has no UTF-8.
    """
    value = read_json(data, what)
    if _ESCAPED_SURROGATE in data:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise MalformedFrame(f"{what} holds half of a surrogate pair; write whole characters.") from error


def count_entries(data: bytes, start: int, end: int, most: int) -> int:
    """Count the keys and values in a stretch of JSON text, without reading it.

    Args:
        data: the bytes.
        start: where it begins.
        end: where it ends.
        most: of so many, the marks in strings are counted as well.
    """
    count = _count_marks(data, start, end)
    if count > most:
        outside = data[start:end].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
        text = b"".join(outside)
        count = _count_marks(text, 0, len(text))
    return count


def _count_marks(data: bytes, start: int, end: int) -> int:
    """Count what stands before each key and value."""
    return sum(data.count(mark, start, end) for mark in _MARKS)


def check_key(key: str) -> str:
    """Return a key that an object, a map, an element or a format may have.

    Raises:
        MalformedFrame: it is `__proto__`.
    """
    if key == FORBIDDEN_KEY:
        raise MalformedFrame(f"{FORBIDDEN_KEY} can't be a key: browsers don't read it as one; use another name.")
    return key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {check_key(key): value for key, value in pairs}


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number is too large")
    return int(text)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _reason(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)


def _depth(value: object) -> int:
    """Return the nesting depth of lists and objects; counted level by level, because it may be deep."""
    depth, level = 0, [value]
    while level := [inner for one in level if isinstance(one, dict | list) for inner in _inner(one)]:
        depth += 1
    return depth


def _inner(value: "dict[str, object] | list[object]") -> "Iterable[object]":
    return value.values() if isinstance(value, dict) else value
