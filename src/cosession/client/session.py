"""A session as an agent holds it: the shared document, who is here, and what one does in it.

`connect` is the only life cycle: `link` keeps the connection inside of its `async with` block, and nothing is left
after it. What is written while the network is away goes out when it is back. Never imports the server.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from cosession.document import Message, SessionDocument
from cosession.errors import BadDocument

from .credential import Credential, Token
from .grant import Me
from .link import Link
from .people import Person, Who, find_participant, people
from .prompts import Inbox, Prompts
from .refusal import Refusal
from .run import AgentRun
from .stamps import fresh_id, now
from .transport import Status, sync_url
from .views import Views

BATCH_SECONDS = 0.03
"""How long a token waits for others: below what a reader notices, and a fast model then makes few updates."""


class Session(Views):
    """One participant's live session; made by `connect`.

    Attributes:
        id: the session's id.
        participant: our participant id.
        name: what people see.
        kind: `agent`, `human` or `operator`.
        presence: what this connection says of itself, and what the others say.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        participant: str,
        name: str,
        kind: str,
        *,
        url: str,
        token: Token | None,
        on_refused: Callable[[Refusal], None] | None = None,
    ) -> None:
        """Prepare; `connect` opens it."""
        self.id = id
        self.participant = participant
        self.name = name
        self.kind = kind
        self._link = Link(
            id,
            {"id": participant, "name": name, "kind": kind},
            sync_url(url, id, participant=participant, name=name, kind=kind),
            Credential(token, participant),
            on_refused=on_refused,
            on_replaced=self._on_replaced,
        )
        self.presence = self._link.presence
        self._inbox: Inbox | None = None

    @property
    def document(self) -> SessionDocument:
        """The shared document. After a refusal it is another one; get views of it anew then."""
        return self._link.document

    @property
    def me(self) -> Me:
        """Who we are and what we may do, as the server verified; until it says so, what was asked for."""
        return self._link.me

    def may(self, capability: str) -> bool:
        """Whether we may do something, e.g. `prompt` or `state:trip/hotel`; see `Me.may`."""
        return self._link.me.may(capability)

    @property
    def people(self) -> list[Person]:
        """Everybody of the session: who is here, on how many devices, who is looking; we are among them."""
        return people(self.document, self.presence.everybody())

    @property
    def someone_is_watching(self) -> bool:
        """Whether a person, and not only agents, has the session in front of them now."""
        others = (person for person in self.people if person.id != self.participant)
        return any(person.looking and person.kind != "agent" for person in others)

    def set_title(self, title: str) -> None:
        """Give the session another title.

        Raises:
            Disconnected: the session is over.
        """
        self._link.go_on()
        self.document.meta.set_title(title)

    def who(self, participant: str | None) -> Who:
        """Return who a participant is, from all that the session says of them; never raises.

        Args:
            participant: an id, e.g. a message's author.
        """
        here = [Who(self.participant, self.name, self.kind), *self.presence.people()]
        return find_participant(participant, self.document, here)

    @property
    def status(self) -> Status:
        """Where the connection stands: `connecting`, `online`, `offline` (it comes back) or `closed`."""
        return self._link.status

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        return self._link.saved

    async def wait_saved(self) -> None:
        """Wait until the server has committed everything that was written here before this call.

        Raises:
            Disconnected: the session is over before that.
        """
        await self._link.wait_saved()

    async def send(
        self,
        text: str,
        *,
        id: str | None = None,  # noqa: A002
        role: str = "user",
        parts: Sequence[dict[str, Any]] = (),
        parent: str | None = None,
    ) -> Message:
        """Append a whole message.

        Args:
            text: what it says.
            id: the message's id; None makes one.
            role: `user`, `assistant` or `system`.
            parts: more parts, after the text.
            parent: id of the message it follows, where a session branches.

        Raises:
            Disconnected: the session is over.
        """
        self._link.go_on()
        return self.document.messages.append(
            role,
            [{"type": "text", "text": text, "state": "done"}, *parts],
            id=id or fresh_id(),
            author=self.participant,
            created_at=now(),
            parent=parent,
        )

    def edit(self, message_id: str, text: str) -> None:
        """Change a message's text, as little as possible, so that concurrent edits merge.

        Raises:
            BadDocument: there is no such message, or it is deleted.
            Disconnected: the session is over.
        """
        self._find(message_id).edit(text, at=now(), by=self.participant)

    def remove(self, message_id: str) -> None:
        """Delete what a message says; an empty message marked as deleted stays. Raises as `edit` does."""
        self._find(message_id).delete(at=now())

    def cancel(self, run_id: str, reason: str = "") -> None:
        """Ask that a run be cancelled; the server decides and records it.

        Args:
            run_id: the run.
            reason: a word to the agent and the others.

        Raises:
            Disconnected: the session is over.
        """
        self._link.go_on()
        self.document.requests.ask_cancel(run_id, self.participant, reason)

    def steer(self, run_id: str, text: str, *, id: str | None = None) -> str:  # noqa: A002
        """Tell a run something while it works; return the steer's id.

        Args:
            run_id: the run.
            text: what the agent should take into account.
            id: the steer's id; the server records each once, so the same can be said again. None makes one.

        Raises:
            Disconnected: the session is over.
        """
        self._link.go_on()
        steer = id or fresh_id()
        self.document.requests.ask_steer(run_id, steer, self.participant, text)
        return steer

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a shared counter; the additions of all add up, whoever makes them at once.

        Args:
            name: the counter, as it is read in `counters`.
            amount: how much; negative takes away.

        Raises:
            BadDocument: the amount is no number.
            Disconnected: the session is over.
        """
        self._link.go_on()
        self.document.counters.add(name, self.participant, amount, device=str(self.document.doc.client_id))

    def prompts(self) -> Prompts:
        """Iterate over the messages that want an answer, those that wait already and those to come.

        Raises:
            Disconnected: the session is over; also raised from the iteration.
        """
        self._link.go_on()
        if self._inbox is None:
            self._inbox = Inbox(self.document, self._link.bell)
        return Prompts(self._inbox, bell=self._link.bell, ended=lambda: self._link.ended)

    def run(
        self, *, reply_to: Message | str | None = None, task: str = "", batch_seconds: float = BATCH_SECONDS
    ) -> AgentRun:
        """Begin a piece of work: `async with session.run(reply_to=prompt) as run:`.

        Args:
            reply_to: the message that it answers, or its id.
            task: one line on what it does, for people.
            batch_seconds: how long a token may wait for others; 0 writes each at once.
        """
        document = self.document
        return AgentRun(
            document,
            self.participant,
            name=self.name,
            reply_to=reply_to.id if isinstance(reply_to, Message) else reply_to,
            task=task,
            batch_seconds=batch_seconds,
            ended=lambda: self._link.ended or self._link.lost(document),
            current=lambda: self.document,
        )

    @asynccontextmanager
    async def live(self, url: str, wait_seconds: float | None) -> AsyncGenerator[None, None]:
        """Be connected for the length of a block; `connect` calls this, once."""
        try:
            async with self._link.live(url, wait_seconds):
                yield
        finally:
            if self._inbox is not None:
                self._inbox.close()

    def _on_replaced(self) -> None:
        if self._inbox is not None:
            self._inbox.move(self.document)

    def _find(self, message_id: str) -> Message:
        self._link.go_on()
        if (message := self.document.messages.get(message_id)) is None:
            raise BadDocument(f"The session has no message {message_id!r}.")
        return message
