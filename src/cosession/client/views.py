"""The typed roots of a session's document, obtained at each access, as the document may be replaced."""

from abc import ABC, abstractmethod

from cosession.document import (
    Agents,
    Approvals,
    Claims,
    Counters,
    Messages,
    Participants,
    Policy,
    Queue,
    Runs,
    Selections,
    SessionDocument,
    SharedText,
)


class Views(ABC):
    """The base of classes with a session's document."""

    @property
    @abstractmethod
    def document(self) -> SessionDocument:
        """The shared document."""

    @property
    def messages(self) -> Messages:
        """The messages, in order."""
        return self.document.messages

    @property
    def agents(self) -> Agents:
        """The agents, with the status that each agent writes."""
        return self.document.agents

    @property
    def runs(self) -> Runs:
        """The runs of the agents."""
        return self.document.runs

    @property
    def participants(self) -> Participants:
        """The participants, as the server records them, also those without a connection."""
        return self.document.participants

    @property
    def selections(self) -> Selections:
        """The selections of each participant."""
        return self.document.selections

    @property
    def title(self) -> str:
        """The title of the session."""
        return self.document.meta.title

    @property
    def approvals(self) -> Approvals:
        """The approvals that agents ask for, with votes and decisions; `vote` adds a vote."""
        return self.document.approvals

    @property
    def claims(self) -> Claims:
        """The claims and their holders; `claim` asks for one."""
        return self.document.claims

    @property
    def queue(self) -> Queue:
        """The queue of waiting prompts, to read, edit, move and remove; `enqueue` adds one."""
        return self.document.queue

    @property
    def policy(self) -> Policy:
        """The agents of the session, and the handling of a prompt that arrives while an agent works."""
        return self.document.meta.rules

    @property
    def counters(self) -> Counters:
        """The shared counters; `count` adds to one."""
        return self.document.counters

    def text(self, name: str) -> SharedText:
        """Return a shared text."""
        return self.document.text(name)
