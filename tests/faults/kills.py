"""A server under load that is killed again and again, and what must be true each time.

Writers keep their replicas through all kills, as browsers do. After each kill the database is read before anybody can
heal it: it is whole, its snapshots and its log tell the same, and every word that was fenced is in it, once. At the
end the writers connect once more: then all replicas are equal, with every word that anybody wrote once.

One of the writers may do everything. The others are members, so admission judges all that they write; a member who
brings back what the server lost of others is refused and begins with a fresh document, as the client libraries do.
What only the old one has is told as lost: it was never fenced, and it isn't looked for.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from faults.serve_failing import POINTS, extra_migrations
from people import SECRET, token
from processes import PATIENCE_SECONDS, Server, eventually
from pycrdt import Doc, Text
from websockets.exceptions import WebSocketException
from wire import Wire

from cosession.runtime.log_repair import find_damage
from cosession.storage.migrations import MIGRATIONS, is_blank
from cosession.storage.repair import inspect, read_only

ROLES = ("admin", "member", "member", "agent", "member", "member")
SESSIONS = 2
ANY_MOMENT = "any moment"
LIFE = 25
"""Kills after which fresh sessions are used: long enough for snapshots on snapshots, short enough to stay quick."""

_PATIENCE_SECONDS = 120.0
"""A server waits a minute for the author of words that a kill took, before it refuses what stands on them."""


@dataclass
class Writer:
    """A replica that outlives connections and servers, until it is refused."""

    session: str
    name: str
    role: str
    doc: Doc = field(default_factory=Doc)
    written: list[str] = field(default_factory=list)
    fenced: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    refusals: int = 0
    _parted: Doc | None = None

    @property
    def text(self) -> str:
        """What its replica has."""
        return str(self.doc.get("text:notes", type=Text))

    @contextlib.asynccontextmanager
    async def connected(self, server: Server) -> AsyncGenerator[Wire]:
        """Connect, and begin with a fresh document whenever the server refuses what this one has."""
        while True:
            async with Wire.open(
                server, self.session, synced=False, doc=self.doc, ext=1, token=token(self.name, self.role)
            ) as wire:
                try:
                    await wire.sync()
                    await wire.fence(_PATIENCE_SECONDS)
                except (AssertionError, WebSocketException):
                    await wire.wait_closed()
                    if self._is_refused(wire):
                        continue
                    raise
                self._tell_lost()
                try:
                    yield wire
                finally:
                    self._is_refused(wire)
                return

    async def write(self, server: Server, dice: random.Random) -> None:
        """Write and fence until the server is gone."""
        with contextlib.suppress(AssertionError, OSError, WebSocketException, EOFError):
            async with self.connected(server) as wire:
                notes = self.doc.get("text:notes", type=Text)
                while not wire.closed:
                    for _ in range(dice.randint(1, 12)):
                        word = f"{self.name}.{len(self.written)} "
                        self.written.append(word.strip())
                        await wire.edit(lambda _doc, word=word: notes.insert(len(notes), word))
                    promised = set(self.written) - self.lost
                    await wire.fence()
                    self.fenced |= promised

    def _is_refused(self, wire: Wire) -> bool:
        """Whether the server refused the document; then there is a fresh one."""
        code = wire.closed[0] if wire.closed else 0
        if not 4400 <= code < 4500:
            return False
        assert self.role != "admin", wire.closed
        assert code in (4403, 4409), wire.closed
        self.refusals += 1
        self._parted, self.doc = self._parted or self.doc, Doc()
        return True

    def _tell_lost(self) -> None:
        """Compare the server's document with the one that was given up."""
        if self._parted is not None:
            there = set(self.text.split())
            self.lost |= {word for word in self.written if word not in there}
            assert not self.lost & self.fenced, f"{self.lost & self.fenced} were fenced, and are lost"
            self._parted = None


@dataclass
class Figures:
    """What a run has seen."""

    kills: Counter[str] = field(default_factory=Counter)
    fences: int = 0
    words: int = 0
    lost: int = 0
    refusals: int = 0


