"""A connection of which both ends let go at about the same time."""

import asyncio

import pytest
from pycrdt import Channel

from cosession.auth import ANONYMOUS
from cosession.errors import ShuttingDown
from cosession.rooms.connection import Connection
from cosession.rooms.outbox import Outbox
from cosession.rooms.pulse import Pulse
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


class Still:
    """A room in which nothing happens."""

    has_room = True

    async def ready(self) -> None:
        return

    def receive(self, connection: int, data: bytes) -> None:
        raise AssertionError("Nothing comes.")

    def take(self, outbox: Outbox) -> list[bytes]:
        return outbox.take(lambda _: b"", {})


async def test_news_for_a_connection_that_is_just_lost_does_no_harm() -> None:
    connection = Connection(1, Broken(), ANONYMOUS, False, Settings(), Pulse(20.0))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        serving = group.create_task(connection.serve(Still()))
        while not serving.done():
            connection.writer.outbox.put_frame(b"news")
            connection.writer.flush()
            await asyncio.sleep(0)


async def test_a_connection_that_is_ended_when_it_is_just_lost_ends_without_an_error() -> None:
    for moment in range(8):
        connection = Connection(1, Broken(), ANONYMOUS, False, Settings(), Pulse(20.0))
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            serving = group.create_task(connection.serve(Still()))
            await asyncio.sleep(0)
            connection.writer.outbox.put_frame(b"news")
            connection.writer.flush()
            for _ in range(moment):
                await asyncio.sleep(0)
            connection.end(ShuttingDown("Later."))
            await serving
