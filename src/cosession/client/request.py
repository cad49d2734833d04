"""Requests: decisions that this client asks the server for, and their outcomes.

The server removes a request from the document when it has decided. If it declines, it first sends a notice with the
reason to the participant's connections; without a notice the request was accepted. A refusal that nothing waits for
is the event `refused`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosession.document import RequestRecord as Asked
from cosession.document import SessionDocument
from cosession.errors import ApprovalClosed, CosessionError, NotAllowed, Refusal, RunEnded
from cosession.logs import get_logger
from cosession.protocol import Notice

from .refusal import error_of
from .waiting import in_time

if TYPE_CHECKING:
    from .session_link import SessionLink

log = get_logger(__name__)

_MOST_WAITING = 1024
"""The number of undecided requests that are tracked; the outcome of an older one is read from the document."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The server's decision on a request.

    Attributes:
        accepted: whether the server accepted the request.
        error: the reason for a refusal; None when accepted.
    """

    accepted: bool
    error: CosessionError | None = None

    def check(self) -> None:
        """Check that the request was accepted; raise `error` otherwise."""
        if self.error is not None:
            raise self.error


class Request:
    """A request to the server; made by `cancel`, `steer`, `vote` and `set_policy`.

    Attributes:
        id: the id of a steer, else the id of the request's subject; empty where that is the session.
        is_awaited: whether something waits for the outcome, or has it.
    """

    def __init__(self, link: "SessionLink", document: SessionDocument, asked: Asked) -> None:
        """Prepare; `Wishes` asks.

        Args:
            link: the link to the server.
            document: the document of the request.
            asked: the request's record.
        """
        self.id = asked.subject[-1] if asked.subject else ""
        self.is_awaited = False
        self._link = link
        self._document = document
        self._asked = asked
        self._breaks = link.breaks
        self._outcome: Outcome | None = None

    def __repr__(self) -> str:
        return f"Request({self._asked.kind!r}, {self.id!r})"

    async def outcome(self, *, timeout_seconds: float | None = None) -> Outcome:
        """Wait for the server's decision.

        Args:
            timeout_seconds: how long to wait; None is for ever. A timeout doesn't withdraw the request.

        Raises:
            Disconnected: the session is over before that.
            TimedOut: there is no decision yet.
        """
        self.is_awaited = True
        try:
            return await in_time(self._decided(), timeout_seconds, "The server hasn't decided")
        finally:
            self.is_awaited = self._outcome is not None

    async def _decided(self) -> Outcome:
        while (outcome := self._look()) is None:
            self._link.go_on()
            with self._link.document.observe(lambda _: self._link.bell.ring(), "requests"):
                if self._look() is None:
                    await self._link.bell.wait()
        return outcome

    @property
    def about(self) -> str:
        """The id of the subject: a run, a prompt or an approval; empty where it is the session."""
        return self._asked.subject[0] if self._asked.subject else ""

    def decline(self, error: CosessionError) -> bool:
        """Record that the server declined; return whether a caller awaits the outcome."""
        if self._look() is None:
            self._outcome = Outcome(accepted=False, error=error)
        return self.is_awaited

    def evict(self) -> None:
        """Expect no notice any more: the document shows the decision."""
        self._breaks = -1

    def _look(self) -> Outcome | None:
        """Return the outcome, if known. A refusal of another write may have caused the request to be sent again."""
        document, key = self._link.document, self._asked.key
        if self._outcome is None and key in document.requests.shared:
            self._document = document
        elif self._outcome is None and key in self._document.requests.shared:
            error = self._link.lost(self._document)
            self._outcome = Outcome(error is None, error)
        elif self._outcome is None:
            # A notice that was sent while the connection was away is lost: then the document shows the decision.
            is_heard = self._breaks == self._link.breaks and document is self._document
            error = None if is_heard else _unheard(document, self._asked)
            self._outcome = Outcome(error is None, error)
        return self._outcome


class Decisions:
    """The undecided requests of one session."""

    def __init__(self, session: str, tell: Callable[[Refusal], None]) -> None:
        """Prepare.

        Args:
            session: the session's id, for the log.
            tell: called with a refusal that nothing waits for.
        """
        self._session = session
        self._tell = tell
        self._waiting: dict[str, Request] = {}

    def ask(self, link: "SessionLink", document: SessionDocument, asked: Asked) -> Request:
        """Track a request."""
        request = Request(link, document, asked)
        self._waiting.pop(asked.key, None)
        self._waiting[asked.key] = request
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.pop(next(iter(self._waiting))).evict()
        return request

    def hear(self, notice: Notice) -> None:
        """Process a notice after which the connection continues."""
        request = self._waiting.pop(notice.request, None)
        error = error_of(notice.code, notice.reason, id=request.about if request else "")
        if notice.request and request is None:
            return  # made by another process of the participant, or not shown to the application
        if request is None or not request.decline(error):
            log.warning("client.declined", session=self._session, code=notice.code, reason=notice.reason)
            refusal = Refusal(notice.code, None, notice.reason, notice.touched, final=False)
            self._tell(refusal)


def _unheard(document: SessionDocument, asked: Asked) -> CosessionError | None:
    """Return the error of a request whose answer was missed, if its effect isn't in the document; None if it is."""
    about = asked.subject[0] if asked.subject else ""
    match asked.kind:
        case "cancel":
            run, message = document.runs.get(about), document.messages.get(about)
            if (run is not None and run.cancel is not None) or (message is not None and message.refused is not None):
                return None
            return RunEnded(f"{about!r} wasn't cancelled; the server said why while the connection was away.")
        case "steer":
            run = document.runs.get(about)
            if run is not None and any(steer["id"] == asked.subject[-1] for steer in run.steers):
                return None
            return RunEnded(f"The run {about!r} wasn't steered; the server said why while the connection was away.")
        case "vote":
            approval = document.approvals.get(about)
            if approval is not None and asked.participant in approval.votes:
                return None
            return ApprovalClosed("The vote wasn't counted; the server said why while the connection was away.")
        case _:
            if document.meta.rules.double_texting == asked.value.get("double_texting"):
                return None
            return NotAllowed("The policy wasn't changed; the server said why while the connection was away.")
