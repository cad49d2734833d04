"""JSON text of a large value, made in steps."""

import json
from collections.abc import Generator
from itertools import chain
from typing import Any, Final, cast

_DEPTH: Final = 3
"""How deep an answer is taken apart: a session's document, a root of it, an entry of that."""

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

_AT_ONCE: Final = 250
"""Values that are encoded in one step."""


def encode_in_steps(value: Any) -> Generator[None, None, bytes]:
    """Encode plain JSON as `JSONResponse` does, in steps."""
    out: list[str] = []
    yield from _encode(value, _DEPTH, out, [0])
    yield
    return "".join(out).encode()


def _encode(value: Any, depth: int, out: list[str], work: list[int]) -> Generator[None, None, None]:
    """Encode a value that is in others.

    Args:
        value: it.
        depth: how deep it is still taken apart.
        out: gets the text.
        work: counts what was encoded since the last step.
    """
    if not depth or not isinstance(value, dict | list) or not value:
        out.append(_ENCODER.encode(value))
        work[0] += 1
        if work[0] >= _AT_ONCE:
            work[0] = 0
            yield
        return
    marks = chain("[" if isinstance(value, list) else "{", "," * (len(cast("list[Any]", value)) - 1))
    if isinstance(value, dict):
        for mark, (key, item) in zip(marks, cast("dict[str, Any]", value).items(), strict=True):
            out += (mark, _ENCODER.encode(key), ":")
            yield from _encode(item, depth - 1, out, work)
        out.append("}")
    else:
        for mark, item in zip(marks, cast("list[Any]", value), strict=True):
            out.append(mark)
            yield from _encode(item, depth - 1, out, work)
        out.append("]")
