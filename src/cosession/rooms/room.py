"""A room: one live session document, and all that is decided about it. Synchronous, without clock or I/O.

Every frame of every connection comes through `Room.receive`, in the order in which it arrived; what should
happen comes back as effects, and the shell in `rooms.hub` carries them out. So order, the gap gate, receipts
and decisions are testable without a loop, a socket or a disk.

Invariants:
- An update that does not fit the state vector is never applied: yrs would integrate it silently and differ
  from Yjs for ever. The room asks for sync again instead.
- The bytes that came in are the bytes that are logged and sent; of what is known in part, the news.
- Versions are contiguous; an update has one exactly when it changed the document.
- A receipt (echo or fence) leaves only after `committed` says that the log holds what it stands for.
- After a panic of the CRDT library the room is broken: it must be thrown away and loaded again.
"""

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from pycrdt import ArrayEvent, Doc, Map, TransactionEvent

from cosession.auth import ANONYMOUS, SERVER, Participant
from cosession.document import Change, Message, SessionDocument, Subscription
from cosession.errors import MalformedFrame, NotAllowed, RoomBroken, StorageError, TooFast, TooLarge
from cosession.protocol import (
    EMPTY_UPDATE,
    Awareness,
    AwarenessEntry,
    Fence,
    Granted,
    QueryAwareness,
    Renewal,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    UpdateHeader,
    decode_awareness,
    decode_frame,
    decode_state_vector,
    encode_frame,
    read_update_header,
)
from cosession.protocol.nesting import MAX_TYPES_DEEP, check_nesting
from cosession.settings import Settings

from .admission import Admitted
from .attendance import Attendance
from .decisions import assume_looking, attend, decide, introduce
from .effects import (
    Answer,
    Append,
    Broadcast,
    BroadcastPresence,
    Echo,
    Effect,
    Refuse,
    Remind,
    Renew,
    Retitle,
    Send,
    SendPresence,
    Update,
)
from .gate import Gate
from .presence import Presence

_FENCE_BYTES = 1024
"""A fence waits for the disk, and many may: none of them may be large."""

_ANSWERS_WITH_HOLES = 3
"""How often a replica may answer with holes: it may be in the middle of a sync with another tab."""


@dataclass(slots=True)
class Peer:
    """What a room knows of one connection.

    Attributes:
        participant: whose it is.
        extended: whether it asked for our own frames (`?ext=1`); then it gets fences, and no echo.
        asked: whether it owes the answer to a sync step 1.
        fences: how many of its fences wait.
        held: the fences that came after an update with a gap: they stand for what the answer will bring.
        holes: how many of its last answers to a sync step 1 did not fit.
        gap: whether an update of it was not applied, because something before it is missing.
    """

    participant: Participant
    extended: bool = False
    asked: bool = True
    fences: int = 0
    held: list[bytes] = field(default_factory=list[bytes])
    gap: bool = False
    holes: int = 0

    @property
    def shows(self) -> bool:
        """Whether the others may see that it is here."""
        return self.participant.id != ANONYMOUS.id and self.participant.capabilities.may("presence")


@dataclass(slots=True)
class _Receipt:
    version: int
    connection: int
    update: Update | None
    fence: bytes | None


