"""Frames: one y-websocket message in each binary WebSocket message.

    0 sync       0 step 1: state vector | 1 step 2: update | 2 update
    1 awareness  awareness update
    2 auth       0 permission denied: reason
    3 query awareness
    102 fence    any payload; the server echoes it when all frames before it are committed
    103 notice   a JSON object {code, reason, …}: a refusal. The connection is closed next, unless it has
                 "final": false
    104 grant    from the client: a new token, before the old one expires. From the server, as its first frame: a JSON
                 object {id, name, kind, capabilities, expires_at, limits}: the participant of the connection, its
                 capabilities, their expiry, and the server's limits. Both are one string, like a notice; no token
                 begins with a brace

102, 103 and 104 go only to a client that asked for them with `?ext=1`; from another client they are foreign, as all
other types are, and are ignored. Decoding is total: bytes are one of these frames, whole, or a foreign one, or
`MalformedFrame`. Source: the `y-protocols` and `y-websocket` packages.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeAlias, cast

from cosession.errors import MalformedFrame

from . import lib0

EMPTY_UPDATE = b"\x00\x00"
"""An update without structs or deletions, which is sent to a peer that lacks nothing."""

EMPTY_VECTOR = b"\x00"
"""The state vector of an empty document."""

_UPDATE = b"\x00\x02"
"""The first bytes of the frame of an update."""

KEEP_ALIVE = b"\x01\x01\x00"
"""An awareness frame without states: it changes nothing at a client, and counts as a received message."""


@dataclass(frozen=True, slots=True)
class SyncStep1:
    """Asks for missing updates: carries the sender's state vector."""

    vector: bytes


@dataclass(frozen=True, slots=True)
class SyncStep2:
    """Answers a step 1: carries the missing part of the document, as an update."""

    update: bytes


@dataclass(slots=True)  # not frozen: each token makes one
class SyncUpdate:
    """Carries a new update."""

    update: bytes


