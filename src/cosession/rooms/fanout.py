"""Fan-out: what a room's connections have yet to be sent, gathered until it is the room's turn.

It is merged once and packed once, and the same bytes are written to all who get the same; who wrote some of it gets
the rest. Whoever can't be written to at once gets it into the outbox.
"""

from collections.abc import Mapping, Sequence, Set

from cosession.protocol import Awareness, encode_awareness, encode_frame

from .channel import Pack
from .effects import Broadcast, BroadcastPresence, Update
from .outbox import merge
from .writer import Writer


class _Parcel:
    """The same frames for many connections.

    Args:
        frames: what is sent.
    """

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = frames
        self._packed: dict[Pack, bytes] = {}

    def packed(self, pack: Pack) -> bytes:
        """The frames as bytes for the wire, made once for each kind of channel."""
        data = self._packed.get(pack)
        if data is None:
            data = self._packed[pack] = pack(self._frames)
        return data


class FanOut:
    """What waits for the next turn of a room.

    Args:
        max_merged: how many updates become one frame at most.
    """

    __slots__ = ("_max_merged", "_presence", "_updates")

    def __init__(self, max_merged: int) -> None:
        self._max_merged = max_merged
        self._updates: list[Broadcast] = []
        self._presence: list[BroadcastPresence] = []

    def __bool__(self) -> bool:
        return bool(self._updates or self._presence)

    def put(self, news: Broadcast | BroadcastPresence) -> None:
        """Add something to be sent to everybody, besides the one that it came from."""
        if isinstance(news, Broadcast):
            self._updates.append(news)
        else:
            self._presence.append(news)

    def send_out(self, writers: Mapping[int, Writer], synced: Set[int]) -> None:
        """Send all of it.

        Args:
            writers: to everybody, by the number of the connection; they get presence.
            synced: who has had its first sync; they get updates.
        """
        if self._updates:
            broadcasts, self._updates = self._updates, []
            self._send_updates(broadcasts, writers, synced)
        if self._presence:
            news, self._presence = self._presence, []
            _send_presence(news, writers)

    def _send_updates(self, broadcasts: Sequence[Broadcast], writers: Mapping[int, Writer], synced: Set[int]) -> None:
        everything = [broadcast.update for broadcast in broadcasts]
        parcel = self._parcel(everything)
        authors = {broadcast.besides for broadcast in broadcasts}
        for number in synced:
            writer = writers[number]
            if number in authors:
                others = [broadcast.update for broadcast in broadcasts if broadcast.besides != number]
                if others:
                    _hand_over(writer, others, self._parcel(others))
            else:
                _hand_over(writer, everything, parcel)

    def _parcel(self, updates: Sequence[Update]) -> _Parcel:
        return _Parcel(merge(updates, self._max_merged))


def _hand_over(writer: Writer, updates: Sequence[Update], parcel: _Parcel) -> None:
    write = writer.write
    if write is None:
        writer.outbox.put_updates(updates)
        writer.flush()
    else:
        write(parcel.packed(writer.pack))


def _send_presence(news: Sequence[BroadcastPresence], writers: Mapping[int, Writer]) -> None:
    latest = {entry.client: entry for broadcast in news for entry in broadcast.entries}
    parcel = _Parcel([encode_frame(Awareness(encode_awareness(latest.values())))])
    speakers = {broadcast.besides for broadcast in news}
    for number, writer in writers.items():
        if number not in speakers and writer.write is not None:
            writer.write(parcel.packed(writer.pack))
            continue
        for broadcast in news:
            if broadcast.besides != number:
                writer.outbox.put_presence(broadcast.entries)
        if writer.outbox:
            writer.flush()
