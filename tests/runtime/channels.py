"""Channels in memory and clients that speak over them, for tests of the hub on a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pycrdt import Channel, Doc, Text

from cosession.auth import Participant
from cosession.protocol import Frame, SyncStep1, SyncStep2, SyncUpdate, decode_frame, encode_frame
from cosession.runtime import Hub
from cosession.settings import Settings
from cosession.storage import SqliteStorage


class MemoryChannel(Channel):
    """One end of a channel in memory, played by a test: `heard` is what the server sent."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.reading = asyncio.Event()
        self.reading.set()
        self._said: asyncio.Queue[bytes | None] = asyncio.Queue()

    @property
    def path(self) -> str:
        return self._path

    async def send(self, message: bytes) -> None:
        await self.reading.wait()
        self.heard.put_nowait(message)

    async def recv(self) -> bytes:
        return await self.__anext__()

    async def __anext__(self) -> bytes:
        message = await self._said.get()
        if message is None:
            raise StopAsyncIteration
        return message

    async def close(self, code: int, reason: str) -> None:
        self.closed.set_result((code, reason))
        self.hang_up()

    def say(self, frame: Frame | bytes) -> None:
        self._said.put_nowait(frame if isinstance(frame, bytes) else encode_frame(frame))

    def hang_up(self) -> None:
        self._said.put_nowait(None)

    async def hear(self, kind: type[Frame]) -> Frame:
        """The next frame of this kind; others are passed over."""
        async with asyncio.timeout(60):
            while True:
                frame = decode_frame(await self.heard.get())
                if isinstance(frame, kind):
                    return frame


class Replica:
    """A client over a memory channel: a document that follows the session."""

    def __init__(self, channel: MemoryChannel) -> None:
        self.channel = channel
        self.doc: Doc = Doc()

    async def sync(self) -> None:
        self.channel.say(SyncStep1(self.doc.get_state()))
        answer = await self.channel.hear(SyncStep2)
        assert isinstance(answer, SyncStep2)
        self.doc.apply_update(answer.update)
        self.channel.say(SyncStep2(b"\x00\x00"))

    def write(self, text: str) -> None:
        """Append to the text `text:notes` and send the update."""
        before = self.doc.get_state()
        notes = self.doc.get("text:notes", type=Text)
        notes += text
        self.channel.say(SyncUpdate(self.doc.get_update(before)))


@asynccontextmanager
async def connected(
    hub: Hub, session: str, who: str | Participant = "ada", *, extended: bool = True
) -> AsyncIterator[Replica]:
    """A synced client of a hub."""
    channel = MemoryChannel(session)
    async with asyncio.TaskGroup() as group:
        group.create_task(
            hub.serve(channel, who if isinstance(who, Participant) else Participant(who, who), extended=extended)
        )
        replica = Replica(channel)
        await replica.sync()
        try:
            yield replica
        finally:
            channel.hang_up()


@asynccontextmanager
async def open_hub(folder: Path, settings: Settings) -> AsyncIterator[Hub]:
    async with SqliteStorage.open(folder / "cosession.sqlite3") as storage, Hub.open(storage, settings) as hub:
        yield hub


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition comes true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