@dataclass(frozen=True, slots=True)
class Awareness:
    """Carries an encoded awareness update; see `protocol.awareness`."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PermissionDenied:
    """Reports that an action is not allowed."""

    reason: str


@dataclass(frozen=True, slots=True)
class QueryAwareness:
    """Asks for the awareness states of all clients."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A durable fence and its payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """Reports a refusal, and the reason.

    Attributes:
        code: the stable name of the error.
        reason: a sentence that says what to do.
        touched: the place in the document that may not be touched, e.g. `messages/*/stamp`; empty when it was none.
        request: the key of the request that the server declined; the update that removes it comes later. Empty when
            it was none.
        final: whether the connection is closed next; else it goes on.
    """

    code: str
    reason: str
    touched: str = ""
    request: str = ""
    final: bool = True


@dataclass(frozen=True, slots=True)
class Renewal:
    """A client's new token, on the connection that it opened with an older one."""

    token: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server. The defaults are those of its settings: a client keeps to them until it gets a grant.

    Attributes:
        frame_bytes: the largest frame.
        structs: structs, values and deletions in one update.
        presence_bytes: the largest awareness state.
        value_bytes: the largest single value.
        value_entries: keys and values in one plain object or list.
    """

    frame_bytes: int = 96 * 2**20
    structs: int = 250_000
    presence_bytes: int = 64 * 2**10
    value_bytes: int = 16 * 2**20
    value_entries: int = 100_000


@dataclass(frozen=True, slots=True)
class Granted:
    """The participant of a connection, as the server identified it, and its capabilities.

    Attributes:
        id: of the participant.
        name: what people read.
        kind: `human`, `agent` or `operator`.
        capabilities: as tokens write them.
        expires_at: when the connection is closed unless the grant is renewed, in seconds since 1970; None is never.
        limits: what the connection may send at once.
    """

    id: str
    name: str
    kind: str
    capabilities: tuple[str, ...]
    expires_at: float | None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Foreign:
    """A frame of a foreign type, such as an application's own; it is ignored.

    Attributes:
        kind: the type.
        payload: the bytes behind it.
    """

    kind: int
    payload: bytes


Frame: TypeAlias = (
    SyncStep1
    | SyncStep2
    | SyncUpdate
    | Awareness
    | PermissionDenied
    | QueryAwareness
    | Fence
    | Notice
    | Renewal
    | Granted
    | Foreign
)


def decode_frame(data: bytes, *, extended: bool = True) -> Frame:
    """Decode one frame.

    Args:
        data: a whole binary WebSocket message.
        extended: whether the other side speaks our own frames; else their types are foreign ones.

    Raises:
        MalformedFrame: the bytes are not exactly one frame of a known type, nor of any other.
    """
    if data.startswith(_UPDATE) and 3 < len(data) < 0x83 and data[2] == len(data) - 3:
        return SyncUpdate(data[3:])  # a token: its length is one byte
    reader = lib0.Reader(data)
    kind = reader.uint()
    frame: Frame
    match kind:
        case 0:
            frame = _decode_sync(reader)
        case 1:
            frame = Awareness(reader.buffer())
        case 2:
            if reader.uint() != 0:
                raise MalformedFrame("The auth frame is of an unknown kind; only 0, permission denied, is.")
            frame = PermissionDenied(reader.string())
        case 3:
            frame = QueryAwareness()
        case 102 | 103 | 104 if not extended:
            return Foreign(kind, reader.rest())
        case 102:
            frame = Fence(reader.rest())
        case 103:
            frame = _decode_notice(reader.string())
        case 104:
            frame = _decode_grant(reader.string())
        case _:
            return Foreign(kind, reader.rest())
    reader.finish()
    return frame


def encode_frame(frame: Frame) -> bytes:
    """Encode one frame: the inverse of `decode_frame`."""
    match frame:
        case SyncUpdate(update):
            return b"".join((_UPDATE, lib0.uint(len(update)), update))  # it may be large: one copy
        case SyncStep2(update):
            return b"\x00\x01" + lib0.buffer(update)
        case SyncStep1(vector):
            return b"\x00\x00" + lib0.buffer(vector)
        case Awareness(payload):
            return b"\x01" + lib0.buffer(payload)
        case PermissionDenied(reason):
            return b"\x02\x00" + lib0.buffer(reason.encode())
        case QueryAwareness():
            return b"\x03"
        case Fence(payload):
            return b"\x66" + payload
        case Foreign(kind, payload):
            return lib0.uint(kind) + payload
        case Notice():
            return b"\x67" + lib0.buffer(json.dumps(_notice(frame), ensure_ascii=False).encode())
        case Renewal(token):
            return b"\x68" + lib0.buffer(token.encode())
        case Granted(id_, name, kind, capabilities, expires_at, limits):
            said = {
                "id": id_,
                "name": name,
                "kind": kind,
                "capabilities": capabilities,
                "expires_at": expires_at,
                "limits": asdict(limits),
            }
            return b"\x68" + lib0.buffer(json.dumps(said, ensure_ascii=False).encode())


def _decode_sync(reader: lib0.Reader) -> SyncStep1 | SyncStep2 | SyncUpdate:
    step = reader.uint()
    body = reader.buffer()
    match step:
        case 0:
            return SyncStep1(body)
        case 1:
            return SyncStep2(body)
        case 2:
            return SyncUpdate(body)
        case _:
            raise MalformedFrame(f"The sync message is of kind {step}; only 0, 1 and 2 are known.")


def _decode_notice(text: str) -> Notice:
    fields = _decode_object(text, "notice")
    said = (str(fields.get(name, "")) for name in ("code", "reason", "touched", "request"))
    return Notice(*said, final=fields.get("final") is not False)


def _notice(notice: Notice) -> dict[str, object]:
    """Return a notice as it is sent: without empty fields, and without `final` if that is true."""
    said: dict[str, object] = {"code": notice.code, "reason": notice.reason}
    more = {"touched": notice.touched, "request": notice.request}
    said |= {name: value for name, value in more.items() if value}
    return said if notice.final else {**said, "final": False}


def _decode_grant(text: str) -> Renewal | Granted:
    if not text.startswith("{"):
        return Renewal(text)
    said = _decode_object(text, "grant")
    capabilities, expires_at = said.get("capabilities"), said.get("expires_at")
    listed = cast("list[object]", capabilities) if isinstance(capabilities, list) else []
    return Granted(
        str(said.get("id", "")),
        str(said.get("name", "")),
        str(said.get("kind", "")),
        tuple(one for one in listed if isinstance(one, str)),
        expires_at if isinstance(expires_at, int | float) else None,
        _decode_limits(said.get("limits")),
    )


def _decode_limits(said: object) -> Limits:
    """Return the limits of a grant; a limit that is missing, or no number above 0, is the default."""
    given = cast("dict[str, object]", said) if isinstance(said, dict) else {}
    return replace(
        Limits(),
        **{
            field.name: value
            for field in fields(Limits)
            if isinstance(value := given.get(field.name), int) and value > 0 and not isinstance(value, bool)
        },
    )


def _decode_object(text: str, what: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"The {what} is not JSON.") from error
    if not isinstance(body, dict):
        raise MalformedFrame(f"The {what} is not a JSON object.")
    return cast("dict[str, Any]", body)
