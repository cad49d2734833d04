"""A whole service in one thread and in virtual time: server processes, a disk, a network and clients, from one seed.

The server is the real one from the hub down; what it stands on is simulated, and everything that could be chance
comes from the seed. What happens is drawn anew for each seed: some worlds have a slow disk, some lose many lines,
some are calm, so that every mixture of faults has its turn.

Oracle, when the network is quiet again: every replica, the live room and the log are the same document; every word
is there once, unless its author deleted it; every wish was answered once; whoever is connected is present, and
nobody else. At every moment: what was promised (fence, echo) is on the disk, nobody is sent a gap, nothing waits
beyond its bound, and snapshot and tail are the log.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from simulation.clock import VirtualLoop
from simulation.disk import Disk
from simulation.line import DirectLine, Line
from simulation.oracle import check_words, disagreement, presence
from simulation.process import Process, make_task
from simulation.replica import Replica
from simulation.surroundings import chance, logging_to
from simulation.vandal import Vandal

from cosession.auth import ANONYMOUS, Participant
from cosession.errors import CosessionError
from cosession.protocol import decode_state_vector
from cosession.settings import Settings

KEEP_ALIVE_SECONDS = 5.0

# What the server does not promise yet; True demands it.
FENCES_WAIT_FOR_GAPS = True
"""A fence behind an update that left a gap waits for the answer to the room's question."""
ECHOES_WHEN_BEHIND = True
"""Also who fell behind gets its own content back only when it is committed."""
NO_GAP_BEFORE_CLOSE = True
"""A reader that was too slow is not sent what came after the frame that it did not take."""
PRESENCE_IN_TROUBLE = True
"""Peers see at once who returns to a room that was loaded again, or while its old connection is half open."""
SHY_CLIENTS = True
"""Clients without a state of their own, which relay those of others, are no trouble."""

CALM_SECONDS = 60.0
"""How long a quiet world may take until everybody agrees: some retries with their pauses, and three renewals."""

PATIENCE_SECONDS = 60.0
"""How long a connection waits for words of others before it gives them up."""


