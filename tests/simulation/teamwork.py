"""A world in which people prompt an agent of several processes: they die, freeze, wake, take over from each other,
and ask people, who vote.

Oracle, besides what must hold in every world: in the end every prompt is answered once, or was refused, or taken in
by a run; every run is over, or held by somebody who is here, and over once everybody has left; no message streams
without a run; what two processes acted on was never granted under one epoch; after a process was fenced off no log
takes anything new from it; what a room remembers is what its document says; and nothing that was asked waits. Of the
decisions: see `questions`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from simulation.agents import Agent
from simulation.disk import Disk
from simulation.person import Person
from simulation.questions import Ballots, decisions
from simulation.world import World

from cosession.auth import Participant
from cosession.document import Policy, SessionDocument
from cosession.document.policy import DOUBLE_TEXTING
from cosession.document.run_states import ENDED, FINAL
from cosession.protocol import read_update_header
from cosession.storage import LoggedUpdate

_WORK_SECONDS = 240.0
"""How long the agents may take to answer everything, in a quiet world: each prompt in its turn."""

BOT = Participant("bot", "Bot", "agent")


class _FencedDisk(Disk):
    """A disk that sees whether anything new of a fenced process is written to it."""

    def keep(self, row: LoggedUpdate) -> None:
        """Keep a row; look at it, if an agent's process wrote it."""
        if row.participant == BOT.id:
            fenced = formers(self.replica(row.session))
            for span in read_update_header(row.update).brings:
                known = self.reach(row.session, span.client)
                assert span.client not in fenced or span.end <= known, f"{span} comes from behind the fence"
        super().keep(row)


class AgentWorld(World):
    """One seed's world of people and an agent.

    Attributes:
        acted: who acted on what was granted, by session, what it was, and its epoch.
        ballots: who voted, and which decisions were acted on.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        dice = Random(f"agents {seed}")
        self.disk = _FencedDisk()
        more = {
            "lease_grace_seconds": dice.choice((0.5, 1.0, 5.0)),
            "begin_seconds": dice.choice((2.0, 20.0)),
        }
        self.settings = self.settings.model_copy(update=more)
        self.leaps = dice.choice((self.leaps, (0,)))  # where time leaps, most questions expire
        self.people: list[Person] = []
        self.agents: list[Agent] = []
        self.acted: dict[tuple[str, str, int], int] = {}
        self.ballots = Ballots()
        self._fenced: dict[str, set[int]] = {}

    def act(self, agent: Agent, subject: str, epoch: int) -> None:
        """Hear that somebody acts on what was granted."""
        first = self.acted.setdefault((agent.session, subject, epoch), agent.client)
        assert first == agent.client, f"two act on {subject} in the epoch {epoch}"

    def fenced(self, session: str) -> set[int]:
        """The clients of a session from which others have taken over, as far as anybody may know."""
        self._note_fenced()
        return self._fenced.get(session, set()) | formers(self.disk.replica(session))

    def _note_fenced(self) -> None:
        """Remember whom rooms fence off: when it is unloaded, one forgets whose claim lapsed to nobody."""
        assert self.process is not None
        for live in self.process.rooms():
            self._fenced.setdefault(live.session, set()).update(client for client, _ in live.room._memory.fenced)

    def _check(self) -> None:
        super()._check()
        self._note_fenced()

    async def _begin(self, session: str) -> None:
        await super()._begin(session)
        assert self.process is not None
        dice = Random(f"policy {self.seed} {session}")
        policy = Policy(dice.choice(((), (BOT.id,))), dice.choice(DOUBLE_TEXTING))
        self.process.handle.failures = 0.0
        async with self.process.hub.room(session) as live:
            live.edit(lambda document: document.meta.set_policy(policy))
            await live.flush()
        self.process.handle.failures = self.failures

    def _let_in(self, sessions: Sequence[str]) -> None:
        """People, and processes of the agent in each session."""
        for number in range(self.random.randint(1, 5)):
            who = Participant(f"p{number // 2}", f"P{number // 2}")
            dice = Random(f"person {self.seed} {number}")
            self.people.append(Person(self, f"r{number}", self.random.choice(sessions), who, dice))
        for number in range(len(sessions) * self.random.choice((1, 2, 2, 3))):
            dice = Random(f"agent {self.seed} {number}")
            self.agents.append(Agent(self, f"bot{number}", sessions[number % len(sessions)], BOT, dice))
        self.replicas += [*self.people, *self.agents]

    async def _kill(self) -> None:
        """Crash. It may undo that a run was lost; what was asked of it meanwhile came to nothing all the same."""
        self._note_fenced()
        await super()._kill()
        for person in self.people:
            person.doubtful |= person.steers

    async def _stop(self) -> None:
        self._note_fenced()
        await super()._stop()

    def _troubles(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Crashes amid votes, besides."""
        return (*super()._troubles(), self._crash_amid_votes, self._crash_amid_votes)

    async def _crash_amid_votes(self) -> None:
        """All vote on a server that can save nothing, and dies; some begin anew, and vote before the others come."""
        inhabited = {person.session for person in self.people}
        for agent in self.agents:
            if agent.session in inhabited:  # else nobody would ever answer
                agent.ask_something()
        await self._pass(2.0)
        self.disk.full = True
        for person in self.people:
            person.vote()
        await self._pass(1.0)
        self.disk.full = False
        await self._kill()
        first = [person for person in self.people if self.random.random() < 0.5]
        for act in (Person.reload, Person.connect, Person.vote):
            for person in first:
                act(person)
            await self._pass(0.5)

    async def _calm_down(self, lives: list[asyncio.Task[None]]) -> None:
        """Nobody asks for more; everybody is told of all there is, and the agents do it."""
        await super()._calm_down(lives)
        end = asyncio.get_running_loop().time() + _WORK_SECONDS
        while left := self._left():
            assert asyncio.get_running_loop().time() < end, left
            for replica in self.replicas:
                replica.connect()
            for agent in self.agents:
                agent.work()
            for person in self.people:
                person.agree()
            await self._pass(0.25)
        await super()._calm_down([])

    def _left(self) -> str:
        """What is left to do; empty when all is done."""
        for replica in self.replicas:
            if replica.line is None or not replica.answered:
                return f"{replica.name} is not here"
        assert self.process is not None
        for live in self.process.rooms():
            if trouble := unfinished(live.room.document):
                return f"{live.session}: {trouble}"
        return ""

    async def _end(self) -> None:
        """Check what came of all that was asked; then let an agent begin something, and be gone with everybody."""
        assert self.process is not None
        for live in self.process.rooms():
            assert not (trouble := unfinished(live.room.document)), f"{live.session}: {trouble}"
            check_answers(live.room.document, crashed=self.crashes > 0)
            self.ballots.check(live.session, live.room.document, crashed=self.crashes > 0)
            check_memory(live.room)
        for agent in self.agents:
            agent.begin_something()
        await super()._end()
        for session, document in self.disk.replicas.items():
            active = [run.id for run in document.runs if run.status not in ENDED]
            assert not active, f"everybody has left {session}, and {active} go on"
            streaming = [message.id for message in document.messages if message.status == "streaming"]
            assert not streaming, f"everybody has left {session}, and {streaming} stream"
            assert not document.claims.to_json(), f"everybody has left {session}, and holds something"


