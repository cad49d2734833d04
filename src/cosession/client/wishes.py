"""Session-wide actions: title, cancel, steer, vote, policy, claims."""

from typing import Any

from cosession.document import checked_policy
from cosession.errors import InvalidValue

from .claims import Claim
from .ids import fresh_id
from .request import Request
from .session_link import SessionLink
from .views import Views

VOTES = ("approved", "rejected")
"""The votes that a participant may cast."""


class Wishes(Views):
    """The session-wide actions of a participant."""

    _link: SessionLink
    _held: set[str]

    def set_title(self, title: str) -> None:
        """Give the session another title.

        Raises:
            InvalidValue: the title is no text.
            TooLarge: the title is larger than the server accepts.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_text(title, "The title")
        self.document.meta.set_title(title)

    def cancel(self, about: str, reason: str = "") -> Request:
        """Ask the server to cancel a run, or a prompt that no run answers yet; the server decides and records it.

        Args:
            about: the id of the run, or of the prompt's message.
            reason: a reason, for the agent and the other participants.

        Raises:
            InvalidValue: the reason is no text.
            TooLarge: the reason is larger than the server accepts.
            NotAllowed: the capability to cancel is missing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("What is cancelled", about)
        self._link.check_text(reason, "The reason")
        self._link.check_may("cancel-any", "cancel-own")
        return self._link.decide(self.document.requests.ask_cancel(about, self._link.me.id, reason))

    def steer(self, run_id: str, text: str, *, id: str | None = None) -> Request:  # noqa: A002
        """Add an instruction to a running run; the server decides. The request's `id` is the steer's.

        Args:
            run_id: the run's id.
            text: the instruction to the agent.
            id: the steer's id; the server records each id once, so a steer can be repeated. None makes one.

        Raises:
            InvalidValue: the instruction is no text.
            TooLarge: the instruction is larger than the server accepts.
            NotAllowed: the capability to steer is missing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("What is steered", run_id)
        self._link.check_names("The id of a steer", *filter(None, (id,)))
        self._link.check_text(text, "The steer")
        self._link.check_may("steer", "cancel-own")
        asked = self.document.requests.ask_steer(run_id, id or fresh_id(), self._link.me.id, text)
        return self._link.decide(asked)

    def vote(self, approval: str, decision: str, value: Any = None) -> Request:
        """Vote on an approval that an agent asks for; the server decides when enough participants agree.

        Args:
            approval: its id, as in `approvals`.
            decision: `approved` or `rejected`.
            value: the approved value; None is the current one: the vote is for that value, even if it changes
                before the vote arrives.

        Raises:
            InvalidValue: the decision is another one, or the value isn't JSON.
            TooLarge: the value is larger than the server accepts.
            NotAllowed: the capability to approve is missing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("An approval's id", approval)
        if decision not in VOTES:
            raise InvalidValue(f"A vote is {' or '.join(VOTES)}, not {decision!r}.")
        self._link.check_may("approve")
        asked = self.document.approvals.get(approval) if value is None and decision == "approved" else None
        if asked is not None and asked.is_editable:
            value = asked.value
        self._link.check_fits(value, "The value")
        return self._link.decide(self.document.requests.ask_vote(approval, self._link.me.id, decision, value))

    def set_policy(self, double_texting: str) -> Request:
        """Ask the server to change the handling of prompts that arrive while an agent works.

        Args:
            double_texting: `queue`, `steer`, `interrupt`, `parallel` or `reject`.

        Raises:
            InvalidValue: the value is another one.
            NotAllowed: the capability to change the policy is missing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_may("queue")
        policy = checked_policy({"double_texting": double_texting})
        return self._link.decide(self.document.requests.ask_policy(self._link.me.id, policy.double_texting))

    def claim(self, key: str, *, seconds: float | None = None, wait: bool = False) -> Claim:
        """Claim a key that one process at a time can hold: `async with session.claim("inbox") as claim:`.

        The claim is released when the block ends, this process disconnects, or its time is over. Entering raises
        ClaimHeld when another process holds it, and Disconnected.

        Args:
            key: the key of the claim.
            seconds: the longest time to hold it; None is no limit.
            wait: whether to wait while another process holds it.

        Raises:
            InvalidValue: the key isn't a valid name.
            TooLarge: the key is longer than the server accepts.
            NotAllowed: the capability to claim is missing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("The key of a claim", key)
        self._link.check_may("claim", "run")
        return Claim(self._link, self._held, key, seconds=seconds, wait=wait)
