"""A live room: the asyncio shell of one `Room`. It carries out effects and decides nothing.

Invariant: a room in which any call but a read has failed, other than by a refusal, is not used again. It ends, its
connections come back, and the next request for the session loads the room from the log.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import TypeVar, TypeVarTuple

from cosession.auth import SERVER, Participant
from cosession.document import JsonObject, SessionDocument
from cosession.errors import CosessionError, MalformedFrame, RoomBroken, StorageError, TooFast, Unreadable
from cosession.logs import get_logger
from cosession.protocol import EMPTY_VECTOR
from cosession.room.decisions import Job
from cosession.room.effects import (
    Append,
    Broadcast,
    BroadcastPresence,
    Decline,
    Echo,
    Effect,
    NewIds,
    Refuse,
    Remind,
    Renew,
    Retitle,
    Unheard,
    Waiting,
)
from cosession.room.long_frames import Step, hold
from cosession.room.peer import Peer
from cosession.room.room import Room, read_copy
from cosession.room.send_queue import SendQueue
from cosession.settings import Settings
from cosession.storage import LoggedUpdate, StoredSession

from .commit_log import CommitLog
from .connection.connection import Connection
from .connection.token_expiry import Grants, TokenExpiry
from .delivery import Delivery
from .new_clients import NewClients
from .timers import Timers
from .turns import Turns

_BROKEN = "The server met an error and loads the session again; connect once more."

log = get_logger(__name__)

_RETRY_SECONDS = 1.0
"""How long a timer waits for the storage, when that is behind."""

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


_LARGE = 2**16
"""The size from which on frames share one bound in memory: while one waits, those of others may have to wait."""

_SHOWN = 128
"""The characters of a name that are logged: any participant may have written it."""

_TOO_MANY_CLIENTS = (
    "A large frame brings more new Yjs client ids than may come in a minute; come again with the rest."
)


class RoomRuntime:
    """One session that is loaded in this process.

    Args:
        stored: its line in the list of sessions.
        room: its pure half.
        settings: the limits.
        log: the log that its updates are appended to.
        turns: the turns in which rooms send out.
        clock: returns the time, RFC 3339.
        on_end: called once, when the room must be unloaded.
        on_waiting: called whenever the agents for which work waits have changed.

    Attributes:
        error: the reason to unload the room; None while it is live.
        broken: whether its document can't be trusted any more.
    """

    __slots__ = (
        "_clock",
        "_commit",
        "_connections",
        "_created_at",
        "_delivery",
        "_is_free",
        "_log",
        "_new_clients",
        "_on_end",
        "_on_waiting",
        "_patience",
        "_timers",
        "_title",
        "_turns",
        "_updated_at",
        "broken",
        "error",
        "room",
        "session",
    )

    def __init__(
        self,
        stored: StoredSession,
        room: Room,
        settings: Settings,
        log: CommitLog,
        turns: Turns,
        clock: Callable[[], str],
        on_end: Callable[[], None],
        on_waiting: Callable[[Waiting], None] = lambda _: None,
    ) -> None:
        self.session = stored.id
        self.room = room
        self.error: CosessionError | None = None
        self.broken = False
        self._log = log
        self._clock = clock
        self._on_end = on_end
        self._updated_at = stored.updated_at
        self._title = stored.title
        self._created_at = stored.created_at
        self._commit: asyncio.Event | None = None
        self._connections: dict[int, Connection] = {}
        self._delivery = Delivery(settings, turns)
        self._turns = turns
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._on_waiting = on_waiting
        self._timers = Timers()
        self._new_clients = NewClients(settings.max_new_clients_per_minute)
        self._patience = settings.slow_reader_seconds

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def participants(self) -> Iterator[Participant]:
        """Yield the participant of each connection."""
        return (connection.participant for connection in self._connections.values())

    @property
    def is_waiting(self) -> bool:
        """Whether the room waits for an absent holder of a lease to come back."""
        return not self.broken and self.room.is_waiting

    def info(self) -> StoredSession:
        """Return the room's line in the list of sessions, as of now."""
        meta = self.room.document.meta
        return StoredSession(
            self.session, meta.title, meta.created_at or self._created_at, self._updated_at, self.room.version
        )

    def end(self, error: CosessionError) -> None:
        """End the room, and every connection, with an error; the first error stands."""
        if self.error is not None:
            return
        self.error = error
        self._note_commit()
        self._on_end()
        for connection in self._connections.values():
            connection.end(error)

    def dismiss(self, judge: Callable[[Participant, str], CosessionError | None]) -> None:
        """End the connections for which the judge returns an error."""
        for connection in self._connections.values():
            error = judge(connection.participant, self.session)
            if error is not None:
                connection.end(error)

    async def serve(self, connection: Connection, grants: Grants | None = None) -> None:
        """Keep a connection in the room until it ends, however it ends.

        Raises:
            NotAllowed: its access was taken away while the room was loaded.
        """
        number = connection.number
        lease = connection.lease = TokenExpiry(connection, self, grants)
        self._connections[number] = connection
        self._delivery.add(number, connection.writer)
        if self.error is not None:
            connection.end(self.error)
        try:
            lease.begin()
            peer = Peer(connection.participant, connection.extended, connection.client)
            self._perform(lambda at: self.room.join(number, peer, at))
            await connection.serve(self)
        finally:
            del self._connections[number]
            self._delivery.remove(number)
            connection.lease = None
            try:
                if not self.broken and number in self.room.peers:
                    self._perform(lambda at: self.room.leave(number, at))
            finally:
                await lease.close()

    def regrant(self, connection: Connection, participant: Participant) -> None:
        """Replace the participant of a connection, and send it the new grant."""
        connection.participant = participant
        self._perform(lambda at: self.room.regrant(connection.number, participant, at))

    @property
    def has_room(self) -> bool:
        """Whether the disk has caught up enough for another frame."""
        return self._log.has_room(self.session)

    async def ready(self) -> None:
        """Wait until the disk has caught up enough for another frame."""
        await self._log.wait_for_room(self.session)

    def receive(self, connection: int, data: bytes) -> None:
        """Handle a frame.

        Raises:
            CosessionError: the connection must end for it.
        """
        at = self._now()
        try:
            effects = self.room.receive(connection, data, at)
        except BaseException as error:
            if _is_refusal(error):
                raise
            raise self._break(error, connection) from error
        self._carry_out(effects, at)

    def is_quick(self, connection: int, data: bytes) -> bool:
        """Return whether a frame is short, and can be handled without preparation or waiting."""
        if self.broken:
            return True
        may_bring = self._new_clients.is_free or not self._seconds_to_wait(connection)
        return may_bring and self.room.is_quick(connection, data)

    async def receive_in_steps(self, connection: int, data: bytes) -> AsyncGenerator[float, None]:
        """Handle a frame that isn't quick, in steps between which other tasks run.

        Yields:
            The seconds that each step took.

        Raises:
            CosessionError: the connection must end for it.
        """
        patience = self._patience if len(data) > _LARGE else inf
        wait: float | None = 0.0
        steps = self.room.receive_in_steps(connection, data)
        try:
            while wait is not None:
                if wait:
                    await asyncio.sleep(min(wait, patience))
                    patience -= wait
                    if patience < 0:
                        raise TooFast(_TOO_MANY_CLIENTS)
                if self.room.holder != connection:
                    await self._free()
                wait, seconds = await self._turns.step(partial(self._go_on, connection, steps))
                yield seconds
                await self.ready()
        finally:
            steps.close()
            self._note_holder()

    def take(self, outbox: SendQueue) -> list[bytes]:
        """Empty an outbox and return the frames to send."""
        if self.broken:
            return []
        if outbox.is_behind:
            self._send_out()  # the diff holds also updates of the room that have not been sent out yet
        return self._read(outbox.take, self.room.diff, self.room.vector)

    def now(self) -> str:
        """Return the server's time, RFC 3339."""
        return self._clock()

    async def read(self) -> tuple[JsonObject, int]:
        """Return the whole document at one version as plain JSON, and that version; read in steps.

        The document may change between steps. It is read in place first: few sessions change in the tenth of a second
        that it takes. If one does, a copy of it is read, which is five times as much work and always comes to an end.

        Raises:
            Unreadable: it can't be read.
        """
        version = self.room.version
        found = await self.work(self._read_unless_changed(version))
        if found is not None:
            return found, version
        await self._settled()
        version = self.room.version
        steps = self._read(partial(self.room.lacks, EMPTY_VECTOR)).in_steps()
        return await self.work(read_copy(await self.work(steps))), version

    async def snapshot(self) -> tuple[bytes, int]:
        """Return the whole document at one version as one update, and that version; made in steps.

        The document may change between steps: the version may be a later one than before the call.

        Raises:
            Unreadable: it can't be read.
            RoomBroken: the room has ended meanwhile.
        """
        await self._settled()
        version, encoded = self.room.version, self._read(partial(self.room.lacks, EMPTY_VECTOR))
        return await self.work(encoded.in_steps()), version

    async def work(self, steps: Generator[object, None, _Result]) -> _Result:
        """Do work in steps, between which other tasks run.

        Raises:
            Unreadable: it failed.
        """
        made: list[_Result] = []

        def go_on() -> None:
            try:
                next(steps)
            except StopIteration as ended:
                made.append(ended.value)

        while not made:
            await self._turns.step(partial(self._read, go_on))
        return made[0]

    async def prepare_for(self, by: Participant, grows: int) -> None:
        """Prepare an `edit` or `append` in a participant's name, in steps between which other tasks run."""
        steps = self.room.prepare_for(by, grows)
        wait: float | None = 0.0
        while wait is not None:
            wait, _ = await self._turns.step(partial(self._go_on, None, steps))
        await self._free()

    def edit(self, change: Callable[[SessionDocument], object], by: Participant = SERVER, grows: int = 0) -> None:
        """Make a change of the server's own; see `Room.edit`.

        Raises:
            StorageError: the storage is too far behind to accept more; nothing has changed.
            TooLarge: the document is full; nothing has changed.
        """
        self._check_room()
        self._perform(lambda at: self.room.edit(change, at, by, grows))

    def append(self, change: Callable[[SessionDocument], object], by: Participant, grows: int) -> None:
        """Append a message of the server's own; see `Room.append`; raise as `edit` does."""
        self._check_room()
        self._perform(lambda at: self.room.append(change, at, by, grows))

    def create(self, title: str, created_at: str) -> None:
        """Write the first facts of a new session."""
        self._perform(lambda _: self.room.create(title, created_at))

    def recover(self) -> None:
        """Correct the attendance in the document after a crash."""
        self._perform(lambda _: self.room.recover(self._updated_at))

    def begin(self) -> None:
        """Resume the work that was under way when the session was last loaded."""
        self._perform(self.room.begin)

    def reserve(self, agent: str, client: int) -> Job | None:
        """Reserve an agent's next job; no worker may be notified of it before it is flushed."""
        at = self._now()
        job, effects = self._guard(self.room.reserve, agent, client, at)
        self._carry_out(effects, at)
        return job and replace(job, session=self.session)

    def give_back(self, client: int) -> None:
        """Release at once the job that was reserved for a client that won't come."""
        self._perform(lambda _: self.room.give_back(client))

    def man(self, agent: Participant, workers: int) -> None:
        """Set the number of workers that wait for an agent's work."""
        self._perform(lambda at: self.room.man(agent, workers, at))

    def settle(self) -> None:
        """Write waiting attendance and log unanswered prompts, before the room is unloaded."""
        with suppress(CosessionError):  # the guard has ended the room, and the next one corrects it
            self._perform(partial(self.room.attend, at_once=True))
            self._perform(lambda _: self.room.unheard())

    def close(self) -> None:
        """Cancel all timers."""
        self._timers.clear()

    def committed(self, version: int) -> None:
        """Note that the log holds everything up to a version."""
        if not self.broken:
            self._perform(lambda _: self.room.committed(version))
            self._note_commit()

    async def wait_committed(self, version: int) -> None:
        """Wait until the log holds everything up to a version, which need not exist yet.

        Raises:
            CosessionError: the room has ended before that.
        """
        while self.room.committed_version < version:
            if self.error is not None:
                raise self.error
            if self._commit is None:
                self._commit = asyncio.Event()
            await self._commit.wait()

    def look(self, read: Callable[[SessionDocument], _Result]) -> _Result:
        """Read something small of the document.

        Raises:
            Unreadable: it failed.
            RoomBroken: the room has ended.
        """
        return self._read(read, self.room.document)

    async def flush(self) -> None:
        """Wait until every update that the room applied is on the disk.

        Raises:
            StorageError: the storage fails; it is tried again.
        """
        await self._log.flush(self.session)

    def _now(self) -> str:
        """Return the time of a call to the room; raise if the room can't be used any more."""
        if self.broken:
            raise RoomBroken(_BROKEN)
        return self._clock()

    def _check_room(self) -> None:
        if not self.has_room:
            raise StorageError("The storage is behind, and nothing has changed; try again in a moment.")

    def _perform(self, act: Callable[[str], Iterable[Effect]]) -> None:
        """Call the room as of now, and carry out the effects."""
        at = self._now()
        self._carry_out(self._guard(act, at), at)

    def _carry_out(self, effects: Iterable[Effect], at: str) -> None:
        for effect in effects:
            self._do(effect, at)
        self._delivery.flush()

    def _guard(self, act: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        """Call the room; any failure but a refusal ends it."""
        try:
            return act(*arguments)
        except BaseException as error:
            if _is_refusal(error):
                raise
            raise self._break(error, None) from error

    def _read(self, look: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        """Read the room. A read that fails costs its reader the answer, and changes nothing.

        Raises:
            Unreadable: it failed.
            RoomBroken: the room has ended, perhaps by this read: the CRDT library panicked.
        """
        if self.broken:
            raise RoomBroken(_BROKEN)
        try:
            return look(*arguments)
        except Exception as error:
            log.error("room.unreadable", session=self.session, version=self.room.version, exc_info=error)
            if isinstance(error, CosessionError):
                raise
            raise Unreadable("The session can't be read; the server's log says why.") from error
        except BaseException as error:
            if _is_refusal(error):
                raise
            raise self._break(error, None) from error

    def _read_unless_changed(self, version: int) -> Generator[None, None, JsonObject | None]:
        """Read the document in steps; None as soon as it isn't of a version any more."""
        steps = self.room.document.to_json_in_steps()
        while self.room.version == version:
            try:
                next(steps)
            except StopIteration as ended:
                return ended.value
            yield
        return None

    def _note_commit(self) -> None:
        """Wake those that wait for a commit; a room without any pays nothing."""
        if self._commit is not None:
            self._commit.set()
            self._commit = None

    async def _free(self) -> None:
        """Wait until no large record is being applied."""
        while self.room.holder is not None:
            await self._is_free.wait()

    async def _settled(self) -> None:
        """Wait until the document can be encoded without reading much before."""
        await self._free()
        await self.work(self.room.read_values())

    def _note_holder(self) -> None:
        """Wake the connections that wait for a large record, once it is judged."""
        if self.room.holder is None:
            self._is_free.set()
        else:
            self._is_free.clear()

    def _seconds_to_wait(self, connection: int) -> float:
        """Return the seconds before a connection may bring new client ids."""
        return self._new_clients.seconds_to_wait(self._connections[connection].participant.id)

    def _go_on(self, connection: int | None, steps: Iterator[Step | None]) -> float | None:
        """Do the next step of handling a frame, or a request over HTTP.

        Returns:
            The seconds before the next step; None when that was the last, or its connection is ending.
        """
        if connection is not None and self._connections[connection].is_ending:
            return None
        if connection is not None and self.room.holder not in (None, connection):
            return 0.0  # another connection became the holder since this step was asked for
        at = self._now()
        try:
            step = next(steps)
            if connection is not None and step is hold:
                return self._seconds_to_wait(connection)
            effects = () if step is None else step(at)
        except StopIteration:
            return None
        except BaseException as error:
            if _is_refusal(error):
                raise
            raise self._break(error, connection) from error
        self._note_holder()
        self._carry_out(effects, at)
        return 0.0

    def _break(self, error: BaseException, sender: int | None) -> RoomBroken:
        """End the room after an error that is no refusal, and return the error to raise.

        A panic of the CRDT library is a BaseException, and a half-done change is neither logged nor sent. The sender
        of the frame is refused for good, else it would come back with the same frame for ever.
        """
        log.error("room.broken", session=self.session, version=self.room.version, exc_info=error)
        self.broken = True
        if sender in self._connections:
            self._connections[sender].end(
                MalformedFrame("The frame breaks the session and was not applied; start from a fresh document.")
            )
        told = str(error) if isinstance(error, RoomBroken) else _BROKEN
        self.end(RoomBroken(told))
        return RoomBroken(told)

    def _do(self, effect: Effect, at: str) -> None:
        if isinstance(effect, Append):  # of each token, as the next two: a match of a class takes ten times as long
            self._updated_at = at
            row = LoggedUpdate(self.session, effect.version, at, effect.participant, effect.client, effect.update)
            self._log.append(row)
            return
        if isinstance(effect, Broadcast):
            self._delivery.broadcast(effect, self._send_out)
            return
        if isinstance(effect, Echo):
            self._delivery.put(effect)
            return
        match effect:
            case BroadcastPresence():
                self._delivery.announce(effect, self._send_out)
            case NewIds(participant, count):
                self._new_clients.count(participant, count)
            case Refuse(number, error):
                if number in self._connections:
                    self._connections[number].end(error)
            case Decline(number, error):
                if number in self._connections:
                    who = self._connections[number].participant.id
                    log.info(
                        "connection.declined",
                        session=self.session,
                        participant=who,
                        connection=number,
                        code=error.code,
                    )
            case Retitle(title):
                if title != self._title:
                    self._title = title
                    self._log.retitle(self.session, title)
            case Remind(what, seconds):
                self._timers.set(what, seconds, self._ring)
            case Waiting():
                self._on_waiting(effect)
            case Unheard(agent, message):
                log.warning(
                    "prompt.unheard",
                    session=self.session,
                    prompt=message,
                    agent=agent[:_SHOWN] or None,
                    hint="no agent is connected that would answer it; one that comes will",
                )
            case Renew(number, token):
                connection = self._connections.get(number)
                if connection is not None and connection.lease is not None:
                    connection.lease.renew(token)
            case _:
                self._delivery.put(effect)

    def _ring(self, what: str) -> None:
        """Pass a timer to the room; later, while the storage is behind."""
        if not self.has_room:
            self._timers.set(what, _RETRY_SECONDS, self._ring)
            return
        with suppress(CosessionError):  # the guard has ended the room, and the next one checks everything
            self._perform(partial(self.room.remind, what))

    def _send_out(self) -> None:
        """Send out the broadcasts since the last turn."""
        if not self.broken:
            with suppress(RoomBroken):  # the guard has ended the room; a client that connects again gets all of it
                self._guard(self._delivery.send_out, self.room.synced)


def _is_refusal(error: BaseException) -> bool:
    """Return whether an error leaves the room valid."""
    return isinstance(error, CosessionError | KeyboardInterrupt | SystemExit) and not isinstance(error, RoomBroken)