class Room:
    """The live document of one session.

    Args:
        settings: the limits.
        updates: what the log holds, in order; the first may be a snapshot.
        version: the version of the last of them; 0 for a new session.
        writers: whose each Yjs client id is, as far as it is known.

    Raises:
        StorageError: the log can't be replayed.
    """

    __slots__ = (
        "_attendance",
        "_receipts",
        "_settings",
        "_touched",
        "_watch",
        "committed_version",
        "document",
        "gate",
        "peers",
        "presence",
        "synced",
        "vector",
        "version",
    )

    def __init__(
        self, settings: Settings, updates: Iterable[bytes], version: int, writers: dict[int, str] | None = None
    ) -> None:
        self._settings = settings
        self.document = SessionDocument(_replay(updates))
        self.version = version
        self.committed_version = version
        self.presence = Presence(settings.max_presence_bytes)
        self.peers: dict[int, Peer] = {}
        self.synced: set[int] = set()
        """Who has had its first sync; before that an update would be a gap to it."""
        self.vector = decode_state_vector(self.document.doc.get_state())
        self._attendance = Attendance()
        self._receipts: list[_Receipt] = []
        self._touched: set[str] = set()
        watched = {"requests": self.document.requests.shared, "meta": self.document.meta.shared}
        self._watch = Subscription(self._note_touched, watched)
        self.gate = Gate(self.document, self.presence, settings, writers or {})

    def create(self, title: str, at: str) -> list[Effect]:
        """Write the first facts of a new session; an existing one is left as it is."""
        if self.version:
            return []
        return self.edit(lambda document: document.initialise(created_at=at, title=title), at)

    def recover(self, at: str) -> list[Effect]:
        """Write that nobody is here, after a crash that let nobody say so.

        Args:
            at: the last time that is known of, RFC 3339.
        """
        gone = [id_ for id_, who in self.document.participants if who.online]
        return self.edit(lambda document: attend(document, dict.fromkeys(gone, ()), dict.fromkeys(gone, at)), at)

    def join(self, connection: int, peer: Peer, at: str) -> list[Effect]:
        """Let a connection in: it is asked for what it has, and told who is here."""
        self.peers[connection] = peer
        effects: list[Effect] = [self._step1(connection)]
        everybody = self.presence.everybody()
        if everybody:
            effects.append(SendPresence(everybody, connection))
        return effects + self._introduce(connection, peer, at)

    def regrant(self, connection: int, participant: Participant, at: str) -> list[Effect]:
        """Take a connection for another participant: the same one, by a new token.

        A new name is told of by its next presence, for only its client can give that a newer clock.
        """
        peer = self.peers[connection]
        peer.participant = participant
        gone = () if participant.capabilities.may("presence") else self.presence.leave(connection)
        return self._tell(gone, None) + self._introduce(connection, peer, at)

    def leave(self, connection: int, at: str) -> list[Effect]:
        """Let a connection go; its presence goes with it."""
        peer = self.peers.pop(connection)
        self.synced.discard(connection)
        return self._tell(self.presence.leave(connection), None) + self._changed(peer, at)

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
        effects: list[Effect] = [Remind()] if self._attendance else []
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
                return self._update(connection, peer, update, data, at)
            case SyncStep1(vector):
                return self._sync(connection, vector)
            case SyncStep2(update):
                return self._answer(connection, peer, update, at)
            case Awareness(payload):
                return self._awareness(connection, peer, payload, at)
            case QueryAwareness():
                return [SendPresence(self.presence.everybody(), connection)]
            case Renewal(token) if peer.extended:
                return [Renew(connection, token)]
            case Fence(payload) if peer.extended:
                return self._fence(connection, peer, payload)
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
        effects: list[Effect] = []
        if by is SERVER:
            updates, arrived = self._captured(lambda: self._in_transaction(change)), ()
        else:
            with self._arrivals() as arrived:
                updates = self._captured(lambda: self._in_transaction(change))
        for update in updates:
            effects += self._accept_own(update, by)
        return effects + self._stamp(arrived, by, at) + self._after(by, at)

    def committed(self, version: int) -> list[Effect]:
        """Hear that the log holds everything up to a version; the receipts for it may leave."""
        self.committed_version = version
        effects: list[Effect] = []
        count = bisect_right(self._receipts, version, key=lambda receipt: receipt.version)
        receipts, self._receipts = self._receipts[:count], self._receipts[count:]
        for receipt in receipts:
            peer = self.peers.get(receipt.connection)
            if peer is None:
                continue
            if receipt.update is not None:
                effects.append(Echo(receipt.update, receipt.connection))
            elif receipt.fence is not None:
                peer.fences -= 1
                effects.append(Send(receipt.connection, receipt.fence))
        return effects

    def diff(self, vector: bytes) -> bytes:
        """What a document at this (encoded) state vector lacks, as an update."""
        return self.document.doc.get_update(vector)

    def close(self) -> None:
        """Stop observing the document."""
        self._watch.close()

    def _step1(self, connection: int) -> Effect:
        return Send(connection, encode_frame(SyncStep1(self.document.doc.get_state())))

    def _sync(self, connection: int, vector: bytes) -> list[Effect]:
        decode_state_vector(vector, self._settings.max_structs_per_frame)
        self.synced.add(connection)
        return [Answer(connection, self.diff(vector))]

    def _answer(self, connection: int, peer: Peer, update: bytes, at: str) -> list[Effect]:
        """Take in the answer to a sync step 1, and the fences that waited for it."""
        peer.asked = False
        effects = self._update(connection, peer, update, encode_frame(SyncUpdate(update)), at, answer=True)
        if peer.asked:
            return effects  # it had holes
        held, peer.held, peer.gap, peer.holes = peer.held, [], False, 0
        peer.fences -= len(held)
        for payload in held:
            effects += self._fence(connection, peer, payload)
        return effects

    def _update(
        self, connection: int, peer: Peer, update: bytes, frame: bytes, at: str, *, answer: bool = False
    ) -> list[Effect]:
        if update == EMPTY_UPDATE:
            return []
        header = read_update_header(update, self._settings.max_structs_per_frame)
        if header.types > MAX_TYPES_DEEP:
            check_nesting(update)
        if not header.fits(self.vector):
            return self._ask_again(connection, peer, answer)
        by = peer.participant
        if not answer:
            self.gate.check_writers(header, by, self.vector)
        if not by.capabilities.writes_everything:
            try:
                admitted = self.gate.admit(update, header, by, offered=answer)
            except NotAllowed as error:
                if not answer:
                    raise
                return self._take_parts(connection, by, update, at, error)
            if admitted.update is not update:
                return self._apply_admitted(admitted, connection, by, at)
        return self._apply_new(Update(update, frame, header.brings), header, connection, by, at, offered=answer)

    def _apply_admitted(self, admitted: Admitted, connection: int, by: Participant, at: str) -> list[Effect]:
        """Apply what admission made of an update."""
        data, header = admitted.update, admitted.header
        if data == EMPTY_UPDATE:
            return []
        update = Update(data, encode_frame(SyncUpdate(data)), header.brings)
        return self._apply_new(update, header, connection, by, at, offered=True)

    def _apply_new(
        self, update: Update, header: UpdateHeader, connection: int, by: Participant, at: str, *, offered: bool
    ) -> list[Effect]:
        """Apply an update that may be applied, if it changes anything, and do what follows from it."""
        if not header.types:  # a message is made of some
            return self._apply_plain(update, header, connection, by, at, offered=offered)
        with self._arrivals() as arrived:
            effects = self._apply_plain(update, header, connection, by, at, offered=offered)
        return effects + self._stamp(arrived, by, at, offered=offered)

    def _apply_plain(
        self, update: Update, header: UpdateHeader, connection: int, by: Participant, at: str, *, offered: bool
    ) -> list[Effect]:
        if header.is_news(self.vector):
            self._apply(update.update)
        else:
            # Who wrote what is known already must not get it back with this, before it is committed.
            changes = self._captured(lambda: self._apply(update.update))
            if not changes:
                return []
            [data] = changes
            update = Update(data, encode_frame(SyncUpdate(data)), read_update_header(data).brings)
        effects = self._accept(update, connection, by, offered=offered)
        return effects + self._after(by, at) if self._touched else effects

    def _take_parts(self, connection: int, by: Participant, offer: bytes, at: str, error: NotAllowed) -> list[Effect]:
        """Take of an offer what its participant may give, and end the connection: its document is another."""
        effects: list[Effect] = []
        parts = list(self.gate.parts_of_offer(offer, by))
        while parts:
            waiting = [(part, header) for part, header in parts if not header.fits(self.vector)]
            for part, header in parts:
                if header.fits(self.vector):
                    with suppress(NotAllowed, MalformedFrame, TooLarge):
                        admitted = self.gate.admit(part, header, by, offered=True)
                        effects += self._apply_admitted(admitted, connection, by, at)
            if len(waiting) == len(parts):
                break
            parts = waiting
        return [*effects, Refuse(connection, error)]

    def _ask_again(self, connection: int, peer: Peer, answer: bool) -> list[Effect]:
        peer.holes += answer
        if peer.holes > _ANSWERS_WITH_HOLES:
            raise MalformedFrame("The document that you sync has holes; start from a fresh one.")
        peer.gap = True
        if peer.asked:
            return []
        peer.asked = True
        return [self._step1(connection)]

    def _accept(
        self, update: Update, connection: int | None, by: Participant, *, offered: bool = False
    ) -> list[Effect]:
        """Give an applied update its version, and say who gets it."""
        self.gate.applied(update.update, update.brings, SERVER if connection is None else by, offered=offered)
        for span in update.brings:
            self.vector[span.client] = max(span.end, self.vector.get(span.client, 0))
        self.version += 1
        if connection is not None and not self.peers[connection].extended:
            self._receipts.append(_Receipt(self.version, connection, update, None))
        in_a_name = connection is None and by is not SERVER
        is_one = len({span.client for span in update.brings}) == 1
        is_sure = not in_a_name and not (offered and by.capabilities.may("edit-any"))
        client = update.brings[0].client if is_one and is_sure else None
        return [Append(self.version, by.id, client, update.update), Broadcast(update, connection)]

    def _accept_own(self, update: bytes, by: Participant) -> list[Effect]:
        """Accept what the server itself did to the document."""
        brings = read_update_header(update).brings
        return self._accept(Update(update, encode_frame(SyncUpdate(update)), brings), None, by)

    @contextmanager
    def _arrivals(self) -> Generator[list[Message]]:
        """The messages that the block adds to the list."""
        arrived: list[Message] = []

        def note(event: ArrayEvent) -> None:
            for step in cast("list[dict[str, Any]]", event.delta):
                arrived.extend(
                    Message(cast("Map[Any]", item)) for item in step.get("insert", ()) if isinstance(item, Map)
                )

        messages = self.document.messages.shared
        subscription = messages.observe(note)
        try:
            yield arrived
        finally:
            messages.unobserve(subscription)

    def _stamp(self, arrived: Sequence[Message], by: Participant, at: str, *, offered: bool = False) -> list[Effect]:
        """Write on the messages that just came who wrote them, when they came and after which others.

        Who may edit everything may also bring back what others wrote, and is believed about who that was.
        """
        brings_back = offered and by.capabilities.may("edit-any")
        seq = self.version

        def stamp(_: SessionDocument) -> None:
            for message in arrived:
                if message.stamp is None:
                    message.set_stamp(by=(brings_back and message.author) or by.id, at=at, seq=seq)

        effects: list[Effect] = []
        for update in self._captured(lambda: self._in_transaction(stamp)) if arrived else ():
            effects += self._accept_own(update, SERVER)
        return effects

    def _after(self, by: Participant, at: str) -> list[Effect]:
        """Do what a change asks of the server: answer requests, note the title."""
        effects: list[Effect] = []
        while self._touched:
            touched, self._touched = self._touched, set()
            if "meta" in touched:
                effects.append(Retitle(self.document.meta.title))
            if "requests" in touched:
                for update in self._captured(lambda: self._in_transaction(lambda document: decide(document, by, at))):
                    effects += self._accept_own(update, SERVER)
                self._touched.discard("requests")
        return effects

    def _awareness(self, connection: int, peer: Peer, payload: bytes, at: str) -> list[Effect]:
        entries = decode_awareness(payload)
        if not peer.participant.capabilities.may("presence"):
            return []
        before = self.presence.visible(connection)
        heard = self.presence.receive(connection, peer.participant, entries)
        effects = self._tell(heard.others, connection)
        if self.presence.visible(connection) is not before:
            effects += self._changed(peer, at)
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
        return effects + self._changed(peer, at)

    def _changed(self, peer: Peer, at: str) -> list[Effect]:
        """Note that something has changed in who is here."""
        if peer.participant.id == ANONYMOUS.id:
            return []
        is_first = not self._attendance
        self._attendance.note(peer.participant.id, at)
        return [Remind()] if is_first else []

    def _tell(self, news: tuple[AwarenessEntry, ...], origin: int | None) -> list[Effect]:
        return [BroadcastPresence(news, origin)] if news else []

    def _fence(self, connection: int, peer: Peer, payload: bytes) -> list[Effect]:
        if len(payload) > _FENCE_BYTES:
            raise TooLarge(f"The payload of a fence is larger than {_FENCE_BYTES} bytes; a number is enough.")
        frame = encode_frame(Fence(payload))
        if self.committed_version >= self.version and not peer.gap:
            return [Send(connection, frame)]
        if peer.fences >= self._settings.max_fences:
            raise TooFast(f"More than {self._settings.max_fences} fences wait for the disk; send one at a time.")
        peer.fences += 1
        if peer.gap:
            peer.held.append(payload)
        else:
            self._receipts.append(_Receipt(self.version, connection, None, frame))
        return []

    def _apply(self, update: bytes) -> None:
        try:
            self.document.doc.apply_update(update)
        except ValueError as error:
            raise MalformedFrame(f"The update can't be applied: {error}") from error
        except BaseException as error:
            if type(error).__name__ == "PanicException":
                raise RoomBroken("The session met an update that breaks it; connect again.") from error
            raise

    def _in_transaction(self, change: Callable[[SessionDocument], object]) -> None:
        with self.document.transaction(origin=SERVER.id):
            change(self.document)

    def _captured(self, act: Callable[[], None]) -> list[bytes]:
        """Do something to the document, and return the updates that it made, if it changed anything."""
        updates: list[bytes] = []

        def note(event: TransactionEvent) -> None:
            if event.update != EMPTY_UPDATE:
                updates.append(event.update)

        subscription = self.document.doc.observe(note)
        try:
            act()
        except Exception as error:
            if updates:
                raise RoomBroken("The server met an error in the middle of a change; connect once more.") from error
            raise
        finally:
            self.document.doc.unobserve(subscription)
        return updates

    def _note_touched(self, changes: list[Change]) -> None:
        self._touched.update(str(change.path[0]) for change in changes)


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
