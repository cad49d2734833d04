"""JSON Schema (draft 2020-12): whether a value fits the schema of a question.

Schemas and values come from participants, and are checked on the server's event loop: so both are bounded in size,
and together; patterns are matched in linear time; nothing is fetched; and references stay inside the schema, form no
cycle, and may not multiply it without end.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, cast

import jsonschema_rs

from cosession.errors import BadDocument

from .values import JsonObject

MAX_SCHEMA_BYTES: Final = 16 * 2**10
"""The size of a schema: an interface shows it as a form; a larger one would block the event loop at each vote."""
MAX_VALUE_BYTES: Final = 16 * 2**10
"""The size of a value: 400 patterns over one of this size are matched in a tenth of a second."""

_MAX_PARTS: Final = 2000
"""Objects and lists in a schema, counted again for each reference to them: 18 definitions that refer twice to the
next are 262,144."""
_MAX_STEPS: Final = 300_000
"""Parts of a schema times parts of a value: comparing one with the other takes up to a microsecond."""
_MAX_PATTERN_BYTES: Final = 2**18
"""The size of a compiled pattern; it compiles in some milliseconds."""
_REFUSED: Final = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef")
"""Keywords with which a reference would mean something else than it says."""


def check_schema(schema: JsonObject) -> None:
    """Check that a schema can be used.

    Raises:
        BadDocument: it is no JSON Schema, or checking values against it could take too long.
    """
    try:
        _validator(_written(schema, MAX_SCHEMA_BYTES, "The schema"))
    except BadDocument:
        raise
    except ValueError as error:
        raise BadDocument(f"The schema is no JSON Schema: {_sentence(error)}") from error


def misfit(value: Any, schema: JsonObject) -> str | None:
    """Return why a value doesn't fit a schema, in a sentence; None if it fits.

    Args:
        value: plain JSON.
        schema: the JSON Schema; nothing fits one that can't be used.
    """
    try:
        validator, weight = _validator(_written(schema, MAX_SCHEMA_BYTES, "The schema"))
        _written(value, MAX_VALUE_BYTES, "The value")
        if weight * _count(value) > _MAX_STEPS:
            return "The value is too large to be compared with such a schema; make one of them smaller."
        validator.validate(value)
    except BadDocument as error:
        return str(error)
    except ValueError as error:
        return _sentence(error)
    return None


@lru_cache(maxsize=32)  # each vote on an approval asks for the same one
def _validator(written: str) -> tuple[jsonschema_rs.Draft202012Validator, int]:
    """Return a validator of values, and the number of parts that the schema has."""
    schema = json.loads(written)
    weight = _weigh(schema, schema, {})
    limits = jsonschema_rs.RegexOptions(size_limit=_MAX_PATTERN_BYTES, dfa_size_limit=_MAX_PATTERN_BYTES)
    return jsonschema_rs.Draft202012Validator(schema, retriever=_fetch_nothing, pattern_options=limits), weight


def _written(value: Any, limit: int, what: str) -> str:
    try:
        written = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise BadDocument(f"{what} is nested too deep; make it flatter.") from error
    if len(written.encode(errors="replace")) > limit:
        raise BadDocument(f"{what} is larger than {limit // 1024} KB; make it smaller.")
    return written


def _weigh(schema: JsonObject, part: Any, known: dict[str, int | None]) -> int:
    """Return the number of parts of a schema when every reference is written out.

    Args:
        schema: the whole schema.
        part: the part of it to count.
        known: the definitions that were weighed; None is one that is being weighed.
    """
    weight = 1
    if isinstance(part, dict):
        fields = cast(JsonObject, part)
        if refused := [key for key in _REFUSED if key in fields]:
            raise BadDocument(f"A schema can't use {refused[0]} here; refer with '$ref': '#/$defs/NAME'.")
        if "$ref" in fields:
            weight += _weigh_definition(schema, fields["$ref"], known)
    for inner in _inner(part):
        weight += _weigh(schema, inner, known)
        if weight > _MAX_PARTS:
            raise BadDocument(
                f"A schema has at most {_MAX_PARTS} parts, with all that it refers to; make it smaller."
            )
    return weight


def _weigh_definition(schema: JsonObject, reference: Any, known: dict[str, int | None]) -> int:
    place, _, name = reference.removeprefix("#/").partition("/") if isinstance(reference, str) else ("", "", "")
    definitions = schema.get(place) if place in ("$defs", "definitions") else None
    if not isinstance(definitions, dict) or name not in definitions or reference != f"#/{place}/{name}":
        raise BadDocument(f"The schema refers to {reference!r}, which isn't there; refer to '#/$defs/NAME' in it.")
    if reference not in known:
        known[reference] = None
        known[reference] = _weigh(schema, cast(JsonObject, definitions)[name], known)
    weight = known[reference]
    if weight is None:
        raise BadDocument(f"The schema's definition {reference!r} refers to itself; write out how deep it goes.")
    return weight


def _count(value: Any) -> int:
    return 1 + sum(map(_count, _inner(value)))


def _inner(part: Any) -> Iterator[Any]:
    if isinstance(part, dict):
        yield from cast(JsonObject, part).values()
    elif isinstance(part, list):
        yield from cast("list[Any]", part)


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is not in the schema")


def _sentence(error: ValueError) -> str:
    """Return a validation error, short enough to show, with the place that it is about."""
    if not isinstance(error, jsonschema_rs.ValidationError):
        return str(error)
    where = "/".join(map(str, error.instance_path))
    words = error.message if len(error.message) <= 200 else f"{error.message[:199]}…"
    return f"{where}: {words}" if where else words
