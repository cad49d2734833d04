"""A raw connection to a session: frames by hand, for tests of what crosses the wire."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from processes import PATIENCE_SECONDS, Server, eventually
from pycrdt import Doc, TransactionEvent
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from cosession.protocol import (
    EMPTY_UPDATE,
    Fence,
    Frame,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_frame,
    encode_frame,
)


class Wire:
    """One socket, and a document that takes in what comes; it also answers the server's sync step 1.

    Attributes:
        doc: the document.
        frames: every frame that came, in order.
        sizes: their sizes in bytes.
        closed: the close code and reason, once the server has closed it.
    """

    def __init__(self, socket: ClientConnection, doc: Doc | None = None) -> None:
        self.socket = socket
        self.doc: Doc = doc or Doc()
        self.frames: list[Frame] = []
        self.sizes: list[int] = []
        self.closed: tuple[int, str] | None = None
        self._fences = 0
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, server: Server, session: str, *, synced: bool = True, doc: Doc | None = None, **query: object
    ) -> "AsyncIterator[Wire]":
        """Connect to a session.

        Args:
            server: whose session.
            session: its id.
            synced: whether to sync first.
            doc: a replica that outlives the connection; None makes one.
            query: of the address, e.g. `ext=1`.
        """
        async with connect(server.ws_url(session, **query), max_size=None, compression=None) as socket:
            wire = cls(socket, doc)
            try:
                if synced:
                    await wire.sync()
                yield wire
            finally:
                await socket.close()
                await wire._reader

    async def send(self, frame: Frame | bytes) -> None:
        """Send a frame."""
        await self.socket.send(frame if isinstance(frame, bytes) else encode_frame(frame))

    async def sync(self) -> None:
        """Ask for what is missing, and wait for it."""
        before = self.count(SyncStep2)
        await self.send(SyncStep1(self.doc.get_state()))
        await eventually(lambda: self.closed or self.count(SyncStep2) > before, "the answer to sync step 1")

    async def edit(self, change: Callable[[Doc], object]) -> bytes:
        """Change the document, send the update, and return it."""
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
        await self.send(SyncUpdate(update))
        return update

    async def fence(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until all that was sent is durable (the connection has `ext=1`)."""
        self._fences += 1
        payload = b"fence %d" % self._fences
        await self.send(Fence(payload))
        await eventually(lambda: self.closed or Fence(payload) in self.frames, "the fence", seconds)
        assert Fence(payload) in self.frames, f"closed before the fence came: {self.closed}"

    async def wait_closed(self) -> tuple[int, str]:
        """Wait until the server closes the connection, and return the code and the reason."""
        return await eventually(lambda: self.closed, "the close of the connection")

    def count(self, kind: type) -> int:
        """How many frames of a kind have come."""
        return sum(isinstance(frame, kind) for frame in self.frames)

    async def _read(self) -> None:
        try:
            async for data in self.socket:
                assert isinstance(data, bytes), f"a text frame came: {data!r}"
                frame = decode_frame(data)  # fails unless it is exactly one message
                self.frames.append(frame)
                self.sizes.append(len(data))
                await self._take(frame)
        except ConnectionClosed:
            pass
        finally:
            await self.socket.wait_closed()
            self.closed = (self.socket.close_code or 1006, self.socket.close_reason or "")

    async def _take(self, frame: Frame) -> None:
        match frame:
            case SyncStep1(vector):
                await self.send(SyncStep2(self.doc.get_update(vector)))
            case SyncStep2(update) | SyncUpdate(update):
                if update != EMPTY_UPDATE:
                    self.doc.apply_update(update)
            case _:
                pass