class World:
    """One seed's world.

    Attributes:
        calm_seconds: how long it may take, when it is quiet, until everybody agrees.
        taken: per session and client, up to which clock a server had words that it lost in a crash.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"world {seed}")
        self.errors: list[dict[str, Any]] = []
        choice = self.random.choice
        self.odds = {
            "eager": choice((0.0, 0.5)),
            "lose": choice((0.0, 0.05)),
            "late": choice((0.0, 0.0, 0.1)),
            "shy": choice((0.0, 0.2)) if SHY_CLIENTS else 0.0,
        }
        self.disk = Disk()
        self.failures = choice((0.0, 0.0, 0.1, 0.4))
        self.window = choice((100, 2000, 2**20))
        self.kills = 0
        self.crashes = 0
        self.calm_seconds = CALM_SECONDS
        self.taken: dict[tuple[str, int], int] = {}
        self.half_open = 0
        self.broken = 0
        self.strikes = 0
        self.settings = Settings.model_construct(
            max_waiting_bytes=choice((60, 300, 2**20)),
            max_uncommitted_bytes=choice((500, 2**20)),
            max_piece_bytes=choice((100, 2**18)),
            keep_alive_seconds=KEEP_ALIVE_SECONDS,
            slow_reader_seconds=choice((1.0, 8.0)) if NO_GAP_BEFORE_CLOSE else 1000.0,
            unload_after_seconds=choice((0.0, 1.0, 5.0)),
            snapshot_after_updates=choice((2, 10, 2000)),
            snapshot_after_bytes=choice((100, 4 * 2**20)),
            compact_after_seconds=choice((0.0, 1.0, 600.0)),
            history_grain_seconds=choice((0.0, 1.0, 3600.0)),
            lease_grace_seconds=Random(f"grace {seed}").choice((0.0, 10.0)),
            shutdown_seconds=5.0,
        )
        self.early_fences = FENCES_WAIT_FOR_GAPS
        self.strict_echo = ECHOES_WHEN_BEHIND or self.settings.max_waiting_bytes > 300
        self.leaps: tuple[int, ...] = (0, 0, -3600)
        self.process: Process | None = None
        self.replicas: list[Replica] = []
        self.posted: set[str] = set()
        self.facts = 0
        self.playing = True

    @property
    def strict_presence(self) -> bool:
        """Whether everybody must see everybody in the end."""
        calm = self.half_open == 0 and max(self.disk.loads.values(), default=1) == 1
        return calm or PRESENCE_IN_TROUBLE

    def run(self) -> None:
        """Let the world happen; raises what the oracle finds."""
        with (
            chance(Random(f"chance {self.seed}")),
            logging_to(self._read_log),
            asyncio.Runner(loop_factory=VirtualLoop) as runner,
        ):
            runner.get_loop().set_task_factory(make_task)
            runner.get_loop().set_exception_handler(lambda _, context: self.errors.append(context))
            runner.run(self._happen())
        assert not self.errors, f"nobody took care of {self.errors}"

    def _read_log(self, record: logging.LogRecord) -> None:
        """Take what the server logs with a traceback for a failure of it, unless a vandal did it."""
        if record.msg == "room.broken":
            self.broken += 1
        if self.broken > self.strikes or (record.exc_info and record.msg != "room.broken"):
            self.errors.append({"log": record.msg, "exception": record.exc_info and record.exc_info[1]})

    def dial(self, caller: Replica) -> Line | None:
        """Connect a client, if a server runs."""
        if self.process is None or not self.process.running:
            return None
        line = self._line(caller, caller.session, caller.random)
        self.process.accept(line, caller.participant, caller.extended, caller.client)
        return line

    def _line(self, caller: Any, session: str, random: Random) -> Line:
        kind = random.choice((Line, DirectLine))
        return kind(caller, session, random, self.window)

    async def _happen(self) -> None:
        await self._boot()
        sessions = ["one", "two"][: self.random.choice((1, 1, 2))]
        for session in sessions:
            await self._begin(session)
        self._let_in(sessions)
        lives = [asyncio.create_task(self._live(replica)) for replica in self.replicas]
        for _ in range(self.random.randint(1, 3)):
            await self._pass(self.random.uniform(0.3, 2.0))
            await self.random.choice(self._troubles())()
        await self._pass(1.0)
        await self._calm_down(lives)
        await self._end()

    def _let_in(self, sessions: Sequence[str]) -> None:
        """Decide who is there: people who may do everything, some of whom have two devices, some no name."""
        for number in range(self.random.randint(2, 5)):
            who = Participant(f"p{number // 2}", f"P{number // 2}")
            self.replicas.append(
                Replica(
                    self,
                    f"r{number}",
                    self.random.choice(sessions),
                    self.random.choice((who, who, ANONYMOUS)),
                    extended=self.random.random() < 0.5,
                    random=Random(f"replica {self.seed} {number}"),
                )
            )

    def _troubles(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What may befall everybody, each as often as it is here."""
        what = (self._kill, self._stop, self._strike, self._strike, self._empty, self._post)
        return (*what, self._fill_disk, self._freeze)

    async def _boot(self) -> None:
        random = Random(f"process {self.seed} {self.kills}")
        self.process = Process(self.disk, self.settings, random, self.failures, self.leaps)
        await self.process.start()

    async def _begin(self, session: str) -> None:
        """Make a session in which a run is under way."""
        assert self.process is not None
        self.process.handle.failures = 0.0
        await self.process.hub.create(session, "Trip")
        async with self.process.hub.room(session) as live:
            live.edit(lambda document: document.runs.start("run", agent="bot", started_at=self.process.clock()))
            await live.flush()
        self.process.handle.failures = self.failures

    async def _pass(self, seconds: float) -> None:
        """Let time pass, and look at the bounds meanwhile."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(0.25)
            self._check()

    def _check(self) -> None:
        assert self.process is not None
        self.process.check_bounds()
        now = asyncio.get_running_loop().time()
        for replica in self.replicas:
            line = replica.line
            if line is not None and replica.answered and not line.paused:
                silence = now - line.heard_at
                assert silence < KEEP_ALIVE_SECONDS + 2, f"{replica.name} has heard nothing for {silence} s"
            assert not replica.refused, f"{replica.name} was refused for good: {replica.refused}"
        assert not self.errors, f"nobody took care of {self.errors}"

    async def _live(self, replica: Replica) -> None:
        """What one client does until all grows calm."""
        acts = replica.acts()
        faults = {replica.cut: 0.6, replica.reload: 0.15, replica.pause: 0.6}
        busy = replica.random.choice((0.05, 0.15, 0.4))
        weights = [*acts.values(), *(weight * replica.random.choice((0, 1, 3)) for weight in faults.values())]
        energy = replica.random.randint(5, 30)
        while self.playing and energy:
            await asyncio.sleep(replica.random.expovariate(1 / busy))
            if not self.playing:
                return
            energy -= 1
            if replica.line is None and replica.random.random() < 0.5:
                replica.connect()
            else:
                [act] = replica.random.choices([*acts, *faults], weights)
                act()

    # --- what befalls everybody -------------------------------------------------------------------------------

    async def _kill(self) -> None:
        assert self.process is not None
        self.crashes += 1
        for live in self.process.rooms():
            for client, clock in decode_state_vector(live.room.document.doc.get_state()).items():
                if clock > self.disk.reach(live.session, client):
                    taken = self.taken.get((live.session, client), 0)
                    self.taken[live.session, client] = max(clock, taken)
        await self.process.kill()
        await self._come_back()

    async def _stop(self) -> None:
        assert self.process is not None
        self.process.handle.failures = 0.0
        rooms = self.process.rooms()
        await self.process.stop()
        for live in rooms:
            if not live.broken:
                was, kept = live.room.document, self.disk.replica(live.session)
                assert was.to_json() == kept.to_json(), "a server that stopped did not keep everything"
        await self._come_back()

    async def _come_back(self) -> None:
        self.kills += 1
        await asyncio.sleep(self.random.random() * 2)
        await self._boot()

    async def _strike(self) -> None:
        """Let a vandal in; it is thrown out for good, and what it did is seen by nobody."""
        assert self.process is not None
        vandal = Vandal(poison=self.random.random() < 0.7)
        self.strikes += vandal.poison
        broken = any(live.broken for live in self.process.rooms())  # by the last one; then it has to come back
        line = self._line(vandal, self.random.choice(self.replicas).session, self.random)
        self.process.accept(line, Participant("vandal", "V"), self.random.random() < 0.5)
        vandal.strike(line)
        for _ in range(20):
            await self._pass(0.5)
            if vandal.closed is not None:
                break
        codes = (4400, 4503, None) if self.failures or broken else (4400,)
        assert vandal.closed in codes, f"a vandal was closed with {vandal.closed}"
        line.cut()

    async def _fill_disk(self) -> None:
        """The disk takes nothing for a while, whatever else happens meanwhile; then it has room again."""
        self.disk.full = True
        await self._pass(self.random.uniform(0.5, 4.0))
        if self.random.random() < 0.5:
            await self.random.choice((self._kill, self._empty))()
            await self._pass(self.random.uniform(0.0, 4.0))
        self.disk.full = False

    async def _freeze(self) -> None:
        """Somebody stops reading for longer than anybody may, while the others write; then it reads what there is."""
        line = self.random.choice(self.replicas).line
        if line is not None:
            line.pause(True)
            for _ in range(5):
                self.random.choice(self.replicas).write()
                await self._pass(self.settings.slow_reader_seconds * self.random.uniform(0.1, 0.4))
            await self._pass(self.random.choice((0.0, 3.0, 7.0)))
            line.pause(False)

    async def _empty(self) -> None:
        """Everybody leaves, for so long that the rooms are unloaded."""
        for replica in self.replicas:
            replica.cut()
        await self._pass(self.random.choice((0.2, 7.0)))

    async def _post(self) -> None:
        """Write as HTTP does: by the server's hand, and durable when it is answered."""
        assert self.process is not None
        session = self.random.choice(self.replicas).session
        self.facts += 1
        key = f"fact {self.facts}"
        try:
            async with self.process.hub.room(session) as live:
                live.edit(lambda document: document.state.set((key,), self.facts))
                await live.flush()
        except CosessionError:
            return
        self.posted.add(f"{session}/{key}")
        kept = self.disk.replica(session).state.get((key,))
        assert kept == self.facts, "a write that was answered is not on the disk"

    # --- the end ----------------------------------------------------------------------------------------------

    async def _calm_down(self, lives: list[asyncio.Task[None]]) -> None:
        """No more faults; everybody connects, and says one more word, which finds what was lost before it."""
        assert self.process is not None
        self.playing = False
        await asyncio.gather(*lives)
        self.process.handle.failures = 0.0
        self.odds |= {"eager": 0.0, "lose": 0.0, "late": 0.0, "shy": 0.0}
        for replica in self.replicas:
            if replica.line is not None:
                replica.line.pause(False)
        loop = asyncio.get_running_loop()
        began = loop.time()
        last_words = False
        while not (last_words and not disagreement(self)):
            assert loop.time() - began < self.calm_seconds, disagreement(self)
            for replica in self.replicas:
                replica.connect()
            await self._pass(1.0)
            if not last_words and all(replica.answered for replica in self.replicas):
                last_words = True
                for replica in self.replicas:
                    replica.say_last_words()
            for replica in self.replicas:
                if last_words and round(loop.time() - began) % 15 == 0:
                    replica.renew()

    async def _end(self) -> None:
        """Check what everybody has, let all go, and see that nothing is left behind."""
        assert self.process is not None
        check_words(self)
        visited = sorted({replica.session for replica in self.replicas})
        for session in visited:
            await self._come_late(session)
        for replica in self.replicas:
            replica.cut()
        await self._pass(60.0)  # what somebody held when they left is over first, and then the room rests
        assert self.process.rooms() == [], "a room without connections is still loaded"
        for session in self.disk.replicas:
            stored = await self.disk.load(session)
            assert stored is not None
            await self.disk.check_history(session)
            if session in visited:
                assert stored.snapshot is not None, "a room was unloaded without a snapshot"
                assert stored.snapshot.version == stored.info.version, "a room was unloaded with an old snapshot"
        await self.process.stop()

    async def _come_late(self, session: str) -> None:
        """Somebody who comes now is told of everybody, and has everything."""

        def told(replica: Replica) -> tuple[str, object]:
            return str(replica.notes), replica.document.approvals.to_json()

        late = Replica(self, "late", session, Participant("late", "Late"), extended=True, random=self.random)
        here = [replica for replica in self.replicas if replica.session == session]
        late.connect()
        for _ in range(100):  # a long text comes in many pieces
            await self._pass(2.0)
            if told(late) == told(here[0]):
                break
        trouble = presence([late], of=here)
        assert not trouble or self.half_open, trouble
        assert told(late) == told(here[0])
        late.cut()
