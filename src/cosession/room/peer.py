"""A peer: what a room knows of one connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cosession.auth.participant import ANONYMOUS, Participant
from cosession.errors import CosessionError


@dataclass(slots=True)
class Left:
    """What is known of a long frame while its parts are taken in.

    Attributes:
        brings_new: whether it brings client ids that the document doesn't have, of a participant that may not write
            everything.
        unsure: the clients in it of which it isn't known whose they are. They become its participant's when all that
            it brings of them was taken.
        others: per client, up to which clock others wrote what it has.
        lacks: the same of what its own words stand on.
        is_needed: whether some of its own words wait for what others wrote.
    """

    brings_new: bool = False
    unsure: frozenset[int] = frozenset()
    others: dict[int, int] = field(default_factory=dict[int, int])
    lacks: dict[int, int] = field(default_factory=dict[int, int])

    is_needed: bool = False

    def note(self, others: Mapping[int, int], lacks: Mapping[int, int], *, is_needed: bool) -> None:
        """Add what another part lacked."""
        self.is_needed = self.is_needed or is_needed
        for known, new in ((self.others, others), (self.lacks, lacks)):
            for client, end in new.items():
                known[client] = max(end, known.get(client, 0))

    def __bool__(self) -> bool:
        return bool(self.others or self.lacks)


@dataclass(slots=True)
class Peer:
    """What a room knows of one connection.

    Attributes:
        participant: whose it is.
        extended: whether it asked for our own frames (`?ext=1`); then it gets fences, and no echo.
        client: the Yjs client id of its replica, where it said so; else 0.
        asked: whether it owes the answer to a sync step 1.
        gap: whether an update of it was not applied, because something before it is missing.
        holes: how many of its last answers to a sync step 1 did not fit.
        lacks: per client, up to which clock others must bring theirs before what it has left can be taken.
        patience: how often what it lacks is waited for before that is given up.
        compared: the clients of which something came that was known, and was compared with the document.
        is_stuck: whether its own clocks have a hole that nothing will fill: what comes behind it is dropped.
        told: what it was last told that isn't taken.
        ending: why it is closed when it has given what it still has.
        last_answers: how many answers to a sync step 1 come before that.
        fences: how many of its fences wait.
        held: those of them that came after a gap: they stand for what the answer will bring.
        left: while a long frame is taken in, what is known of it.
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
        """The clients of a long frame that aren't its participant's yet, however much of them was taken."""
        return frozenset() if self.left is None else self.left.unsure

    @property
    def shows(self) -> bool:
        """Whether the others may see that it is here."""
        return self.participant.id != ANONYMOUS.id and self.participant.capabilities.may("presence")
