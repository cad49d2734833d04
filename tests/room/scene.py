"""A room whose effects are kept, for tests without a loop."""

from pycrdt import merge_updates

from cosession.auth import Participant
from cosession.protocol import (
    AwarenessEntry,
    Frame,
    SyncStep1,
    SyncStep2,
    decode_frame,
    encode_frame,
)
from cosession.room.effects import AnswerSync, Append, Broadcast, BroadcastPresence, Echo, Effect, Send, SendPresence
from cosession.room.room import Peer, Room
from cosession.room.sync_reply import Reply
from cosession.settings import Settings

AT = "2026-01-01T00:00:00.000Z"


def whole(reply: Reply) -> bytes:
    """What a reply brings, as one update."""
    updates = [decode_frame(frame).update for frame in reply if frame]
    return updates[0] if len(updates) == 1 else merge_updates(*updates)


class Scene:
    """A room whose effects are kept: what each connection was sent, and what was logged."""

    at = AT
    """The server's time."""

    def __init__(self, settings: Settings, updates: list[bytes] | None = None, version: int = 0) -> None:
        self.room = Room(settings, updates or [], version)
        self.sent: dict[int, list[Frame]] = {}
        self.presence: dict[int, list[tuple[int, bool]]] = {}
        self.rows: list[Append] = []
        self.joined = 0

    @property
    def logged(self) -> list[Append]:
        """What clients wrote; the server's own hand left out."""
        return [row for row in self.rows if row.participant != "server"]

    @property
    def version(self) -> int:
        """How many updates came since the last connection joined."""
        return self.room.version - self.joined

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(connection, frame):
                    self.sent.setdefault(connection, []).append(decode_frame(frame))
                case AnswerSync(connection, reply):
                    self.sent.setdefault(connection, []).append(SyncStep2(whole(reply)))
                case Broadcast(update, besides):
                    for connection in self.room.synced - {besides}:
                        self.sent.setdefault(connection, []).append(decode_frame(update.frame))
                case Echo(update, connection):
                    self.sent.setdefault(connection, []).append(decode_frame(update.frame))
                case SendPresence(entries, connection):
                    self._tell(entries, {connection})
                case BroadcastPresence(entries, besides):
                    self._tell(entries, self.room.peers.keys() - {besides})
                case Append():
                    self.rows.append(effect)
                case _:
                    pass

    def _tell(self, entries: tuple[AwarenessEntry, ...], connections: set[int]) -> None:
        for connection in connections:
            self.presence.setdefault(connection, []).extend((entry.client, entry.gone) for entry in entries)

    def join(self, connection: int, who: str = "ada", *, extended: bool = False, synced: bool = True) -> None:
        self.do(self.room.join(connection, Peer(Participant(who, who), extended), AT))
        if synced:
            self.receive(connection, SyncStep1(b"\x00"))
            self.receive(connection, SyncStep2(b"\x00\x00"))
        self.sent.clear()
        self.joined = self.room.version
        self.do(self.room.committed(self.joined))

    def commit(self, updates: int) -> None:
        """Say that so many updates after the last join are on the disk."""
        self.do(self.room.committed(self.joined + updates))

    def receive(self, connection: int, frame: Frame) -> None:
        self.do(self.room.receive(connection, encode_frame(frame), self.at))

    def taken(self, connection: int) -> list[Frame]:
        """What a connection was sent since it was last asked."""
        frames, self.sent[connection] = self.sent.get(connection, []), []
        return frames
