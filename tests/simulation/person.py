"""Simulated people who want something of agents."""

from random import Random
from typing import TYPE_CHECKING

from simulation.lies import AT
from simulation.questions import agree, edit_value, vote
from simulation.replica import Act, Replica

from cosession.auth import Participant

if TYPE_CHECKING:
    from simulation.teamwork import AgentWorld


class Person(Replica):
    """One client of a person who prompts agents, answers their questions, and changes their mind."""

    def __init__(self, world: "AgentWorld", name: str, session: str, who: Participant, random: Random) -> None:
        self.prompts = 0
        self.team = world
        super().__init__(world, name, session, who, extended=random.random() < 0.5, random=random)

    def acts(self) -> dict[Act, float]:
        """What it does, and how often."""
        acts = {**super().acts(), self.write: 3, self.prompt: 3, self.call_off: 0.5}
        return {**acts, self.vote: 6, self.edit_value: 0.5}

    def prompt(self) -> None:
        """Ask for something."""
        self.prompts += 1
        part = {"type": "text", "text": self.new_word()}
        name = f"{self.name}.p{self.prompts}.{self.client}"
        self.document.messages.append("user", [part], id=name, author=self.participant.id, created_at=AT)

    def call_off(self) -> None:
        """Cancel a run, or a prompt."""
        subjects = [run.id for run in self.document.runs if run.id not in ("", "run")]
        subjects += [message.id for message in self.document.messages if message.role == "user" and message.id]
        if subjects:
            subject = self.random.choice(sorted(subjects))
            self.document.requests.ask_cancel(subject, self.participant.id)

    def vote(self) -> None:
        """Answer a question, or try to."""
        if (cast := vote(self.document, self.participant.id, self.random)) is not None:
            self.team.ballots.note(self.session, self.participant.id, *cast)

    def edit_value(self) -> None:
        """Change what is to be approved."""
        edit_value(self.document, self.random)

    def agree(self) -> None:
        """Answer all that is asked, as everybody does who wants to be done."""
        if self.answered:
            for cast in agree(self.document, self.participant.id):
                self.team.ballots.note(self.session, self.participant.id, *cast)
