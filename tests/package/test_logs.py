"""Fields of log events: what the standard library would refuse must not be one, for the line is the first to fail."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import cosession

SOURCES = sorted(Path(cosession.__file__).parent.rglob("*.py"))
TAKEN = {*logging.makeLogRecord({}).__dict__, "message", "asctime"} - {"exc_info"}
LEVELS = {"debug", "info", "warning", "error", "exception"}


def fields_of_events(source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(ast.Attribute(ast.Name("log"), level), _, keywords) if level in LEVELS:
                yield from ((keyword.arg, node.lineno) for keyword in keywords if keyword.arg)
            case _:
                pass


def test_no_field_of_a_log_event_is_a_field_of_every_record():
    found = {path.name: list(fields_of_events(path.read_text())) for path in SOURCES}
    assert sum(map(len, found.values())) > 50
    assert not {(name, field, line) for name, fields in found.items() for field, line in fields if field in TAKEN}
