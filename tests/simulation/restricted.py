"""A world in which nobody may do everything, or almost nobody: roles, lies, and what must hold of both.

Oracle, besides what must hold in every world: nothing of a lie is ever in a log; who may only read wrote nothing;
every message says by its stamp who really wrote it, and holds that one's words only, in their order; whoever is
refused is told each word that the session has not, and only those; nobody is refused who neither lied nor had what
a crash took from the server. Of the decisions: see `questions`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from simulation.disk import Disk
from simulation.member import ROLES, VOTERS, Member
from simulation.questions import Ballots
from simulation.world import CALM_SECONDS, PATIENCE_SECONDS, World

from cosession.auth import Capabilities, Participant
from cosession.document import SessionDocument
from cosession.protocol import read_update_header
from cosession.storage import LoggedUpdate

_KINDS = {"agent": "agent", "operator": "operator"}


class RestrictedWorld(World):
    """One seed's world of people with roles."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.odds["lie"] = Random(f"lies {seed}").choice((0.0, 0.1, 0.5))
        self.odds["vote"] = Random(f"ballots {seed}").choice((0.0, 1.0, 0.0))
        self.leaps = (0,) if self.odds["vote"] else self.leaps  # else most questions expire at once
        self.ballots = Ballots()
        self.calm_seconds = CALM_SECONDS + PATIENCE_SECONDS
        self.members: list[Member] = []

    def _let_in(self, sessions: Sequence[str]) -> None:
        """People and agents with roles, some of whom have several devices."""
        random = Random(f"people {self.seed}")
        roles = VOTERS if self.odds["vote"] else ROLES
        people = [self._person(f"p{number}", random.choice(roles)) for number in range(random.randint(2, 4))]
        for number in range(random.randint(2, 6)):
            who, extended = random.choice(people), random.random() < 0.5
            dice = Random(f"replica {self.seed} {number}")
            self.members.append(Member(self, f"r{number}", random.choice(sessions), who, extended, dice))
        self.replicas += self.members

    def _troubles(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """More crashes: what a server lost is brought back by who may not write all of it."""
        return (*super()._troubles(), self._kill, self._kill, self._kill)

    async def _kill(self) -> None:
        """Crash. Wishes whose answers it takes may be lost: they are answered, and only the server writes answers."""
        await super()._kill()
        for member in self.members:
            run = self.disk.replica(member.session).runs.get("run")
            assert run is not None
            member.doubtful |= member.steers - {str(steer["id"]) for steer in run.steers}
            member.surely_cancelled &= run.cancel is not None

    async def _calm_down(self, lives: list[asyncio.Task[None]]) -> None:
        """Let all grow calm; then pages of stock clients that were told of a refusal are loaded again."""
        await super()._calm_down(lives)
        declined = [member for member in self.members if member.is_declined]
        for member in declined:
            member.load_again()
        if declined:
            await super()._calm_down([])
            assert not any(member.is_declined for member in self.members), "a fresh document was declined"

    async def _end(self) -> None:
        """Check what everybody may have written, then all the rest."""
        assert not any(member.lies for member in self.members), "somebody still has a lie in its document"
        for session in self.disk.replicas:
            await check_law(self.disk, session, [one for one in self.members if one.session == session])
            self.ballots.check(session, self.disk.replica(session), crashed=self.crashes > 0)
        await super()._end()

    def _person(self, name: str, role: str) -> Participant:
        return Participant(name, name.upper(), _KINDS.get(role, "human"), Capabilities.of(role))


async def check_law(disk: Disk, session: str, members: Sequence[Member]) -> None:
    """Check that nobody did what they may not."""
    rows = await disk.storage.history(session, limit=2**31)
    readers = {member.participant.id for member in members if not member.participant.capabilities.may_text("notes")}
    writers = {row.participant for row in rows}
    assert not readers & writers, f"{sorted(readers & writers)} may only read, and wrote"
    _check_writers(rows, {one.participant.id for one in members if one.participant.capabilities.may("edit-any")})
    document = disk.replica(session)
    _check_messages(document, {name: member for member in members for name in member.said})
    for run in document.runs:
        by = [member.participant.id for member in members if run.id.startswith(f"{member.name}.run.")]
        assert [run.agent] == (by or ["bot"]), f"the run {run.id} is said to be {run.agent}'s"
    roots = sorted(name for name in document.to_json() if name.startswith("text:"))
    assert roots in ([], ["text:notes"]), f"there are {roots}"


def _check_writers(rows: Sequence[LoggedUpdate], trusted: set[str]) -> None:
    """Check that nobody writes under a Yjs client id that is somebody else's, but who may bring back everything."""
    owners: dict[int, str] = {}
    for row in rows:
        for span in () if row.participant in trusted else read_update_header(row.update).brings:
            owner = owners.get(span.client, row.participant)
            assert owner == row.participant, f"{row.participant} wrote as client {span.client} of {owner}"
        if row.client is not None:
            owners.setdefault(row.client, row.participant)


def _check_messages(document: SessionDocument, members: dict[str, Member]) -> None:
    messages = list(document.messages)
    assert len({message.id for message in messages}) == len(messages), "a message is there twice"
    for message in messages:
        member = members[message.id]
        by = (message.stamp or {}).get("by")
        assert by == member.participant.id, f"{message.id} of {member.participant.id} is stamped as {by}'s"
        left = message.text
        for word in member.said[message.id]:
            before, found, after = left.partition(word)
            assert not (found and before), f"{message.id} holds {message.text!r}"
            left = after if found else left
        assert not left, f"{message.id} holds {message.text!r}"
