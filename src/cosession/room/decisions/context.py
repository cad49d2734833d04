"""The input of a decision: the memory of a room, which holds state outside the document, and the case at hand.

The memory isn't durable: `begin` builds it from the document when the room is loaded.
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
"""The length of a key in a root that the server decides on; entries with a longer key are ignored. Clients may write
1,024; a request over HTTP names three ids of 128 characters, percent-encoded, and only `admin` writes longer ones."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as the server last accepted it; fields that only the server may write are restored from it.

    Attributes:
        status: its status.
        epoch: the number of the attempt.
        client: the Yjs client that works on it; 0 if the agent names none.
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
        has_news: whether a run was added, removed, or changed its status since the queue was last checked.
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
        """Remove a run; return False if it isn't known."""
        seen = self.pop(id, None)
        if seen is not None:
            self.has_news = True
            self._forget(id, seen)
        return seen is not None

    def answering(self, message: str) -> tuple[str, ...]:
        """Return the runs that answer a message, or have answered it."""
        return tuple(self._answers.get(message, ()))

    def _forget(self, id: str, seen: Seen) -> None:  # noqa: A002 - the field's name
        if seen.reply_to is not None:
            answers = self._answers[seen.reply_to]
            del answers[id]
            if not answers:
                del self._answers[seen.reply_to]


class Memory:
    """The state of a session that a room keeps outside the document.

    Args:
        settings: the limits.
        is_here: whether a Yjs client is present, as this participant; of client 0, whether the participant is.
        prompts: the open prompts.
        listeners: the connections of some participants that understand notices, by participant.
        may_speak_for: whether a Yjs client id is a participant's, or still free.
        fenced: see below; the guard reads it.

    Attributes:
        ledger: the runs by id, as the server last accepted them.
        asked: the open approvals that each run asks for.
        approvals: the approvals that have been seen, by id.
        decided: the decisions of the approvals by id, as the server made them.
        votes: the votes on the approvals by id, as the server last accepted them.
        counted: the approvals with counted votes that the server has not yet seen as a change of the document.
        denied: the runs that came too late: another process answers their prompt.
        granted: the claims by key, as the server last wrote them.
        leases: the runs and claims that clients hold while they are present.
        listeners: the connections of some participants that understand notices, by participant.
        prompts: the open prompts.
        steers: the steers of the runs that are under way.
        fenced: the Yjs clients that lost a run or claim to another, each with its participant, whose new writes under
            that id are rejected. An entry is never removed.
        may_speak_for: whether a Yjs client id is a participant's, or still free.
        told: the content of the last `Waiting`; None if there was none.
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
        entry: the entry, which is deleted.
        message: the id of the message that it becomes.
        author: the participant that wrote the entry.
        write: appends that message with a stamp of the version that it is passed; None if the message exists already.
    """

    entry: QueuedPrompt
    message: str
    author: str
    write: Callable[[int, SessionDocument], object] | None


@dataclass(slots=True)
class DecisionContext:
    """An event, and the collected consequences that the server decides on.

    Attributes:
        document: the session, in a transaction of the server's.
        memory: the state outside the document.
        settings: the limits.
        by: the participant that made the change; the server for a timer.
        at: the server's time, RFC 3339.
        epoch: the version of the decision's own write: it only grows, so it is the fencing token of grants.
        changed: the touched ids of records or keys, by root; none for a list.
        effects: the effects of the decision, besides its writes.
        notices: the notices that are sent before the decision's writes.
        promotions: the entries of the queue that become messages after that.
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
        """Return the keys of a root that were touched, sorted, without those that are too long."""
        return decidable(self.changed.get(root, ()))


def decidable(keys: Iterable[str]) -> list[str]:
    """Return the keys of a root that the server decides on, sorted: those that aren't too long."""
    return sorted(key for key in keys if len(key) <= MAX_KEY)
