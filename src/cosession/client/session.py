"""A session as an agent holds it: the shared document, who is here, and what one does in it.

`connect` is the only life cycle: `session_link` keeps the connection inside of its `async with` block, and nothing is
left after it. What is written while the network is away goes out when it is back. Never imports the server.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from cosession.document import Counters, Message, Queue, Selections, SessionDocument, SharedText, prompt_key
from cosession.errors import Disconnected

from .address import sync_url
from .claims import is_held
from .credential import Credential, Token
from .edits import Edits
from .errand import Errand
from .identity import Me
from .live_views import LiveCounters, LiveQueue, LiveSelections, LiveText
from .offering import Offering
from .offers import OfferedTool, offered
from .people import Person, Who, find_participant, people
from .prompts import PromptInbox, Prompts
from .refusal import Refusal
from .run import AgentRun
from .run_takeover import Adoption
from .session_link import SessionLink
from .state import SharedState
from .transport import Status
from .words import Words
from .writing import Writing

BATCH_SECONDS = 0.03
"""How long a token waits for others: below what a reader notices, and a fast model then makes few updates."""


class Session(Writing):
    """One participant's live session; made by `connect`.

    Attributes:
        id: the session's id.
        name: what people see.
        kind: `agent`, `human` or `operator`.
        presence: what this connection says of itself, and what the others say.
        on_suspended: told when a run begins to wait for people, and when it goes on.
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
        self.on_suspended: Callable[[bool], None] | None = None
        self._adoption = Adoption(self._link)
        self._held = set()
        self.presence = self._link.presence
        self._inbox: PromptInbox | None = None
        self._words: Words | None = None
        self._offering: Offering | None = None

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
    def state(self) -> SharedState:
        """The application's shared state."""
        return SharedState(self._link)

    @property
    def selections(self) -> Selections:
        """What each participant has selected."""
        return LiveSelections(self._link)

    @property
    def counters(self) -> Counters:
        """What is counted together; `count` adds to it."""
        return LiveCounters(self._link)

    @property
    def queue(self) -> Queue:
        """The prompts that wait for their turn: to be read, edited, moved and removed; `enqueue` adds one."""
        return LiveQueue(self._link)

    def text(self, name: str) -> SharedText:
        """A text that is written together.

        Raises:
            BadDocument: the name isn't one.
            TooLarge: it is longer than the server takes.
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
        """Offer a tool that agents call; return what takes the offer back. Of several clients one answers a call.

        Args:
            name: what agents call.
            call: does it, given the input, and returns the output, JSON-like; plain or async. What it raises is
                told to the agent as an error. When the session ends it is cancelled.
            description: what it does, for a model.
            schema: the JSON Schema of its input.

        Raises:
            BadDocument: this session offers the tool already, or the schema isn't JSON.
            TooLarge: with it, presence holds more than the server takes.
            NotAllowed: we may not answer calls.
            Disconnected: the session is over.
        """
        self._link.go_on()
        if self._offering is None:
            self._offering = Offering(self._link)
        return self._offering.offer(name, call, description, schema)

    @property
    def people(self) -> list[Person]:
        """Everybody of the session: who is here, on how many devices, who is looking; we are among them."""
        return people(self.document, self.presence.everybody())

    @property
    def someone_is_watching(self) -> bool:
        """Whether a person, and not only agents, has the session in front of them now."""
        others = (person for person in self.people if person.id != self.participant)
        return any(person.looking and person.kind != "agent" for person in others)

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

    async def wait_closed(self) -> Disconnected:
        """Wait until the session is over, and return why."""
        while self._link.ended is None:
            await self._link.bell.wait()
        return self._link.ended

    def edits(self) -> Edits:
        """Iterate over what others change in our words: `async for edit in session.edits():`.

        It begins with this call; what is changed in a message until the edit is fetched is told as one edit.

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
        """Iterate over the messages that this agent shall answer, those that wait already and those to come.

        Each was claimed for this process; of several processes of an agent, one gets it. A prompt whose run was lost
        comes again, to one process: its `run` goes on with that.

        Raises:
            Disconnected: the session is over; also raised from the iteration.
        """
        self._link.go_on()
        if self._inbox is None:
            self._inbox = PromptInbox(self._link, self._adoption)
        return Prompts(self._inbox, self._link)

    def take(self, errand: Errand) -> Message | None:
        """Return the prompt that a worker was handed, if it is still this process's to answer.

        Args:
            errand: what it was handed.
        """
        message, client = self.document.messages.get(errand.message), self.document.doc.client_id
        if message is None or errand.client != client:
            return None
        if errand.run is not None:
            run = self.document.runs.get(errand.run)
            if run is None or run.ended or run.client != client:
                return None
            self._adoption.keep(message.id, errand.run)
            return message
        keys = (prompt_key(message.id, self.participant), prompt_key(message.id))
        held = any(is_held(self.document.claims.get(key), self.participant, client) for key in keys)
        return message if held else None

    async def fail(self, errand: Errand, error: Exception) -> None:
        """Let people see that a prompt that a worker was handed got no answer, where no run of it says so.

        Args:
            errand: what it was handed.
            error: what went wrong.
        """
        client = self.document.doc.client_id
        runs = [run for run in self.runs if run.reply_to == errand.message and run.agent == self.participant]
        if self._link.ended is None and not any(run.ended or run.client != client for run in runs):
            with suppress(Exception):  # it is the error
                async with self.run(reply_to=errand.message):
                    raise error

    def run(
        self, *, reply_to: Message | str | None = None, task: str = "", batch_seconds: float = BATCH_SECONDS
    ) -> AgentRun:
        """Begin a piece of work: `async with session.run(reply_to=prompt) as run:`.

        Args:
            reply_to: the message that it answers, or its id.
            task: one line on what it does, for people.
            batch_seconds: how long a token may wait for others; 0 writes each at once.
        """
        return AgentRun(
            self._link,
            self.participant,
            name=self.name,
            reply_to=reply_to.id if isinstance(reply_to, Message) else reply_to,
            task=task,
            batch_seconds=batch_seconds,
            runs=self._adoption,
            on_suspended=self.on_suspended,
        )

    @asynccontextmanager
    async def live(self, url: str, wait_seconds: float | None) -> AsyncGenerator[None, None]:
        """Be connected for the length of a block; `connect` calls this, once."""
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
