"""hocuspocus' messages: the frames of many documents on one WebSocket, each behind the address of its document.

    address, then the type
    0 sync | 1 awareness | 3 query awareness   as in y-websocket
    2 auth          0 the client's token and its version; without them, the server asks for a token
                    1 denied: reason | 2 authenticated: `readonly` or `read-write`
    5 stateless     a string of the application's
    7 close         of this document alone; from the server with a reason
    8 sync status   1 saved | 0 not saved
    9 ping, 10 pong; also without an address

An address is the document's name, with `\\0` and an id behind it where several providers of one socket open the same
document. Decoding is total: a message or `MalformedFrame`. Source: the packages `@hocuspocus/provider` and
`@hocuspocus/server`, version 4.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cosession.errors import MalformedFrame

from . import lib0

AccessScope: TypeAlias = Literal["readonly", "read-write"]

_AUTH, _STATELESS, _CLOSE, _STATUS, _PING, _PONG = 2, 5, 7, 8, 9, 10

_TOKEN, _DENIED, _AUTHENTICATED = 0, 1, 2

_SEPARATOR = "\0"


@dataclass(frozen=True, slots=True)
class DocumentFrame:
    """A sync, awareness or query frame of a document, as `protocol.frames` encodes it.

    Attributes:
        data: the frame, which is not decoded further.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Authenticate:
    """The client's token for a document: opens it, or renews the grant of an open one.

    Attributes:
        token: the credential; empty where the provider has none.
        version: the provider's version; None before version 4.
    """

    token: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Asks the client for a fresh token."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Reports that a document is not opened, and the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Reports that a document is opened, and whether the client may write."""

    scope: AccessScope


@dataclass(frozen=True, slots=True)
class Stateless:
    """A text of the application's that is no part of the document."""

    payload: str


@dataclass(frozen=True, slots=True)
class Close:
    """Closes a document, and not its socket.

    Attributes:
        reason: from the server; a client gives None.
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """Reports whether the oldest unacknowledged change of the client is saved."""

    is_saved: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a pong."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping."""


Body: TypeAlias = (
    DocumentFrame
    | Authenticate
    | TokenRequest
    | Denied
    | Authenticated
    | Stateless
    | Close
    | SyncStatus
    | Ping
    | Pong
)


@dataclass(frozen=True, slots=True)
class Message:
    """One binary WebSocket message.

    Attributes:
        address: the address of its document; None for a ping or pong of the socket.
        body: the content.
    """

    address: str | None
    body: Body


def document_name(address: str) -> str:
    """Return the name of the document at an address."""
    return address.partition(_SEPARATOR)[0]


def decode_message(data: bytes) -> Message:
    """Decode one message, of either side.

    Raises:
        MalformedFrame: the bytes are not exactly one message of a known type.
    """
    if len(data) == 1 and data[0] in (_PING, _PONG):
        return Message(None, Ping() if data[0] == _PING else Pong())
    reader = lib0.Reader(data)
    address = reader.string()
    start = reader.at
    kind = reader.uint()
    body: Body
    match kind:
        case 0 | 1 | 3:
            return Message(address, DocumentFrame(data[start:]))
        case 2:
            body = _decode_auth(reader)
        case 5:
            body = Stateless(reader.string())
        case 7:
            body = Close(reader.string() if reader.at < reader.end else None)
        case 8:
            body = SyncStatus(_decode_status(reader))
        case 9:
            body = Ping()
        case 10:
            body = Pong()
        case _:
            raise MalformedFrame(f"The message is of type {kind}, which is no type of hocuspocus' clients.")
    reader.finish()
    return Message(address, body)


def encode_message(message: Message) -> bytes:
    """Encode one message: the inverse of `decode_message`."""
    body = _encode_body(message.body)
    return body if message.address is None else _string(message.address) + body


def _encode_body(body: Body) -> bytes:
    match body:
        case DocumentFrame(data):
            return data
        case Authenticate(token, version):
            return bytes((_AUTH, _TOKEN)) + _string(token) + (b"" if version is None else _string(version))
        case TokenRequest():
            return bytes((_AUTH, _TOKEN))
        case Denied(reason):
            return bytes((_AUTH, _DENIED)) + _string(reason)
        case Authenticated(scope):
            return bytes((_AUTH, _AUTHENTICATED)) + _string(scope)
        case Stateless(payload):
            return bytes((_STATELESS,)) + _string(payload)
        case Close(reason):
            return bytes((_CLOSE,)) + (b"" if reason is None else _string(reason))
        case SyncStatus(is_saved):
            return bytes((_STATUS, is_saved))
        case Ping():
            return bytes((_PING,))
        case Pong():
            return bytes((_PONG,))


def _decode_auth(reader: lib0.Reader) -> Authenticate | TokenRequest | Denied | Authenticated:
    match reader.uint():
        case 0 if reader.at == reader.end:
            return TokenRequest()
        case 0:
            token = reader.string()
            return Authenticate(token, reader.string() if reader.at < reader.end else None)
        case 1:
            return Denied(reader.string())
        case 2:
            scope = reader.string()
            if scope not in ("readonly", "read-write"):
                raise MalformedFrame("The scope of an authenticated document is `readonly` or `read-write`.")
            return Authenticated(scope)
        case kind:
            raise MalformedFrame(f"The auth message is of kind {kind}; only 0, 1 and 2 are known.")


def _decode_status(reader: lib0.Reader) -> bool:
    status = reader.uint()
    if status > 1:
        raise MalformedFrame("A sync status is 0 or 1.")
    return status == 1


def _string(text: str) -> bytes:
    return lib0.buffer(text.encode())
