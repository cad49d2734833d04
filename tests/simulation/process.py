"""A simulated server process: the real hub with all that is in it, on a disk that fails, until it is killed."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.disk import Disk, Handle
from simulation.line import Line

from cosession.auth import Participant
from cosession.errors import CosessionError
from cosession.runtime import Hub, refuse
from cosession.runtime.commit_log import CommitLog
from cosession.runtime.connection.connection import Connection
from cosession.runtime.room_runtime import RoomRuntime
from cosession.settings import Settings
from cosession.storage import LoggedUpdate

_OWNER: ContextVar["Process | None"] = ContextVar("_OWNER", default=None)


def make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task, and tell the process whose code makes it: a task factory."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    owner = _OWNER.get()
    if owner is not None:
        owner.own(task)
    return task


@dataclass(slots=True)
class _Stall:
    """While more waits for the disk than may: the rows that came; the connections then, less all that had come."""

    writers: int
    rows: int = 0


class Process:
    """One life of the server.

    Args:
        disk: what it writes to.
        settings: the limits.
        random: decides what the disk and the clock do.
        failures: how often the disk fails.
        leaps: by how many seconds the clock is wrong, one of them whenever it is asked.

    Attributes:
        hub: what it serves with, from `start` on.
        handle: its use of the disk.
    """

    def __init__(
        self, disk: Disk, settings: Settings, random: Random, failures: float, leaps: Sequence[int] = (0, 0, -3600)
    ) -> None:
        self.handle = Handle(disk, random, failures)
        self._leaps = leaps
        self._settings = settings
        self._random = random
        self._lines: set[Line] = set()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._accepted = 0
        self._stalled: dict[bool, _Stall] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}

    @property
    def running(self) -> bool:
        """Whether it takes connections."""
        return self._task is not None and not self._stopping.is_set() and not self.handle.dead

    async def start(self) -> None:
        """Begin to serve."""
        started = asyncio.Event()
        self._task = self._spawn(self._serve(started))
        await started.wait()

    def accept(self, line: Line, participant: Participant, extended: bool, client: int = 0) -> None:
        """Serve a line, as the endpoint of a socket does."""
        self._lines.add(line)
        self._accepted += 1
        self._spawn(self._serve_line(line, participant, extended, client))

    async def stop(self) -> None:
        """Stop as a service does: everything is flushed."""
        self._stopping.set()
        assert self._task is not None
        await self._task
        for line in list(self._lines):
            line.die()

    async def kill(self) -> None:
        """Stop as in a power cut. What runs is cancelled, and nothing that it does then reaches anybody."""
        self.handle.dead = True
        for line in self._lines:
            line.die()
        for _ in range(100):
            if not self._tasks:
                return
            for task in list(self._tasks):
                task.cancel()
            await asyncio.sleep(0)
        raise AssertionError(f"{list(self._tasks)} would not die")

    def rooms(self) -> list[RoomRuntime]:
        """The rooms that are loaded."""
        return [slot.live for slot in self.hub._slots.values() if slot.live is not None]

    def check_bounds(self) -> None:
        """Check that nothing waits beyond its limit."""
        if self._task is not None and self._task.done() and self.running:
            raise AssertionError(f"the server has ended by itself: {self._task.exception()!r}") from (
                self._task.exception()
            )
        now = asyncio.get_running_loop().time()
        for line in self._lines:
            stuck = 0 if line.stuck_at is None else now - line.stuck_at
            assert stuck < self._settings.slow_reader_seconds + 6, f"somebody has not read for {stuck} s"
        self._check_back_pressure()
        for live in self.rooms():
            connections: list[Connection] = list(live._connections.values())
            for connection in connections:
                waiting = connection.writer.outbox.waiting_bytes
                assert waiting <= self._settings.max_waiting_bytes, f"{waiting} bytes wait for one connection"
            if not live.broken:
                room = live.room
                assert room.committed_version <= room.version
                for peer in room.peers.values():
                    assert 0 <= peer.fences <= self._settings.max_fences

    def _watch_back_pressure(self, log: CommitLog) -> None:
        """Count the rows that come while too much waits for the disk.

        Sessions that rest after a failure have a limit of their own, so that the others can go on.
        """
        append = log.append

        def counted(row: LoggedUpdate) -> None:
            rests = row.session in log._resting
            waiting = log._resting_bytes if rests else log._bytes - log._resting_bytes
            if waiting <= self._settings.max_uncommitted_bytes:  # not `has_room`, which is what is checked
                self._stalled.pop(rests, None)
            else:
                here = sum(live.connections for live in self.rooms())
                self._stalled.setdefault(rests, _Stall(here - self._accepted)).rows += 1
            append(row)

        log.append = counted

    def _check_back_pressure(self) -> None:
        """Check that a disk that takes nothing holds the writers back: one more frame of each, and what it brings."""
        for stall in self._stalled.values():
            writers = stall.writers + self._accepted
            assert stall.rows <= 3 * writers + 3, f"{stall.rows} rows more of {writers} writers, the disk is full"

    def clock(self) -> str:
        """The time as the machine believes it is: it may go back."""
        now = asyncio.get_running_loop().time() + self._random.choice(self._leaps)
        return f"2026-01-01T{int(now // 3600) % 24:02}:{int(now // 60) % 60:02}:{now % 60:06.3f}Z"

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        token = _OWNER.set(self)
        try:
            return asyncio.create_task(coroutine)
        finally:
            _OWNER.reset(token)

    def own(self, task: asyncio.Task[Any]) -> None:
        """Note a task that some code of this process made."""
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, started: asyncio.Event) -> None:
        async with Hub.open(self.handle, self._settings, self.clock) as hub:
            self.hub = hub
            self._watch_back_pressure(hub._log)
            started.set()
            await self._stopping.wait()

    async def _serve_line(self, line: Line, participant: Participant, extended: bool, client: int) -> None:
        try:
            await self.hub.serve(line, participant, extended=extended, client=client)
        except CosessionError as error:
            await refuse(line, error, extended=extended)
        finally:
            self._lines.discard(line)
            line.die()
