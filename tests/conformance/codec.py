"""The wire, written a second time: bytes to messages and back, for these tests alone.

It shares no code with the server that it judges, so that a mistake in one is not cancelled out by the same
mistake in the other. It is strict: what is not exactly one message is a failure of the case.
"""

import json
from dataclasses import dataclass

STEP1, STEP2, UPDATE = "step 1", "step 2", "update"
AWARENESS, DENIED, QUERY = "awareness", "denied", "query"
FENCE, NOTICE, GRANT = "fence", "notice", "grant"

_SYNC = {0: STEP1, 1: STEP2, 2: UPDATE}

EMPTY = b"\x00\x00"
"""An update with no structs and no deletions."""


class Unreadable(AssertionError):
    """The server sent something that is not one message of the protocol."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its kind, and the bytes that it carries."""

    kind: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Presence:
    """What an awareness message says of one client; `state` is None when the client is gone."""

    client: int
    clock: int
    state: dict[str, object] | None


def number(value: int) -> bytes:
    """Write a number: seven bits a byte, the lowest first, the top bit set where more follow."""
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def sized(data: bytes) -> bytes:
    """Write bytes with their length before them."""
    return number(len(data)) + data


def step1(vector: bytes) -> bytes:
    """Write a sync step 1."""
    return b"\x00\x00" + sized(vector)


def step2(update: bytes) -> bytes:
    """Write a sync step 2."""
    return b"\x00\x01" + sized(update)


def update(data: bytes) -> bytes:
    """Write an update."""
    return b"\x00\x02" + sized(data)


def awareness(*entries: Presence) -> bytes:
    """Write an awareness message."""
    body = number(len(entries))
    for entry in entries:
        body += number(entry.client) + number(entry.clock) + sized(json.dumps(entry.state).encode())
    return b"\x01" + sized(body)


def query() -> bytes:
    """Write the question who is here."""
    return b"\x03"


def denied(reason: str) -> bytes:
    """Write an auth message that denies permission."""
    return b"\x02\x00" + sized(reason.encode())


def fence(payload: bytes) -> bytes:
    """Write a durable fence."""
    return b"\x66" + payload


def renewal(token: str) -> bytes:
    """Write a new token."""
    return b"\x68" + sized(token.encode())


def read(frame: bytes) -> Message:
    """Read a frame that must be exactly one message."""
    kind, rest = _number(frame)
    if kind == 0:
        step, rest = _number(rest)
        if step not in _SYNC:
            raise Unreadable(f"a sync message of kind {step}")
        return Message(_SYNC[step], _whole(rest))
    if kind == 1:
        return Message(AWARENESS, _whole(rest))
    if kind == 2:
        reason, rest = _number(rest)
        if reason != 0:
            raise Unreadable(f"an auth message of kind {reason}")
        return Message(DENIED, _whole(rest))
    if kind == 3 and not rest:
        return Message(QUERY)
    if kind == 102:
        return Message(FENCE, rest)
    if kind == 103:
        return Message(NOTICE, _whole(rest))
    if kind == 104:
        return Message(GRANT, _whole(rest))
    raise Unreadable(f"a message of type {kind} with {len(rest)} bytes")


def login(token: str) -> bytes:
    """Write the login that hocuspocus wants before all else."""
    return b"\x02\x00" + sized(token.encode())


def read_hocuspocus(frame: bytes, prefix: bytes) -> Message | None:
    """Read a message of hocuspocus's dialect.

    Args:
        frame: the frame.
        prefix: the room's name, as each message begins.

    Returns:
        The message; None where y-websocket has nothing like it: logins, answers to them, saved, stateless messages.
    """
    if not frame.startswith(prefix):
        raise Unreadable("a message of another room")
    kind, rest = _number(frame[len(prefix) :])
    if kind == 4:  # a sync message that asks for no answer
        kind = 0
    if kind == 2 and _number(rest)[0] != 0:
        return None
    return read(number(kind) + rest) if kind in (0, 1, 2, 3) else None


def read_awareness(body: bytes) -> list[Presence]:
    """Read the body of an awareness message."""
    count, rest = _number(body)
    entries: list[Presence] = []
    for _ in range(count):
        client, rest = _number(rest)
        clock, rest = _number(rest)
        text, rest = _sized(rest)
        entries.append(Presence(client, clock, json.loads(text)))
    if rest:
        raise Unreadable(f"{len(rest)} bytes after the last awareness state")
    return entries


def read_vector(body: bytes) -> dict[int, int]:
    """Read a state vector: per client, how many clocks are known."""
    count, rest = _number(body)
    vector: dict[int, int] = {}
    for _ in range(count):
        client, rest = _number(rest)
        vector[client], rest = _number(rest)
    if rest:
        raise Unreadable(f"{len(rest)} bytes after a state vector")
    return vector


def read_json(body: bytes) -> dict[str, object]:
    """Read the body of a notice or a grant."""
    value = json.loads(body)
    if not isinstance(value, dict):
        raise Unreadable("a notice or grant that is not a JSON object")
    return value


def writers(data: bytes) -> int:
    """How many clients an update holds structs of; 0 when it only deletes or is empty."""
    return _number(data)[0]


def _number(data: bytes) -> tuple[int, bytes]:
    value, scale = 0, 1
    for at, byte in enumerate(data):
        value += byte % 128 * scale
        if byte < 128:
            return value, data[at + 1 :]
        scale *= 128
    raise Unreadable("a number that does not end")


def _sized(data: bytes) -> tuple[bytes, bytes]:
    length, rest = _number(data)
    if length > len(rest):
        raise Unreadable(f"{length} bytes were promised and {len(rest)} came")
    return rest[:length], rest[length:]


def _whole(data: bytes) -> bytes:
    body, rest = _sized(data)
    if rest:
        raise Unreadable(f"{len(rest)} bytes after the end of the message")
    return body
