"""The errors of cosession: one small tree, each with a stable code and a sentence that says what to do.

Every error that crosses a border of the package is a `CosessionError`. `code` is stable and meant for
programs; the message is meant for people. `close_code` is what a socket is closed with when the error
ends a connection (4400 to 4499 are final, everything else is tried again), and
`status` is the HTTP status when it ends a request.
"""

from typing import ClassVar


class CosessionError(Exception):
    """Anything that cosession raises on purpose.

    Attributes:
        code: stable machine-readable name, e.g. `frame.malformed`.
        close_code: the WebSocket close code when this ends a connection.
        status: the HTTP status code when this ends a request.
    """

    code: ClassVar[str] = "internal"
    close_code: ClassVar[int] = 1011
    status: ClassVar[int] = 500


class MalformedFrame(CosessionError):
    """A frame, or an update in it, that does not follow the wire format."""

    code = "frame.malformed"
    close_code = 4400
    status = 400


class NotAuthenticated(CosessionError):
    """No identity, or one that has expired."""

    code = "auth.required"
    close_code = 4401
    status = 401


class NotAllowed(CosessionError):
    """A known participant touched what it may not touch.

    Attributes:
        touched: the place in the session's document, e.g. `messages/*/stamp`; empty when it was none.
        action: what was done to it: `create`, `change` or `delete`.
        needs: the capabilities of which one would have allowed it; none when only the server may.
    """

    code = "auth.forbidden"
    close_code = 4403
    status = 403

    def __init__(self, message: str, *, touched: str = "", action: str = "", needs: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.touched = touched
        self.action = action
        self.needs = needs


class BadKey(CosessionError):
    """The key that tokens are signed or verified with can't be used."""

    code = "auth.bad_key"


class CannotSign(CosessionError):
    """The server has no key that it could sign a token with."""

    code = "auth.cannot_sign"
    status = 501


class KeysUnavailable(CosessionError):
    """The keys that tokens are verified with can't be fetched; another try may succeed."""

    code = "auth.keys_unavailable"
    close_code = 4503
    status = 503


class NoSuchSession(CosessionError):
    """The session does not exist, and sessions must be created first."""

    code = "session.unknown"
    close_code = 4404
    status = 404


class BadSessionId(CosessionError):
    """The name can't be a session's."""

    code = "session.bad_id"
    close_code = 4404
    status = 400


class SessionExists(CosessionError):
    """A session of this name is there already."""

    code = "session.exists"
    close_code = 4409
    status = 409


class MessageExists(CosessionError):
    """A message of this id is there already, and it is another's."""

    code = "message.exists"
    status = 409


class ClientIdTaken(CosessionError):
    """A Yjs client id is in use by another participant."""

    code = "client.id_taken"
    close_code = 4409
    status = 409


class Superseded(CosessionError):
    """Another process goes on with what this one worked on; it was away for too long, and writes no more."""

    code = "run.superseded"
    close_code = 4409
    status = 409


class SessionDeleted(CosessionError):
    """The session was deleted."""

    code = "session.deleted"
    close_code = 4410
    status = 410


class NoSuchRun(CosessionError):
    """The session has no run of this id."""

    code = "run.unknown"
    status = 404


class RunEnded(CosessionError):
    """The run is over: it can't be cancelled or steered any more."""

    code = "run.ended"
    status = 409


class ToolCallClosed(CosessionError):
    """The tool call is answered, or its message is gone: it takes no answer any more."""

    code = "tool.closed"
    status = 409


class NoSuchApproval(CosessionError):
    """The session has no approval of this id."""

    code = "approval.unknown"
    status = 404


class ApprovalClosed(CosessionError):
    """The approval is decided, or the vote doesn't count there."""

    code = "approval.closed"
    status = 409


class NoSuchRevocation(CosessionError):
    """There is no revocation of this id."""

    code = "revocation.unknown"
    status = 404


class BadRequest(CosessionError):
    """A request whose body or parameters can't be used."""

    code = "request.invalid"
    close_code = 4400
    status = 422


class TooLarge(CosessionError):
    """A frame, a request or a document is larger than the limit."""

    code = "limit.too_large"
    close_code = 4413
    status = 413


class ShuttingDown(CosessionError):
    """The server process is stopping; another try will succeed."""

    code = "server.shutting_down"
    close_code = 4503
    status = 503


class TooSlow(CosessionError):
    """A connection did not read what was sent to it for too long."""

    code = "limit.too_slow"
    close_code = 4508
    status = 408


class TooManyConnections(CosessionError):
    """An address has as many connections as one may have."""

    code = "limit.too_many_connections"
    close_code = 4529
    status = 429


class ServerFull(CosessionError):
    """The server has as many connections as it takes."""

    code = "server.full"
    close_code = 4503
    status = 503


class ServerBusy(CosessionError):
    """The server has as much on its way in as it takes; another try will succeed."""

    code = "server.busy"
    close_code = 4503
    status = 503


class TooFast(CosessionError):
    """A connection sent more than the server takes."""

    code = "limit.too_fast"
    close_code = 4529
    status = 429


class BadDocument(CosessionError):
    """A value does not fit the session document's schema."""

    code = "document.invalid"
    close_code = 4400
    status = 422


class RoomBroken(CosessionError):
    """The live document of a session can't be trusted any more; it is loaded again from the log."""

    code = "room.broken"
    close_code = 4503
    status = 503


class Unreadable(CosessionError):
    """Reading a session failed; nothing has changed, and its other readers go on."""

    code = "session.unreadable"
    status = 500


class CannotListen(CosessionError):
    """The server can't listen where it was told to."""

    code = "server.cannot_listen"


class StorageError(CosessionError):
    """The storage could not do what was asked; nothing was half done."""

    code = "storage.failed"
    close_code = 4503
    status = 503


class SessionDamaged(StorageError):
    """What is stored of the session can't be opened: the server's operator must repair it; another try fails too."""

    code = "session.damaged"
    close_code = 4422
    status = 500


class VersionTaken(StorageError):
    """Somebody else wrote to the session's log: what this process holds of it is not what is stored."""

    code = "storage.version_taken"


class StorageTooNew(StorageError):
    """The database was written by a newer version of cosession."""

    code = "storage.too_new"


class Disconnected(CosessionError):
    """The client is closed, or the server refused it for good.

    Attributes:
        close: the close code that the server gave, or None when the client closed itself.
        lost: the texts that were written here, that the server has not, and that won't be sent any more.
    """

    code = "client.disconnected"

    def __init__(self, message: str, close: int | None = None, lost: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.close = close
        self.lost = lost


class WriteRefused(CosessionError):
    """The server refused something that was written here; the session goes on with the server's document.

    Attributes:
        close: the close code that the server gave.
        lost: the texts that were written here and that the server has not.
    """

    code = "client.write_refused"

    def __init__(self, message: str, close: int, lost: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.close = close
        self.lost = lost


class RunCancelled(CosessionError):
    """Somebody cancelled the run; raised inside it at its next step.

    Attributes:
        by: id of the participant who cancelled, if known.
        reason: what they said, possibly empty.
    """

    code = "run.cancelled"

    def __init__(self, by: str | None = None, reason: str = "") -> None:
        super().__init__(f"The run was cancelled by {by or 'someone'}{': ' + reason if reason else '.'}")
        self.by = by
        self.reason = reason


class RunLost(CosessionError):
    """Another process of the agent goes on with the run, or the server has ended it; raised at its next step."""

    code = "run.lost"


class ToolFailed(CosessionError):
    """A client's tool gave an error, or nobody offered it in time; the message says which."""

    code = "tool.failed"


class ClaimHeld(CosessionError):
    """Somebody else holds what was claimed; wait for it, or let it be."""

    code = "claim.held"


class ClaimLost(CosessionError):
    """What was claimed is another's now, or may be: stop acting on it."""

    code = "claim.lost"


def is_crdt_error(error: BaseException) -> bool:
    """Whether an error is how pycrdt says that it can't take an update.

    A `ValueError` is about bytes that are no update, and nothing has changed. A `RuntimeError` comes in the middle of
    one, and a panic of its Rust core, which is a `BaseException` without a name to import, at any moment: then the
    document can't be trusted any more.
    """
    return isinstance(error, ValueError | RuntimeError) or type(error).__name__ == "PanicException"
