"""Effects: the values that a room, which is pure, returns to the asyncio shell to carry out, in order.

An effect is never changed. Most are not frozen: a frozen one takes three times as long to make, and each token makes
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
        brings: the clocks it holds, from which a reader that misses it must catch up.
    """

    update: bytes
    frame: bytes
    brings: tuple[ClockRange, ...]


@dataclass(slots=True)
class Broadcast:
    """Send an update to every synced connection except the one that it came from."""

    update: Update
    besides: int | None


@dataclass(slots=True)
class Echo:
    """Send an update back to the connection that it came from: it is committed."""

    update: Update
    connection: int


@dataclass(slots=True)
class SendPresence:
    """Send presence to one connection: participants that are present, or have left."""

    entries: tuple[AwarenessEntry, ...]
    connection: int


@dataclass(slots=True)
class BroadcastPresence:
    """Send presence that came, changed or left to every connection except the one that it came from."""

    entries: tuple[AwarenessEntry, ...]
    besides: int | None


@dataclass(slots=True)
class Append:
    """Append an update to the log.

    Attributes:
        version: its place in the session's log.
        participant: the participant that made it.
        client: the Yjs client of its structs; if it has none, the client that belongs to the participant from now on;
            None when it only deletes, or has structs of several clients.
        update: its bytes.
    """

    version: int
    participant: str
    client: int | None
    update: bytes


@dataclass(slots=True)
class NewIds:
    """Count the Yjs client ids that a participant brought and the document didn't have."""

    participant: str
    count: int


@dataclass(slots=True)
class Refuse:
    """Close a connection with an error; its earlier writes stay applied."""

    connection: int
    error: CosessionError


@dataclass(slots=True)
class Decline:
    """Note that something that a connection sent was rejected; the connection stays open."""

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
    """Set or cancel a timer of the room.

    Attributes:
        what: the name of the timer; it replaces one of the same name.
        seconds: the time until it rings; None cancels it.
    """

    what: str
    seconds: float | None


@dataclass(slots=True)
class Waiting:
    """Report the agents for which work is waiting.

    Attributes:
        unfinished: the agents with unfinished work.
        takeable: the agents with work that can be taken now.
    """

    unfinished: frozenset[str]
    takeable: frozenset[str]


@dataclass(slots=True)
class Unheard:
    """Log that prompts wait for an agent that has no connection: the session looks broken, and shows no reason.

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
