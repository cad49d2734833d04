"""The two ends of a case: an endpoint that is judged, and a peer with a document that speaks with it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from conformance import codec
from conformance.codec import Message, Presence
from pycrdt import Doc, Text, TransactionEvent
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE_SECONDS = 60.0
"""Longer than the longest silence that the protocol allows."""

NOTES = "text:notes"


async def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition comes true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"It did not happen within {seconds} s: {what}"
        await asyncio.sleep(0.005)


class Peer:
    """One connection, its replica, and everything that came.

    Attributes:
        doc: the replica; it takes in every update that comes, and answers every step 1.
        came: every message that came, in order.
        present: who is here, by the clock rules of awareness: client id to clock and state.
        closed: the close code and reason, once the server has closed the connection.
    """

    def __init__(self, socket: ClientConnection, *, answers: bool, prefix: bytes = b"") -> None:
        self.socket = socket
        self.prefix = prefix
        self.doc: Doc[Any] = Doc()
        self.notes: Text = self.doc.get(NOTES, type=Text)
        self.came: list[Message] = []
        self.present: dict[int, Presence] = {}
        self.closed: tuple[int, str] | None = None
        self._answers = answers
        self._clock = 0
        self._fences = 0
        self._reader = asyncio.create_task(self._read())

    @property
    def client(self) -> int:
        """The Yjs client id of the replica."""
        return self.doc.client_id

    @property
    def others(self) -> dict[int, Presence]:
        """Who is here beside this peer."""
        return {client: entry for client, entry in self.present.items() if client != self.client}

    def count(self, kind: str) -> int:
        """How many messages of a kind have come."""
        return sum(message.kind == kind for message in self.came)

    def bodies(self, kind: str) -> list[bytes]:
        """What the messages of a kind carried, in order."""
        return [message.body for message in self.came if message.kind == kind]

    async def send(self, frame: bytes) -> None:
        """Send a frame as it is."""
        await self.socket.send(self.prefix + frame)

    def changed(self, change: Callable[[Doc[Any]], object]) -> bytes:
        """Change the replica and return the update, without sending it."""
        updates: list[bytes] = []

        def note(event: TransactionEvent) -> None:
            updates.append(event.update)

        subscription = self.doc.observe(note)
        try:
            with self.doc.transaction():
                change(self.doc)
        finally:
            self.doc.unobserve(subscription)
        (update,) = updates
        return update

    async def edit(self, change: Callable[[Doc[Any]], object]) -> bytes:
        """Change the replica, send the update, and return it."""
        update = self.changed(change)
        await self.send(codec.update(update))
        return update

    async def write(self, text: str) -> bytes:
        """Append to the notes."""
        return await self.edit(lambda doc: doc.get(NOTES, type=Text).__iadd__(text))

    async def say(self, state: dict[str, object] | None) -> None:
        """Tell one's awareness state, with a clock that grows."""
        self._clock += 1
        await self.send(codec.awareness(Presence(self.client, self._clock, state)))

    async def sync(self) -> bytes:
        """Ask for what is missing, wait for the answer, and return it."""
        before = self.count(codec.STEP2)
        await self.send(codec.step1(self.doc.get_state()))
        await until(lambda: self.closed or self.count(codec.STEP2) > before, "the answer to a step 1")
        assert self.count(codec.STEP2) > before, f"closed instead of an answer: {self.closed}"
        return self.bodies(codec.STEP2)[before]

    async def settle(self) -> None:
        """Wait until all that was sent is taken in, and all that waited for this peer has come.

        The answer to a question may overtake what waits; the answer to the next can't overtake that answer.
        """
        await self.sync()
        await self.sync()

    async def fence(self) -> None:
        """Wait until everything that was sent is durable."""
        self._fences += 1
        payload = b"fence %d" % self._fences
        await self.send(codec.fence(payload))
        await until(lambda: self.closed or payload in self.bodies(codec.FENCE), "the fence")
        assert payload in self.bodies(codec.FENCE), f"closed instead of a fence: {self.closed}"

    async def until_reads(self, text: str) -> None:
        """Wait until the notes read so."""
        await until(lambda: str(self.notes) == text, f"{text[:60]!r} (it is {str(self.notes)[:60]!r})")

    async def until_closed(self) -> tuple[int, str]:
        """Wait until the server closes the connection; the code and the reason."""
        await until(lambda: self.closed, "the close of the connection")
        assert self.closed is not None
        return self.closed

    async def _read(self) -> None:
        try:
            async for frame in self.socket:
                assert isinstance(frame, bytes), f"a text frame came: {frame!r}"
                message = codec.read_hocuspocus(frame, self.prefix) if self.prefix else codec.read(frame)
                if message is None:
                    continue
                self.came.append(message)
                await self._take(message)
        except ConnectionClosed:
            pass
        finally:
            await self.socket.close()
            self.closed = (self.socket.close_code or 1006, self.socket.close_reason or "")

    async def _take(self, message: Message) -> None:
        match message.kind:
            case codec.STEP1 if self._answers:
                await self.send(codec.step2(self.doc.get_update(message.body)))
            case codec.STEP2 | codec.UPDATE if message.body != codec.EMPTY:
                self.doc.apply_update(message.body)
            case codec.AWARENESS:
                for entry in codec.read_awareness(message.body):
                    self._note(entry)
            case _:
                pass

    def _note(self, entry: Presence) -> None:
        known = self.present.get(entry.client)
        clock = known.clock if known else -1
        if entry.clock > clock or (entry.clock == clock and entry.state is None):
            self.present[entry.client] = entry
            if entry.state is None:
                del self.present[entry.client]


class Endpoint:
    """A server that is judged.

    Args:
        template: its address, with `{room}` where the room's name goes.
        is_hocuspocus: whether it speaks hocuspocus's dialect: the room's name before each message, and a login.
    """

    def __init__(self, template: str, *, is_hocuspocus: bool = False) -> None:
        assert "{room}" in template, f"The URL must say where the room's name goes, as {{room}}: {template}"
        self.template = template
        self.is_hocuspocus = is_hocuspocus

    def address(self, room: str, **parameters: object) -> str:
        """The address of a room."""
        url = self.template.replace("{room}", quote(room) if self.is_hocuspocus else room)
        return url + ("&" if "?" in url else "?") + urlencode(parameters) if parameters else url

    @asynccontextmanager
    async def join(
        self, room: str, *, synced: bool = True, answers: bool = True, **parameters: object
    ) -> AsyncIterator[Peer]:
        """Connect to a room.

        Args:
            room: its name.
            synced: whether to sync first.
            answers: whether the peer answers step 1.
            parameters: of the address, e.g. `ext=1`.
        """
        url = self.address(room, **parameters)
        async with connect(url, max_size=None, compression=None, ping_interval=None) as socket:  # as browsers do
            peer = Peer(socket, answers=answers, prefix=codec.sized(room.encode()) if self.is_hocuspocus else b"")
            if self.is_hocuspocus:
                await peer.send(codec.login("token"))
            try:
                if synced:
                    await peer.sync()
                yield peer
            finally:
                await socket.close()
                await peer._reader


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that is judged, and knows people by tokens.

    Attributes:
        endpoint: where its sockets are.
        secret: what it verifies tokens with (HS256).
    """

    endpoint: Endpoint
    secret: str

    @property
    def http(self) -> str:
        """Where its HTTP interface is."""
        return f"http{self.endpoint.template[2:].partition('/sync/')[0]}"
