"""JSON encoding of a large value, in steps that don't block the event loop."""

import json
from collections.abc import Generator
from itertools import chain
from typing import Any, Final, cast

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

_AT_ONCE: Final = 250
"""Values that are encoded in one step."""

_SLICE: Final = 2**18
"""Characters of a text that are encoded in one step."""


def encode_in_steps(value: Any) -> Generator[None, None, bytes]:
    """Encode plain JSON as `JSONResponse` does, in steps."""
    out: list[str] = []
    yield from _encode(value, out, [0])
    yield
    return "".join(out).encode()


def _encode(value: Any, out: list[str], work: list[int]) -> Generator[None, None, None]:
    """Encode a value and the values nested in it.

    Args:
        value: the value.
        out: the list to which the text is added.
        work: a list of one number: the values that were encoded since the last step.
    """
    if isinstance(value, str) and len(value) > _SLICE:
        out.append('"')
        for begin in range(0, len(value), _SLICE):
            out.append(_ENCODER.encode(value[begin : begin + _SLICE])[1:-1])
            yield
        out.append('"')
        return
    if not isinstance(value, dict | list) or not value or _is_small(cast("dict[str, Any] | list[Any]", value)):
        out.append(_ENCODER.encode(value))
        work[0] += len(cast("dict[str, Any] | list[Any]", value)) if isinstance(value, dict | list) else 1
        if work[0] >= _AT_ONCE:
            work[0] = 0
            yield
        return
    marks = chain("[" if isinstance(value, list) else "{", "," * (len(cast("list[Any]", value)) - 1))
    if isinstance(value, dict):
        for mark, (key, item) in zip(marks, cast("dict[str, Any]", value).items(), strict=True):
            out += (mark, _ENCODER.encode(key), ":")
            yield from _encode(item, out, work)
        out.append("}")
    else:
        for mark, item in zip(marks, cast("list[Any]", value), strict=True):
            out.append(mark)
            yield from _encode(item, out, work)
        out.append("]")


def _is_small(value: dict[str, Any] | list[Any]) -> bool:
    """Whether a container has few values, and among them no container and no long text."""
    items = value.values() if isinstance(value, dict) else value
    return len(value) <= _AT_ONCE and not any(
        isinstance(item, dict | list) or (isinstance(item, str) and len(item) > _SLICE) for item in items
    )
