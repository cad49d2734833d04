"""A peer: what a room knows of one connection."""

from dataclasses import dataclass, field

from cosession.auth import ANONYMOUS, Participant
from cosession.errors import CosessionError


@dataclass(slots=True)
class Peer:
    """What a room knows of one connection.

    Attributes:
        participant: whose it is.
        extended: whether it asked for our own frames (`?ext=1`); then it gets fences, and no echo.
        asked: whether it owes the answer to a sync step 1.
        gap: whether an update of it was not applied, because something before it is missing.
        holes: how many of its last answers to a sync step 1 did not fit.
        lacks: per client, up to which clock others must bring theirs before what it has left can be taken.
        patience: how often what it lacks is waited for before that is given up.
        is_stuck: whether its own clocks have a hole that nothing will fill: what comes behind it is dropped.
        told: what it was last told that isn't taken.
        ending: why it is closed when it has given what it still has.
        last_answers: how many answers to a sync step 1 come before that.
        fences: how many of its fences wait.
        held: those of them that came after a gap: they stand for what the answer will bring.
    """

    participant: Participant
    extended: bool = False
    asked: bool = False
    gap: bool = False
    holes: int = 0
    lacks: dict[int, int] = field(default_factory=dict[int, int])
    patience: int = 0
    is_stuck: bool = False
    told: str = ""
    ending: CosessionError | None = None
    last_answers: int = 0
    fences: int = 0
    held: list[bytes] = field(default_factory=list[bytes])

    @property
    def shows(self) -> bool:
        """Whether the others may see that it is here."""
        return self.participant.id != ANONYMOUS.id and self.participant.capabilities.may("presence")
