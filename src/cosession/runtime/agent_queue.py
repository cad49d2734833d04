"""An agent's queue: it gives jobs to the workers of one agent.

A job is a reservation that is written into the session and committed first, so that a crash loses nothing: the job is
only a wake-up, and the session document is authoritative. Loaded rooms report whether they have work that can be
taken; sessions that aren't loaded are looked up in the storage, when workers come and every `_LOOK_SECONDS`.

Bounds: one task; `_AT_ONCE` rooms at a time; `_MOST_READY` sessions known by name, the others are found again.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from cosession.auth import Participant
from cosession.errors import CosessionError
from cosession.logs import get_logger
from cosession.room.decisions import Job
from cosession.storage import Storage

from .room_runtime import RoomRuntime

_AT_ONCE = 8
"""How many rooms are loaded for one agent at a time: other requests to the server must not wait for them all."""

_PAGE = 64
_MOST_READY = 1024
_LOOK_SECONDS = 60.0
"""How often the storage is asked again: a session that isn't loaded can't report that a pause is over."""

_MOST_REST = 5
"""A session that workers couldn't enter rests 1, 2, 4 … 32 seconds."""

_GIVEN = 256
"""How many of a worker's last reservations are given back when it goes; the others were begun long ago."""

_TURN = 16
"""How many rooms are notified of workers before other tasks run."""

log = get_logger(__name__)


class Post(Protocol):
    """A worker that takes jobs.

    Attributes:
        agent: the agent that it works for.
        credits: how many jobs it will still take.
    """

    agent: Participant
    credits: int

    def may_work_in(self, session: str) -> bool:
        """Return whether it may do anything in a session, now."""
        ...

    def give(self, job: Job) -> None:
        """Give it a job, which is committed."""
        ...

    def end(self, error: CosessionError) -> None:
        """Close it with an error."""
        ...


class Rooms(Protocol):
    """The rooms in which jobs are found."""

    def room(self, session: str) -> AbstractAsyncContextManager[RoomRuntime]:
        """Hold a session's room."""
        ...

    def rooms(self) -> Iterable[RoomRuntime]:
        """Return the rooms that are loaded."""
        ...


