"""The hub: loads the sessions of this process, each once, and unloads them.

A room stays loaded while it has holders and `unload_after_seconds` longer; then its log is flushed, a snapshot is
kept, and it is unloaded. A room that ends for another reason (broken, deleted, shutdown) is unloaded at once the same
way, and a caller that asks for it meanwhile waits until then and gets a fresh one.

Any pycrdt `Channel` can be served: `Hub.serve(channel)`; its `path` names the session.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

from pycrdt import Channel

from cosession.auth import ANONYMOUS, Participant, check_session_id
from cosession.document import Policy
from cosession.errors import CosessionError, NoSuchSession, SessionDeleted, ShuttingDown, StorageError
from cosession.logs import get_logger
from cosession.settings import Settings
from cosession.storage import Place, Storage, StoredSession

from .clock import utc_now
from .commit_log import CommitLog
from .compaction import Compaction
from .connection.connection import Connection
from .connection.ticker import Ticker
from .connection.token_expiry import Grants
from .dispatcher import Dispatcher
from .lifecycle import RoomLifecycle
from .listing import AT_ONCE, Page, page_among, read_page
from .room_runtime import RoomRuntime
from .turns import Turns

log = get_logger(__name__)


class Hub:
    """All rooms of this process. Made by `Hub.open`.

    Attributes:
        storage: the storage of the sessions.
        settings: the limits.
        dispatch: gives the work that waits for agents to their workers.
    """

    def __init__(
        self, storage: Storage, settings: Settings, clock: Callable[[], str], tasks: asyncio.TaskGroup
    ) -> None:
        self.storage = storage
        self.settings = settings
        self._clock = clock
        self._tasks = tasks
        self._log = CommitLog(storage, self, settings.max_uncommitted_bytes)
        self._compactor = Compaction(storage, settings.history_grain_seconds)
        self._turns = Turns()
        self._pulse = Ticker(settings.keep_alive_seconds)
        self.dispatch = Dispatcher(self, storage, self._log, tasks)
        self._slots: dict[str, RoomLifecycle] = {}
        self._lives: dict[RoomLifecycle, asyncio.Task[None]] = {}
        self._numbers = count(1)
        self._closing = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls, storage: Storage, settings: Settings, clock: Callable[[], str] = utc_now
    ) -> AsyncGenerator["Hub"]:
        """Serve sessions from a storage until the block ends; then everything is flushed.

        Args:
            storage: an open one; it is the caller's to close.
            settings: the limits.
            clock: returns the time, RFC 3339.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            hub = cls(storage, settings, clock, tasks)
            workers = [tasks.create_task(hub._log.run()), tasks.create_task(hub._compactor.run())]
            try:
                yield hub
            except Exception as error:
                failure = error
            finally:
                try:
                    await hub.drain()
                finally:
                    for worker in workers:
                        worker.cancel()
        if failure is not None:
            raise failure  # here, because the group would wrap it

    async def serve(
        self,
        channel: Channel,
        participant: Participant = ANONYMOUS,
        *,
        extended: bool = False,
        rollup_seconds: float = 0.0,
        grants: Grants | None = None,
        client: int = 0,
    ) -> None:
        """Serve one connection until it ends.

        Args:
            channel: its `path`, without the slashes around it, names the session.
            participant: the participant that it belongs to.
            extended: whether it asked for fences and notices.
            rollup_seconds: how long frames to it are gathered before they are sent; 0 sends at once.
            grants: verifies a new token of it; None when it can't be renewed.
            client: the Yjs client id of its replica, if it named one; else 0.

        Raises:
            CosessionError: it can't be served; the caller closes the channel with the error's close code.
        """
        create = self.settings.create_on_connect and participant.capabilities.may("create")
        async with self.room(channel.path.strip("/"), create=create) as live:
            connection = Connection(
                next(self._numbers),
                channel,
                participant,
                extended,
                self.settings,
                self._pulse,
                rollup_seconds,
                client,
            )
            await live.serve(connection, grants)

    @asynccontextmanager
    async def room(self, session: str, *, create: bool = False) -> AsyncGenerator[RoomRuntime]:
        """Hold a session's live room.

        Args:
            session: its id.
            create: whether to make an unknown session.

        Raises:
            NoSuchSession: there is none, and `create` is false.
            SessionDeleted: it was deleted.
            ShuttingDown: the server is stopping.
            StorageError: it can't be loaded.
        """
        check_session_id(session)
        while True:
            slot = self._slot(session)
            if slot.leaving:
                await self._end_of(slot)
                continue
            try:
                live = await slot.enter()
            except NoSuchSession:
                if not create:
                    raise
                await self.storage.create(session, title="", at=self._clock())
            else:
                break
        try:
            yield live
        finally:
            slot.release()

    async def create(self, session: str, title: str = "", policy: Policy | None = None) -> bool:
        """Create a session, durably; return True if this call created it.

        Args:
            session: its id.
            title: its title.
            policy: its rules, if they aren't those of every new session.

        Raises:
            SessionDeleted: the id was used before.
        """
        made = await self.storage.create(check_session_id(session), title=title, at=self._clock())
        if made:
            async with self.room(session) as live:
                if policy is not None:
                    live.edit(lambda document: document.meta.set_policy(policy))
                await live.flush()
        return made

    async def delete(self, session: str) -> bool:
        """Delete a session with all its data, and end its connections; return False if there was none."""
        deleted = await self.storage.delete(check_session_id(session), at=self._clock())
        slot = self._slots.get(session)
        if deleted and slot is not None:
            slot.end(SessionDeleted("The session was deleted."))
            await self._end_of(slot)
        return deleted

    async def sessions(
        self,
        patterns: Sequence[str],
        allowed: Callable[[str], bool],
        *,
        limit: int,
        after: Place | None = None,
        occupied: bool = False,
    ) -> Page:
        """Return a page of the sessions, the newest first.

        Args:
            patterns: patterns of ids of which every listed session matches one; none covers another.
            allowed: returns whether a session of this id may be listed.
            limit: how many at most.
            after: the place where the page begins; None is the beginning.
            occupied: only those with connections, however old they are.
        """
        if not occupied:
            return await read_page(self.storage, patterns, allowed, limit, after)
        rooms, here = list(self.rooms()), list[StoredSession]()
        for begin in range(0, len(rooms), AT_ONCE):
            part = rooms[begin : begin + AT_ONCE]
            here += (live.info() for live in part if live.connections and allowed(live.session))
            await asyncio.sleep(0)
        return await page_among(here, allowed, limit, after)

    def connections(self, session: str) -> int:
        """Return the number of connections of a session in this process."""
        slot = self._slots.get(session)
        return slot.live.connections if slot and slot.live else 0

    def connected(self) -> Iterator[tuple[Participant, str]]:
        """Yield the participant and the session of each connection in this process."""
        for live in self.rooms():
            for participant in live.participants():
                yield participant, live.session

    def dismiss(self, judge: Callable[[Participant, str], CosessionError | None]) -> None:
        """End connections that may not stay.

        Args:
            judge: called with every connection's participant and session; returns the error that ends it, or None.
        """
        for live in self.rooms():
            live.dismiss(judge)

    async def check_ready(self) -> None:
        """Check that updates can be saved now.

        Raises:
            StorageError: they can't.
        """
        if self._log.failing:
            raise StorageError("What comes in can't be saved: the last try failed, and the log says why.")
        await self.storage.ping()

    async def drain(self) -> None:
        """Accept nothing new, end every connection with the request to come back later, and flush every room.

        While the storage makes progress it is waited for. When it fails for `shutdown_seconds`, the updates that it
        has not accepted are given up: no client has an ack for them, and the clients still hold them.
        """
        self._closing = True
        await self.dispatch.close(_shutting_down(), self.settings.shutdown_seconds)
        for slot in self._slots.values():
            slot.end(_shutting_down())
        while self._lives:
            _, unfinished = await asyncio.wait(self._lives.values(), timeout=self.settings.shutdown_seconds)
            if unfinished and self._log.failing:
                log.error("hub.gave_up", rooms=len(unfinished), reason="the storage fails")
                for life in unfinished:
                    life.cancel()

    def rooms(self) -> Iterator[RoomRuntime]:
        """Return the rooms that are loaded."""
        return (slot.live for slot in self._slots.values() if slot.live is not None)

    def on_committed(self, session: str, version: int, size: int) -> None:
        """Note that the log holds everything up to a version."""
        slot = self._slots.get(session)
        if slot:
            slot.committed(version, size)

    def on_refused(self, session: str, error: CosessionError) -> None:
        """End a room from which the storage accepts no more: the session is gone, or another server wrote to it."""
        slot = self._slots.get(session)
        if slot:
            slot.end(error)

    def _slot(self, session: str) -> RoomLifecycle:
        if self._closing:
            raise _shutting_down()
        slot = self._slots.get(session)
        if slot is None:
            slot = self._slots[session] = RoomLifecycle(
                session,
                self.storage,
                self._log,
                self._compactor,
                self._turns,
                self.settings,
                self._clock,
                self.dispatch,
            )
            self._lives[slot] = self._tasks.create_task(self._live(slot))
        return slot

    async def _end_of(self, slot: RoomLifecycle) -> None:
        """Wait until the next slot of a session may be made."""
        life = self._lives.get(slot)
        if life is not None:
            await asyncio.wait((life,))

    async def _live(self, slot: RoomLifecycle) -> None:
        try:
            await slot.run()
        finally:
            del self._slots[slot.session], self._lives[slot]


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("The server is shutting down; connect again in a moment.")
