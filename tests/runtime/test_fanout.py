"""Fan-out of one turn: each connection gets what the others said, and work is shared by all who said something."""

from collections.abc import Sequence

import pytest
from pycrdt import Doc, Map
from runtime.channels import MemoryChannel
from runtime.test_long_frames import calls_of_each

from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    encode_frame,
    read_update_header,
)
from cosession.room.effects import Broadcast, BroadcastPresence, Update
from cosession.room.send_queue import merge
from cosession.runtime import Ticker
from cosession.runtime.connection.writer import FrameWriter
from cosession.runtime.fanout import FanOut
from cosession.settings import Settings


def update_of(client: int) -> Update:
    doc: Doc[dict[str, int]] = Doc(client_id=client + 1)
    doc.get("state", type=Map)[f"k{client}"] = client
    data = doc.get_update()
    return Update(data, encode_frame(SyncUpdate(data)), read_update_header(data).brings)


def entry(client: int, clock: int = 1) -> AwarenessEntry:
    return AwarenessEntry(client, clock, '{"x": 1}')


class Readers:
    """So many connections that take all at once, and what each was sent; of the slow ones, what waits."""

    def __init__(self, size: int, slow: frozenset[int] = frozenset()) -> None:
        self.sent: dict[int, list[bytes]] = {number: [] for number in range(size)}
        self.writers: dict[int, FrameWriter] = {}
        self._packs: dict[bytes, list[bytes]] = {}
        for number in range(size):
            writer = self.writers[number] = FrameWriter(number, MemoryChannel("trip"), True, Settings(), Ticker(20.0))
            if number not in slow:
                writer.pack, writer.write = self.pack, self.sent[number].append

    @staticmethod
    def pack(frames: Sequence[bytes]) -> bytes:
        return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)

    def heard(self, number: int) -> list[bytes]:
        data, frames = b"".join(self.sent[number]), list[bytes]()
        while data:
            size = int.from_bytes(data[:4], "big")
            frames.append(data[4 : 4 + size])
            data = data[4 + size :]
        return frames or self.writers[number].outbox.take(lambda _: b"", {})

    def updates(self, number: int) -> set[int]:
        """Whose updates a connection was sent, each once."""
        clients: list[int] = []
        for frame in map(decode_frame, self.heard(number)):
            assert isinstance(frame, SyncUpdate)
            clients += [span.client - 1 for span in read_update_header(frame.update).brings]
        assert len(clients) == len(set(clients))
        return set(clients)

    def presence(self, number: int) -> dict[int, int]:
        entries: list[AwarenessEntry] = []
        for frame in map(decode_frame, self.heard(number)):
            assert isinstance(frame, Awareness)
            entries += decode_awareness(frame.payload)
        return {one.client: one.clock for one in entries}


@pytest.mark.anyio
@pytest.mark.parametrize("authors", [1, 2, 3, 5, 8, 21])
async def test_each_connection_is_sent_what_all_others_wrote_in_a_turn(authors: int) -> None:
    readers = Readers(24, slow=frozenset({0, 23}))
    fan_out = FanOut(7)
    by = {number: number * number % authors for number in range(40)}
    for number, author in by.items():
        fan_out.put(Broadcast(update_of(number), author))
    fan_out.send_out(readers.writers, set(readers.writers))
    for connection in range(24):
        assert readers.updates(connection) == {number for number, author in by.items() if author != connection}


@pytest.mark.anyio
@pytest.mark.parametrize("speakers", [1, 2, 3, 5, 8, 21])
async def test_each_connection_is_sent_what_all_others_say_in_presence(speakers: int) -> None:
    readers = Readers(24, slow=frozenset({0, 23}))
    fan_out = FanOut(7)
    latest: dict[int, tuple[int, int]] = {}
    for number in range(40):
        client, speaker = number % 30, number * number % speakers
        latest[client] = speaker, number
        fan_out.put(BroadcastPresence((entry(client, number),), speaker))
    fan_out.send_out(readers.writers, set())
    for connection in range(24):
        expected = {client: clock for client, (speaker, clock) in latest.items() if speaker != connection}
        assert readers.presence(connection) == expected


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["updates", "presence"])
async def test_the_work_of_a_turn_grows_hardly_faster_than_those_who_say_something(kind: str) -> None:
    calls: list[int] = []
    for size in (100, 400):
        readers, fan_out = Readers(size), FanOut(256)
        for number in range(size):
            said = Broadcast(update_of(number), number) if kind == "updates" else None
            fan_out.put(said or BroadcastPresence((entry(number),), number))
        turn = (fan_out.send_out(readers.writers, set(readers.writers)) for _ in range(1))
        calls.append(calls_of_each(turn)[0])
    assert calls[1] <= 8 * calls[0], calls


def test_large_updates_are_not_merged_and_small_ones_are() -> None:
    doc: Doc[dict[str, str]] = Doc(client_id=9)
    state, updates = doc.get("state", type=Map), list[Update]()
    for size in (10, 10, 20_000, 10, 10, 9_000, 9_000, 10):
        before = doc.get_state()
        state[f"k{len(updates)}"] = "x" * size
        data = doc.get_update(before)
        updates.append(Update(data, encode_frame(SyncUpdate(data)), read_update_header(data).brings))
    frames = merge(updates, 256)
    brought = [decode_frame(frame) for frame in frames]
    assert [read_update_header(one.update).brings[0].length for one in brought if isinstance(one, SyncUpdate)] == [
        2,
        1,
        3,
        2,
    ]
    assert frames[1] is updates[2].frame
