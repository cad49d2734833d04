# ruff: noqa: ARG002 - what is decided here is still to come
"""Prompts: who is to answer what, and when."""

from typing import TYPE_CHECKING

from cosession.document import Message, Run

if TYPE_CHECKING:
    from .case import Case


class Prompts:
    """An index of the open prompts and the active runs of a session."""

    __slots__ = ()

    def begin(self, case: "Case") -> None:
        """Look at all that is there; also when somebody took a run out of the document."""

    def arrived(self, case: "Case", message: Message) -> None:
        """Hear of a message that was just stamped."""

    def begun(self, case: "Case", id: str, run: Run) -> bool:  # noqa: A002 - the field's name
        """Hear of a new run; False if another process has its prompt, or has answered it."""
        return True

    def ended(self, case: "Case", id: str, run: Run) -> None:  # noqa: A002 - the field's name
        """Hear that a run has ended; the ledger says how."""

    def refused(self, case: "Case", message: Message) -> None:
        """Hear that a prompt will not be answered."""

    def may_claim(self, case: "Case", key: str, participant: str) -> bool:
        """Whether a participant may claim a prompt now."""
        return True

    def demand(self) -> tuple[frozenset[str], frozenset[str]]:
        """The agents of whom something isn't done, and those of whom something can be taken now."""
        return frozenset(), frozenset()
