"""A flood of strangers: others' tokens all arrive, and the limits hold."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from processes import TESTS, Server, eventually
from pycrdt import Text
from wire import Wire

pytestmark = pytest.mark.anyio

LIMIT = 100
HEARD = 16
"""Beyond the limit so many are heard, and told to come back."""

TOKENS = 300

LINES_AT_ONCE = 20
"""So many refusals of one address are logged at once, and one a second from then on."""


def connections(server: Server) -> int:
    """How many sockets the server has open, the one it listens on included."""
    assert server.process is not None
    folder = Path(f"/proc/{server.process.pid}/fd")
    names = (_read(link) for link in folder.iterdir())
    return sum(name.startswith("socket:") for name in names)


def _read(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # it was closed meanwhile
        return ""


async def test_beside_a_flood_every_token_arrives_and_the_limits_hold(start_server: Callable[..., Server]) -> None:
    server = start_server(
        max_connections_per_address=LIMIT, unlimited_addresses='["127.0.0.1"]', head_seconds=2, log_level="info"
    )
    async with (
        Wire.open(server, "trip", ext=1, user="ann") as ann,
        Wire.open(server, "trip", ext=1, user="ben") as ben,
    ):
        known = connections(server)
        began = time.monotonic()
        flood = await asyncio.create_subprocess_exec(
            sys.executable,
            TESTS / "benchmarks" / "flood.py",
            *("127.0.0.1", str(server.port), "600"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await eventually(lambda: connections(server) >= known + LIMIT, "the flood")
            most = 0
            for number in range(TOKENS):
                await ann.edit(lambda doc, number=number: doc.get("text:answer", type=Text).insert(0, f"<{number}>"))
                if number % 50 == 49:
                    await ann.fence()
                    most = max(most, connections(server))
                    async with httpx.AsyncClient(base_url=server.url) as http:
                        assert (await http.get("/readyz")).status_code == 200, "others still come in"
            said = "".join(f"<{number}>" for number in reversed(range(TOKENS)))
            await eventually(lambda: str(ben.doc.get("text:answer", type=Text)) == said, "all tokens")
        finally:
            flood.kill()
            await flood.wait()
        assert most <= known + LIMIT + HEARD + 1, "with the one that asks whether it is ready"
        assert ann.closed is None
        assert ben.closed is None
        await eventually(lambda: connections(server) == known, "the end of all strangers")
        lines = server.log.read_text().count(" connection.refused ")
        assert lines <= LINES_AT_ONCE + time.monotonic() - began, "strangers don't fill the log"
