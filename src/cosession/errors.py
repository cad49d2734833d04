"""The errors of cosession: one class hierarchy, each with a stable code and a message that says what to do.

Every error that the package raises to its users is a `CosessionError`. `code` is stable and meant for programs; the
message is meant for people. `close_code` is the WebSocket close code when the error ends a connection (4400 to 4499
are final, after all others clients try again), and `status` is the HTTP status when it ends a request. The first
part of this module has the families, which a program catches; the server's finer classes follow.
"""

from dataclasses import dataclass
from typing import ClassVar


class CosessionError(Exception):
    """The base of all errors that cosession raises on purpose.

    Attributes:
        code: stable machine-readable code, e.g. `frame.malformed`.
        retryable: whether the same call may succeed later.
        close_code: the WebSocket close code when this ends a connection.
        status: the HTTP status code when this ends a request.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    close_code: ClassVar[int] = 1011
    status: ClassVar[int] = 500


class InvalidValue(CosessionError, ValueError):
    """An argument is invalid or too large; nothing of it was written.

    Attributes:
        path: the place of the value, e.g. `state.trip.hotel`; empty where the message names the argument.
    """

    code = "value.invalid"
    close_code = 4400
    status = 422

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class NotFound(CosessionError, LookupError):
    """There is no item with this id.

    Attributes:
        kind: the kind of item: `session`, `message`, `run`, `approval`, `prompt` or `revocation`; empty if unknown.
        id: the id that was looked up; empty if unknown.
    """

    code = "id.unknown"
    close_code = 4404
    status = 404
    default_kind: ClassVar[str] = ""

    def __init__(self, message: str, *, kind: str = "", id: str = "") -> None:  # noqa: A002
        super().__init__(message)
        self.kind = kind or self.default_kind
        self.id = id


class Gone(NotFound):
    """The item was deleted."""

    code = "id.gone"
    close_code = 4410
    status = 410


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


class NotAuthenticated(CosessionError):
    """The credential is missing, invalid or expired."""

    code = "auth.required"
    close_code = 4401
    status = 401


class Conflict(CosessionError):
    """The state of the item excludes the action: the run has ended, the approval is closed, the id is taken."""

    code = "state.conflict"
    close_code = 4409
    status = 409


class Unavailable(CosessionError):
    """The server can't do it now: it is full, stopping, or its storage fails; another try may succeed."""

    code = "server.unavailable"
    retryable = True
    close_code = 4503
    status = 503


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write or a request of this client that the server refused.

    Attributes:
        code: the code of the error, e.g. `auth.forbidden`; empty when the server gave none.
        close: the close code, e.g. 4403; None when the connection went on.
        reason: a sentence that says what to do.
        touched: the path in the document that may not be changed, e.g. `messages/*/stamp`; empty when there is none.
        lost: the texts that were written here and that the server doesn't have; they exist only here.
        update: all lost writes, as a Yjs update, for a program that needs more than the texts.
        final: whether writes were lost; False for a request that the server declined, and for a presence state that
            it rejected: then nothing else changes.
    """

    code: str
    close: int | None
    reason: str
    touched: str = ""
    lost: tuple[str, ...] = ()
    update: bytes = b""
    final: bool = True


class WriteRefused(CosessionError):
    """The server refused a write of this client; the session goes on with the server's document.

    Attributes:
        refusal: the server's reason, and the lost writes.
    """

    code = "client.write_refused"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class Disconnected(CosessionError):
    """The session is over: this client closed it, or the server refused it for good.

    Attributes:
        close: the close code that the server gave, or None when the client closed itself.
        lost: the texts that were written here, that the server lacks, and that won't be sent any more.
    """

    code = "client.disconnected"

    def __init__(self, message: str, close: int | None = None, lost: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.close = close
        self.lost = lost


class TimedOut(CosessionError, TimeoutError):
    """The time that the caller gave is over. Nothing was withdrawn: the result may still come."""

    code = "client.timed_out"
    retryable = True


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
    """Another client or task holds the claim; wait for it, or do without.

    Attributes:
        by: id of the participant that holds it; None if unknown.
    """

    code = "claim.held"
    retryable = True

    def __init__(self, message: str, *, by: str | None = None) -> None:
        super().__init__(message)
        self.by = by


class ClaimLost(CosessionError):
    """Another client or task holds the claim now, or may hold it: stop acting on it."""

    code = "claim.lost"


class MalformedFrame(InvalidValue):
    """A frame, or an update in it, does not follow the wire format."""

    code = "frame.malformed"
    status = 400


class BadKey(CosessionError):
    """The key that tokens are signed or verified with can't be used."""

    code = "auth.bad_key"


class CannotSign(CosessionError):
    """The server has no key to sign a token with."""

    code = "auth.cannot_sign"
    status = 501


