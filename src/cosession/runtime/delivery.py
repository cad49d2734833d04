"""Delivery: passes the frames of a room to the writers of its connections.

A frame for one connection is put into its outbox, which is emptied once all effects of one call are carried out.
Broadcasts wait for the room's turn; presence is limited to so many times a second before that.
"""

from collections.abc import Callable, Iterable, Set
from typing import TypeAlias

from cosession.room.effects import AnswerSync, Broadcast, BroadcastPresence, Echo, Send, SendPresence
from cosession.settings import Settings

from .bulletin import Bulletin
from .connection.writer import FrameWriter
from .fanout import FanOut
from .turns import Turns

SendOut: TypeAlias = Callable[[], None]
"""A function that is called at the room's turn, and calls `Delivery.send_out`."""


class Delivery:
    """The delivery of one room.

    Args:
        settings: the limits.
        turns: the turns in which rooms send out.
    """

    __slots__ = ("_addressed", "_bulletin", "_fan_out", "_turns", "_writers")

    def __init__(self, settings: Settings, turns: Turns) -> None:
        self._turns = turns
        self._bulletin = Bulletin(settings.presence_seconds, settings.max_presence_bytes_per_second)
        self._fan_out = FanOut(settings.max_merged_updates)
        self._writers: dict[int, FrameWriter] = {}
        self._addressed: dict[int, FrameWriter] = {}

    def add(self, connection: int, writer: FrameWriter) -> None:
        """Deliver to a connection from now on."""
        self._writers[connection] = writer

    def remove(self, connection: int) -> None:
        """Deliver nothing more to a connection."""
        del self._writers[connection]

    def put(self, effect: Send | AnswerSync | Echo | SendPresence) -> None:
        """Put a frame into the outbox of one connection, if that is still open."""
        writer = self._writers.get(effect.connection)
        if writer is None:
            return
        self._addressed[effect.connection] = writer
        if isinstance(effect, Echo):  # of each token: a match of a class takes ten times as long
            writer.outbox.put_echo(effect.update)
            return
        match effect:
            case Send(_, frame):
                writer.outbox.put_frame(frame)
            case AnswerSync(_, reply):
                writer.outbox.put_reply(reply)
            case SendPresence(entries):
                writer.outbox.put_presence(entries)

    def flush(self) -> None:
        """Send the frames that were put."""
        if self._addressed:
            addressed, self._addressed = self._addressed, {}
            for writer in addressed.values():
                writer.flush()

    def broadcast(self, news: Broadcast, send_out: SendOut) -> None:
        """Send an update to all connections at the room's next turn."""
        self._gather((news,), send_out)

    def announce(self, news: BroadcastPresence, send_out: SendOut) -> None:
        """Send presence that came, changed or left to all connections, with the next bulletin."""

        def tell(bulletin: Iterable[BroadcastPresence]) -> int:
            self._gather(bulletin, send_out)
            return len(self._writers)

        self._bulletin.put(news, tell)

    def send_out(self, synced: Set[int]) -> None:
        """Send out the broadcasts since the last turn.

        Args:
            synced: the connections that get updates; all get presence.
        """
        self._fan_out.send_out(self._writers, synced)

    def _gather(self, news: Iterable[Broadcast | BroadcastPresence], send_out: SendOut) -> None:
        if not self._fan_out:
            self._turns.ask(send_out)
        for one in news:
            self._fan_out.put(one)
