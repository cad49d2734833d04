"""What a session shows of its document: the typed roots, read anew each time, as the document may be replaced."""

from abc import ABC, abstractmethod

from cosession.document import (
    Agents,
    Counters,
    Messages,
    Participants,
    Runs,
    Selections,
    SessionDocument,
    SharedText,
    State,
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
    def state(self) -> State:
        """The application's shared state."""
        return self.document.state

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
    def counters(self) -> Counters:
        """What is counted together; `count` adds to it."""
        return self.document.counters

    def text(self, name: str) -> SharedText:
        """A text that is written together."""
        return self.document.text(name)
