"""A room: one live session document, and all decisions about it. Synchronous, without clock or I/O.

Every frame of every connection comes through `Room.receive`, in the order in which it arrived; it returns effects,
and the shell in `runtime.room_runtime` carries them out. So order, gaps, acks and decisions are testable without
a loop, a socket or a disk.

    update ──────→ inbound: may it be applied? → changes: version, stamp, decide → effects
    fence ───────→ acks ←──────────────────────── committed (by the log)
    awareness ───→ participants: presence → attendance in the document
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from functools import partial

from pycrdt import Doc

from cosession.auth.participant import SERVER, Participant
from cosession.document import JsonObject, Policy, SessionDocument
from cosession.document.list_index import ListIndex
from cosession.errors import MalformedFrame, SessionDamaged, TooLarge, Unreadable, is_crdt_error
from cosession.protocol import (
    EMPTY_UPDATE,
    EMPTY_VECTOR,
    Awareness,
    Encoded,
    Fence,
    Foreign,
    Frame,
    KeptValues,
    Limits,
    PermissionDenied,
    QueryAwareness,
    Renewal,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    decode_state_vector,
    encode_state_vector,
    split_update,
)
from cosession.protocol.awareness import decode_awareness_in_steps
from cosession.protocol.header import decode_state_vector_in_steps
from cosession.protocol.pieces import in_transactions, measure_in_steps
from cosession.protocol.steps import finish
from cosession.protocol.token_header import read_token
from cosession.settings import Settings

from .acks import Acks
from .attendance import attend
from .changes import Changes
from .decisions import ANYBODY, UNHEARD, Job, Memory, OpenPrompts, begin, remind, reserve
from .effects import AnswerSync, Effect, Remind, Renew, SendPresence, Unheard
from .inbound import InboundUpdates
from .long_frames import LongFrames, Step
from .participants import ATTENDANCE, ParticipantRecords
from .peer import Peer
from .presence import RoomPresence
from .resync import ENDING, WAITING, Resync
from .sync_reply import Openings
from .write_guard import WriteGuard

DAMAGED = "The session is damaged and can't be replayed; ask the server's operator to run `cosession check`."
"""The error message when a damaged session is loaded."""

_MESSAGES, _QUEUE = b"messages", b"queue"
"""The bytes in an update that begins the list of messages, and in one that begins the queue of prompts."""

_SHORT = 2048
"""The size of a frame that may be handled in one step: it holds a thousand of the smallest structs."""

_BRING_UPDATES = (b"\x00\x01", b"\x00\x02")
"""The first bytes of frames that bring updates."""

_SYNC = b"\x00"
"""The first byte of frames that bring updates or ask for them."""

_NOTHING = 5
"""The size of a frame that brings an empty update."""

_OPENED = "opened"
"""The timer after which the next reader doesn't count as opening the session soon after another."""

_OPENED_SECONDS = 10.0

_PIECE = 2**13
"""The bytes of a document that are applied to a copy in one step, which takes a few milliseconds."""

_OTHER_BYTES = 8 * 2**20
"""The size of a frame without an update that is allowed: presence is JSON, which takes long to read."""