class KeysUnavailable(Unavailable):
    """The keys that tokens are verified with can't be fetched; another try may succeed."""

    code = "auth.keys_unavailable"


class NoSuchSession(NotFound):
    """The session does not exist; it must be created first."""

    code = "session.unknown"
    default_kind = "session"


class BadSessionId(InvalidValue):
    """The text can't be the id of a session."""

    code = "session.bad_id"
    close_code = 4404
    status = 400


class SessionExists(Conflict):
    """A session with this id exists already."""

    code = "session.exists"


class MessageExists(Conflict):
    """A message with this id exists already, by another author."""

    code = "message.exists"
    close_code = 1011


class ClientIdTaken(Conflict):
    """The Yjs client id is in use by another participant."""

    code = "client.id_taken"


class Superseded(Conflict):
    """Another process has taken over the work of this one, which was away for too long and must stop writing."""

    code = "run.superseded"


class SessionDeleted(Gone):
    """The session was deleted."""

    code = "session.deleted"
    default_kind = "session"


class NoSuchRun(NotFound):
    """The session has no run with this id."""

    code = "run.unknown"
    close_code = 1011
    default_kind = "run"


class RunEnded(Conflict):
    """The run has ended: it can't be cancelled or steered any more."""

    code = "run.ended"
    close_code = 1011


class ToolCallClosed(Conflict):
    """The tool call is answered, or its message is deleted: it accepts no answer any more."""

    code = "tool.closed"
    close_code = 1011


class NoSuchApproval(NotFound):
    """The session has no approval with this id."""

    code = "approval.unknown"
    close_code = 1011
    default_kind = "approval"


class ApprovalClosed(Conflict):
    """The approval is decided, or the vote doesn't count for it."""

    code = "approval.closed"
    close_code = 1011


class NoSuchRevocation(NotFound):
    """There is no revocation with this id."""

    code = "revocation.unknown"
    close_code = 1011
    default_kind = "revocation"


class BadRequest(InvalidValue):
    """The body or the parameters of a request are invalid."""

    code = "request.invalid"


class TooLarge(InvalidValue):
    """A frame, a request or a document is larger than the limit."""

    code = "limit.too_large"
    close_code = 4413
    status = 413


class ShuttingDown(Unavailable):
    """The server process is stopping; another try will succeed."""

    code = "server.shutting_down"


class TooSlow(Unavailable):
    """A connection did not read the data sent to it for too long."""

    code = "limit.too_slow"
    close_code = 4508
    status = 408


class TooManyConnections(Unavailable):
    """The address has reached its limit of connections."""

    code = "limit.too_many_connections"
    close_code = 4529
    status = 429


class ServerFull(Unavailable):
    """The server has reached its limit of connections."""

    code = "server.full"


class ServerBusy(Unavailable):
    """Data that is arriving or being sent has reached the server's limit; another try will succeed."""

    code = "server.busy"


class TooFast(Unavailable):
    """A connection sent more than the server accepts in that time."""

    code = "limit.too_fast"
    close_code = 4529
    status = 429


class BadDocument(InvalidValue):
    """A value does not fit the session document's schema."""

    code = "document.invalid"


class RoomBroken(Unavailable):
    """The live document of a session may be inconsistent; it is loaded again from the log."""

    code = "room.broken"


class Unreadable(Unavailable):
    """Reading a session failed; the session is unchanged, and other readers are not affected."""

    code = "session.unreadable"
    close_code = 1011
    status = 500


class CannotListen(CosessionError):
    """The server can't listen on the configured address."""

    code = "server.cannot_listen"


class StorageError(Unavailable):
    """A storage operation failed; nothing was stored in part."""

    code = "storage.failed"


class SessionDamaged(StorageError):
    """The stored session can't be opened: the server's operator must repair it; another try fails too."""

    code = "session.damaged"
    retryable = False
    close_code = 4422
    status = 500


class VersionTaken(StorageError):
    """Another process wrote to the session's log: the document in this process is not the stored one."""

    code = "storage.version_taken"


class StorageTooNew(StorageError):
    """The database was written by a newer version of cosession."""

    code = "storage.too_new"
    retryable = False


def is_crdt_error(error: BaseException) -> bool:
    """Return whether an error is one by which pycrdt reports that it can't apply an update.

    A `ValueError` means that the bytes are no update, and nothing has changed. A `RuntimeError` is raised in the
    middle of an update, and a panic of the Rust core (a `BaseException` that can't be imported) at any moment: then
    the document may be inconsistent.
    """
    if isinstance(error, CosessionError):  # an `InvalidValue` is a `ValueError` too
        return False
    return isinstance(error, ValueError | RuntimeError) or type(error).__name__ == "PanicException"
