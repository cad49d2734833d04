"""What a room wants done: the values that its pure half hands to the asyncio shell, in order.

Nobody changes one. They are not frozen, because a frozen one takes three times as long to make, and each token makes
three.
"""

from dataclasses import dataclass
from typing import TypeAlias

from cosession.errors import CosessionError
from cosession.protocol import AwarenessEntry, ClockRange

from .sync_reply import Reply


@dataclass(slots=True)
class Send:
    """Send a frame to one connection."""

    connection: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class AnswerSync:
    """Answer a connection's sync step 1."""

    connection: int
    reply: Reply


@dataclass(slots=True)
class Update:
    """One update on its way out: encoded once, sent to many.

    Attributes:
        update: the bytes that came in.
        frame: the sync frame around them.
        brings: the clocks it holds, so that a reader who misses it can be told from where to catch up.
    """

    update: bytes
    frame: bytes
    brings: tuple[ClockRange, ...]


@dataclass(slots=True)
class Broadcast:
    """Send an update to every connection that is synced, besides the one that it came from."""

    update: Update
    besides: int | None


@dataclass(slots=True)
class Echo:
    """Send an update back to the connection that it came from: it is committed."""

    update: Update
    connection: int


@dataclass(slots=True)
class SendPresence:
    """Tell one connection who is here, or who is gone."""

    entries: tuple[AwarenessEntry, ...]
    connection: int


@dataclass(slots=True)
class BroadcastPresence:
    """Tell every connection who came, changed or left, besides the one that said so."""

    entries: tuple[AwarenessEntry, ...]
    besides: int | None


@dataclass(slots=True)
class Append:
    """Append an update to the log.

    Attributes:
        version: its place in the session's log.
        participant: who made it.
        client: the Yjs client whose structs it brings; if it brings nothing, the one that is its participant's from
            now on; None when it only deletes, or brings those of several.
        update: its bytes.
    """

    version: int
    participant: str
    client: int | None
    update: bytes


@dataclass(slots=True)
class NewIds:
    """Count Yjs client ids that a participant brought, and that the document didn't have."""

    participant: str
    count: int


@dataclass(slots=True)
class Refuse:
    """Close a connection, saying why; what it had before that stays done."""

    connection: int
    error: CosessionError


@dataclass(slots=True)
class Decline:
    """Note that something which a connection sent was not taken; the connection goes on."""

    connection: int
    error: CosessionError


@dataclass(slots=True)
class Retitle:
    """Note the session's new title in the list of sessions."""

    title: str


@dataclass(slots=True)
class Renew:
    """Verify the new token of a connection."""

    connection: int
    token: str


@dataclass(slots=True)
class Remind:
    """Have the room look again at something after a while.

    Attributes:
        what: the name of the timer; another of the same name takes its place.
        seconds: when it rings; None: not any more.
    """

    what: str
    seconds: float | None


@dataclass(slots=True)
class Waiting:
    """Say of which agents work is waiting.

    Attributes:
        unfinished: those of whom something isn't done.
        takeable: those of whom something can be taken now.
    """

    unfinished: frozenset[str]
    takeable: frozenset[str]


@dataclass(slots=True)
class Unheard:
    """Log that prompts wait for an agent of which nothing is connected: it looks broken, and says nothing.

    Attributes:
        agent: the agent that they name; "" if any may answer.
        message: the first of them.
    """

    agent: str
    message: str


Effect: TypeAlias = (
    Send
    | AnswerSync
    | Broadcast
    | Echo
    | SendPresence
    | BroadcastPresence
    | Append
    | NewIds
    | Refuse
    | Decline
    | Retitle
    | Renew
    | Remind
    | Waiting
    | Unheard
)
