"""A session as a client uses it: the shared document, its participants, and the actions on it.

`connect` is the only life cycle: `session_link` keeps the connection inside its `async with` block, and no task or
socket outlives the block. Writes without a connection are sent when it is back. Never imports the server.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Generic

from pycrdt import Doc

from cosession.document import Counters, Message, Queue, Selections, SessionDocument, SharedText
from cosession.errors import Disconnected

from .address import sync_url
from .credential import Credential, Token
from .events import Events
from .identity import color_of
from .live_views import LiveCounters, LiveQueue, LiveSelections, LiveText
from .offering import Offering
from .offers import OfferedTool, offered
from .people import Me, Person, Who, find_participant, kind_of, people
from .prompts import PromptInbox, Prompts
from .run import AgentRun
from .run_takeover import Adoption
from .session_link import SessionLink
from .state import SharedState
from .types import Event, Kind, M, Off, P, S, Status
from .waiting import in_time
from .writing import Writing

BATCH_MS = 30
"""The milliseconds that a token waits for others: readers don't notice them, and a fast model makes fewer updates."""


class Session(Writing, Generic[S, P, M]):
    """One participant's live session; made by `connect`.

    Attributes:
        id: the session's id.
        presence: the presence state of this connection, and those of the others.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        participant: str,
        name: str,
        kind: Kind,
        *,
        url: str,
        token: Token | None,
        color: str | None = None,
        rollup_ms: int = 0,
        client_id: int | None = None,
    ) -> None:
        """Prepare; `connect` opens it.

        Args:
            id: the session's id.
            participant: this client's participant id.
            name: the name that people see.
            kind: the kind of participant.
            url: the server's address.
            token: the credential, or its source.
            color: the participant's color; None is made of its id.
            rollup_ms: how long the server gathers what it sends, in milliseconds.
            client_id: the Yjs client id to write under; None makes one.

        Raises:
            InvalidValue: `url` isn't a server's address, or `rollup_ms` is out of its range.
        """
        self.id = id
        user = {"id": participant, "name": name, "kind": kind}
        self._link = SessionLink(
            id,
            user if color is None else {**user, "color": color},
            sync_url(url, id, participant=participant, name=name, kind=kind, rollup_ms=rollup_ms),
            Credential(token, participant),
            on_refused=lambda refusal: self._events.refuse(refusal),
            on_replaced=self._on_replaced,
            client_id=client_id,
        )
        self._color = color
        self._adoption = Adoption(self._link)
        self._held = set()
        self.presence = self._link.presence
        self._inbox: PromptInbox | None = None
        self._offering: Offering | None = None
        self._events = Events(self._link, self._readers())

    @property
    def document(self) -> SessionDocument:
        """The shared document. A refusal replaces it by another one, and views of it must be obtained again."""
        return self._link.document

    @property
    def doc(self) -> Doc[Any]:
        """The Yjs document (pycrdt). A refusal replaces it by another one: the event `doc` tells."""
        return self._link.document.doc

    def transact(self) -> AbstractContextManager[Any]:
        """Return a context manager in which all writes are one update: `with session.transact():`."""
        return self._link.document.transaction()

    @property
    def me(self) -> Me:
        """This client's participant, as the server verified; until then, as requested."""
        known = self._link.me
        person = next((one for one in self.people if one.id == known.id), None)
        return Me(
            id=known.id,
            name=known.name,
            kind=kind_of(known.kind),
            color=self._color or color_of(known.id),
            online=self.status == "online",
            devices=person.devices if person else 0,
            looking=person.looking if person else False,
            since=person.since if person else None,
            last_seen=person.last_seen if person else None,
            capabilities=known.capabilities,
            expires_at=None if known.expires_at is None else datetime.fromtimestamp(known.expires_at, UTC),
        )

    def may(self, capability: str) -> bool:
        """Return whether a capability is granted; True before the grant has arrived, as the server decides anyway.

        Args:
            capability: e.g. `prompt`, `cancel-any`, `text:notes` or `state:trip/hotel`, which `state:trip` includes.
        """
        return self._link.me.may(capability)

    def on(self, event: Event, listener: Callable[[Any], None]) -> Off:
        """Call a listener after each change of an event's value, until the returned function is called.

        The value is that of the group of the same name (`messages`, `people`, …), or: `title`, `me`, `status`,
        `saved` and `synced` as the attributes; a `Refusal` of an edit, or of a request with an outcome that nothing
        awaits (`refused`); an `Edit` of a message of this participant by another one (`edit`); the pycrdt document
        that replaces another one (`doc`); the Yjs update of each transaction (`change`).

        A listener is called in the turn of the loop after the change, and may write. Its exception is logged.

        Args:
            event: the event.
            listener: called with the value.

        Raises:
            InvalidValue: there is no such event.
            Disconnected: the session is over.
        """
        return self._events.on(event, listener)

    def watch(self, event: Event) -> AsyncIterator[Any]:
        """Iterate over the values of an event: `async for status in session.watch("status"):`.

        It begins with this call. An iteration that is behind gets only the last value, except of `refused`, `change`
        (the last 1,024) and `edit` (merged for each message).

        Args:
            event: the event; see `on`.

        Raises:
            InvalidValue: there is no such event.
            Disconnected: the session is over; also raised from the iteration.
        """
        return self._events.watch(event)

    @property
    def error(self) -> Disconnected | None:
        """The reason why the session is over, or None while it isn't."""
        return self._link.ended

    @property
    def status(self) -> Status:
        """The state of the connection: `connecting`, `online`, `offline` (it comes back) or `closed`."""
        return self._link.status

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        return self._link.saved

    @property
    def synced(self) -> bool:
        """Whether the document is that of the server, as far as this client has heard."""
        return self._link.synced

    async def wait_synced(self, *, timeout_seconds: float | None = None) -> None:
        """Wait until the document is that of the server.

        Args:
            timeout_seconds: how long to wait; None is for ever.

        Raises:
            Disconnected: the session is over before that.
            TimedOut: the time is over.
        """
        await in_time(self._link.wait_synced(), timeout_seconds, "The document hasn't come")

    async def wait_saved(self, *, timeout_seconds: float | None = None) -> None:
        """Wait until the server has committed everything that was written here before this call.

        Args:
            timeout_seconds: how long to wait; None is for ever.

        Raises:
            Disconnected: the session is over before that.
            WriteRefused: the server refused one of these writes.
            TimedOut: the time is over.
        """
        await in_time(self._link.wait_saved(), timeout_seconds, "The last writes aren't saved")

    async def wait_closed(self) -> Disconnected:
        """Wait until the session is over, and return why."""
        while self._link.ended is None:
            await self._link.bell.wait()
        return self._link.ended

    def close(self) -> None:
        """End the session: later calls raise `Disconnected`. Leaving the block still saves earlier writes."""
        self._link.close()

    def reconnect(self, *, token: Token | None = None) -> None:
        """Connect at once, also where the server has ended the session, e.g. because a token had expired.

        Args:
            token: the credential to use from now on; None keeps the one before.

        Raises:
            Disconnected: this client has closed the session.
        """
        self._link.reconnect(token)

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
        others = (person for person in self.people if person.id != self._link.me.id)
        return any(person.looking and person.kind != "agent" for person in others)

    def who(self, participant: str | None) -> Who:
        """Return the identity of a participant, from everything that the session records; never raises.

        Args:
            participant: an id, e.g. a message's author.
        """
        me = self._link.me
        here = [Who(me.id, me.name, kind_of(me.kind), self._color or color_of(me.id)), *self.presence.people()]
        return find_participant(participant, self.document, here)

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
    async def _live(self, url: str, wait_seconds: float | None) -> AsyncGenerator[None, None]:
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
            self._events.close()
            self._adoption.close()

    def _on_replaced(self) -> None:
        self._adoption.close()
        if self._inbox is not None:
            self._inbox.move(self.document)
        if self._offering is not None:
            self._offering.move(self.document)
        self._events.move(self.document)

    def _readers(self) -> dict[str, Callable[[], Any]]:
        """Return the function for each event with a present value that returns it."""
        return {
            "messages": lambda: list(self.messages),
            "runs": lambda: list(self.runs),
            "agents": lambda: [agent for _, agent in self.agents],
            "approvals": lambda: [approval for _, approval in self.approvals],
            "queue": lambda: list(self.queue),
            "claims": lambda: self.claims.to_json(),
            "state": lambda: self.state.to_json(),
            "counters": lambda: self.counters.to_json(),
            "selections": lambda: self.selections.to_json(),
            "presence": lambda: self.presence.everybody(),
            "people": lambda: self.people,
            "tools": lambda: self.tools,
            "policy": lambda: self.policy,
            "title": lambda: self.title,
            "me": lambda: self.me,
            "status": lambda: self.status,
            "saved": lambda: self.saved,
            "synced": lambda: self.synced,
        }
