"""Values: plain JSON to shared types and back.

Values are checked here before they are written, because pycrdt doesn't: it accepts NaN and numbers that a browser
can't hold, and panics on a lone surrogate. Values that are read are plain JSON, also those of foreign clients:
numbers without a fraction are ints (Yjs has only floats), NaN is null, bytes are lists of numbers.
"""

import json
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote, unquote

from pycrdt import Array, Doc, Map, Text, Transaction, XmlElement, XmlFragment, XmlText

from cosession.errors import BadDocument
from cosession.protocol.steps import AT_ONCE

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object."""

MAX_DEPTH = 64
"""The nesting depth of a value: more than any interface or tool needs, and less than every client's stack allows."""

MAX_INTEGER = 2**53 - 1
"""The largest integer that a browser's number holds exactly; beyond it Yjs writes a BigInt, which isn't JSON."""

_A_STEP: Final = 64
"""Keys of a Map that are read in one step."""

_FEW: Final = 250
"""Keys of a nested Map, or values of a nested plain list, that are read at once; a longer one is read in steps."""

_SHORT_TEXT: Final = 4_096
"""Characters of JSON text that are decoded at once."""

_BYTES_OF_A_VALUE: Final = 16
"""Characters of one value in a JSON text, about."""

FORBIDDEN_KEY = "__proto__"
"""A string that may not be a key, on the wire neither: a browser that reads it sets the prototype of its object."""

_KEPT = "!*'()"
"""Characters that JavaScript's encodeURIComponent doesn't encode and Python's quote does: both make the same keys."""


def checked(value: object, what: str = "The value", *, depth: int = 0) -> Any:
    """Return a copy of a JSON-like value that a document can hold: tuples as lists, whole floats as ints.

    Args:
        value: the value to write.
        what: its name in the error message.
        depth: the nesting depth at which it will be written.

    Raises:
        BadDocument: it isn't JSON, or holds a number or a key that browsers can't.
    """
    return _checked(value, what, depth)


def checked_object(value: object, what: str = "The value", *, depth: int = 0) -> JsonObject:
    """Do the same as `checked`, for a value that must be a JSON object."""
    if not isinstance(value, Mapping):
        raise BadDocument(f"{what} must be an object (a dict), not {type(value).__name__}.")
    return cast(JsonObject, checked(cast(object, value), what, depth=depth))


def checked_text(value: object, what: str = "The text") -> str:
    """Return a string that can be encoded.

    Raises:
        BadDocument: it isn't a string, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise BadDocument(f"{what} must be a string, not {type(value).__name__}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadDocument(f"{what} holds half of a surrogate pair; send whole characters.") from error
    return value


def checked_id(value: object, what: str) -> str:
    """Return a string that can be a key: not empty, and not `__proto__`.

    Raises:
        BadDocument: it is no such string.
    """
    if checked_text(value, what) == "":
        raise BadDocument(f"{what} must not be empty.")
    return checked_key(value, what)


def checked_key(value: object, what: str) -> str:
    """Return a string that an object or a Map may have as a key.

    Raises:
        BadDocument: it isn't a string that can be encoded, or it is `__proto__`.
    """
    key = checked_text(value, what)
    if key == FORBIDDEN_KEY:
        raise BadDocument(f"{what} is {FORBIDDEN_KEY}, which browsers don't read as a key; use another name.")
    return key


def _checked(value: object, what: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise BadDocument(f"{what} is nested deeper than {MAX_DEPTH}; make it flatter.")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return checked_text(value, what)
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise BadDocument(f"{what} holds an integer beyond 2^53, which no browser has; write it as a string.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadDocument(f"{what} holds {value}, which isn't JSON; use None or a string.")
        return _plain_float(value)
    if isinstance(value, Mapping):
        return {
            checked_key(key, f"A key in {what[:1].lower()}{what[1:]}"): _checked(item, what, depth + 1)
            for key, item in cast(Mapping[object, object], value).items()
        }
    if isinstance(value, (list, tuple)):
        return [_checked(item, what, depth + 1) for item in cast(Sequence[object], value)]
    raise BadDocument(f"{what} holds a {type(value).__name__}; only JSON-like values go into a session.")


def _plain_float(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) <= MAX_INTEGER else value


def to_shared(value: Any) -> Any:
    """Make shared types, not yet in a document, of a checked value: objects as Maps, lists as Arrays."""
    if isinstance(value, dict):
        return Map({key: to_shared(item) for key, item in cast(JsonObject, value).items()})
    if isinstance(value, list):
        return Array([to_shared(item) for item in cast(list[Any], value)])
    return value


_PLAIN_TYPES: Final = frozenset({str, bool, type(None)})


def plain(value: object) -> Any:
    """Turn any value from a document into plain JSON that could be written into one; never raises."""
    if type(value) in _PLAIN_TYPES:  # nearly everything
        return value
    if isinstance(value, (Map, Array)):
        try:
            return _DECODER.decode(str(cast(object, value)))
        except RecursionError:
            return _pruned(cast(object, value), 0)
    if isinstance(value, (Text, XmlText, XmlElement, XmlFragment)):
        return str(value)
    if isinstance(value, float):
        return _plain_float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in cast(dict[object, object], value).items()}
    if isinstance(value, list):
        return [plain(item) for item in cast(list[object], value)]
    if isinstance(value, (bytes, bytearray)):
        return list(value)
    if isinstance(value, int):
        return _plain_integer(value)
    return value if isinstance(value, str) else None


def _plain_integer(value: int | str) -> int | float | bool:
    """Return an integer, or the float that a browser makes of one that is too large: a read value can be written."""
    whole = value if isinstance(value, int) else int(value)
    return whole if abs(whole) <= MAX_INTEGER else float(whole)


_DECODER = json.JSONDecoder(parse_int=_plain_integer)


def _pruned(value: object, depth: int) -> Any:
    """Return plain JSON of a value that is nested too deep for a parser: beyond `MAX_DEPTH` it is null."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, Map):
        shared = cast("Map[Any]", value)
        return {key: _pruned(shared[key], depth + 1) for key in keys_of(shared)}
    if isinstance(value, Array):
        return [_pruned(item, depth + 1) for item in list(cast("Array[Any]", value))]
    return plain(value)


