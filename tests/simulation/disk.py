"""A disk that outlives the processes that write to it, is slow, and fails now and then."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from random import Random
from typing import Any, TypeVar

from pycrdt import Doc
from simulation.lies import LIE
from simulation.questions import decisions
from storage.memory import MemoryStorage

from cosession.document import JsonObject, SessionDocument
from cosession.document.values import is_same
from cosession.errors import NoSuchSession, SessionDeleted, StorageError
from cosession.protocol import decode_state_vector
from cosession.storage import NO_WORK, LoadedSession, LoggedUpdate, Thin

APPLY = Doc.apply_update
"""How a replica takes an update in, also in a world in which the server's documents break."""

_Result = TypeVar("_Result")


def words_of(document: SessionDocument) -> str:
    """What has been written in a session: its notes and its messages."""
    return "".join((str(document.text("notes")), *(message.text for message in document.messages)))


class WrongUse(AssertionError):
    """The storage refused what the server asked: a version that leaves a gap, or is there with other bytes."""


class Disk:
    """What is durable.

    Attributes:
        replicas: each session's document, replayed row by row as the rows became durable.
        largest: the most bytes that one call brought.
        thinned: how many rows compactions have saved.
        full: while true it can be read, and takes nothing.
    """

    def __init__(self) -> None:
        self.storage = MemoryStorage(fewest_to_thin=3)
        self.replicas: dict[str, SessionDocument] = {}
        self.loads: dict[str, int] = {}
        self.largest = 0
        self.thinned = 0
        self.full = False
        self._decided: dict[tuple[str, str], JsonObject] = {}

    def replica(self, session: str) -> SessionDocument:
        """A session's document as the log gives it."""
        if session not in self.replicas:
            self.replicas[session] = SessionDocument(Doc(client_id=1))
        return self.replicas[session]

    def reach(self, session: str, client: int) -> int:
        """How many clocks of a client the log has."""
        return decode_state_vector(self.replica(session).doc.get_state()).get(client, 0)

    def text(self, session: str) -> str:
        """What has been written in a session, as the log gives it."""
        return words_of(self.replica(session))

    async def append(self, updates: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
        """Keep rows."""
        versions = {row.session: await self.version(row.session) for row in updates}
        await self.storage.append(updates, work)
        self.largest = max(self.largest, sum(len(row.update) for row in updates))
        for row in updates:
            assert LIE.encode() not in row.update, f"a lie of {row.participant} is in the log"
            if row.version > versions[row.session]:
                self.keep(row)
        for session in versions:
            self._check_decisions(session)

    def keep(self, row: LoggedUpdate) -> None:
        """Replay a row that has become durable."""
        APPLY(self.replica(row.session).doc, row.update)

    def _check_decisions(self, session: str) -> None:
        """Check that what was decided, and is durable, stays."""
        for id_, decision in decisions(self.replica(session)).items():
            first = self._decided.setdefault((session, id_), decision)
            assert is_same(first, decision), f"the log decides {id_} as {first}, and then as {decision}"

    async def compact(self, session: str, thin: Thin) -> None:
        """Thin a log, and check that it is still the log."""
        rows = len(await self.storage.history(session, limit=2**31))
        await self.storage.compact(session, thin)
        log = await self.storage.history(session, limit=2**31)
        self.thinned += rows - len(log)
        doc: Doc[Any] = Doc(client_id=1)
        for row in log:
            APPLY(doc, row.update)
        replayed = SessionDocument(doc).to_json()
        assert replayed == self.replica(session).to_json(), f"the thinned log of {session} is not its log"

    async def version(self, session: str) -> int:
        """How long a session's log is."""
        stored = await self.storage.load(session)
        return stored.info.version if stored else 0

    async def load(self, session: str) -> LoadedSession | None:
        """Read a session, and check that snapshot and tail are the log."""
        stored = await self.storage.load(session)
        if stored is not None:
            self.loads[session] = self.loads.get(session, 0) + 1
            doc: Doc[Any] = Doc(client_id=1)
            for update in ([stored.snapshot.update] if stored.snapshot else []) + [
                row.update for row in stored.updates
            ]:
                APPLY(doc, update)
            document, replayed = SessionDocument(doc).to_json(), self.replica(session).to_json()
            assert document == replayed, f"snapshot and tail of {session} are not its log"
        return stored

    async def check_history(self, session: str) -> None:
        """Check that the log, however compacted, is contiguous and replays to the same document."""
        rows = await self.storage.history(session, limit=100_000)
        doc: Doc[Any] = Doc(client_id=1)
        for row in rows:
            APPLY(doc, row.update)
        assert SessionDocument(doc).to_json() == self.replica(session).to_json(), f"the log of {session} is another"
        assert rows, f"{session} has no log"
        assert rows[-1].version == await self.version(session), f"the log of {session} ends too early"


class Handle:
    """One process's use of the disk: a `Storage` whose calls take time and may fail.

    Args:
        disk: what is used.
        random: decides every delay and failure.
        failures: how often a call fails, 0 to 1.

    Attributes:
        failures: may be changed at any time.
        dead: set when the process was killed: nothing it asks for happens any more.
    """

    def __init__(self, disk: Disk, random: Random, failures: float) -> None:
        self.disk = disk
        self.failures = failures
        self.dead = False
        self._random = random
        self._turn = asyncio.Lock()
        self._seconds = random.choice((0.0, 0.002, 0.05, 0.5))

    async def append(self, updates: Sequence[LoggedUpdate], work: Mapping[str, Set[str]] = NO_WORK) -> None:
        """Keep rows; a failure leaves it open whether they were kept."""
        await self._write(lambda: self.disk.append(updates, work))

    async def compact(self, session: str, thin: Thin) -> None:
        """Thin a log."""
        await self._write(lambda: self.disk.compact(session, thin))

    async def load(self, session: str) -> LoadedSession | None:
        """Read a session."""
        await self._pass_time()
        return await self.disk.load(session)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Every other call is a write without a word of its own here."""
        method = getattr(self.disk.storage, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._write(lambda: method(*arguments, **options))

        return call

    async def _write(self, act: Callable[[], Awaitable[_Result]]) -> _Result:
        async with self._turn:
            await self._pass_time()
            if self.disk.full:
                raise StorageError("The disk is full, as it was told to be.")
            try:
                result = await act()
            except (NoSuchSession, SessionDeleted):
                raise
            except StorageError as error:
                raise WrongUse(str(error)) from error
            await self._pass_time()
            return result

    async def _pass_time(self) -> None:
        await asyncio.sleep(self._random.random() * self._seconds)
        if self.dead:
            await asyncio.get_running_loop().create_future()
        if self._random.random() < self.failures:
            raise StorageError("The disk fails, as it was told to.")