class AgentQueue:
    """The queue of jobs for the workers of one agent.

    Args:
        agent: the agent.
        rooms: the rooms in which jobs are found.
        storage: lists the sessions with unfinished work of the agent.

    Attributes:
        posts: its workers, each with its last jobs: the session by Yjs client.
    """

    def __init__(self, agent: Participant, rooms: Rooms, storage: Storage) -> None:
        self.agent = agent
        self.posts: dict[Post, dict[int, str]] = {}
        self._rooms = rooms
        self._storage = storage
        self._pending: dict[Post, int] = {}
        self._ready: dict[str, None] = {}
        self._rests: dict[str, int] = {}
        self._after = ""
        self._look_at = 0.0
        self._told = 0
        self._bell = asyncio.Event()

    def add(self, post: Post) -> None:
        """Add a worker, which may take jobs from now on."""
        self.posts[post] = {}
        self._look_at = 0.0
        self.ring()

    def remove(self, post: Post) -> Mapping[int, str]:
        """Remove a worker, and return its last jobs."""
        self._pending.pop(post, None)
        self.ring()
        return self.posts.pop(post)

    def was_given(self, post: Post, client: int, session: str) -> bool:
        """Return whether a worker was given a job lately."""
        return self.posts.get(post, {}).get(client) == session

    def ring(self) -> None:
        """Wake the queue: a worker takes more jobs, or there may be more work."""
        self._bell.set()

    def note(self, session: str, *, can_take: bool) -> None:
        """Note whether a room has work that can be taken."""
        if not can_take:
            self._ready.pop(session, None)
        elif session not in self._rests and len(self._ready) < _MOST_READY:
            self._ready[session] = None
            self.ring()

    async def give_back(self, given: Mapping[int, str], *, refused: bool = False) -> None:
        """Release jobs that a worker was given and hasn't begun.

        Args:
            given: the sessions of the jobs, by the Yjs client that was drawn for each.
            refused: whether the worker is connected, and couldn't begin: then the session rests a while.
        """
        for client, session in given.items():
            with suppress(CosessionError):  # a session that is gone has no jobs; a failing storage has its grace
                async with self._rooms.room(session) as live:
                    if refused:
                        self._rest(session)
                    if client not in live.room.vector:
                        live.give_back(client)

    async def run(self) -> None:
        """Hand out jobs, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            self._bell.clear()
            await self._tell()
            if taken := self._choose():
                async with asyncio.TaskGroup() as tasks:
                    for session, post in taken:
                        tasks.create_task(self._hand_out(session, post))
            elif not any(self._left(post) for post in self.posts):
                await self._bell.wait()
            elif clock() < self._look_at:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._look_at):
                        await self._bell.wait()
            elif not await self._look():
                self._look_at = clock() + _LOOK_SECONDS

    async def tell_nobody(self) -> None:
        """Notify the rooms that the last worker is gone."""
        await self._tell()

    def _left(self, post: Post) -> int:
        return post.credits - self._pending.get(post, 0)

    def _choose(self) -> list[tuple[str, Post]]:
        """Return the next sessions, each with the worker that may work there and takes most jobs."""
        chosen: list[tuple[str, Post]] = []
        for session in list(self._ready):
            posts = [post for post in self.posts if self._left(post) > 0]
            if not posts or len(chosen) == _AT_ONCE:
                break
            del self._ready[session]
            if allowed := [post for post in posts if post.may_work_in(session)]:
                post = max(allowed, key=self._left)
                self._pending[post] = self._pending.get(post, 0) + 1
                chosen.append((session, post))
        return chosen

    async def _hand_out(self, session: str, post: Post) -> None:
        """Reserve a job in a session for a worker, and give it to the worker once that is committed."""
        client = secrets.randbelow(2**32 - 1) + 1
        try:
            async with self._rooms.room(session) as live:
                job = live.reserve(self.agent.id, client)
                if job is None:
                    return
                await live.flush()
                if post in self.posts and post.credits > 0:
                    post.credits -= 1
                    given = self.posts[post]
                    given[client] = session
                    if len(given) > _GIVEN:
                        del given[next(iter(given))]
                    post.give(job)
                else:
                    live.give_back(client)
                self.note(session, can_take=True)  # there may be more work, which the room doesn't report again
        except CosessionError as error:
            log.warning("agent_queue.failed", agent=self.agent.id, session=session, error=str(error))
        finally:
            if post in self.posts:
                self._pending[post] -= 1

    async def _look(self) -> bool:
        """Read the next page of sessions with unfinished work; return False at their end, or if the storage fails."""
        try:
            page = await self._storage.work(self.agent.id, after=self._after, limit=_PAGE)
        except CosessionError as error:
            log.warning("agent_queue.failed", agent=self.agent.id, error=str(error))
            page = ()
        self._after = page[-1] if page else ""
        self._ready |= {session: None for session in page if session not in self._rests}
        return bool(page)

    def _rest(self, session: str) -> None:
        self._ready.pop(session, None)
        times = self._rests.get(session, 0)
        self._rests[session] = min(times + 1, _MOST_REST)
        asyncio.get_running_loop().call_later(2.0**times, self._wake, session)

    def _wake(self, session: str) -> None:
        if session in self._rests:
            self._ready[session] = None
            self.ring()

    async def _tell(self) -> None:
        """Notify the rooms of the number of the agent's workers, and ask them for work that can be taken.

        A room may have reported its work before this queue existed, and the storage is updated only with the next
        commit.
        """
        if self._told == len(self.posts):
            return
        self._told = len(self.posts)
        for number, live in enumerate(list(self._rooms.rooms())):
            if live.error is None and live.room.can_take(self.agent.id):
                self.note(live.session, can_take=True)
            if live.error is None and self.agent.id in live.room.document.meta.rules.agents:
                with suppress(CosessionError):  # the room has ended, and the next one is notified when it is loaded
                    live.man(self.agent, self._told)
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
