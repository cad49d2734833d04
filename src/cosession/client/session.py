"""A session as a client uses it: the shared document, its participants, and the actions on it.

`connect` is the only life cycle: `session_link` keeps the connection inside its `async with` block, and no task or
socket outlives the block. Writes without a connection are sent when it is back. Never imports the server.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cosession.document import Counters, Message, Queue, Selections, SessionDocument, SharedText
from cosession.errors import Disconnected, Refusal

from .address import sync_url
from .credential import Credential, Token
from .edits import Edits
from .identity import Me
from .live_views import LiveCounters, LiveQueue, LiveSelections, LiveText
from .offering import Offering
from .offers import OfferedTool, offered
from .people import Person, Who, find_participant, people
from .prompts import PromptInbox, Prompts
from .run import AgentRun
from .run_takeover import Adoption
from .session_link import SessionLink
from .state import SharedState
from .transport import Status
from .words import Words
from .writing import Writing

BATCH_MS = 30
"""The milliseconds that a token waits for others: readers don't notice them, and a fast model makes fewer updates."""


class Session(Writing):
    """One participant's live session; made by `connect`.

    Attributes:
        id: the session's id.
        name: the name that people see.
        kind: `agent`, `human` or `operator`.
        presence: the presence state of this connection, and those of the others.
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
        client_id: int | None = None,
    ) -> None:
        """Prepare; `connect` opens it."""
        self.id = id
        self.name = name
        self.kind = kind
        self._link = SessionLink(
            id,
            {"id": participant, "name": name, "kind": kind},
            sync_url(url, id, participant=participant, name=name, kind=kind),
            Credential(token, participant),
            on_refused=on_refused,
            on_replaced=self._on_replaced,
            client_id=client_id,
        )
        self._adoption = Adoption(self._link)
        self._held = set()
        self.presence = self._link.presence
        self._inbox: PromptInbox | None = None
        self._words: Words | None = None
        self._offering: Offering | None = None

    @property
    def document(self) -> SessionDocument:
        """The shared document. A refusal replaces it by another one, and views of it must be obtained again."""
        return self._link.document

    @property
    def me(self) -> Me:
        """Our identity and capabilities, as the server verified; until then, as requested."""
        return self._link.me

    def may(self, capability: str) -> bool:
        """Return whether we have a capability, e.g. `prompt` or `state:trip/hotel`; see `Me.may`."""
        return self._link.me.may(capability)

    @property
    def state(self) -> SharedState:
        """The application's shared state."""
        return SharedState(self._link)

    @property
    def selections(self) -> Selections:
        """The selections of each participant."""
        return LiveSelections(self._link)

    @property
    def counters(self) -> Counters:
        """The shared counters; `count` adds to one."""
        return LiveCounters(self._link)

    @property
    def queue(self) -> Queue:
        """The queue of waiting prompts, to read, edit, move and remove; `enqueue` adds one."""
        return LiveQueue(self._link)

    def text(self, name: str) -> SharedText:
        """Return a shared text.

        Raises:
            InvalidValue: the name isn't one.
            TooLarge: the name is longer than the server accepts.
        """
        self._link.check_names("The name of a text", name)
        return LiveText(self._link, self.document.text(name).shared)

    @property
    def tools(self) -> list[OfferedTool]:
        """The tools that clients offer now, e.g. browsers; `AgentRun.call` calls one."""
        return offered(self.presence.others().values())

    def offer_tool(
        self, name: str, call: Callable[[Any], Any], *, description: str = "", schema: dict[str, Any] | None = None
    ) -> Callable[[], None]:
        """Offer a tool to agents; return a function that withdraws the offer. One of several clients answers a call.

        Args:
            name: the name that agents call.
            call: a sync or async function from the input to a JSON-like output. Its exception is reported to the
                agent as an error. It is cancelled when the session ends.
            description: a description of the tool, for a model.
            schema: the JSON Schema of its input.

        Raises:
            InvalidValue: this session offers the tool already, or the schema isn't JSON.
            TooLarge: with the tool, our presence is larger than the server accepts.
            NotAllowed: the capabilities to answer calls are missing.
            Disconnected: the session is over.
        """
        self._link.go_on()
        if self._offering is None:
            self._offering = Offering(self._link)
        return self._offering.offer(name, call, description, schema)

    @property
    def people(self) -> list[Person]:
        """All participants of the session, this one included, with their presence: online, devices, looking."""
        return people(self.document, self.presence.everybody())

    @property
    def someone_is_watching(self) -> bool:
        """Whether the session is visible on a screen of another participant that isn't an agent."""
        others = (person for person in self.people if person.id != self.participant)
        return any(person.looking and person.kind != "agent" for person in others)

    def who(self, participant: str | None) -> Who:
        """Return the identity of a participant, from everything that the session records; never raises.

        Args:
            participant: an id, e.g. a message's author.
        """
        here = [Who(self.participant, self.name, self.kind), *self.presence.people()]
        return find_participant(participant, self.document, here)

    @property
    def status(self) -> Status:
        """The state of the connection: `connecting`, `online`, `offline` (it comes back) or `closed`."""
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

    async def wait_closed(self) -> Disconnected:
        """Wait until the session is over, and return why."""
        while self._link.ended is None:
            await self._link.bell.wait()
        return self._link.ended

    def edits(self) -> Edits:
        """Iterate over the edits by others in our messages: `async for edit in session.edits():`.

        It begins with this call; changes of one message are merged into one edit until it is fetched.

        Raises:
            Disconnected: the session is over; also raised from the iteration.
        """
        self._link.go_on()
        if self._words is None:
            self._words = Words(self._link)
        edits = Edits(self._link)
        self._words.tell(edits)
        return edits

    def prompts(self) -> Prompts:
        """Iterate over the messages that this agent shall answer, waiting ones and later ones.

        Each is claimed for this process; one of several processes of an agent gets it. A prompt whose run was lost
        is returned again, to one process: its `run` then resumes that run.

        Raises:
            Disconnected: the session is over; also raised from the iteration.
        """
        self._link.go_on()
        if self._inbox is None:
            self._inbox = PromptInbox(self._link, self._adoption)
        return Prompts(self._inbox, self._link)

    def run(
        self,
        *,
        reply_to: Message | str | None = None,
        id: str | None = None,  # noqa: A002 - the field's name
        task: str = "",
        batch_ms: int = BATCH_MS,
    ) -> AgentRun:
        """Begin a piece of work: `async with session.run(reply_to=prompt) as run:`.

        Args:
            reply_to: the message that it answers, or its id.
            id: the run's id, unique in the session; None makes one. A run of another process that is resumed for this
                prompt keeps its id.
            task: one line that describes the work, for people.
            batch_ms: how long a token may wait for others, in milliseconds; 0 writes each at once.
        """
        return AgentRun(
            self,
            self._link,
            reply_to=reply_to.id if isinstance(reply_to, Message) else reply_to,
            id=id,
            task=task,
            batch_ms=batch_ms,
            runs=self._adoption,
        )

    @asynccontextmanager
    async def live(self, url: str, wait_seconds: float | None) -> AsyncGenerator[None, None]:
        """Keep the session connected for the length of a block; `connect` calls this, once."""
        try:
            async with self._link.live(url, wait_seconds):
                try:
                    yield
                finally:
                    if self._offering is not None:
                        await self._offering.close()
        finally:
            if self._inbox is not None:
                self._inbox.close()
            if self._words is not None:
                self._words.close()
            self._adoption.close()

    def _on_replaced(self) -> None:
        self._adoption.close()
        if self._inbox is not None:
            self._inbox.move(self.document)
        if self._words is not None:
            self._words.move(self.document)
        if self._offering is not None:
            self._offering.move(self.document)
