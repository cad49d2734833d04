"""A disk that takes no more: nothing is acknowledged that isn't kept, and when there is room again, work goes on."""

import contextlib
import resource

import pytest
from processes import Server, eventually
from pycrdt import Map
from websockets.exceptions import ConnectionClosed
from wire import Wire

pytestmark = pytest.mark.anyio


def _limit_files(server: Server, size: int) -> None:
    """Let the server's files grow no further than `size` bytes: writes beyond it fail."""
    assert server.process is not None
    _soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, hard))


async def test_nothing_is_acknowledged_that_the_disk_did_not_take(server: Server) -> None:
    acknowledged = 0
    async with Wire.open(server, "full", ext=1) as ann:
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"0": "x" * 5000}))
        await ann.fence()
        _limit_files(server, 400_000)
        with contextlib.suppress(AssertionError, ConnectionClosed):
            for number in range(1, 300):
                await ann.edit(
                    lambda doc, number=number: doc.get("state", type=Map).update({str(number): "x" * 5000})
                )
                await ann.fence(seconds=3)
                acknowledged = number
        assert 0 < acknowledged < 299, "the limit was met"

    assert server.process is not None
    assert server.process.poll() is None, f"the server has ended:\n{server.tail()}"
    _limit_files(server, resource.RLIM_INFINITY)

    async def works_again() -> bool:
        with contextlib.suppress(AssertionError, ConnectionClosed):
            async with Wire.open(server, "full", ext=1) as ben:
                await ben.edit(lambda doc: doc.get("state", type=Map).update({"after": "there is room"}))
                await ben.fence(seconds=3)
                return True
        return False

    await eventually(works_again, "the server to take writes again")
    server.kill()
    server.start()
    async with Wire.open(server, "full") as carl:
        there = carl.doc.get("state", type=Map).to_py() or {}
        assert there["after"] == "there is room"
        for number in range(acknowledged + 1):
            assert str(number) in there, f"{number} was acknowledged and is lost"
