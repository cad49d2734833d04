"""Awareness updates: the present clients, with one JSON state per client id.

    update = count, then per entry: client id, clock, JSON string (`null`: gone)

A state replaces an older one of its client when its clock is higher, or equal and the state is null. States
stay JSON text here: the wire carries them, only their reader needs to parse them. Source: `y-protocols`.
"""

import sys
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import cast

from cosession.errors import MalformedFrame

from . import lib0
from .json_text import read_json
from .steps import finish

GONE = "null"

MAX_AWARENESS_CLOCK = 2**52
"""The largest clock of a state: every answer to a state has a newer clock, which must fit the wire too."""

_MAX_ENTRIES = 20_000
"""States in one update: more than a room ever has. Reading one takes some microseconds; more would block the loop."""

_STEP_BYTES = 4096
"""Bytes of states that are read in one step, and the state that ends it: a kilobyte of brackets takes 0.3 ms."""


@dataclass(frozen=True, slots=True)
class AwarenessEntry:
    """The state of one client.

    Attributes:
        client: the Yjs client id.
        clock: grows with every change of the state.
        state: the state as JSON text; `null` when the client is gone.
    """

    client: int
    clock: int
    state: str

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.state == GONE


def decode_awareness(
    payload: bytes, most_bytes: int = sys.maxsize, *, is_strict: bool = True
) -> tuple[AwarenessEntry, ...]:
    """Decode an awareness update.

    Args:
        payload: the body of an awareness frame.
        most_bytes: the size above which a state isn't parsed as JSON; the caller drops it.
        is_strict: whether a malformed state is an error; else it is left out.

    Raises:
        MalformedFrame: it is no awareness update, or a state in it is not a JSON object or null.
        TooLarge: it holds more states than any room has.
    """
    return finish(decode_awareness_in_steps(payload, most_bytes, is_strict=is_strict))


def decode_awareness_in_steps(
    payload: bytes, most_bytes: int, *, is_strict: bool = True
) -> Generator[None, None, tuple[AwarenessEntry, ...]]:
    """Do the same in steps; see `decode_awareness`."""
    reader = lib0.Reader(payload, _MAX_ENTRIES)
    entries: list[AwarenessEntry] = []
    done = 0
    for _ in range(reader.count()):
        if reader.at - done > _STEP_BYTES:
            done = reader.at
            yield
        entry = AwarenessEntry(reader.uint(), reader.uint(), reader.string())
        if entry.clock > MAX_AWARENESS_CLOCK:
            raise MalformedFrame(f"The clock of an awareness state is beyond {MAX_AWARENESS_CLOCK}; begin at 0.")
        if len(entry.state) <= most_bytes:
            try:
                state = _read_state(entry.state)
            except MalformedFrame:
                if is_strict:
                    raise
                continue
            if state is None:
                entry = AwarenessEntry(entry.client, entry.clock, GONE)
        entries.append(entry)
    reader.finish()
    return tuple(entries)


def _read_state(text: str) -> dict[str, object] | None:
    state = read_json(text, "An awareness state")
    if state is not None and not isinstance(state, dict):
        raise MalformedFrame("An awareness state is neither a JSON object nor null.")
    return cast("dict[str, object] | None", state)


def encode_awareness(entries: Iterable[AwarenessEntry]) -> bytes:
    """Encode an awareness update: the inverse of `decode_awareness`."""
    parts = [
        lib0.uint(entry.client) + lib0.uint(entry.clock) + lib0.buffer(entry.state.encode()) for entry in entries
    ]
    return lib0.uint(len(parts)) + b"".join(parts)
