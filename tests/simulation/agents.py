"""Simulated agents.

An agent does as the client libraries do: it asks for a prompt, or for a lost run, acts when it is told that what it
was granted is on the disk, writes, ends, and begins anew with a fresh document when it was fenced off. It is as
careless as the worst process: while it is away it writes on, for as long as it likes, and brings it all back.
"""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from simulation.lies import AT
from simulation.line import Line
from simulation.questions import Question
from simulation.replica import Act, Replica

from cosession.auth import Participant
from cosession.document import JsonObject, Message, Run, later, prompt_key
from cosession.document.run_states import ENDED
from cosession.document.values import is_same

if TYPE_CHECKING:
    from simulation.teamwork import AgentWorld

_SUPERSEDED = 4409


@dataclass
class _Job:
    """What an agent is about to do, or does.

    Attributes:
        subject: the claim's key, or the run that is to be adopted or goes on.
        message: the prompt, if there is one.
        epoch: of the claim, or of the run; 0 while it is only asked for.
        fence: the fence that says that the grant is on the disk; None before it is sent.
        may_act: whether that came back.
        run: the run that it is.
        heard: the decision of the run's question, as it was when the fence was sent.
        answered: whether the run has asked and acted on the answer.
    """

    subject: str
    message: str = ""
    epoch: int = 0
    fence: bytes | None = None
    may_act: bool = False
    run: str = ""
    heard: JsonObject | None = None
    answered: bool = False