def plain_in_steps(shared: Map[Any]) -> Generator[None, None, JsonObject]:
    """Turn a Map into plain JSON in steps, each of some of its keys; a key that is removed meanwhile is left out."""
    found: JsonObject = {}
    for count, key in enumerate(list(shared.keys()), 1):
        value: object = shared.get(key)
        if value is not None or key in shared:
            found[key] = yield from value_in_steps(cast(object, value))
        if not count % _A_STEP:
            yield
    return found


def value_in_steps(value: object) -> Generator[None, None, Any]:
    """Turn a value from a document into plain JSON in steps; see `plain`.

    The library writes a list, or an object with few keys, as JSON text at once: one of 200,000 numbers in 10 ms.
    """
    if isinstance(value, Map) and len(shared := cast("Map[Any]", value)) > _FEW:
        return (yield from plain_in_steps(shared))
    if isinstance(value, (Map, Array)):
        text = str(cast(object, value))
        if len(text) > _SHORT_TEXT:
            try:
                return (yield from _decode_in_steps(text))
            except RecursionError:
                pass
    elif isinstance(value, (dict, list)):
        many = cast("dict[object, object] | list[object]", value)
        if len(many) > _FEW:
            return (yield from _long_value_in_steps(many))
    return plain(cast(object, value))


def _long_value_in_steps(value: dict[object, object] | list[object]) -> Generator[None, None, Any]:
    """Turn a long plain value into plain JSON in steps."""
    items = enumerate(value) if isinstance(value, list) else value.items()
    keys: list[object] = []
    values: list[Any] = []
    for count, (key, item) in enumerate(items, 1):
        keys.append(key)
        values.append((yield from value_in_steps(item)))
        if not count % AT_ONCE:
            yield
    return values if isinstance(value, list) else dict(zip(map(str, keys), values, strict=True))


def _decode_in_steps(text: str) -> Generator[None, None, Any]:
    """Decode the JSON text of a shared type in steps; the library writes it without white space.

    Raises:
        RecursionError: it is nested too deep for a parser.
    """
    value, _ = yield from _decode(text, 0, [0])
    return value


def _decode(text: str, at: int, work: list[int]) -> Generator[None, None, tuple[Any, int]]:
    """Decode a value in a JSON text.

    Args:
        text: all of the text.
        at: where the value begins.
        work: counts the values that were decoded since the last step.

    Returns:
        The value, and the offset behind it.
    """
    opening = text[at]
    if opening not in "[{":
        return _DECODER.raw_decode(text, at)
    with suppress(ValueError):  # it is longer than that
        value, length = _DECODER.raw_decode(text[at : at + _SHORT_TEXT])
        work[0] += length // _BYTES_OF_A_VALUE
        return value, at + length
    closing = "]" if opening == "[" else "}"
    keys: list[str] = []
    values: list[Any] = []
    at += 1
    while text[at] != closing:
        at += text[at] == ","
        if opening == "{":
            key, at = _DECODER.raw_decode(text, at)
            keys.append(key)
            at += 1  # the colon
        value, at = (yield from _decode(text, at, work)) if text[at] in "[{" else _DECODER.raw_decode(text, at)
        values.append(value)
        work[0] += 1
        if work[0] >= AT_ONCE:
            work[0] = 0
            yield
    return (values if opening == "[" else dict(zip(keys, values, strict=True))), at + 1


def plain_object(value: object) -> JsonObject:
    """Do the same as `plain`; a value that isn't an object becomes an empty one."""
    result = plain(value)
    return cast(JsonObject, result) if isinstance(result, dict) else {}


def plain_list(value: object) -> list[Any]:
    """Do the same as `plain`; a value that isn't a list becomes an empty one."""
    result = plain(value)
    return cast(list[Any], result) if isinstance(result, list) else []


def is_same(old: object, new: object) -> bool:
    """Return whether two plain values are equal as JSON, where True is not 1."""
    if type(old) is not type(new):
        return False
    if isinstance(new, dict):
        one, other = cast(JsonObject, old), cast(JsonObject, new)
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(new, list):
        items, others = cast(list[object], old), cast(list[object], new)
        return len(items) == len(others) and all(map(is_same, items, others))
    return old == new


def document_of(shared: Map[Any] | Array[Any] | Text) -> Doc[Any]:
    """Return the document that a shared type is in."""
    return cast("Doc[Any]", cast(Any, shared).doc)


def transaction(shared: Map[Any] | Array[Any] | Text) -> Transaction:
    """Return a context manager in which changes of a shared type's document are one; an inner one joins the outer."""
    return document_of(shared).transaction()


def keys_of(shared: Map[Any]) -> list[str]:
    """Return the keys of a Map, sorted: a Map has no order of its own, and every replica should show the same one."""
    return sorted(shared.keys())


def join_key(*segments: str) -> str:
    """Make a flat key of segments, each percent-encoded as encodeURIComponent does.

    Raises:
        BadDocument: a segment is empty or no string.
    """
    return "/".join(quote(checked_id(segment, "A part of a key"), safe=_KEPT) for segment in segments)


def split_key(key: str) -> tuple[str, ...]:
    """Split a flat key into its segments: the inverse of `join_key`."""
    return tuple(unquote(segment, errors="replace") for segment in key.split("/"))