class Room:
    """The live document of one session.

    Args:
        settings: the limits.
        updates: the updates in the log, in order; the first may be a snapshot.
        version: the version of the last of them; 0 for a new session.
        writers: the participant of each known Yjs client id.

    Attributes:
        document: the live document; only `receive`, `edit` and methods that use them change it.
        peers: the open connections.
        presence: their presence states.
        synced: the connections that had their first sync; before that an update would be a gap to them.

    Raises:
        SessionDamaged: the log can't be replayed, or the resulting document can't be encoded.
    """

    __slots__ = (
        "_acks",
        "_changes",
        "_guard",
        "_inbound",
        "_kept",
        "_long_frames",
        "_memory",
        "_openings",
        "_participants",
        "_resync",
        "_settings",
        "document",
        "peers",
        "presence",
        "synced",
    )

    def __init__(
        self, settings: Settings, updates: Sequence[bytes], version: int, writers: dict[int, str] | None = None
    ) -> None:
        self._settings = settings
        updates = list(updates)
        self.document, size = _replay(updates)
        self._kept = KeptValues(updates)
        self.peers: dict[int, Peer] = {}
        self.presence = RoomPresence(settings.max_presence_bytes)
        self.synced: set[int] = set()
        self._openings = openings = Openings(self._kept, settings.max_piece_bytes)
        self._acks = Acks(version, settings.max_fences)
        is_here = partial(_is_here, self.presence, self.peers)
        fenced = set[tuple[int, str]]()
        self._guard = guard = WriteGuard(self.document, self.presence, settings, writers or {}, fenced, size)
        listeners = partial(_listeners, self.peers)
        self._memory = Memory(settings, is_here, OpenPrompts(), listeners, guard.may_speak_for, fenced)
        self._changes = Changes(
            self.document, version, guard, self._acks, self._memory, settings, self._kept, openings
        )
        limits = Limits(
            settings.max_frame_bytes,
            settings.max_structs_per_frame,
            settings.max_presence_bytes,
            settings.max_value_bytes,
            settings.max_value_entries,
        )
        self._resync = Resync(self._changes, guard, self._acks)
        self._inbound = InboundUpdates(self._changes, guard, self._resync, limits)
        self._long_frames = LongFrames(self._inbound, self._changes, guard, self._resync, limits)
        self._participants = ParticipantRecords(
            self.document,
            self.peers,
            self.presence,
            self._memory.leases,
            self._changes.attend,
            self._changes.bind,
            settings.attendance_seconds,
            limits,
        )

    @property
    def version(self) -> int:
        """The version of the last change of the document."""
        return self._changes.version

    @property
    def committed_version(self) -> int:
        """The version up to which the log is known to hold the document."""
        return self._acks.committed_version

    @property
    def vector(self) -> Mapping[int, int]:
        """The document's state vector."""
        return self._changes.vector

    @property
    def is_waiting(self) -> bool:
        """Whether the room waits for an absent holder of a lease to come back."""
        return self._memory.leases.are_waiting

    def prepare(self) -> Iterator[None]:
        """Read the ids of long lists, in slices between which other tasks may run; once, before anything else."""
        for index in (self.document.messages.index, self.document.queue.index):
            if index is not None:
                yield from index.read()

    def create(self, title: str, at: str) -> list[Effect]:
        """Write the first facts of a new session: now, if it has a title or rules, else when the schema is used.

        A session that has them stays as it is. A document of an application with roots of its own gets none.

        Args:
            title: the session's title; may be empty.
            at: when it was created, RFC 3339.
        """
        if self.document.meta.schema:
            return []
        agents = () if self.version else self._settings.agents

        def write(document: SessionDocument) -> None:
            document.initialise(created_at=at, title="" if document.meta.title else title)
            if agents:
                document.meta.set_policy(Policy(agents))

        if not self.version and (title or agents):
            return self.edit(write, at)
        self._changes.on_first_use = write
        return []

    def recover(self, at: str) -> list[Effect]:
        """Write that no participant is online, after a crash in which that couldn't be written.

        Args:
            at: the last known time, RFC 3339.
        """
        gone = [id_ for id_, who in self.document.participants if who.online]
        return self._changes.attend(
            lambda document: attend(document, dict.fromkeys(gone, ()), dict.fromkeys(gone, at)), at
        )

    def begin(self, at: str) -> list[Effect]:
        """Resume the work that was under way when the room was last loaded; once, before any connection joins."""
        return self._changes.rule(begin, at)

    def remind(self, what: str, at: str) -> list[Effect]:
        """Handle a timer that rings.

        Args:
            what: the timer's name.
            at: the server's time, RFC 3339.
        """
        if what == _OPENED:
            return [Remind(_OPENED, _OPENED_SECONDS)] if self._openings.rest() else []
        if what == ATTENDANCE:
            return self.attend(at)
        if what == UNHEARD:
            return self.unheard()
        if what == WAITING or what.startswith(ENDING):
            return self._resync.remind(what, self.peers)
        return self._changes.rule(lambda case: remind(case, what), at)

    def unheard(self) -> list[Effect]:
        """Return an effect for each recent prompt that waits for an agent that isn't connected."""
        waiting = dict(self._memory.prompts.waiting(self.document))
        self._memory.prompts.is_looked_at = False
        here = self._participants.agents() if waiting else frozenset[str]()
        return [
            Unheard("" if name == ANYBODY else name, message)
            for name, message in waiting.items()
            if (not here if name == ANYBODY else name not in here)
        ]

    def reserve(self, agent: str, client: int, at: str) -> tuple[Job | None, list[Effect]]:
        """Reserve an agent's next job; no worker may be notified of it before it is committed.

        Args:
            agent: the agent.
            client: the Yjs client that will do it; it has never written.
            at: the server's time, RFC 3339.
        """
        jobs: list[Job | None] = []
        effects = self._changes.rule(lambda case: jobs.append(reserve(case, agent, client)), at)
        return jobs[0], effects

    def can_take(self, agent: str) -> bool:
        """Return whether an agent has work that can be taken now, by the last `Waiting`."""
        return self._memory.told is not None and agent in self._memory.told[1]

    def give_back(self, client: int) -> list[Effect]:
        """Release at once the job that was reserved for a client that won't come."""
        return self._memory.leases.left(client, goodbye=True)

    def man(self, agent: Participant, workers: int, at: str) -> list[Effect]:
        """Set the number of workers that wait for an agent's work; 0 when the last one is gone."""
        return self._participants.man(agent, workers, at)

    def join(self, connection: int, peer: Peer, at: str) -> list[Effect]:
        """Add a connection: send it its grant, ask it for its document, and send it the presence of all others."""
        granted = self._participants.grant(connection, peer)
        return granted + self._resync.join(connection, peer) + self._participants.join(connection, peer, at)

    def regrant(self, connection: int, participant: Participant, at: str) -> list[Effect]:
        """Replace the participant of a connection: the same one, by a new token."""
        effects = self._participants.regrant(connection, participant, at)
        return effects + self._resync.regrant(connection, self.peers[connection])

    def leave(self, connection: int, at: str) -> list[Effect]:
        """Remove a connection and its presence."""
        self.synced.discard(connection)
        self._resync.leave(connection)
        return self._participants.leave(connection, at)

    def attend(self, at: str, *, at_once: bool = False) -> list[Effect]:
        """Write the attendance into the document, where it has changed; at once, or when the change has lasted."""
        return self._participants.attend(at, at_once=at_once)

    def receive(self, connection: int, data: bytes, at: str) -> list[Effect]:
        """Handle one frame.

        Args:
            connection: the connection that sent it; it has joined.
            data: the frame.
            at: the server's time, RFC 3339.

        Raises:
            CosessionError: the connection must be closed for it; nothing of the frame has been applied.
            RoomBroken: this room must be thrown away.
        """
        peer = self.peers[connection]
        frame = self._decode(data, peer)
        if isinstance(frame, SyncUpdate):  # a token: a match of the class takes ten times as long
            return self._inbound.update(connection, peer, frame.update, data, at)
        match frame:
            case SyncStep1() if peer.ending is not None:
                return []  # it would see its writes deleted, and could not tell which were refused
            case SyncStep1(vector):
                return self._sync(connection, finish(self._known(vector)))
            case SyncStep2(update):
                return self._inbound.answer(connection, peer, update, at)
            case Awareness(payload):
                entries = decode_awareness(payload, self._settings.max_presence_bytes, is_strict=peer.extended)
                return self._participants.hear(connection, entries, at)
            case QueryAwareness():
                return [SendPresence(self.presence.everybody(), connection)]
            case Foreign():
                return []
            case PermissionDenied() if not peer.extended:
                return []  # some providers of Yjs answer with one
            case Renewal(token):
                return [Renew(connection, token)]
            case Fence() if peer.ending is not None:
                return []  # it may stand for refused content
            case Fence(payload):
                return self._acks.fence(self.version, connection, peer, payload)
            case _:
                raise MalformedFrame(f"A {type(frame).__name__} frame is not for a client to send here.")

    @property
    def holder(self) -> int | None:
        """The connection whose large record is being applied; the sync frames of others wait for it."""
        return self._long_frames.holder

    def is_quick(self, connection: int, data: bytes) -> bool:
        """Return whether a frame is short, and nothing must be prepared before it is handled."""
        if len(data) > _SHORT:
            return False
        if data[:1] == _SYNC and (self._long_frames.holder is not None or not self._kept.is_read):
            return False
        if data[:2] not in _BRING_UPDATES:
            return True
        return self._guard.is_prepared(self.peers[connection].participant) and self._needs_no_prompts(data)

    def receive_in_steps(self, connection: int, data: bytes) -> Generator[Step | None, None, None]:
        """Handle one frame that may be long, or for which much must be read first.

        Other connections may do anything between two steps; each step is done before the next is asked for. Parts
        after the last step that is asked for aren't applied: see "A long frame" in the README.

        Args:
            connection: the connection that sent it; it has joined, and sends nothing else meanwhile.
            data: the frame.

        Yields:
            Functions that handle a part of it at the server's time, and return effects; None where there is only
            work. `long_frames.hold` comes before a part that waits until its participant may bring new client ids.

        Raises:
            CosessionError: see `receive`; also a step raises it.
        """
        peer = self.peers[connection]
        yield from self._kept.read()
        match self._decode(data, peer):
            case SyncUpdate(update):
                yield from self._read_prompts(data)
                yield from self._long_frames.update(connection, peer, update)
            case SyncStep2(update):
                yield from self._read_prompts(data)
                yield from self._long_frames.answer(connection, peer, update)
            case SyncStep1(vector) if peer.ending is None:
                known = yield from self._known(vector)
                yield lambda _: [] if peer.ending is not None else self._sync(connection, known)
            case Awareness(payload):
                entries = yield from decode_awareness_in_steps(
                    payload, self._settings.max_presence_bytes, is_strict=peer.extended
                )
                yield None
                yield partial(self._participants.hear, connection, entries)
            case _:
                yield lambda at: self.receive(connection, data, at)

    def prepare_for(self, by: Participant, grows: int) -> Iterator[Step | None]:
        """Prepare in steps an `edit` or `append` in a participant's name; see `receive_in_steps`.

        Args:
            by: the participant.
            grows: see `edit`.
        """
        yield from self._kept.read()
        if not by.capabilities.writes_everything:
            yield from self._guard.prepare(by, grows)
        if self.document.messages.index is not None:
            prompts = self._memory.prompts
            while not prompts.is_read:
                yield lambda at: self._changes.rule(prompts.read_some, at)

    def edit(
        self, change: Callable[[SessionDocument], object], at: str, by: Participant = SERVER, grows: int = 0
    ) -> list[Effect]:
        """Make a change of the server's own.

        Args:
            change: changes the document, in one transaction; its exceptions are passed on, with nothing changed if
                it raises before it writes.
            at: the server's time, RFC 3339.
            by: the participant in whose name the change is made.
            grows: the bytes that the document grows by, `STRUCT_BYTES` for each struct included.

        Raises:
            TooLarge: the document is full for a participant without full write access; nothing has changed.
        """
        return self._changes.edit(change, at, by, grows)

    def append(
        self, change: Callable[[SessionDocument], object], at: str, by: Participant, grows: int
    ) -> list[Effect]:
        """Append a message of the server's own, at a cost that doesn't grow with the number of messages.

        Args:
            change: appends it, and does nothing else; its argument may be another document than the room's.
            at: see `edit`.
            by: see `edit`.
            grows: see `edit`.

        Raises:
            TooLarge: see `edit`.
        """
        return self._changes.append(change, at, by, grows)

    def answering(self, message: str) -> tuple[str, ...]:
        """Return the ids of the runs that answer a message, or have answered it, in the order of their arrival."""
        return self._memory.ledger.answering(message)

    def unfinished_answers(self) -> tuple[str, ...]:
        """Return the ids of the runs that answer a message and haven't ended, lost ones included."""
        return tuple(run for lane in self._memory.prompts.lanes.values() for run in lane.runs)

    def committed(self, version: int) -> list[Effect]:
        """Note that the log holds everything up to a version, and send the acks for it."""
        return self._acks.committed(version, self.peers)

    def diff(self, vector: bytes) -> bytes:
        """Return the update that a document at an (encoded) state vector lacks.

        Raises:
            Unreadable: the update can't be encoded; nothing has changed.
        """
        return self.lacks(vector).update()

    def read_values(self) -> Generator[None, None, None]:
        """Read in steps the values of long updates, which `lacks` needs."""
        yield from self._kept.read()

    def lacks(self, vector: bytes) -> Encoded:
        """Return the same update, to be encoded in steps.

        Raises:
            Unreadable: the update can't be encoded; nothing has changed.
        """
        try:
            return self._kept.encode(self.document.doc.get_update, self.vector, decode_state_vector(vector))
        except Exception as error:
            raise Unreadable("The session can't be read; the server's log says why.") from error

    def close(self) -> None:
        """Stop observing the document."""
        self._changes.close()

    def _needs_no_prompts(self, data: bytes) -> bool:
        """Return whether the prompts among the messages are known, quick to read, or not needed by a frame."""
        if self._memory.prompts.is_read or self.document.messages.index is None or len(data) <= _NOTHING:
            return True
        match decode_frame(data):
            case SyncUpdate(update) | SyncStep2(update):
                return read_token(update) is not None
            case _:
                return True

    def _read_prompts(self, data: bytes) -> Iterator[Step]:
        """Read the prompts in steps, if a frame may need them: one that touches the queue, runs or requests does."""
        prompts = self._memory.prompts
        while not (prompts.is_read or self._needs_no_prompts(data)):
            yield lambda at: self._changes.rule(prompts.read_some, at)

    def _decode(self, data: bytes, peer: Peer) -> Frame:
        most = self._settings.max_frame_bytes
        if len(data) > _OTHER_BYTES and data[0] != 0:
            most = min(most, _OTHER_BYTES)
        if len(data) > most:
            raise TooLarge(f"The frame is larger than {most} bytes; send less at once.")
        return decode_frame(data, extended=peer.extended)

    def _known(self, vector: bytes) -> Generator[None, None, dict[int, int]]:
        """Decode a replica's state vector, as far as the document has something of its clients."""
        # A replica knows the clients of the document, however many they are, and may have some of its own.
        limit = len(self.vector) + self._settings.max_structs_per_frame
        return (yield from decode_state_vector_in_steps(vector, limit, self.vector))

    def _sync(self, connection: int, known: dict[int, int]) -> list[Effect]:
        if known:
            has_all = known == self.vector
            lacks = Encoded.of(self._changes.deleted()) if has_all else self.lacks(encode_state_vector(known))
            reply, is_first = self._openings.own(lacks, partial(self.lacks, EMPTY_VECTOR))
        else:
            reply, is_first = self._openings.reply(partial(self.lacks, EMPTY_VECTOR))
        self.synced.add(connection)
        return [AnswerSync(connection, reply), *([Remind(_OPENED, _OPENED_SECONDS)] if is_first else [])]