class Run:
    """One server, its writers, and their kills."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.server = Server(
            folder,
            script=Path(__file__).with_name("serve_failing.py"),
            snapshot_after_updates=40,
            unload_after_seconds=0.2,
            compact_after_seconds=0,
            auth_secret=SECRET,
            log_level="warning",
        )
        self.database = self.server.data / "cosession.sqlite3"
        self.dice = random.Random(seed)
        self.figures = Figures()
        self.migrations = 0
        self.deck: list[str] = []
        self.writers: list[Writer] = []

    async def kill(self, number: int) -> None:
        """Let the writers write, end the server at a point of chance, and look at what is left."""
        if number % LIFE == 0:
            await self.settle()
            self.writers = [
                Writer(f"s{number}-{index % SESSIONS}", f"w{index}", role) for index, role in enumerate(ROLES)
            ]
        if not self.deck:
            self.deck = [*POINTS, *[ANY_MOMENT] * (len(POINTS) // 2)]
            self.dice.shuffle(self.deck)
        point = self.deck.pop()
        before = sum(len(writer.fenced) for writer in self.writers)
        variables = {}
        if point == "migration":
            self.migrations += 1
            variables["FAULT_KILL"] = f"{point}:{self.dice.randint(4, 10)}"
        elif point != ANY_MOMENT:
            rare = point.startswith(("create", "load", "set_titles", "keep"))
            count = 1 if rare else self.dice.randint(1, 12)
            variables["FAULT_KILL"] = f"{point}:{count}"
        started = await self.start(**variables)
        if started:
            await self.load_until_killed(point, before)
        self.figures.kills[point] += 1
        self.look(f"kill {number}, {point}")

    async def start(self, **variables: str) -> bool:
        """Start the server; False if it was killed before it was ready."""
        try:
            await asyncio.to_thread(self.server.start, FAULT_MIGRATIONS=str(self.migrations), **variables)
        except AssertionError:
            assert self.server.process is not None
            if self.server.process.wait(PATIENCE_SECONDS) != -9:
                raise
            return False
        return True

    async def load_until_killed(self, point: str, before: int) -> None:
        """Write until the server has ended itself, or until it is ended at some moment of many writes."""
        process = self.server.process
        assert process is not None
        writing = [asyncio.create_task(writer.write(self.server, self.dice)) for writer in self.writers]
        enough = self.dice.randint(0, 200)

        def is_time() -> bool:
            fenced = sum(len(writer.fenced) for writer in self.writers) - before
            limit = enough if point == ANY_MOMENT else 800  # some points are never passed, e.g. no title is set
            return process.poll() is not None or fenced >= limit

        await eventually(is_time, "writes until the kill", 60)
        if process.poll() is None:
            await asyncio.sleep(self.dice.random() * 0.02)  # no condition can be a moment of chance
            self.server.kill()
        process.wait(PATIENCE_SECONDS)
        await asyncio.gather(*writing)

    def look(self, when: str) -> None:
        """Read the database of the dead server."""
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            blank = is_blank(db)
        if blank:  # its very first start was killed
            assert not any(writer.fenced for writer in self.writers), f"{when}: the database is empty"
            return
        read_only.MIGRATIONS = (*MIGRATIONS, *extra_migrations(self.schema()))
        try:
            with inspect(self.database) as found:
                assert not found.failures, (when, found.failures)
                kept: dict[str, Counter[str]] = {}
                for session in found.sessions:
                    remains = found.session(session)
                    assert not find_damage(remains), (when, session, find_damage(remains))
                    doc: Doc = Doc()
                    for row in remains.updates:
                        doc.apply_update(row.update)
                    kept[session] = Counter(str(doc.get("text:notes", type=Text)).split())
        finally:
            read_only.MIGRATIONS = MIGRATIONS
        for writer in self.writers:
            words = kept.get(writer.session, Counter())
            for word in writer.fenced:
                assert words[word] == 1, f"{when}: {word} was fenced and is there {words[word]} times"
            assert all(count == 1 for count in words.values()), f"{when}: doubled words"

    def schema(self) -> int:
        """How many of the added migrations the database has: a killed one has not happened."""
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
        return max(version - len(MIGRATIONS), 0)

    async def settle(self) -> None:
        """Let everybody connect to a server that lives; all must end equal, with every word once."""
        if not self.writers:
            return
        assert await self.start()
        here: set[str] = set()
        may_go = asyncio.Event()

        async def stay(writer: Writer) -> None:
            async with writer.connected(self.server):
                here.add(writer.name)
                await may_go.wait()

        # All at once: what one of them has may stand on words of another that a kill took from the server.
        async with asyncio.TaskGroup() as tasks:
            for writer in self.writers:
                tasks.create_task(stay(writer))
            await eventually(lambda: len(here) == len(self.writers), "the writers", _PATIENCE_SECONDS)
            for session in {writer.session for writer in self.writers}:
                await self.compare(session)
            may_go.set()
        self.figures.refusals += sum(writer.refusals for writer in self.writers)
        self.figures.fences += sum(len(writer.fenced) for writer in self.writers)
        await asyncio.to_thread(self.server.stop)
        self.look("after a clean stop")

    async def compare(self, session: str) -> None:
        """Check that all who are in a session have the same, and every word once."""
        members = [writer for writer in self.writers if writer.session == session]
        reader = Writer(session, "reader", "viewer")
        async with reader.connected(self.server):

            def are_equal(docs: tuple[Doc, ...] = (reader.doc, *(writer.doc for writer in members))) -> bool:
                return len({str(doc.get("text:notes", type=Text)) for doc in docs}) == 1

            await eventually(are_equal, "equal replicas")
            there = Counter(str(reader.doc.get("text:notes", type=Text)).split())
        lost = {word for writer in members for word in writer.lost}
        assert there.keys() | lost == {word for writer in members for word in writer.written}, session
        assert set(there.values()) <= {1}, f"{session}: doubled words"
        self.figures.words += len(there)
        self.figures.lost += len(lost - there.keys())
