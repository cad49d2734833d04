"""What one wants for all: the title, what the server decides, and what one process at a time holds."""

from typing import Any

from cosession.document import checked_policy
from cosession.errors import BadDocument

from .claims import Claim
from .ids import fresh_id
from .request import Request
from .session_link import SessionLink
from .views import Views

VOTES = ("approved", "rejected")
"""How a participant may vote."""


class Wishes(Views):
    """Whoever is in a session."""

    _link: SessionLink
    _held: set[str]

    @property
    def participant(self) -> str:
        """Our participant id: as the server verified, or, until it says so, as was asked for."""
        return self._link.me.id

    def set_title(self, title: str) -> None:
        """Give the session another title.

        Raises:
            BadDocument: it is no text.
            TooLarge: it is larger than the server takes.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_text(title, "The title")
        self.document.meta.set_title(title)

    def cancel(self, about: str, reason: str = "") -> Request:
        """Ask that a run be cancelled, or a prompt that nobody answers yet; the server decides and records it.

        Args:
            about: the run, or the prompt's message.
            reason: a word to the agent and the others.

        Raises:
            BadDocument: the reason is no text.
            TooLarge: it is larger than the server takes.
            NotAllowed: we may cancel nothing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("What is cancelled", about)
        self._link.check_text(reason, "The reason")
        self._link.check_may("cancel-any", "cancel-own")
        return self._link.decide(self.document.requests.ask_cancel(about, self.participant, reason))

    def steer(self, run_id: str, text: str, *, id: str | None = None) -> Request:  # noqa: A002
        """Tell a run something while it works; the server decides. The request's `id` is the steer's.

        Args:
            run_id: the run.
            text: what the agent should take into account.
            id: the steer's id; the server records each once, so the same can be said again. None makes one.

        Raises:
            BadDocument: it is no text.
            TooLarge: it is larger than the server takes.
            NotAllowed: we may steer nothing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("What is steered", run_id)
        self._link.check_names("The id of a steer", *filter(None, (id,)))
        self._link.check_text(text, "The steer")
        self._link.check_may("steer", "cancel-own")
        asked = self.document.requests.ask_steer(run_id, id or fresh_id(), self.participant, text)
        return self._link.decide(asked)

    def vote(self, approval: str, decision: str, value: Any = None) -> Request:
        """Vote on something that an agent asks; the server decides when enough agree.

        Args:
            approval: its id, as in `approvals`.
            decision: `approved` or `rejected`.
            value: what is approved; None is what stands there now: the vote is for that, whatever becomes of it
                before the vote arrives.

        Raises:
            BadDocument: the decision is another one, or the value isn't JSON.
            TooLarge: the value is larger than the server takes.
            NotAllowed: we may approve nothing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("An approval's id", approval)
        if decision not in VOTES:
            raise BadDocument(f"A vote is {' or '.join(VOTES)}, not {decision!r}.")
        self._link.check_may("approve")
        asked = self.document.approvals.get(approval) if value is None and decision == "approved" else None
        if asked is not None and asked.is_editable:
            value = asked.value
        self._link.check_fits(value, "The value")
        return self._link.decide(self.document.requests.ask_vote(approval, self.participant, decision, value))

    def set_policy(self, double_texting: str) -> Request:
        """Ask for another way with prompts that arrive while an agent works.

        Args:
            double_texting: `queue`, `steer`, `interrupt`, `parallel` or `reject`.

        Raises:
            BadDocument: there is no such way.
            NotAllowed: we may not change the policy.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_may("queue")
        policy = checked_policy({"double_texting": double_texting})
        return self._link.decide(self.document.requests.ask_policy(self.participant, policy.double_texting))

    def claim(self, key: str, *, seconds: float | None = None, wait: bool = False) -> Claim:
        """Hold something that one process at a time holds: `async with session.claim("inbox") as claim:`.

        It is let go when the block ends, this process goes, or its time is over. Entering raises ClaimHeld when
        another holds it, and Disconnected.

        Args:
            key: what it is.
            seconds: for how long at most.
            wait: whether to wait while another holds it.

        Raises:
            BadDocument: the key isn't one.
            TooLarge: it is longer than the server takes.
            NotAllowed: we may claim nothing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self._link.check_names("The key of a claim", key)
        self._link.check_may("claim", "run")
        return Claim(self._link, self._held, key, seconds=seconds, wait=wait)