def _is_here(presence: RoomPresence, peers: Mapping[int, Peer], client: int, participant: str) -> bool:
    """Return whether a client is present; for client 0, whether the participant has any connection."""
    if client:
        return presence.is_here(client, participant)
    return any(peer.participant.id == participant for peer in peers.values())


def _listeners(peers: Mapping[int, Peer], participants: Collection[str]) -> dict[str, list[int]]:
    """Return the connections of participants that understand notices; one pass over all connections."""
    found: dict[str, list[int]] = {}
    for connection, peer in peers.items():
        if peer.extended and peer.participant.id in participants:
            found.setdefault(peer.participant.id, []).append(connection)
    return found


def read_copy(update: bytes) -> Generator[None, None, JsonObject]:
    """Read a whole document as plain JSON, in steps.

    Args:
        update: all of it.
    """
    document = SessionDocument(Doc())
    messages = document.messages
    messages.index = ListIndex(messages.shared)
    document.queue.index = ListIndex(document.queue.shared, notes_arrivals=False)
    try:
        for piece in split_update((yield from measure_in_steps(update)), _PIECE):
            if piece != EMPTY_UPDATE:
                document.doc.apply_update(piece)
            yield
        return (yield from document.to_json_in_steps())
    finally:
        messages.index.close()
        document.queue.index.close()


def _replay(updates: Sequence[bytes]) -> tuple[SessionDocument, int]:
    """Return the document of a log, with the indexes of its lists, and its bytes as an update."""
    document = SessionDocument(Doc())
    # An index can observe all entries now; to look each up later takes a walk over the list.
    messages = document.messages if any(_MESSAGES in update for update in updates) else None
    if messages is not None:
        messages.index = ListIndex(messages.shared)
    if any(_QUEUE in update for update in updates):
        document.queue.index = ListIndex(document.queue.shared, notes_arrivals=False)
    try:
        for group in in_transactions(updates):
            with document.doc.transaction():
                for update in group:
                    document.doc.apply_update(update)
        size = len(document.doc.get_update())  # a document that was applied can't always be encoded
    except BaseException as error:
        if is_crdt_error(error):
            raise SessionDamaged(DAMAGED) from error
        raise
    if messages is not None and messages.index is not None:
        messages.index.take_arrived()
        messages.unindex_if_short()
    return document, size
