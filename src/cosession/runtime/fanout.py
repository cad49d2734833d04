"""Fan-out: the broadcasts of a room, gathered until its turn.

They are merged once and packed once, and the same bytes are written to all connections that get the same; the author
of some gets the others, in shared parts as well. A connection that can't be written to at once gets them into its
outbox.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Generic, TypeVar

from cosession.protocol import Awareness, encode_awareness, encode_frame
from cosession.room.effects import Broadcast, BroadcastPresence, Update
from cosession.room.send_queue import merge

from .connection.channel import Pack
from .connection.writer import FrameWriter

_FEW_AUTHORS = 4
"""Up to so many authors, each gets the updates of the others merged for it; more share frames merged for all."""

_Item = TypeVar("_Item")


class _Parcel:
    """The same frames for many connections.

    Args:
        frames: the frames to send.
    """

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = frames
        self._packed: dict[Pack, bytes] = {}

    def packed(self, pack: Pack) -> bytes:
        """Return the frames as bytes for the wire, made once for each kind of channel."""
        data = self._packed.get(pack)
        if data is None:
            data = self._packed[pack] = pack(self._frames)
        return data


class _Halves(Generic[_Item]):
    """News in their order, and frames of them in halves of halves, each made once.

    All but a few of `n` news are `log n` such frames for each of these few. So the work for all authors together is
    `n log n`; made for each of them it would be `n` times `n`.

    Args:
        items: the news.
        in_frames: makes frames of some that follow each other.
    """

    def __init__(self, items: Sequence[_Item], in_frames: Callable[[Sequence[_Item]], Sequence[bytes]]) -> None:
        self._items = items
        self._in_frames = in_frames
        self._parcels: dict[tuple[int, int], _Parcel] = {}

    def all(self) -> _Parcel:
        """Return all of them."""
        return self._parcel(0, len(self._items))

    def besides(self, places: Sequence[int], pack: Pack) -> bytes:
        """Return all but those at some places, which are in order, as bytes for the wire."""
        found: list[bytes] = []
        spans = [(0, len(self._items))]
        while spans:
            start, end = spans.pop()
            place = bisect_left(places, start)
            if place == len(places) or places[place] >= end:
                found.append(self._parcel(start, end).packed(pack))
            elif end > start + 1:
                middle = (start + end) // 2
                spans += ((middle, end), (start, middle))
        return b"".join(found)

    def _parcel(self, start: int, end: int) -> _Parcel:
        parcel = self._parcels.get((start, end))
        if parcel is None:
            parcel = self._parcels[start, end] = _Parcel(self._in_frames(self._items[start:end]))
        return parcel


class FanOut:
    """The broadcasts that wait for the next turn of a room.

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
        """Add a broadcast to all connections except the one that it came from."""
        if isinstance(news, Broadcast):
            self._updates.append(news)
        else:
            self._presence.append(news)

    def send_out(self, writers: Mapping[int, FrameWriter], synced: Set[int]) -> None:
        """Send all of it.

        Args:
            writers: the writers of all connections, by number; they get presence.
            synced: the connections that had their first sync; they get updates.
        """
        if self._updates:
            broadcasts, self._updates = self._updates, []
            self._send_updates(broadcasts, writers, synced)
        if self._presence:
            news, self._presence = self._presence, []
            _send_presence(news, writers)

    def _send_updates(
        self, broadcasts: Sequence[Broadcast], writers: Mapping[int, FrameWriter], synced: Set[int]
    ) -> None:
        everything = [broadcast.update for broadcast in broadcasts]
        halves = _Halves(everything, partial(merge, at_once=self._max_merged))
        parcel, authors = halves.all(), _places_of(broadcasts)
        for number in synced:
            writer = writers[number]
            own = authors.get(number)
            if own is None:
                _hand_over(writer, everything, parcel)
            elif len(own) < len(everything):
                if len(authors) > _FEW_AUTHORS and writer.write is not None:
                    writer.write(halves.besides(own, writer.pack))
                    continue
                others = [broadcast.update for broadcast in broadcasts if broadcast.besides != number]
                _hand_over(writer, others, _Parcel(merge(others, self._max_merged)))


def _places_of(news: Iterable[Broadcast | BroadcastPresence]) -> dict[int | None, list[int]]:
    """Return, by connection, the places of the news that it isn't sent."""
    places: dict[int | None, list[int]] = {}
    for place, one in enumerate(news):
        places.setdefault(one.besides, []).append(place)
    return places


def _hand_over(writer: FrameWriter, updates: Sequence[Update], parcel: _Parcel) -> None:
    write = writer.write
    if write is None:
        writer.outbox.put_updates(updates)
        writer.flush()
    else:
        write(parcel.packed(writer.pack))


def _send_presence(news: Sequence[BroadcastPresence], writers: Mapping[int, FrameWriter]) -> None:
    latest = {entry.client: BroadcastPresence((entry,), one.besides) for one in news for entry in one.entries}
    told = tuple(latest.values())
    halves = _Halves(told, _presence_frames)
    parcel, speakers = halves.all(), _places_of(told)
    for number, writer in writers.items():
        own = speakers.get(number, ())
        if len(own) == len(told):
            continue
        if writer.write is not None:
            writer.write(halves.besides(own, writer.pack) if own else parcel.packed(writer.pack))
            continue
        writer.outbox.put_presence(one.entries[0] for one in told if one.besides != number)
        if writer.outbox:
            writer.flush()


def _presence_frames(news: Iterable[BroadcastPresence]) -> Sequence[bytes]:
    return [encode_frame(Awareness(encode_awareness([entry for one in news for entry in one.entries])))]
