"""Dispatch: gives the work that waits for agents, in all sessions, to their workers. Each such agent has a queue."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress

from cosession.errors import CosessionError
from cosession.logs import get_logger
from cosession.room.effects import Waiting
from cosession.storage import Storage

from .agent_queue import AgentQueue, Post, Rooms
from .commit_log import CommitLog
from .room_runtime import RoomRuntime

log = get_logger(__name__)


class Dispatcher:
    """The workers of a server process.

    Args:
        rooms: the rooms in which jobs are found.
        storage: lists the sessions with unfinished work.
        log: writes the agents with unfinished work, together with the rows of a session.
        tasks: the task group of the queues.
    """

    def __init__(self, rooms: Rooms, storage: Storage, log: CommitLog, tasks: asyncio.TaskGroup) -> None:
        self._rooms = rooms
        self._storage = storage
        self._log = log
        self._tasks = tasks
        self._queues: dict[str, AgentQueue] = {}
        self._is_closed = False
        self._gone = asyncio.Event()
        self._work: dict[AgentQueue, asyncio.Task[None]] = {}

    @contextmanager
    def open(self, post: Post) -> Generator[AgentQueue]:
        """Let a worker take jobs for the length of a block; its jobs that weren't begun are free again then."""
        id_ = post.agent.id
        queue = self._queues.get(id_)
        if queue is None:
            queue = self._queues[id_] = AgentQueue(post.agent, self._rooms, self._storage)
            self._work[queue] = self._tasks.create_task(self._run(queue))
        queue.add(post)
        try:
            yield queue
        finally:
            given = queue.remove(post)
            if not queue.posts:
                del self._queues[id_]
                self._gone.set()
                self._work.pop(queue).cancel()
            if not self._is_closed:
                self._tasks.create_task(self._close(queue, given))

    def on_waiting(self, session: str, waiting: Waiting) -> None:
        """Note the agents for which work waits in a session."""
        self._log.note_work(session, waiting.unfinished)
        for id_, queue in self._queues.items():
            queue.note(session, can_take=id_ in waiting.takeable)

    def on_loaded(self, live: RoomRuntime) -> None:
        """Notify a room that was just loaded which of its agents have workers."""
        for agent in live.room.document.meta.rules.agents if self._queues else ():
            if (queue := self._queues.get(agent)) is not None:
                live.man(queue.agent, len(queue.posts))

    async def close(self, error: CosessionError, seconds: float) -> None:
        """Close all workers, and give out no more jobs.

        Args:
            error: the reason.
            seconds: how long to wait until they are notified.
        """
        self._is_closed = True
        for work in self._work.values():
            work.cancel()
        for queue in self._queues.values():
            for post in queue.posts:
                post.end(error)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._queues:
                    self._gone.clear()
                    await self._gone.wait()

    async def _run(self, queue: AgentQueue) -> None:
        try:
            await queue.run()
        except Exception:  # the rooms go on without it; its workers come back to another one
            log.exception("agent_queue.broken", agent=queue.agent.id)
            for post in list(queue.posts):
                post.end(CosessionError("The server met an error; connect once more."))

    async def _close(self, queue: AgentQueue, given: Mapping[int, str]) -> None:
        await queue.give_back(given)
        if not queue.posts:
            await queue.tell_nobody()
