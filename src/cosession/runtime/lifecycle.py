"""A room's slot in the hub: loading → live → leaving → gone, one task for all of it.

The slot exists from the first request on, so one load serves all concurrent requests. While it is leaving, no new
caller gets its room; once it is gone, the next slot may load the session again.

A snapshot is kept when the room is unloaded, and also before that whenever the log has grown enough since the last
one, so that a crash of a long-lived room costs no long replay. The log before a snapshot is then compacted in the
background.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from cosession.errors import (
    CosessionError,
    NoSuchSession,
    RoomBroken,
    SessionDamaged,
    SessionDeleted,
    StorageError,
    VersionTaken,
)
from cosession.logs import get_logger
from cosession.room.effects import Waiting
from cosession.room.room import DAMAGED, Room
from cosession.settings import Settings
from cosession.storage import LoadedSession, Snapshot, Storage

from .commit_log import CommitLog
from .compaction import Compaction
from .room_runtime import RoomRuntime
from .turns import Turns

_LARGEST_TO_TAIL = 8
"""A snapshot after many small updates is at most this many times their size, because replaying them takes longer. One
after large updates is at most as large as they are, so snapshots are about twice the bytes that clients write."""

_AFTER_GRACE_SECONDS = 1.0
"""The time for the timer of a lease to ring, which is a moment after its grace is over."""

log = get_logger(__name__)


class LifecycleListener(Protocol):
    """The object that is notified of rooms."""

    def on_loaded(self, live: RoomRuntime) -> None:
        """Note that a room was loaded."""
        ...

    def on_waiting(self, session: str, waiting: Waiting) -> None:
        """Note that the agents for which work waits in a room have changed."""
        ...


class RoomLifecycle:
    """The slot of one session's room.

    Args:
        session: its id.
        storage: the storage that it is loaded from, and its snapshot is saved to.
        room_log: the log that its updates are appended to.
        compactor: compacts its stored log.
        turns: the turns in which rooms send out.
        settings: the limits.
        clock: returns the time, RFC 3339.
        listener: is notified of its room.

    Attributes:
        leaving: once true, no new caller gets this room.
    """

    def __init__(
        self,
        session: str,
        storage: Storage,
        room_log: CommitLog,
        compactor: Compaction,
        turns: Turns,
        settings: Settings,
        clock: Callable[[], str],
        listener: LifecycleListener,
    ) -> None:
        self.session = session
        self.leaving = False
        self._storage = storage
        self._log = room_log
        self._compactor = compactor
        self._compact_at = asyncio.get_running_loop().time() + settings.compact_after_seconds
        self._turns = turns
        self._settings = settings
        self._clock = clock
        self._listener = listener
        self._loaded: asyncio.Future[RoomRuntime] = asyncio.get_running_loop().create_future()
        self._holders = 0
        self._changed = asyncio.Event()
        self._error: CosessionError | None = None
        self._snapshot = 0
        self._tail_from = 0
        self._tail_bytes = 0
        self._snapshot_bytes = 0
        self._keeping = False

    @property
    def live(self) -> RoomRuntime | None:
        """The room, once it is loaded."""
        loaded = self._loaded
        return loaded.result() if loaded.done() and not loaded.exception() else None

    async def enter(self) -> RoomRuntime:
        """Hold the room, once it is loaded; `release` it afterwards.

        Raises:
            CosessionError: it can't be loaded; nothing is held.
        """
        self._holders += 1
        self._changed.set()
        try:
            return await asyncio.shield(self._loaded)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release the room."""
        self._holders -= 1
        self._changed.set()

    def committed(self, version: int, size: int) -> None:
        """Note that the log holds everything up to a version, `size` bytes more than before."""
        self._tail_bytes += size
        if self.live:
            self.live.committed(version)
            if self._keeping or self._is_snapshot_due(version):
                self._changed.set()

    def end(self, error: CosessionError) -> None:
        """End the room, and its connections, with an error."""
        self._error = error
        if self.live:
            self.live.end(error)

    async def run(self) -> None:
        """Load, serve and unload the room. Only a cancellation is raised."""
        try:
            live = await self._load()
            if live is not None:
                await self._until_idle(live)
                self.leaving = True
                while self._holders:
                    self._changed.clear()
                    await self._changed.wait()
                await self._unload(live)
        except StorageError as error:
            log.error("room.unload_failed", session=self.session, error=str(error))
        except Exception:
            log.exception("room.failed", session=self.session)
        finally:
            self.leaving = True
            if not self._loaded.done():
                self._fail(StorageError("The session can't be loaded; the server's log says why."))
            if self.live is None:
                self._loaded = asyncio.get_running_loop().create_future()  # the error's frames hold the slot in turn

    async def _load(self) -> RoomRuntime | None:
        """Load the room; from its first use until its waiters have it, nothing may be awaited."""
        try:
            stored = await self._storage.load(self.session)
            if stored is None:
                raise NoSuchSession(f"There is no session {self.session!r}; create it first.")
            room = Room(self._settings, _updates(stored), stored.info.version, stored.writers)
            for _ in room.prepare():
                await asyncio.sleep(0)
        except CosessionError as error:
            if isinstance(error, SessionDamaged):
                log.error("session.damaged", session=self.session, error=str(error.__cause__ or error))
            self._fail(error)
            return None
        if stored.snapshot:
            self._tail_from, self._snapshot_bytes = stored.snapshot.version, len(stored.snapshot.update)
        self._tail_bytes = sum(len(row.update) for row in stored.updates)
        self._snapshot = stored.snapshot.version if stored.snapshot else 0
        live = RoomRuntime(
            stored.info,
            room,
            self._settings,
            self._log,
            self._turns,
            self._clock,
            self._changed.set,
            partial(self._listener.on_waiting, self.session),
        )
        try:
            live.create(stored.info.title, stored.info.created_at)
            live.recover()
            live.begin()
        except RoomBroken:  # it would break again for the next caller
            self._fail(SessionDamaged(DAMAGED))
            return None
        self._loaded.set_result(live)
        self._listener.on_loaded(live)
        if self._error is not None:
            live.end(self._error)
        log.info("room.loaded", session=self.session, version=room.version, updates=len(stored.updates))
        return live

    def _fail(self, error: CosessionError) -> None:
        self._loaded.set_exception(error)
        self._loaded.exception()  # no caller may be waiting for it any more

    async def _until_idle(self, live: RoomRuntime) -> None:
        while live.error is None:
            self._changed.clear()
            if self._is_snapshot_due(live.room.committed_version):
                await self._keep_snapshot(live)
                continue
            if self._holders:
                await self._changed.wait()
                continue
            stays = self._settings.unload_after_seconds
            try:
                async with asyncio.timeout(max(stays, self._grace(live))):
                    await self._changed.wait()
            except TimeoutError:
                if not self._holders and not live.is_waiting:
                    return

    def _grace(self, live: RoomRuntime) -> float:
        """Return how long the room stays for absent holders of leases: unloaded, it couldn't end their leases."""
        return self._settings.lease_grace_seconds + _AFTER_GRACE_SECONDS if live.is_waiting else 0.0

    def _is_snapshot_due(self, version: int) -> bool:
        limits, tail = self._settings, self._tail_bytes
        is_long = version - self._tail_from >= limits.snapshot_after_updates
        if is_long and tail * _LARGEST_TO_TAIL >= self._snapshot_bytes:
            return True
        return tail >= max(limits.snapshot_after_bytes, self._snapshot_bytes)

    async def _keep_snapshot(self, live: RoomRuntime) -> None:
        """Keep a snapshot of the live room, once the log holds its content.

        Taking it holds the loop: 2 ms for 100,000 tokens.
        """
        version = self._tail_from = live.room.version
        self._tail_bytes = 0
        self._keeping = True
        try:
            data, version = await live.snapshot()
            self._snapshot_bytes = len(data)
            while live.room.committed_version < version:
                if live.error is not None:
                    return
                self._changed.clear()
                await self._changed.wait()
            await self._storage.save_snapshot(Snapshot(self.session, version, data))
        except RoomBroken:
            return
        except CosessionError as error:  # the log has it all: the next one is as good
            log.warning("room.snapshot_failed", session=self.session, version=version, error=str(error))
            return
        finally:
            self._keeping = False
        self._snapshot = version
        log.info("room.snapshot", session=self.session, version=version, bytes=self._snapshot_bytes)
        now = asyncio.get_running_loop().time()
        if now >= self._compact_at:
            self._compact_at = now + self._settings.compact_after_seconds
            self._compactor.ask(self.session)

    async def _unload(self, live: RoomRuntime) -> None:
        live.close()
        foreign = isinstance(live.error, SessionDeleted | NoSuchSession | VersionTaken)
        if not foreign:
            live.settle()
        await self._log.flush(self.session, patient=True)
        version = live.room.version
        if not live.broken and not foreign and version > self._snapshot:
            with suppress(RoomBroken):
                data, version = await live.snapshot()
                await self._log.flush(self.session, patient=True)  # the document may have changed meanwhile
                await self._storage.save_snapshot(Snapshot(self.session, version, data))
        live.room.close()
        if live.error is None:
            self._compactor.ask(self.session)
        log.info("room.unloaded", session=self.session, version=version)


def _updates(stored: LoadedSession) -> list[bytes]:
    updates = [row.update for row in stored.updates]
    return [stored.snapshot.update, *updates] if stored.snapshot else updates