def formers(document: SessionDocument) -> set[int]:
    """The clients from which a run, or a prompt, has passed to another."""
    claims = document.claims.to_json().values()
    passed = [*(run.former for run in document.runs), *(claim.get("former", []) for claim in claims)]
    return {client for former in passed for client in former}


def unfinished(document: SessionDocument) -> str:
    """What of a session is not done; empty when all is."""
    if requests := sorted(document.requests.to_json()):
        return f"{requests} are not answered"
    if claims := document.claims.to_json():
        return f"{claims} are held"
    runs = [run for run in document.runs if run.id != "run"]
    if working := [run.id for run in runs if run.status not in FINAL]:
        return f"{working} are not over"
    done = {run.reply_to for run in runs} | {steer for run in runs for steer in run.seen}
    for message in document.messages:
        if message.status == "streaming":
            return f"{message.id} streams"
        if message.role == "user" and not message.refused and message.id not in done:
            return f"nobody has answered {message.id}"
    return ""


def check_answers(document: SessionDocument, *, crashed: bool) -> None:
    """Check that no prompt has two answers, and none that was refused; a crash may undo that until it is answered."""
    for message in document.messages:
        answers = [run.id for run in document.runs if run.reply_to == message.id and run.status == "complete"]
        assert len(answers) <= 1, f"{message.id} has the answers {answers}"
        assert crashed or not (answers and message.refused), (
            f"{message.id} was refused, and has the answers {answers}"
        )


def check_memory(room: object) -> None:
    """Check that what a room remembers is what its document says."""
    memory, document = room._memory, room.document  # type: ignore[attr-defined]
    runs = {run.id: (run.status, run.epoch, run.client) for run in document.runs}
    assert {id_: (seen.status, seen.epoch, seen.client) for id_, seen in memory.ledger.items()} == runs
    assert memory.granted == document.claims.to_json()
    assert memory.decided == decisions(document)
    assert memory.votes == {id_: approval.votes for id_, approval in document.approvals if approval.votes}
