"""A session as an agent holds it: the shared document, who is here, and what one does in it.

`connect` is the only life cycle: inside its `async with` block there is one background task, which keeps the
connection, and none after it. What is written while the network is away is kept in the document and goes out when
it is back. Never imports the server.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from cosession.document import Agents, Message, Messages, Runs, SessionDocument, State
from cosession.errors import Disconnected
from cosession.logs import get_logger

from .bell import Bell
from .presence import Presence
from .prompts import Inbox, Prompts
from .replica import Replica
from .run import AgentRun
from .stamps import fresh_client_id, fresh_id, now
from .transport import Status, Transport, sync_url

log = get_logger(__name__)

FLUSH_SECONDS = 5.0
"""How long leaving waits for what was written to be saved: a commit takes milliseconds, a stuck disk for ever."""

SYNC_SECONDS = 30.0
"""How long entering waits for the document: long enough for a server that is just starting."""

BATCH_SECONDS = 0.03
"""How long a token waits for others: below what a reader notices, and a fast model then makes few updates."""


class Session:
    """One participant's live session; made by `connect`.

    Attributes:
        id: the session's id.
        participant: our participant id.
        name: what people see.
        document: the shared document.
        presence: what this connection says of itself, and what the others say.
    """

    def __init__(self, id: str, participant: str, name: str, kind: str, *, url: str, token: str | None) -> None:  # noqa: A002
        """Prepare; `connect` opens it."""
        self.id = id
        self.participant = participant
        self.name = name
        self.document = SessionDocument(client_id=fresh_client_id())
        self._bell = Bell()
        self._transport = Transport(
            sync_url(url, id, participant=participant, name=name, kind=kind), token=token, bell=self._bell
        )
        self.presence = Presence(
            self.document.doc.client_id,
            {"id": participant, "name": name, "kind": kind},
            wake=self._transport.wake,
            changed=self._bell.ring,
        )
        self._replica = Replica(self.document.doc, self.presence, wake=self._transport.wake)
        self._inbox: Inbox | None = None

    @property
    def messages(self) -> Messages:
        """The messages, in order."""
        return self.document.messages

    @property
    def state(self) -> State:
        """The application's shared state."""
        return self.document.state

    @property
    def agents(self) -> Agents:
        """What each agent says of itself."""
        return self.document.agents

    @property
    def runs(self) -> Runs:
        """The agents' work."""
        return self.document.runs

    @property
    def status(self) -> Status:
        """Where the connection stands: `connecting`, `online`, `offline` (it comes back) or `closed`."""
        return self._transport.status

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        return self._replica.saved

    async def wait_saved(self) -> None:
        """Wait until the server has committed everything that was written here before this call.

        Raises:
            Disconnected: the session is over before that.
        """
        edits = self._replica.edits
        while self._replica.saved_edits < edits:
            self._go_on()
            await self._bell.wait()

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
        self._go_on()
        return self.document.messages.append(
            role,
            [{"type": "text", "text": text, "state": "done"}, *parts],
            id=id or fresh_id(),
            author=self.participant,
            created_at=now(),
            parent=parent,
        )

    def cancel(self, run_id: str, reason: str = "") -> None:
        """Ask that a run be cancelled; the server decides and records it.

        Args:
            run_id: the run.
            reason: a word to the agent and the others.

        Raises:
            Disconnected: the session is over.
        """
        self._go_on()
        self.document.requests.ask_cancel(run_id, self.participant, reason)

    def steer(self, run_id: str, text: str) -> None:
        """Tell a run something while it works.

        Args:
            run_id: the run.
            text: what the agent should take into account.

        Raises:
            Disconnected: the session is over.
        """
        self._go_on()
        self.document.requests.ask_steer(run_id, fresh_id(), self.participant, text)

    def prompts(self) -> Prompts:
        """Iterate over the messages that want an answer, those that wait already and those to come.

        Raises:
            Disconnected: the session is over; also raised from the iteration.
        """
        self._go_on()
        if self._inbox is None:
            self._inbox = Inbox(self.document, self._bell)
        return Prompts(self._inbox, bell=self._bell, ended=lambda: self._transport.ended)

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
            self.document,
            self.participant,
            name=self.name,
            reply_to=reply_to.id if isinstance(reply_to, Message) else reply_to,
            task=task,
            batch_seconds=batch_seconds,
            ended=lambda: self._transport.ended,
        )

    @asynccontextmanager
    async def live(self, url: str, wait_seconds: float | None) -> AsyncGenerator[None, None]:
        """Be connected for the length of a block; `connect` calls this, once.

        Args:
            url: the server's address, for the error that says that nobody is there.
            wait_seconds: how long to wait for the document.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep(), name=f"cosession {self.id}")
            try:
                await self._open(url, wait_seconds)
                yield
            except Exception as error:  # a task group would wrap it; it is raised as it is below
                failure = error
            finally:
                try:
                    await self._close()
                finally:
                    keeping.cancel()
                    if self._inbox is not None:
                        self._inbox.close()
        if failure is not None:
            raise failure

    def _go_on(self) -> None:
        if (why := self._transport.ended) is not None:
            raise why

    async def _open(self, url: str, seconds: float | None) -> None:
        """Wait for the document."""
        try:
            async with asyncio.timeout(seconds):
                while self.status == "connecting":
                    await self._bell.wait()
        except TimeoutError:
            raise Disconnected(f"No session came from {url} in {seconds} s; is the server running there?") from None
        self._go_on()

    async def _close(self) -> None:
        """Wait a little for what was written to be saved, then say that it is over."""
        try:
            if self.status == "online":
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self.wait_saved()
        except (TimeoutError, Disconnected):
            pass  # said below
        finally:
            if not self.saved:
                log.warning("client.unsaved", session=self.id, status=self.status)
            self._transport.end(Disconnected("The session is closed: its `async with` block has ended."))

    async def _keep(self) -> None:
        try:
            await self._transport.run(self._replica)
        finally:
            self._replica.release()


@asynccontextmanager
async def connect(
    url: str,
    *,
    session: str,
    participant: str,
    name: str | None = None,
    kind: str = "agent",
    token: str | None = None,
    wait_seconds: float | None = SYNC_SECONDS,
) -> AsyncGenerator[Session, None]:
    """Join a session and stay in it for the length of an `async with` block.

    Enters when the document is here. Leaves when what was written is saved, or after a few seconds. Breaks of the
    network in between are survived without the block's help.

    Args:
        url: the server's address, e.g. `http://localhost:8765`.
        session: the session's id.
        participant: who we are; the server puts what the token says in its place.
        name: what people see; None takes `participant`.
        kind: `agent`, `human` or `operator`.
        token: the credential; None on a development server.
        wait_seconds: how long to wait for the document at first; None waits for ever.

    Raises:
        Disconnected: the server refused for good, or there was none in `wait_seconds`.
        ValueError: `url` isn't a server's address.
    """
    joined = Session(session, participant, name or participant, kind, url=url, token=token)
    async with joined.live(url, wait_seconds):
        yield joined
