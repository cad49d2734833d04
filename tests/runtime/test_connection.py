"""A connection: both its ends let go at about the same time, or the other one asks for much."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from pycrdt import Channel
from simulation.clock import VirtualLoop

from cosession.auth import ANONYMOUS
from cosession.errors import CosessionError, ShuttingDown
from cosession.room.send_queue import SendQueue
from cosession.runtime.connection.channel import DirectChannel
from cosession.runtime.connection.connection import Connection
from cosession.runtime.connection.ticker import Ticker
from cosession.settings import Settings

pytestmark = pytest.mark.anyio


class Broken(Channel):
    """A channel that carries nothing."""

    path = "trip"

    async def send(self, message: bytes) -> None:
        raise ConnectionError("Nobody is there.")

    async def recv(self) -> bytes:
        return await self.__anext__()

    async def __anext__(self) -> bytes:
        return await asyncio.get_running_loop().create_future()


class Faulty(Broken, DirectChannel):
    """A channel of ours with a defect; it writes nothing past its queue."""

    async def send(self, message: bytes) -> None:
        raise ValueError("A defect.")

    @staticmethod
    def pack(frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)

    def follow(self, on_change: object) -> None:
        return

    def listen(self, receiver: object) -> None:
        return

    def abort(self) -> None:
        return


class Still:
    """A room in which nothing happens."""

    has_room = True

    async def ready(self) -> None:
        return

    def receive(self, connection: int, data: bytes) -> None:
        raise AssertionError("Nothing comes.")

    def take(self, outbox: SendQueue) -> list[bytes]:
        return outbox.take(lambda _: b"", {})


@pytest.mark.parametrize(("channel", "is_defect"), [(Broken, False), (Faulty, True)])
async def test_a_defect_is_not_taken_for_a_lost_connection(
    channel: Callable[[], Channel], is_defect: bool, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection(1, channel(), ANONYMOUS, False, Settings(), Ticker(20.0))
    connection.writer.outbox.put_frame(b"news")
    with caplog.at_level(logging.INFO, "cosession"):
        async with asyncio.timeout(60):
            await connection.serve(Still())
    assert ("connection.failed" in caplog.text) is is_defect


async def test_news_for_a_connection_that_is_just_lost_does_no_harm() -> None:
    connection = Connection(1, Broken(), ANONYMOUS, False, Settings(), Ticker(20.0))
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(connection.serve(Still()))
        while not serving.done():
            connection.writer.outbox.put_frame(b"news")
            connection.writer.flush()
            await asyncio.sleep(0)


async def test_a_connection_that_is_ended_when_it_is_just_lost_ends_without_an_error() -> None:
    for moment in range(8):
        connection = Connection(1, Broken(), ANONYMOUS, False, Settings(), Ticker(20.0))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            serving = group.create_task(connection.serve(Still()))
            await asyncio.sleep(0)
            connection.writer.outbox.put_frame(b"news")
            connection.writer.flush()
            for _ in range(moment):
                await asyncio.sleep(0)
            connection.end(ShuttingDown("Later."))
            await serving


class Greedy(Broken):
    """A channel over which the same few bytes come, again and again, but not for ever."""

    left = 10_000

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return b"\x00\x00\x01\x00"


class Toiling(Still):
    """A room in which an answer takes a hundredth of a second, however short the question: at once or in steps."""

    answered = 0

    def __init__(self, *, in_steps: bool) -> None:
        self._in_steps = in_steps

    def is_quick(self, connection: int, data: bytes) -> bool:
        return not self._in_steps

    def receive(self, connection: int, data: bytes) -> None:
        self._work(0.01)
        self.answered += 1

    async def receive_in_steps(self, connection: int, data: bytes) -> AsyncIterator[float]:
        for _ in range(10):
            self._work(0.001)
            yield 0.001
            await asyncio.sleep(0)
        self.answered += 1

    def _work(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.work(seconds)


@pytest.mark.parametrize("in_steps", [False, True], ids=["at once", "in steps"])
def test_a_client_that_asks_for_much_with_few_bytes_is_slowed_while_others_have_their_turn(in_steps: bool) -> None:
    async def scene() -> None:
        settings, room = Settings(), Toiling(in_steps=in_steps)
        ends: list[CosessionError] = []
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        connection = Connection(1, Greedy(), ANONYMOUS, False, settings, Ticker(20.0))
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(others())
            reading = group.create_task(connection._reader.run(room, ends.append))
            await asyncio.sleep(20)
            reading.cancel()
            serving.cancel()
        assert ends == []
        seconds = asyncio.get_running_loop().time()
        assert room.answered > 100, "it is not refused"
        assert room.answered * 0.01 < seconds / 2, "others have more of the loop's time"
        assert turns >= room.answered

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())
