"""A server that stops while its disk fails tries again, and gives up only what nobody was told is saved."""

import asyncio
from pathlib import Path

import pytest
from pycrdt import Doc, Text
from runtime.channels import connected, open_hub, until

from cosession.protocol import Fence, decode_frame
from cosession.runtime import Hub
from cosession.settings import Settings

pytestmark = pytest.mark.anyio

WORDS = "words " * 20_000
FEW, MANY = 1, 100_000
"""Pages that the database may have: SQLite says that the disk is full when it wants more."""


async def allow(hub: Hub, pages: int) -> None:
    await hub.storage._writer.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())


async def stored_text(hub: Hub) -> str:
    doc: Doc = Doc()
    for row in await hub.storage.history("trip", limit=100_000):
        doc.apply_update(row.update)
    return str(doc.get("text:notes", type=Text))


async def test_what_a_failing_disk_did_not_take_is_saved_before_the_server_ends_if_it_heals(tmp_path: Path) -> None:
    async with open_hub(tmp_path, Settings(shutdown_seconds=5)) as hub, connected(hub, "trip") as client:
        await allow(hub, FEW)
        client.write(WORDS)
        client.channel.say(Fence(b"saved"))
        await until(lambda: hub._log.failing)
        stopping = asyncio.create_task(hub.drain())
        assert (await client.channel.closed)[0] == 4503
        await allow(hub, MANY)
        await stopping
        assert await stored_text(hub) == WORDS


async def test_a_disk_that_fails_for_long_does_not_hold_up_the_end_and_nothing_was_called_saved(
    tmp_path: Path,
) -> None:
    async with open_hub(tmp_path, Settings(shutdown_seconds=0.05)) as hub:
        async with connected(hub, "trip") as client:
            await allow(hub, FEW)
            client.write(WORDS)
            client.channel.say(Fence(b"saved"))
            await until(lambda: hub._log.failing)
            await hub.drain()
        heard = [client.channel.heard.get_nowait() for _ in range(client.channel.heard.qsize())]
        assert Fence(b"saved") not in map(decode_frame, heard)
        await allow(hub, MANY)
        assert await stored_text(hub) == ""