class Agent(Replica):
    """One process of an agent.

    Attributes:
        fenced_off: how often it was refused because another process had taken over.
    """

    def __init__(self, world: "AgentWorld", name: str, session: str, who: Participant, random: Random) -> None:
        self.team = world
        self.fenced_off = 0
        self._begun = 0
        self._asleep_until = 0.0
        super().__init__(world, name, session, who, extended=True, random=random)

    def start_afresh(self) -> None:
        """Begin with an empty document."""
        self._job: _Job | None = None
        super().start_afresh()

    def acts(self) -> dict[Act, float]:
        """What it does, and how often."""
        return {self.work: 12, self.fence: 1, self.feel: 1, self.repeat: 0.2, self.go: 0.3, self.freeze: 0.4}

    def go(self) -> None:
        """Say goodbye, and be gone."""
        if self.line is not None:
            self._tell(self.awareness.feel(None))
            self.cut()
            self.awareness.mood = '{"mood": 1}'

    def freeze(self) -> None:
        """Be away for about a grace, and write on, as a machine does that has lost its network."""
        self.cut()
        away = self.team.settings.lease_grace_seconds * self.random.uniform(0.5, 4.0)
        self._asleep_until = asyncio.get_running_loop().time() + away

    def connect(self) -> None:
        """Ask for a line, when it is time."""
        if asyncio.get_running_loop().time() >= self._asleep_until:
            super().connect()

    def work(self) -> None:
        """Do the next thing, whatever it is."""
        if self._job is None:
            self._job = self._ask_for_something()
        elif self._job.run:
            self._go_on(self._job, self._job.run)
        else:
            self._look(self._job)

    def begin_something(self) -> None:
        """Begin a run that answers nobody."""
        self._job = _Job("", epoch=1, may_act=True, run=self._begin(None))

    def ask_something(self) -> None:
        """Begin a run that asks people something, unless there is other work."""
        if self._job is not None or not self.answered:
            return
        self.begin_something()
        run = self.document.runs.get(self._job.run)
        if run is not None and (question := Question.of(run.id)) is not None:
            self._pose(run, question)

    def new_word(self) -> str:
        """A word that nobody has written; nobody promises that it stays."""
        word = super().new_word()
        self.doubtful.add(word)
        return word

    def refuse(self, code: int, reason: str) -> None:
        """Begin anew, if another process went on with what this one did."""
        if code != _SUPERSEDED or not reason.startswith("Another process has taken over"):
            super().refuse(code, reason)
            return
        fenced = self.team.fenced(self.session)
        is_witness = self.team.crashes > 0 and bool(fenced)  # of a sibling's words, which a crash took
        assert self.client in fenced or is_witness, f"{self.name} was refused, and nobody took over"
        self.fenced_off += 1
        self.start_afresh()

    # --- asking -----------------------------------------------------------------------------------------------

    def _ask_for_something(self) -> _Job | None:
        """Ask for a lost run, or a prompt; let go of what one finds in one's name and knows nothing of."""
        if not self.answered:
            return None
        lost = sorted(run.id for run in self.document.runs if run.id and run.status == "lost" and run.cancel is None)
        if lost:
            subject = self.random.choice(lost)
            self.document.requests.ask_adopt(subject, self.client, self.participant.id)
            return _Job(subject)
        for key, claim in self.document.claims.to_json().items():
            if claim["client"] == self.client:
                self.document.requests.ask_release(key, self.client, self.participant.id)
                return None
        prompts = [message.id for message in self.document.messages if self._is_open(message)]
        if not prompts:
            return None
        message = self.random.choice(prompts)
        wait = self.random.random() < 0.3
        self.document.requests.ask_claim(prompt_key(message), self.client, self.participant.id, wait=wait)
        return _Job(prompt_key(message), message)

    def _is_open(self, message: Message) -> bool:
        if message.role != "user" or not message.id or not message.verified or message.refused:
            return False  # without an id when it came in pieces, and the rest is on its way
        answered = any(run.reply_to == message.id for run in self.document.runs)
        return not answered and self.document.claims.get(prompt_key(message.id)) is None

    def _look(self, job: _Job) -> None:
        """See whether what was asked for was granted; act on it when that is on the disk."""
        epoch = self._granted(job)
        if epoch is None:
            waiting = (self.document.claims.get(job.subject) or {}).get("waiting", [])
            asks = any(request.client == self.client for request in self.document.requests.items())
            if not asks and not any(one["client"] == self.client for one in waiting):
                self._job = None
        elif epoch != job.epoch or job.fence is None:
            job.epoch, job.may_act, job.fence = epoch, False, self._ask_whether_saved()
        elif job.may_act:
            self.team.act(self, job.subject, epoch)
            job.run, job.fence = self._begin(job.message) if job.message else job.subject, None

    def _granted(self, job: _Job) -> int | None:
        if job.message:
            claim = self.document.claims.get(job.subject) or {}
            return claim["epoch"] if claim.get("client") == self.client else None
        run = self.document.runs.get(job.subject)
        return run.epoch if run is not None and run.client == self.client and not run.ended else None

    def _ask_whether_saved(self) -> bytes | None:
        if self.line is None or not self.answered:
            return None
        self.fence()
        return b"%d" % self._fence

    def _check_promise(self, payload: bytes) -> None:
        super()._check_promise(payload)
        if self._job is not None and payload == self._job.fence:
            self._job.may_act = True

    def hung_up(self, line: Line, code: int, reason: str) -> None:
        """Learn that the line is gone, and with it the fences that were to come back."""
        if line is self.line and self._job is not None:
            self._job.fence = None
        super().hung_up(line, code, reason)

    def cut(self) -> None:
        """Lose the line, and the fences that were to come back."""
        if self._job is not None:
            self._job.fence = None
        super().cut()

    # --- working ----------------------------------------------------------------------------------------------

    def _begin(self, reply_to: str | None) -> str:
        self._begun += 1
        name = f"{self.name}.{self.client}.r{self._begun}"
        with self.doc.transaction():
            run = self.document.runs.start(
                name, agent=self.participant.id, started_at=AT, reply_to=reply_to, client=self.client
            )
            part = {"type": "text", "text": self.new_word(), "state": "streaming"}
            self.document.messages.append(
                "assistant",
                [part],
                id=f"{name}.m",
                author=self.participant.id,
                created_at=AT,
                status="streaming",
                run=name,
            )
            run.add_message(f"{name}.m")
            self.document.agents.declare(self.participant.id, name="Bot").set(status="working", run=name)
        return name

    def _go_on(self, job: _Job, name: str) -> None:
        run = self.document.runs.get(name)
        if run is None or run.client != self.client or run.epoch > max(job.epoch, 1) or run.status in _OVER:
            self._job = None
        elif run.status == "lost":
            self.document.requests.ask_adopt(name, self.client, self.participant.id)
            self._job = _Job(name)
        elif run.cancel is not None:
            self._end(run, "cancelled")
        elif (question := None if job.answered else Question.of(name)) is not None:
            self._ask(run, job, question)
        else:
            self.random.choice((self._write_on, self._write_on, self._take_in, self._pause, self._finish))(run)

    def _ask(self, run: Run, job: _Job, question: Question) -> None:
        """Ask after some words, unless it was asked; act on the answer when that is on the disk."""
        approval = self.document.approvals.get(question.id)
        if approval is None and self.random.random() < 0.5:
            self.random.choice((self._write_on, self._take_in))(run)
        elif approval is None:
            self._pose(run, question)
        elif approval.decision is None:
            run.set_status("suspended")
        elif job.fence is None or not is_same(approval.decision, job.heard):
            job.heard, job.may_act, job.fence = approval.decision, False, self._ask_whether_saved()
        elif job.may_act:
            self.team.ballots.act(self.session, question.id, run.epoch, self.client, approval.decision)
            job.answered = True
            run.set_status("running")

    def _pose(self, run: Run, question: Question) -> None:
        with self.doc.transaction():
            question.ask(self.document, run.id, later(AT, asyncio.get_running_loop().time()))
            run.set_status("suspended")
        if self.random.random() < 0.2:  # which it may not
            self.document.requests.ask_vote(question.id, self.participant.id, "approved")
            self.team.ballots.note(self.session, self.participant.id, question.id, "approved")

    def _write_on(self, run: Run) -> None:
        for name in run.messages:
            message = self.document.messages.get(name)
            text = message.parts[0].text if message is not None and message.parts else None
            if message is not None and text is not None:
                message.set_status("streaming")
                text.append(self.new_word())

    def _take_in(self, run: Run) -> None:
        for steer in run.steers:
            run.mark_seen(str(steer["id"]))

    def _pause(self, run: Run) -> None:
        run.set_status("running" if run.status == "suspended" else "suspended")

    def _finish(self, run: Run) -> None:
        self._end(run, self.random.choice(("complete", "complete", "complete", "error")))

    def _end(self, run: Run, status: str) -> None:
        with self.doc.transaction():
            run.end(status, at=AT)
            for name in run.messages:
                message = self.document.messages.get(name)
                if message is not None:
                    message.set_status(status)
            self.document.agents.declare(self.participant.id, name="Bot").set(status="idle", run=None)
        self._job = None

    def _is_shy(self) -> bool:
        return False  # who shows itself to nobody holds nothing


_OVER = tuple(status for status in ENDED if status != "lost")
