"""SIGKILL in the middle of a storm of writes: what was acknowledged is there afterwards."""

import asyncio
import random
from pathlib import Path

import pytest
from faults.kills import ANY_MOMENT, Run
from faults.serve_failing import POINTS
from people import token
from processes import NodeClient, Server, eventually
from pycrdt import Map, Text
from wire import Wire

from cosession.errors import StorageError
from cosession.storage.repair import inspect

pytestmark = pytest.mark.anyio

KILLS = 20


async def test_twenty_kills_lose_nothing_that_was_fenced_and_double_nothing(tmp_path: Path) -> None:
    """More of them: `python tests/faults/kill_many.py --kills 200`."""
    seed = random.randrange(2**32)
    print(f"repeat with: python tests/faults/kill_many.py --kills {KILLS} --seed {seed}")
    run = Run(tmp_path, seed)
    try:
        for number in range(KILLS):
            await run.kill(number)
        await run.settle()
        assert set(run.figures.kills) == {*POINTS, ANY_MOMENT}
    except BaseException:
        print(run.server.tail())
        raise
    finally:
        run.server.close()


@pytest.mark.parametrize("statement", [2, 4, 12, 20])
async def test_a_first_start_that_is_killed_has_not_happened(tmp_path: Path, statement: int) -> None:
    run = Run(tmp_path, seed=0)
    try:
        assert not await run.start(FAULT_KILL=f"migration:{statement}")
        with pytest.raises(StorageError, match=r"is empty: .* Start the server again"), inspect(run.database):
            pass
        assert await run.start()
        async with Wire.open(run.server, "trip", ext=1, token=token("ann", "admin")) as ann:
            await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
            await ann.fence()
        run.server.kill()
        with inspect(run.database) as found:
            assert found.sessions == ["trip"]
    finally:
        run.server.close()


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
