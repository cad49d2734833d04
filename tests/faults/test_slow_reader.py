"""A client that doesn't read costs the server a bounded amount of memory, and gets one diff when it reads again."""

import contextlib
from collections.abc import Callable

import httpx
import pytest
from processes import Server, eventually
from pycrdt import Map
from websockets.asyncio.client import connect
from wire import Wire

pytestmark = pytest.mark.anyio

BLOCK = "x" * 100_000
ROUNDS = 400
"""40 MB in all, of which the document keeps one block at a time."""


async def _connections(server: Server) -> int:
    """How many connections the session has."""
    async with httpx.AsyncClient() as http:
        (session,) = (await http.get(f"{server.url}/sessions")).json()["sessions"]
    return session["connections"]


async def test_memory_stays_bounded_and_one_diff_brings_it_up_to_date(start_server: Callable[..., Server]) -> None:
    server = start_server(slow_reader_seconds=300)
    async with Wire.open(server, "slow", ext=1) as writer:
        state = writer.doc.get("state", type=Map)
        await writer.edit(lambda _doc: state.update({"block": "first"}))
        await writer.fence()
        async with connect(
            server.ws_url("slow", ext=1), sock=server.small_socket(), max_size=None, max_queue=1, compression=None
        ) as reluctant:
            lazy = Wire(reluctant)
            await lazy.sync()
            await eventually(lambda: lazy.doc.get("state", type=Map).to_py() == {"block": "first"}, "the first sync")
            reluctant.transport.pause_reading()
            before = server.memory_bytes()
            peak = 0
            for number in range(ROUNDS):
                await writer.edit(lambda _doc, number=number: state.update({"block": f"{number} {BLOCK}"}))
                if number % 20 == 0:
                    await writer.fence()
                    peak = max(peak, server.memory_bytes())
            await writer.fence()
            growth = max(peak, server.memory_bytes()) - before
            came = sum(lazy.sizes)
            reluctant.transport.resume_reading()
            await eventually(
                lambda: (lazy.doc.get("state", type=Map).to_py() or {}).get("block") == f"{ROUNDS - 1} {BLOCK}",
                "the reader up to date",
            )
            assert growth < 25 * 2**20, f"the server grew by {growth / 2**20:.0f} MiB for one reader"
            assert sum(lazy.sizes) - came < 15 * 2**20, "it got a diff, not all that it missed"
            await reluctant.close()
            await lazy.wait_closed()


async def test_each_of_many_frozen_readers_costs_at_most_one_mebibyte(start_server: Callable[..., Server]) -> None:
    """Many of them, so that it is they who are measured."""
    readers = 40
    server = start_server(slow_reader_seconds=300)
    async with contextlib.AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Wire.open(server, "slow", ext=1))
        state = writer.doc.get("state", type=Map)

        async def write(rounds: int) -> int:
            peak = 0
            for number in range(rounds):
                await writer.edit(lambda _doc, number=number: state.update({"block": f"{number} {BLOCK}"}))
                if number % 10 == 9:
                    await writer.fence()
                    peak = max(peak, server.memory_bytes())
            return peak

        before = await write(100)
        for _ in range(readers):
            socket_ = await stack.enter_async_context(
                connect(
                    server.ws_url("slow", ext=1),
                    sock=server.small_socket(),
                    max_size=None,
                    max_queue=1,
                    compression=None,
                    close_timeout=0.1,
                )
            )
            frozen = Wire(socket_)
            await frozen.sync()
            socket_.transport.pause_reading()
        growth = await write(200) - before
        assert growth < readers * 2**20, f"the server grew by {growth / readers / 2**10:.0f} KiB for each"


async def test_a_reader_that_never_reads_is_closed_and_the_others_are_not(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(slow_reader_seconds=1)
    async with Wire.open(server, "slow", ext=1) as writer:
        state = writer.doc.get("state", type=Map)
        async with connect(
            server.ws_url("slow", ext=1, name="Sloth"),
            sock=server.small_socket(),
            max_size=None,
            max_queue=1,
            compression=None,
        ) as reluctant:
            lazy = Wire(reluctant)
            await lazy.sync()
            reluctant.transport.pause_reading()

            async def alone() -> bool:
                return await _connections(server) == 1

            for number in range(200):
                await writer.edit(lambda _doc, number=number: state.update({"block": f"{number} {BLOCK}"}))
            await writer.fence()
            await eventually(alone, "the close of the one that doesn't read")
            reluctant.transport.resume_reading()
            code, _reason = await lazy.wait_closed()
            assert code in (4508, 1006), "told why where it could still be told"
        await writer.edit(lambda _doc: state.update({"block": "last"}))
        await writer.fence()
    async with Wire.open(server, "slow", ext=1) as back:
        assert back.doc.get("state", type=Map).to_py() == {"block": "last"}
