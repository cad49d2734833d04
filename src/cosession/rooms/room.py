"""A room: one live session document, and all that is decided about it. Synchronous, without clock or I/O.

Every frame of every connection comes through `Room.receive`, in the order in which it arrived; what should happen
comes back as effects, and the shell in `live` carries them out. So order, gaps, receipts and decisions are testable
without a loop, a socket or a disk.

    update ──────→ intake: may it be applied? → changes: version, stamp, decide → effects
    fence ───────→ receipts ←─────────────────── committed (by the log)
    awareness ───→ presence → attendance: who is here, by the document
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from weakref import ref

from pycrdt import Doc

from cosession.auth import ANONYMOUS, SERVER, Participant
from cosession.document import Policy, SessionDocument
from cosession.errors import MalformedFrame, StorageError, TooLarge
from cosession.protocol import (
    EMPTY_VECTOR,
    Awareness,
    AwarenessEntry,
    Fence,
    Granted,
    QueryAwareness,
    Renewal,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    decode_state_vector,
    encode_frame,
)
from cosession.settings import Settings

from .attendance import Attendance, assume_looking, attend, introduce
from .changes import Changes
from .decisions import Job, Memory, Prompts, begin, remind, reserve
from .effects import Answer, BroadcastPresence, Effect, Remind, Renew, Send, SendPresence
from .gate import Gate
from .intake import Intake
from .peer import Peer
from .presence import Presence
from .receipts import Receipts
from .reply import Reply

_NOT_SHARED: tuple[int, Callable[[], Reply | None]] = (-1, lambda: None)
"""The version of the whole document that is being sent, and the reply with it, if it still is."""


class Room:
    """The live document of one session.

    Args:
        settings: the limits.
        updates: what the log holds, in order; the first may be a snapshot.
        version: the version of the last of them; 0 for a new session.
        writers: whose each Yjs client id is, as far as it is known.

    Attributes:
        document: the live document; only `receive`, `edit` and what stands on them change it.
        peers: who is here, by connection.
        presence: what they show of themselves.
        synced: who has had its first sync; before that an update would be a gap to it.

    Raises:
        StorageError: the log can't be replayed.
    """

    __slots__ = (
        "_attendance",
        "_changes",
        "_intake",
        "_memory",
        "_receipts",
        "_settings",
        "_shared",
        "_workers",
        "document",
        "peers",
        "presence",
        "synced",
    )

    def __init__(
        self, settings: Settings, updates: Iterable[bytes], version: int, writers: dict[int, str] | None = None
    ) -> None:
        self._settings = settings
        self.document = SessionDocument(_replay(updates))
        self.peers: dict[int, Peer] = {}
        self.presence = Presence(settings.max_presence_bytes)
        self.synced: set[int] = set()
        self._shared = _NOT_SHARED
        self._attendance = Attendance()
        self._receipts = Receipts(version, settings.max_fences)
        self._workers: dict[str, int] = {}
        self._memory = Memory(settings, partial(_is_here, self.presence, self.peers), Prompts())
        gate = Gate(self.document, self.presence, settings, writers or {}, self._memory.fenced)
        self._changes = Changes(self.document, version, gate, self._receipts, self._memory, settings)
        self._intake = Intake(self._changes, gate, self._receipts, settings.max_structs_per_frame)

    @property
    def version(self) -> int:
        """The version of the last change of the document."""
        return self._changes.version

    @property
    def committed_version(self) -> int:
        """The version up to which the log is known to hold it."""
        return self._receipts.committed_version

    @property
    def vector(self) -> Mapping[int, int]:
        """The document's state vector."""
        return self._changes.vector

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for somebody to come back who holds something here."""
        return self._memory.leases.are_waiting

    def create(self, title: str, at: str) -> list[Effect]:
        """Write the first facts of a new session; an existing one is left as it is."""
        if self.version:
            return []

        def write(document: SessionDocument) -> None:
            document.initialise(created_at=at, title=title)
            if self._settings.agents:
                document.meta.set_policy(Policy(self._settings.agents))

        return self.edit(write, at)

    def recover(self, at: str) -> list[Effect]:
        """Write that nobody is here, after a crash that let nobody say so.

        Args:
            at: the last time that is known of, RFC 3339.
        """
        gone = [id_ for id_, who in self.document.participants if who.online]
        return self.edit(lambda document: attend(document, dict.fromkeys(gone, ()), dict.fromkeys(gone, at)), at)

    def begin(self, at: str) -> list[Effect]:
        """Take up what was under way when the room was last loaded; once, before anybody joins."""
        return self._changes.rule(begin, at)

    def remind(self, what: str, at: str) -> list[Effect]:
        """Look again at what a timer was for.

        Args:
            what: the timer's name.
            at: the server's time, RFC 3339.
        """
        if what == _ATTENDANCE:
            return self.attend(at)
        return self._changes.rule(lambda case: remind(case, what), at)

    def reserve(self, agent: str, client: int, at: str) -> tuple[Job | None, list[Effect]]:
        """Reserve the next thing that an agent is to do; nobody may hear of it before it is committed.

        Args:
            agent: the agent.
            client: the Yjs client that will do it; it has never written.
            at: the server's time, RFC 3339.
        """
        jobs: list[Job | None] = []
        effects = self._changes.rule(lambda case: jobs.append(reserve(case, agent, client)), at)
        return jobs[0], effects

    def give_back(self, client: int) -> list[Effect]:
        """Let somebody else do at once what was reserved for a client that won't come."""
        return self._memory.leases.left(client, goodbye=True)

    def man(self, agent: Participant, workers: int, at: str) -> list[Effect]:
        """Note how many workers an agent has that would come: who is there to be asked is online.

        Args:
            agent: the agent.
            workers: how many; 0 when the last one is gone.
            at: the server's time, RFC 3339.
        """
        if workers:
            self._workers[agent.id] = workers
        else:
            self._workers.pop(agent.id, None)
        effects = self.edit(lambda document: introduce(document, agent, at), at) if workers else []
        return effects + self._changed(agent, at)

    def join(self, connection: int, peer: Peer, at: str) -> list[Effect]:
        """Let a connection in: it is asked for what it has, and told who is here."""
        self.peers[connection] = peer
        effects = self._intake.ask(connection, peer)
        everybody = self.presence.everybody()
        if everybody:
            effects.append(SendPresence(everybody, connection))
        return effects + self._memory.leases.came(0) + self._introduce(connection, peer, at)

    def regrant(self, connection: int, participant: Participant, at: str) -> list[Effect]:
        """Take a connection for another participant: the same one, by a new token.

        A new name is told of by its next presence, for only its client can give that a newer clock.
        """
        peer = self.peers[connection]
        peer.participant = participant
        gone = () if participant.capabilities.may("presence") else self.presence.leave(connection)
        return self._tell(gone, None) + self._left(gone) + self._introduce(connection, peer, at)

    def leave(self, connection: int, at: str) -> list[Effect]:
        """Let a connection go; its presence goes with it."""
        peer = self.peers.pop(connection)
        self.synced.discard(connection)
        gone = self.presence.leave(connection)
        leases = self._left(gone) + self._memory.leases.left(0, goodbye=False)
        return self._tell(gone, None) + leases + self._changed(peer.participant, at)

    def attend(self, at: str, *, at_once: bool = False) -> list[Effect]:
        """Write into the document who is here, where that has changed.

        Args:
            at: the server's time, RFC 3339.
            at_once: whether also what changed since the last tick, and may soon change back.
        """
        due = self._attendance.take(at_once=at_once)
        here: dict[str, list[bool]] = {id_: [] for id_ in due}
        for connection, peer in self.peers.items() if due else ():
            if peer.participant.id in here and peer.shows:
                visible = self.presence.visible(connection)
                here[peer.participant.id].append(assume_looking(peer.participant) if visible is None else visible)
        for id_ in here.keys() & self._workers.keys():
            here[id_] += [False] * self._workers[id_]
        effects: list[Effect] = [self._tick()] if self._attendance else []
        return effects + (self.edit(lambda document: attend(document, here, due), at) if due else [])

    def receive(self, connection: int, data: bytes, at: str) -> list[Effect]:
        """Take in one frame.

        Args:
            connection: who sent it; it has joined.
            data: the frame.
            at: the server's time, RFC 3339.

        Raises:
            CosessionError: the connection must be closed for it; nothing of the frame has been applied.
            RoomBroken: this room must be thrown away.
        """
        if len(data) > self._settings.max_frame_bytes:
            raise TooLarge(f"The frame is larger than {self._settings.max_frame_bytes} bytes; send less at once.")
        peer = self.peers[connection]
        frame = decode_frame(data)
        match frame:
            case SyncUpdate(update):
                return self._intake.update(connection, peer, update, data, at)
            case SyncStep1(vector):
                return self._sync(connection, vector)
            case SyncStep2(update):
                return self._intake.answer(connection, peer, update, at)
            case Awareness(payload):
                return self._awareness(connection, peer, payload, at)
            case QueryAwareness():
                return [SendPresence(self.presence.everybody(), connection)]
            case Renewal(token) if peer.extended:
                return [Renew(connection, token)]
            case Fence(payload) if peer.extended:
                return self._receipts.fence(self.version, connection, peer, payload)
            case _:
                raise MalformedFrame(f"A {type(frame).__name__} frame is not for a client to send here.")

    def edit(self, change: Callable[[SessionDocument], object], at: str, by: Participant = SERVER) -> list[Effect]:
        """Change the document by the server's own hand.

        Args:
            change: does it, in one transaction; whatever it raises comes through, with nothing changed if it
                raises before it writes.
            at: the server's time, RFC 3339.
            by: in whose name.
        """
        return self._changes.edit(change, at, by)

    def committed(self, version: int) -> list[Effect]:
        """Hear that the log holds everything up to a version; the receipts for it may leave."""
        return self._receipts.committed(version, self.peers)

    def diff(self, vector: bytes) -> bytes:
        """What a document at this (encoded) state vector lacks, as an update."""
        return self.document.doc.get_update(vector)

    def close(self) -> None:
        """Stop observing the document."""
        self._changes.close()

    def _sync(self, connection: int, vector: bytes) -> list[Effect]:
        decode_state_vector(vector, self._settings.max_structs_per_frame)
        self.synced.add(connection)
        reply = self._whole() if vector == EMPTY_VECTOR else Reply(self.diff(vector), self._settings.max_piece_bytes)
        return [Answer(connection, reply)]

    def _whole(self) -> Reply:
        """The whole document; while somebody is still being sent it, the next one gets the same."""
        version, shared = self._shared
        whole = shared() if version == self.version else None
        if whole is None:
            whole = Reply(self.diff(EMPTY_VECTOR), self._settings.max_piece_bytes)
            if whole.is_large:
                self._shared = self.version, ref(whole)
        return whole

    def _awareness(self, connection: int, peer: Peer, payload: bytes, at: str) -> list[Effect]:
        entries = decode_awareness(payload)
        if not peer.participant.capabilities.may("presence"):
            return []
        before = self.presence.visible(connection)
        heard = self.presence.receive(connection, peer.participant, entries)
        effects = self._tell(heard.others, connection)
        for entry in heard.others:
            leases = self._memory.leases
            effects += leases.left(entry.client, goodbye=True) if entry.gone else leases.came(entry.client)
        if self.presence.visible(connection) is not before:
            effects += self._changed(peer.participant, at)
        if heard.sender:
            effects.append(SendPresence(heard.sender, connection))
        return effects

    def _introduce(self, connection: int, peer: Peer, at: str) -> list[Effect]:
        """Tell a connection who it is taken for, if it understands that, and the others by the document."""
        who = peer.participant
        effects: list[Effect] = []
        if peer.extended:
            granted = Granted(who.id, who.name, who.kind, who.capabilities.written(), who.expires_at)
            effects.append(Send(connection, encode_frame(granted)))
        effects += self.edit(lambda document: introduce(document, who, at), at)
        return effects + self._changed(who, at)

    def _changed(self, who: Participant, at: str) -> list[Effect]:
        """Note that something has changed in who is here."""
        if who.id == ANONYMOUS.id:
            return []
        is_first = not self._attendance
        self._attendance.note(who.id, at)
        return [self._tick()] if is_first else []

    def _tick(self) -> Effect:
        return Remind(_ATTENDANCE, self._settings.attendance_seconds)

    def _left(self, gone: tuple[AwarenessEntry, ...]) -> list[Effect]:
        """Let what departed clients hold wait for them."""
        return [effect for entry in gone for effect in self._memory.leases.left(entry.client, goodbye=False)]

    def _tell(self, news: tuple[AwarenessEntry, ...], origin: int | None) -> list[Effect]:
        return [BroadcastPresence(news, origin)] if news else []


_ATTENDANCE = "attendance"
"""The timer after which the document says who is here."""


def _is_here(presence: Presence, peers: Mapping[int, Peer], client: int, participant: str) -> bool:
    """Whether a client is present, or, where it isn't known which one, any connection of the participant is."""
    if client:
        return presence.is_here(client, participant)
    return any(peer.participant.id == participant for peer in peers.values())


def _replay(updates: Iterable[bytes]) -> Doc[Any]:
    doc: Doc[Any] = Doc()
    try:
        for update in updates:
            doc.apply_update(update)
    except BaseException as error:
        if isinstance(error, ValueError) or type(error).__name__ == "PanicException":
            raise StorageError("The session's log is damaged and can't be replayed.") from error
        raise
    return doc
