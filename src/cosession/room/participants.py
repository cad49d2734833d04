"""The participants of a room: connections come and go; presence shows it at once, the document a little later.

Pure, like the room that it is a part of: it returns effects.
"""

from collections.abc import Callable, Iterable, Sequence, Set

from cosession.auth.participant import ANONYMOUS, Participant
from cosession.document import SessionDocument
from cosession.protocol import AwarenessEntry, Granted, Limits, Notice, encode_frame

from .attendance import Attendance, assume_looking, attend, introduce, is_introduced
from .decisions import Leases
from .effects import BroadcastPresence, Effect, Remind, Send, SendPresence
from .peer import Peer
from .presence import RoomPresence

ATTENDANCE = "attendance"
"""The timer after which the attendance is written into the document."""

Edit = Callable[[Callable[[SessionDocument], object], str], list[Effect]]
"""A function that makes a change of the server's own, at a time (RFC 3339)."""

Bind = Callable[[Iterable[int], Participant], list[Effect]]
"""A function that binds those of some Yjs client ids that have no owner yet to a participant."""


class ParticipantRecords:
    """The participants that are connected to one room.

    Args:
        document: the session; it is only read here.
        peers: the open connections.
        presence: their presence states.
        leases: the leases that they hold, with the grace after they leave.
        edit: changes the document.
        bind: notes durably the participant of a client id.
        attendance_seconds: how long a change must last before it is written into the document.
        limits: how much a connection may send at once.
    """

    __slots__ = (
        "_attendance",
        "_bind",
        "_document",
        "_edit",
        "_leases",
        "_limits",
        "_peers",
        "_presence",
        "_seconds",
        "_workers",
    )

    def __init__(
        self,
        document: SessionDocument,
        peers: dict[int, Peer],
        presence: RoomPresence,
        leases: Leases,
        edit: Edit,
        bind: Bind,
        attendance_seconds: float,
        limits: Limits,
    ) -> None:
        self._document = document
        self._peers = peers
        self._presence = presence
        self._leases = leases
        self._edit = edit
        self._bind = bind
        self._seconds = attendance_seconds
        self._limits = limits
        self._attendance = Attendance()
        self._workers: dict[str, int] = {}

    def join(self, connection: int, peer: Peer, at: str) -> list[Effect]:
        """Add a connection, and send it the presence of all others."""
        self._peers[connection] = peer
        everybody = self._presence.everybody()
        shown: list[Effect] = [SendPresence(everybody, connection)] if everybody else []
        return shown + self._leases.came(0) + self._introduce(peer, at)

    def grant(self, connection: int, peer: Peer) -> list[Effect]:
        """Send a connection its participant and its rights and limits, if it understands that frame."""
        if not peer.extended:
            return []
        who = peer.participant
        granted = Granted(who.id, who.name, who.kind, who.capabilities.written(), who.expires_at, self._limits)
        return [Send(connection, encode_frame(granted))]

    def regrant(self, connection: int, participant: Participant, at: str) -> list[Effect]:
        """Replace the participant of a connection: the same one, by a new token.

        A new name is sent with the client's next presence, because only the client can give that a newer clock.
        """
        peer = self._peers[connection]
        peer.participant = participant
        gone = () if participant.capabilities.may("presence") else self._presence.leave(connection)
        told = self._tell(gone, None) + self._left(gone) + self.grant(connection, peer)
        return told + self._introduce(peer, at)

    def leave(self, connection: int, at: str) -> list[Effect]:
        """Remove a connection and its presence."""
        peer = self._peers.pop(connection)
        gone = self._presence.leave(connection)
        leases = self._left(gone) + self._leases.left(0, goodbye=False)
        return self._tell(gone, None) + leases + self._changed(peer.participant, at)

    def hear(self, connection: int, entries: Sequence[AwarenessEntry], at: str) -> list[Effect]:
        """Handle the presence states that a connection sends: its own, and those that it passes on of others."""
        peer = self._peers[connection]
        if not peer.participant.capabilities.may("presence"):
            return []
        before = self._presence.visible(connection)
        heard = self._presence.receive(connection, peer.participant, entries)
        effects = self._tell(heard.others, connection)
        if heard.bound is not None:
            effects += self._bind((heard.bound,), peer.participant)
        for entry in heard.others:
            leases = self._leases
            effects += leases.left(entry.client, goodbye=True) if entry.gone else leases.came(entry.client)
        if self._presence.visible(connection) is not before:
            effects += self._changed(peer.participant, at)
        if heard.is_too_large and peer.extended:
            effects.append(Send(connection, self._too_large()))
        if heard.sender:
            effects.append(SendPresence(heard.sender, connection))
        return effects

    def man(self, agent: Participant, workers: int, at: str) -> list[Effect]:
        """Set the number of workers that wait for an agent's work: an agent with workers is online.

        Args:
            agent: the agent.
            workers: how many; 0 when the last one is gone.
            at: the server's time, RFC 3339.
        """
        if workers:
            self._workers[agent.id] = workers
        else:
            self._workers.pop(agent.id, None)
        effects = self._write_introduction(agent, at) if workers else []
        return effects + self._changed(agent, at)

    def agents(self) -> Set[str]:
        """Return the agents that have a connection or workers; one pass over all connections."""
        connected = (peer.participant for peer in self._peers.values())
        return self._workers.keys() | {who.id for who in connected if who.kind == "agent"}

    def attend(self, at: str, *, at_once: bool = False) -> list[Effect]:
        """Write the attendance into the document, where it has changed.

        Args:
            at: the server's time, RFC 3339.
            at_once: whether to write also changes since the last tick, which may soon change back.
        """
        due = self._attendance.take(at_once=at_once)
        here: dict[str, list[bool]] = {id_: [] for id_ in due}
        for connection, peer in self._peers.items() if due else ():
            if peer.participant.id in here and peer.shows:
                visible = self._presence.visible(connection)
                here[peer.participant.id].append(assume_looking(peer.participant) if visible is None else visible)
        for id_ in here.keys() & self._workers.keys():
            here[id_] += [False] * self._workers[id_]
        effects: list[Effect] = [self._tick()] if self._attendance else []
        return effects + (self._edit(lambda document: attend(document, here, due), at) if due else [])

    def _introduce(self, peer: Peer, at: str) -> list[Effect]:
        """Write the participant of a connection into the document."""
        return self._write_introduction(peer.participant, at) + self._changed(peer.participant, at)

    def _write_introduction(self, who: Participant, at: str) -> list[Effect]:
        """Write a participant's facts if the document lacks them: each edit iterates over all Yjs client ids."""
        if is_introduced(self._document, who):
            return []
        return self._edit(lambda document: introduce(document, who, at), at)

    def _too_large(self) -> bytes:
        most = self._limits.presence_bytes
        reason = f"A presence state is larger than {most} bytes and was dropped; keep it small."
        return encode_frame(Notice("too-large", reason, touched="presence", final=False))

    def _changed(self, who: Participant, at: str) -> list[Effect]:
        """Note that a participant's attendance has changed."""
        if who.id == ANONYMOUS.id:
            return []
        is_first = not self._attendance
        self._attendance.note(who.id, at)
        return [self._tick()] if is_first else []

    def _tick(self) -> Effect:
        return Remind(ATTENDANCE, self._seconds)

    def _left(self, gone: tuple[AwarenessEntry, ...]) -> list[Effect]:
        """Start the grace of the leases of departed clients."""
        return [effect for entry in gone for effect in self._leases.left(entry.client, goodbye=False)]

    def _tell(self, news: tuple[AwarenessEntry, ...], origin: int | None) -> list[Effect]:
        return [BroadcastPresence(news, origin)] if news else []
