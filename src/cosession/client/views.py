"""What a session shows of its document: the typed roots, read anew each time, as the document may be replaced."""

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
    """Whatever has a session's document."""

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
        """What each agent says of itself."""
        return self.document.agents

    @property
    def runs(self) -> Runs:
        """The agents' work."""
        return self.document.runs

    @property
    def participants(self) -> Participants:
        """Who belongs, as the server keeps it: also those who aren't connected now."""
        return self.document.participants

    @property
    def selections(self) -> Selections:
        """What each participant has selected."""
        return self.document.selections

    @property
    def title(self) -> str:
        """What people call the session."""
        return self.document.meta.title

    @property
    def approvals(self) -> Approvals:
        """What agents ask people, their votes, and what came of it; `vote` is how one takes part."""
        return self.document.approvals

    @property
    def claims(self) -> Claims:
        """Who holds what; `claim` is how one does."""
        return self.document.claims

    @property
    def queue(self) -> Queue:
        """The prompts that wait for their turn: to be read, edited, moved and removed; `enqueue` adds one."""
        return self.document.queue

    @property
    def policy(self) -> Policy:
        """Which agents belong here, and what becomes of a prompt that comes while one works."""
        return self.document.meta.rules

    @property
    def counters(self) -> Counters:
        """What is counted together; `count` adds to it."""
        return self.document.counters

    def text(self, name: str) -> SharedText:
        """A text that is written together."""
        return self.document.text(name)
