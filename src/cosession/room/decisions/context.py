"""What a decision is made of: what a room remembers of its session besides the document, and the case at hand.

Nothing in a room's memory is durable: `begin` makes it of the document when the room is loaded.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cosession.auth.participant import Participant
from cosession.document import JsonObject, QueuedPrompt, SessionDocument
from cosession.settings import Settings

from ..effects import Effect, Send
from .leases import Leases
from .steers import Steers
from .votes import Terms, Votes

if TYPE_CHECKING:  # it is made of cases
    from .prompts import OpenPrompts

MAX_KEY = 4_096
"""Characters of a key in a root that the server decides on; what has a longer one is passed over. Clients may write
1,024; a request over HTTP names three ids of 128 characters, percent-encoded, and only `admin` writes longer ones."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as the server last accepted it; what of it only the server may say is written back from here.

    Attributes:
        status: how far it is.
        epoch: which attempt it is.
        client: the Yjs client that works on it; 0 where the agent doesn't say.
        former: the clients that worked on it before.
        reply_to: the message that it answers.
    """

    status: str
    epoch: int
    client: int
    former: tuple[int, ...]
    reply_to: str | None


class Ledger(dict[str, Seen]):
    """The runs by id, as the server last accepted them, and which of them answer each message.

    Attributes:
        has_news: whether a run came, went, or has another status; the queue has not been looked at since.
    """

    __slots__ = ("_answers", "has_news")

    def __init__(self) -> None:
        super().__init__()
        self.has_news = False
        self._answers: dict[str, dict[str, None]] = {}

    def __setitem__(self, id: str, seen: Seen) -> None:  # noqa: A002 - the field's name
        before = self.get(id)
        if before is None or (before.status, before.reply_to) != (seen.status, seen.reply_to):
            self.has_news = True
        if before is not None and before.reply_to != seen.reply_to:
            self._forget(id, before)
        super().__setitem__(id, seen)
        if seen.reply_to is not None:
            self._answers.setdefault(seen.reply_to, {})[id] = None

    def forget(self, id: str) -> bool:  # noqa: A002 - the field's name
        """Forget a run; False where it isn't known."""
        seen = self.pop(id, None)
        if seen is not None:
            self.has_news = True
            self._forget(id, seen)
        return seen is not None

    def answering(self, message: str) -> tuple[str, ...]:
        """The runs that answer a message, or have answered it."""
        return tuple(self._answers.get(message, ()))

    def _forget(self, id: str, seen: Seen) -> None:  # noqa: A002 - the field's name
        if seen.reply_to is not None:
            answers = self._answers[seen.reply_to]
            del answers[id]
            if not answers:
                del self._answers[seen.reply_to]


class Memory:
    """What a room knows of its session besides the document.

    Args:
        settings: the limits.
        is_here: whether a Yjs client is present, as this participant; of client 0, whether the participant is.
        prompts: who is to answer what.
        listeners: the connections of some participants that understand notices, by participant.
        may_speak_for: whether a Yjs client id is a participant's, or still free.
        fenced: see below; the gate reads it.

    Attributes:
        ledger: the runs by id, as the server last accepted them.
        asked: the open approvals that each run asks for.
        approvals: the approvals that have been seen, by id.
        decided: the decisions of the approvals by id, as the server made them.
        votes: the votes on the approvals by id, as the server last took them.
        counted: the approvals in which votes were counted that the server has not yet heard of as a change.
        denied: the runs that came too late: another process has their prompt.
        granted: the claims by key, as the server last wrote them.
        leases: what is held by somebody's being here.
        listeners: the connections of some participants that understand notices, by participant.
        prompts: who is to answer what.
        steers: what the runs were told that are under way.
        fenced: the Yjs clients from which something passed to another, each with its participant, from whom nothing
            new is taken under it. One is never taken away.
        may_speak_for: whether a Yjs client id is a participant's, or still free.
        told: what the last `Waiting` said; None if it was never known.
    """

    __slots__ = (
        "approvals",
        "asked",
        "counted",
        "decided",
        "denied",
        "fenced",
        "granted",
        "leases",
        "ledger",
        "listeners",
        "may_speak_for",
        "prompts",
        "steers",
        "told",
        "votes",
    )

    def __init__(
        self,
        settings: Settings,
        is_here: Callable[[int, str], bool],
        prompts: "OpenPrompts",
        listeners: Callable[[Collection[str]], Mapping[str, Sequence[int]]],
        may_speak_for: Callable[[str, int], bool],
        fenced: set[tuple[int, str]],
    ) -> None:
        self.ledger = Ledger()
        self.asked: dict[str, dict[str, None]] = {}
        self.approvals: set[str] = set()
        self.decided: dict[str, JsonObject] = {}
        self.votes: dict[str, Votes] = {}
        self.counted: set[str] = set()
        self.denied: dict[str, None] = {}
        self.granted: dict[str, JsonObject] = {}
        self.leases = Leases(settings.lease_grace_seconds, is_here)
        self.prompts = prompts
        self.steers = Steers()
        self.listeners = listeners
        self.may_speak_for = may_speak_for
        self.fenced = fenced
        self.told: tuple[frozenset[str], frozenset[str]] | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """An entry of the queue whose turn has come.

    Attributes:
        entry: the entry; it goes.
        message: the id of the message that it becomes.
        author: the participant that wrote the entry.
        write: appends that message with its stamp, for which it gets the version; None where it is there already.
    """

    entry: QueuedPrompt
    message: str
    author: str
    write: Callable[[int, SessionDocument], object] | None


@dataclass(slots=True)
class DecisionContext:
    """Something that has happened, of which the server decides what follows.

    Attributes:
        document: the session, in a transaction by the server's hand.
        memory: what the room knows besides.
        settings: the limits.
        by: whose change it was; the server's, where time did it.
        at: the server's time, RFC 3339.
        epoch: the version of what this decision writes: it only grows, so it is the fencing token of what is granted.
        changed: what of which root was touched: the ids of records, the keys of a flat root, nothing of a list.
        effects: what the decision wants done, besides what it writes.
        notices: what participants are told before anybody hears of what the decision writes.
        promotions: what of the queue becomes messages after that.
        terms: the terms of the approvals that were voted on, by id.
    """

    document: SessionDocument
    memory: Memory
    settings: Settings
    by: Participant
    at: str
    epoch: int
    changed: Mapping[str, Set[str]]
    effects: list[Effect]
    notices: list[Send]
    promotions: list[Promotion]
    terms: dict[str, Terms] = field(default_factory=dict[str, Terms])

    def touched(self, root: str) -> list[str]:
        """The keys of a root that were touched, sorted, without those that are too long."""
        return decidable(self.changed.get(root, ()))


def decidable(keys: Iterable[str]) -> list[str]:
    """The keys of a root that the server decides on, sorted: those that aren't too long."""
    return sorted(key for key in keys if len(key) <= MAX_KEY)
