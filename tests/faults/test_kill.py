"""SIGKILL in the middle of a storm of writes: what was acknowledged is there afterwards."""

import asyncio
import contextlib
import random

import pytest
from processes import NodeClient, Server, eventually
from pycrdt import Map, Text
from websockets.exceptions import ConnectionClosed
from wire import Wire

pytestmark = pytest.mark.anyio

ROUNDS = 4
WRITERS = 6


async def test_every_fenced_update_is_there_after_a_kill(server: Server) -> None:
    fenced: dict[str, int] = {}

    async def write(session: str, name: str, start: int) -> None:
        with contextlib.suppress(AssertionError, ConnectionClosed):
            async with Wire.open(server, session, ext=1) as wire:
                state = wire.doc.get("state", type=Map)
                number = start
                while not wire.closed:
                    for _ in range(random.randint(1, 8)):
                        number += 1
                        key = f"{name} {number}"
                        await wire.edit(lambda _doc, key=key, number=number: state.update({key: number}))
                    await wire.fence()
                    fenced[f"{session}/{name}"] = number

    for round_number in range(ROUNDS):
        before = dict(fenced)
        writers = [
            asyncio.create_task(write(f"s{index % 2}", f"w{index}", round_number * 1_000_000))
            for index in range(WRITERS)
        ]
        await eventually(
            lambda before=before: len(fenced) == WRITERS and all(fenced[k] > before.get(k, 0) + 20 for k in fenced),
            "every writer's fences",
        )
        server.kill()
        acknowledged = dict(fenced)
        await asyncio.gather(*writers)
        acknowledged |= fenced  # a fence that came out of the socket's buffer after the kill counts too
        await asyncio.to_thread(server.start)
        for session in ("s0", "s1"):
            async with Wire.open(server, session) as reader:
                there = reader.doc.get("state", type=Map).to_py() or {}
                for path, last in acknowledged.items():
                    name = path.partition("/")[2]
                    if path.startswith(session):
                        for number in range(round_number * 1_000_000 + 1, last + 1):
                            assert f"{name} {number}" in there, f"{name} {number} was acknowledged and is lost"


async def test_a_stock_client_heals_what_was_not_acknowledged(server: Server) -> None:
    async with NodeClient.open(server, "heal", provider=3) as ann:
        for _ in range(3):
            await ann.ask("burst", root="text:note", count=200, text="🐙")
            await asyncio.to_thread(server.kill)
            await ann.ask("burst", root="text:note", count=50, text="🦊")
            await asyncio.to_thread(server.start)
        expected = ("🐙" * 200 + "🦊" * 50) * 3

        async def healed() -> bool:
            async with Wire.open(server, "heal") as reader:
                return str(reader.doc.get("text:note", type=Text)) == expected

        await eventually(healed, "all that the client wrote, on the server")


async def test_a_stopping_server_says_so_and_keeps_all(server: Server) -> None:
    async with Wire.open(server, "stop", ext=1) as ann:
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"last": "words"}))
        await asyncio.to_thread(server.stop)
        code, reason = await ann.wait_closed()
        assert code == 4503
        assert reason
    await asyncio.to_thread(server.start)
    async with Wire.open(server, "stop") as ben:
        assert ben.doc.get("state", type=Map).to_py() == {"last": "words"}


async def test_two_kills_in_a_row_and_a_kill_while_starting_leave_the_data_whole(server: Server) -> None:
    async with Wire.open(server, "twice", ext=1) as ann:
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
        await ann.fence()
    for _ in range(3):
        server.kill()
        await asyncio.to_thread(server.start)
    async with Wire.open(server, "twice", ext=1) as ben:
        assert ben.doc.get("state", type=Map).to_py() == {"a": 1}
