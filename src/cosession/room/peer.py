"""A peer: the state of one connection in a room."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cosession.auth.participant import ANONYMOUS, Participant
from cosession.errors import CosessionError


@dataclass(slots=True)
class Left:
    """The state of a long frame while its parts are applied.

    Attributes:
        brings_new: whether it brings client ids that the document doesn't have, of a participant without full write
            access.
        unsure: the clients in it without a known owner. They become its participant's when all that it brings of
            them was applied.
        others: per client, the clock up to which it has content that others wrote.
        lacks: per client, the clock up to which its own writes depend on missing content.
        is_needed: whether some of its own writes wait for content that others wrote.
    """

    brings_new: bool = False
    unsure: frozenset[int] = frozenset()
    others: dict[int, int] = field(default_factory=dict[int, int])
    lacks: dict[int, int] = field(default_factory=dict[int, int])

    is_needed: bool = False

    def note(self, others: Mapping[int, int], lacks: Mapping[int, int], *, is_needed: bool) -> None:
        """Add the clocks that another part lacked."""
        self.is_needed = self.is_needed or is_needed
        for known, new in ((self.others, others), (self.lacks, lacks)):
            for client, end in new.items():
                known[client] = max(end, known.get(client, 0))

    def __bool__(self) -> bool:
        return bool(self.others or self.lacks)


@dataclass(slots=True)
class Peer:
    """The state of one connection.

    Attributes:
        participant: the participant that it belongs to.
        extended: whether it asked for the extended frames (`?ext=1`); then it gets fences, and no echo.
        client: the Yjs client id of its replica, if it named one; else 0.
        asked: whether it owes the answer to a sync step 1.
        gap: whether an update of it was not applied, because something before it is missing.
        holes: how many of its last answers to a sync step 1 did not fit.
        lacks: per client, the clock that others must reach before the rest of its writes can be applied.
        patience: how often others have been waited for; `resync.PATIENCE` is the limit.
        compared: the clients of which it sent known content, which was compared with the document.
        is_stuck: whether its own clocks have a hole that nothing will fill: later writes are dropped.
        told: the last rejection that it was notified of.
        ending: the error with which it is closed when it has sent its remaining writes.
        last_answers: how many answers to a sync step 1 come before that.
        fences: the number of its fences that wait.
        held: its fences that came after a gap: they stand for the content of the coming answer.
        left: the state of a long frame while that is applied.
    """

    participant: Participant
    extended: bool = False
    client: int = 0
    asked: bool = False
    gap: bool = False
    holes: int = 0
    lacks: dict[int, int] = field(default_factory=dict[int, int])
    patience: int = 0
    compared: frozenset[int] = frozenset()
    is_stuck: bool = False
    told: str = ""
    ending: CosessionError | None = None
    last_answers: int = 0
    fences: int = 0
    held: list[bytes] = field(default_factory=list[bytes])
    left: Left | None = None

    @property
    def unsure(self) -> frozenset[int]:
        """The clients of a long frame that aren't its participant's yet, however much of them was applied."""
        return frozenset() if self.left is None else self.left.unsure

    @property
    def shows(self) -> bool:
        """Whether others may see that its participant is connected."""
        return self.participant.id != ANONYMOUS.id and self.participant.capabilities.may("presence")
