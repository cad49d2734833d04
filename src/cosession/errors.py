"""The errors of cosession: one class hierarchy, each with a stable code and a message that says what to do.

Every error that the package raises to its users is a `CosessionError`. `code` is stable and meant for programs; the
message is meant for people. `close_code` is the WebSocket close code when the error ends a connection (4400 to 4499
are final, after all others clients try again), and `status` is the HTTP status when it ends a request.
"""

from typing import ClassVar


class CosessionError(Exception):
    """The base of all errors that cosession raises on purpose.

    Attributes:
        code: stable machine-readable code, e.g. `frame.malformed`.
        close_code: the WebSocket close code when this ends a connection.
        status: the HTTP status code when this ends a request.
    """

    code: ClassVar[str] = "internal"
    close_code: ClassVar[int] = 1011
    status: ClassVar[int] = 500


class MalformedFrame(CosessionError):
    """A frame, or an update in it, does not follow the wire format."""

    code = "frame.malformed"
    close_code = 4400
    status = 400


class NotAuthenticated(CosessionError):
    """The credential is missing, invalid or expired."""

    code = "auth.required"
    close_code = 4401
    status = 401


class NotAllowed(CosessionError):
    """An authenticated participant lacks the permission for an action.

    Attributes:
        touched: the place in the session's document, e.g. `messages/*/stamp`; empty for other actions.
        action: the action on that place: `create`, `change` or `delete`.
        needs: the capabilities of which one would have allowed it; empty when only the server may.
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
    """The server has no key to sign a token with."""

    code = "auth.cannot_sign"
    status = 501


class KeysUnavailable(CosessionError):
    """The keys that tokens are verified with can't be fetched; another try may succeed."""

    code = "auth.keys_unavailable"
    close_code = 4503
    status = 503


class NoSuchSession(CosessionError):
    """The session does not exist; it must be created first."""

    code = "session.unknown"
    close_code = 4404
    status = 404


class BadSessionId(CosessionError):
    """The text can't be the id of a session."""

    code = "session.bad_id"
    close_code = 4404
    status = 400


class SessionExists(CosessionError):
    """A session with this id exists already."""

    code = "session.exists"
    close_code = 4409
    status = 409


class MessageExists(CosessionError):
    """A message with this id exists already, by another author."""

    code = "message.exists"
    status = 409


class ClientIdTaken(CosessionError):
    """The Yjs client id is in use by another participant."""

    code = "client.id_taken"
    close_code = 4409
    status = 409


class Superseded(CosessionError):
    """Another process has taken over the work of this one, which was away for too long and must stop writing."""

    code = "run.superseded"
    close_code = 4409
    status = 409


class SessionDeleted(CosessionError):
    """The session was deleted."""

    code = "session.deleted"
    close_code = 4410
    status = 410


class NoSuchRun(CosessionError):
    """The session has no run with this id."""

    code = "run.unknown"
    status = 404


class RunEnded(CosessionError):
    """The run has ended: it can't be cancelled or steered any more."""

    code = "run.ended"
    status = 409


class ToolCallClosed(CosessionError):
    """The tool call is answered, or its message is deleted: it accepts no answer any more."""

    code = "tool.closed"
    status = 409


class NoSuchApproval(CosessionError):
    """The session has no approval with this id."""

    code = "approval.unknown"
    status = 404


class ApprovalClosed(CosessionError):
    """The approval is decided, or the vote doesn't count for it."""

    code = "approval.closed"
    status = 409


class NoSuchRevocation(CosessionError):
    """There is no revocation with this id."""

    code = "revocation.unknown"
    status = 404


class BadRequest(CosessionError):
    """The body or the parameters of a request are invalid."""

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
    """A connection did not read the data sent to it for too long."""

    code = "limit.too_slow"
    close_code = 4508
    status = 408


class TooManyConnections(CosessionError):
    """The address has reached its limit of connections."""

    code = "limit.too_many_connections"
    close_code = 4529
    status = 429


class ServerFull(CosessionError):
    """The server has reached its limit of connections."""

    code = "server.full"
    close_code = 4503
    status = 503


class ServerBusy(CosessionError):
    """Data that is arriving or being sent has reached the server's limit; another try will succeed."""

    code = "server.busy"
    close_code = 4503
    status = 503


class TooFast(CosessionError):
    """A connection sent more than the server accepts in that time."""

    code = "limit.too_fast"
    close_code = 4529
    status = 429


class BadDocument(CosessionError):
    """A value does not fit the session document's schema."""

    code = "document.invalid"
    close_code = 4400
    status = 422


class RoomBroken(CosessionError):
    """The live document of a session may be inconsistent; it is loaded again from the log."""

    code = "room.broken"
    close_code = 4503
    status = 503


class Unreadable(CosessionError):
    """Reading a session failed; the session is unchanged, and other readers are not affected."""

    code = "session.unreadable"
    status = 500


class CannotListen(CosessionError):
    """The server can't listen on the configured address."""

    code = "server.cannot_listen"


class StorageError(CosessionError):
    """A storage operation failed; nothing was stored in part."""

    code = "storage.failed"
    close_code = 4503
    status = 503


class SessionDamaged(StorageError):
    """The stored session can't be opened: the server's operator must repair it; another try fails too."""

    code = "session.damaged"
    close_code = 4422
    status = 500


class VersionTaken(StorageError):
    """Another process wrote to the session's log: the document in this process is not the stored one."""

    code = "storage.version_taken"


class StorageTooNew(StorageError):
    """The database was written by a newer version of cosession."""

    code = "storage.too_new"


class Disconnected(CosessionError):
    """The client is closed, or the server refused it for good.

    Attributes:
        close: the close code that the server gave, or None when the client closed itself.
        lost: the texts that were written here, that the server lacks, and that won't be sent any more.
    """

    code = "client.disconnected"

    def __init__(self, message: str, close: int | None = None, lost: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.close = close
        self.lost = lost


class WriteRefused(CosessionError):
    """The server refused a write of this client; the session goes on with the server's document.

    Attributes:
        close: the close code that the server gave.
        lost: the texts that were written here and that the server lacks.
    """

    code = "client.write_refused"

    def __init__(self, message: str, close: int, lost: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.close = close
        self.lost = lost


class RunCancelled(CosessionError):
    """The run was cancelled; raised inside it at its next step.

    Attributes:
        by: id of the participant who cancelled, if known.
        reason: the reason that the participant gave, possibly empty.
    """

    code = "run.cancelled"

    def __init__(self, by: str | None = None, reason: str = "") -> None:
        super().__init__(f"The run was cancelled by {by or 'someone'}{': ' + reason if reason else '.'}")
        self.by = by
        self.reason = reason


class RunLost(CosessionError):
    """Another process of the agent continues the run, or the server has ended it; raised at its next step."""

    code = "run.lost"


class ToolFailed(CosessionError):
    """A client's tool failed, or no client offered it in time; the message says which."""

    code = "tool.failed"


class ClaimHeld(CosessionError):
    """Another client or task holds the claim; wait for it, or do without."""

    code = "claim.held"


class ClaimLost(CosessionError):
    """Another client or task holds the claim now, or may hold it: stop acting on it."""

    code = "claim.lost"


def is_crdt_error(error: BaseException) -> bool:
    """Return whether an error is one by which pycrdt reports that it can't apply an update.

    A `ValueError` means that the bytes are no update, and nothing has changed. A `RuntimeError` is raised in the
    middle of an update, and a panic of the Rust core (a `BaseException` that can't be imported) at any moment: then
    the document may be inconsistent.
    """
    return isinstance(error, ValueError | RuntimeError) or type(error).__name__ == "PanicException"
