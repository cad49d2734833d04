"""Requests: what the server decides for us, and how its answer is heard.

The server removes a request from the document when it has decided. Before that it says no, with a reason, to the
connections of the participant, if it declines; without that word the request was accepted. A no that nothing waits
for is told to `on_refused`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosession.document import RequestRecord as Asked
from cosession.document import SessionDocument
from cosession.errors import ApprovalClosed, CosessionError, NotAllowed, RunEnded
from cosession.logs import get_logger
from cosession.protocol import Notice

from .refusal import Refusal, error_of

if TYPE_CHECKING:
    from .session_link import SessionLink

log = get_logger(__name__)

_MOST_WAITING = 1024
"""Requests of which the answer isn't known; of older ones a no is only logged."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server decided.

    Attributes:
        accepted: whether it does what was asked.
        error: why it doesn't; None when it does.
    """

    accepted: bool
    error: CosessionError | None = None

    def check(self) -> None:
        """Go on only if the request was accepted; raises `error` otherwise."""
        if self.error is not None:
            raise self.error


class Request:
    """Something that the server was asked to decide; made by `cancel`, `steer`, `vote` and `set_policy`.

    Attributes:
        id: of a steer, the steer's id; else what the request is about; empty where it is about the session.
        is_awaited: whether something waits for the outcome, or has it.
    """

    def __init__(self, link: "SessionLink", document: SessionDocument, asked: Asked) -> None:
        """Prepare; `Wishes` asks.

        Args:
            link: the tie to the server.
            document: where it was asked.
            asked: what was asked.
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
            timeout_seconds: how long; None is for ever. The request stands, however long is waited.

        Raises:
            Disconnected: the session is over before that.
            TimeoutError: there is no decision yet.
        """
        self.is_awaited = True
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._look() is None:
                    self._link.go_on()
                    with self._link.document.observe(lambda _: self._link.bell.ring(), "requests"):
                        if self._look() is None:
                            await self._link.bell.wait()
        finally:
            self.is_awaited = self._outcome is not None
        assert self._outcome is not None
        return self._outcome

    def decline(self, error: CosessionError) -> bool:
        """Hear that the server declines; return whether something waits for that."""
        if self._look() is None:
            self._outcome = Outcome(accepted=False, error=error)
        return self.is_awaited

    def _look(self) -> Outcome | None:
        """What is known of the decision. After a refusal of something else it may have been asked once more."""
        document, key = self._link.document, self._asked.key
        if self._outcome is None and key in document.requests.shared:
            self._document = document
        elif self._outcome is None and key in self._document.requests.shared:
            error = self._link.lost(self._document)
            self._outcome = Outcome(error is None, error)
        elif self._outcome is None:
            # A no that came while the connection was away has been heard by nobody: then the facts tell.
            is_heard = self._breaks == self._link.breaks and document is self._document
            error = None if is_heard else _unheard(document, self._asked)
            self._outcome = Outcome(error is None, error)
        return self._outcome


class Decisions:
    """The requests of one session of which the answer isn't known."""

    def __init__(self, session: str, tell: Callable[[Refusal], None]) -> None:
        """Prepare.

        Args:
            session: the session's id, for the log.
            tell: told of what was declined, and that nothing waits for.
        """
        self._session = session
        self._tell = tell
        self._waiting: dict[str, Request] = {}

    def ask(self, link: "SessionLink", document: SessionDocument, asked: Asked) -> Request:
        """Note what was asked."""
        request = Request(link, document, asked)
        self._waiting.pop(asked.key, None)
        self._waiting[asked.key] = request
        if len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        return request

    def hear(self, notice: Notice) -> None:
        """Take in a notice after which the connection goes on."""
        error = error_of(notice.code, notice.reason)
        request = self._waiting.pop(notice.request, None)
        if notice.request and request is None:
            return  # another process of ours asked, or it is no request that is shown to the application
        if request is None or not request.decline(error):
            log.warning("client.declined", session=self._session, code=notice.code, reason=notice.reason)
            refusal = Refusal(error.close_code, notice.code, notice.reason, notice.touched, final=False)
            self._tell(refusal)


def _unheard(document: SessionDocument, asked: Asked) -> CosessionError | None:
    """Why something that was asked isn't so, where the server's answer was not heard; None where it is so."""
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
