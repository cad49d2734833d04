"""A disk that takes no more: nothing is acknowledged that isn't kept, and when there is room again, work goes on."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from processes import Server, eventually
from pycrdt import Map
from websockets.exceptions import ConnectionClosed
from wire import Wire

from cosession.protocol import Fence, SyncUpdate
from cosession.storage.repair import inspect

pytestmark = pytest.mark.anyio

BLOCK = "x" * 5000


@dataclass
class Disk:
    """A server's disk, which fails and heals at will."""

    server: Server
    cause: str
    fail: Callable[[], object]
    heal: Callable[[], object]


def _limit_files(server: Server, size: int) -> None:
    """Let the server's files grow no further than `size` bytes: writes beyond it fail."""
    assert server.process is not None
    _soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, hard))


def _small_file_system(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.fixture(params=["full", "read-only", "small file system"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be made to fail: by SQLite's own limits, and by a file system that is full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "small file system":
        if not _small_file_system(folder):
            pytest.skip("a file system can't be mounted here")
        server = Server(folder)
        server.log = tmp_path / "server.log"
        server.start()
        ballast = folder / "ballast"
        disk = Disk(server, "disk is full", lambda: _fill(ballast), ballast.unlink)
    else:
        state = tmp_path / "state"
        state.write_text("")
        server = Server(folder, script=Path(__file__).with_name("serve_failing.py"))
        server.start(FAULT_DISK=str(state))
        cause = {"full": "disk is full", "read-only": "it is read-only"}[request.param]
        disk = Disk(server, cause, lambda: state.write_text(request.param), lambda: state.write_text(""))
    yield disk
    server.close()
    if request.param == "small file system":
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_room_goes_on_while_the_disk_fails_and_is_saved_when_it_heals(disk: Disk) -> None:
    server = disk.server
    async with (
        Wire.open(server, "trip", ext=1) as ann,
        Wire.open(server, "trip", ext=1) as ben,
        Wire.open(server, "trip") as stock,
    ):
        notes = ann.doc.get("state", type=Map)
        await ann.edit(lambda _: notes.update({"0": BLOCK}))
        await ann.fence()
        disk.fail()
        for number in range(1, 30):
            await ann.edit(lambda _, number=number: notes.update({str(number): BLOCK}))
        await ann.send(Fence(b"not yet"))
        blocks = set(map(str, range(30)))
        await eventually(
            lambda: set(ben.doc.get("state", type=Map).keys()) == blocks, "blocks, which no page has room for"
        )
        mark = await stock.edit(lambda doc: doc.get("state", type=Map).update({"stock": 1}))
        everything = {*blocks, "stock"}
        await eventually(lambda: set(ben.doc.get("state", type=Map).keys()) == everything, "what others wrote")
        await eventually(lambda: server.log.read_text().count("log.append_failed") >= 3, "another try to save")
        assert disk.cause in server.log.read_text(), "the operator reads the cause"
        assert Fence(b"not yet") not in ann.frames
        assert SyncUpdate(mark) not in stock.frames, "the echo is the receipt of a stock client"
        async with Wire.open(server, "trip", ext=1) as late:
            assert set(late.doc.get("state", type=Map).keys()) == everything, "who comes meanwhile is served"
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{server.url}/readyz")).status_code == 503
            assert (await http.get(f"{server.url}/healthz")).status_code == 200

        disk.heal()
        await eventually(lambda: Fence(b"not yet") in ann.frames, "the fence, on the same connection")
        await eventually(lambda: stock.count(SyncUpdate) >= 2, "what ann wrote, and the echo")
        assert ann.closed is ben.closed is stock.closed is None
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{server.url}/readyz")).status_code == 200
    server.kill()
    with inspect(server.data / "cosession.sqlite3") as inspection:
        assert inspection.failures == []
        assert inspection.session("trip").damage == ()
    server.start()
    async with Wire.open(server, "trip") as carl:
        assert set(carl.doc.get("state", type=Map).keys()) == everything


@pytest.mark.parametrize("disk", ["full"], indirect=True)
async def test_every_session_waits_for_a_failing_disk_and_is_saved(disk: Disk) -> None:
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire.open(disk.server, f"s{n}", ext=1)) for n in range(4)]
        disk.fail()
        for wire in wires:
            await wire.edit(lambda doc: doc.get("state", type=Map).update({"block": BLOCK * 20}))
            await wire.send(Fence(b"saved"))
        await eventually(lambda: disk.server.log.read_text().count("log.append_failed") >= 8, "tries")
        assert not any(Fence(b"saved") in wire.frames for wire in wires)
        disk.heal()
        await eventually(lambda: all(Fence(b"saved") in wire.frames for wire in wires), "every session saved")


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
