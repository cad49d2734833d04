"""What everybody is told is merged while it waits: a frame stays small, and who is gone does not come back."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from pycrdt import Doc, Text
from runtime.channels import MemoryChannel
from simulation.clock import VirtualLoop

from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    Frame,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    encode_frame,
    read_update_header,
)
from cosession.protocol.awareness import GONE
from cosession.room.effects import Broadcast, BroadcastPresence, Update
from cosession.runtime import Ticker
from cosession.runtime.connection.writer import FrameWriter
from cosession.runtime.delivery import Delivery
from cosession.runtime.turns import Turns
from cosession.settings import Settings

AUTHOR, QUICK, SLOW = 0, 1, 2


class Readers:
    """A room's delivery to two connections: one takes all at once, what is for the other waits in its outbox."""

    def __init__(self, settings: Settings) -> None:
        self._delivery = Delivery(settings, Turns())
        self._quick: list[bytes] = []
        quick, self._slow = (
            FrameWriter(number, MemoryChannel("trip"), True, settings, Ticker(20.0)) for number in (QUICK, SLOW)
        )
        quick.pack, quick.write = self._packed, lambda _: None
        self._delivery.add(QUICK, quick)
        self._delivery.add(SLOW, self._slow)

    def tell(self, news: Broadcast | BroadcastPresence) -> None:
        tell = self._delivery.broadcast if isinstance(news, Broadcast) else self._delivery.announce
        tell(news, lambda: self._delivery.send_out({QUICK, SLOW}))

    def heard(self) -> tuple[list[Frame], list[Frame]]:
        """What each was sent since it was last asked."""
        quick, self._quick = self._quick, []
        slow = self._slow.outbox.take(lambda _: b"", {})
        return [decode_frame(frame) for frame in quick], [decode_frame(frame) for frame in slow]

    def _packed(self, frames: Sequence[bytes]) -> bytes:
        self._quick += frames
        return b"".join(frames)


def run(scenario: Callable[[Readers], None], settings: Settings) -> tuple[list[Frame], list[Frame]]:
    """Let a scenario happen in virtual time, and give what is heard once all of it was sent."""

    async def whole() -> tuple[list[Frame], list[Frame]]:
        readers = Readers(settings)
        scenario(readers)
        await asyncio.sleep(1)
        return readers.heard()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(whole())


def typed(text: str) -> list[Update]:
    """An update for each letter."""
    doc: Doc = Doc()
    notes, updates = doc.get("notes", type=Text), list[bytes]()
    subscription = doc.observe(lambda event: updates.append(event.update))
    for letter in text:
        notes += letter
    doc.unobserve(subscription)
    return [Update(update, encode_frame(SyncUpdate(update)), read_update_header(update).brings) for update in updates]


def said(frames: list[Frame]) -> list[list[tuple[int, int, bool]]]:
    """What is told in presence, frame by frame."""
    return [
        [(entry.client, entry.clock, entry.gone) for entry in decode_awareness(frame.payload)]
        for frame in frames
        if isinstance(frame, Awareness)
    ]


@pytest.mark.parametrize(("most", "expected"), [(3, [3, 3, 1]), (7, [7]), (1, [1] * 7)])
def test_no_more_updates_than_the_limit_become_one_frame(most: int, expected: list[int]) -> None:
    def scenario(readers: Readers) -> None:
        for update in typed("letters"):
            readers.tell(Broadcast(update, AUTHOR))

    for frames in run(scenario, Settings(max_merged_updates=most)):
        document, lengths = Doc(), list[int]()
        for frame in frames:
            assert isinstance(frame, SyncUpdate)
            lengths.append(sum(span.length for span in read_update_header(frame.update).brings))
            document.apply_update(frame.update)
        assert lengths == expected
        assert str(document.get("notes", type=Text)) == "letters"


def test_who_takes_their_state_back_while_it_waits_is_told_as_gone() -> None:
    def scenario(readers: Readers) -> None:
        for entry in (
            AwarenessEntry(5, 1, "{}"),
            AwarenessEntry(6, 1, "{}"),
            AwarenessEntry(5, 2, "{}"),
            AwarenessEntry(5, 3, GONE),
            AwarenessEntry(6, 2, GONE),
            AwarenessEntry(6, 3, "{}"),
        ):
            readers.tell(BroadcastPresence((entry,), AUTHOR))

    quick, slow = run(scenario, Settings(presence_seconds=0.05))
    assert said(quick) == [[(5, 1, False)], [(6, 3, False), (5, 3, True)]]
    assert [sorted(frame) for frame in said(slow)] == [[(5, 3, True), (6, 3, False)]]


def test_who_comes_and_goes_in_one_turn_of_the_room_is_told_as_gone() -> None:
    def scenario(readers: Readers) -> None:
        readers.tell(BroadcastPresence((AwarenessEntry(5, 1, "{}"), AwarenessEntry(5, 1, GONE)), AUTHOR))

    for frames in run(scenario, Settings()):
        assert said(frames) == [[(5, 1, True)]]


def test_large_states_let_small_ones_pass_and_come_one_by_one() -> None:
    """A bulletin of 50 ms may hold 3,276 bytes for the two readers of this room."""
    large = '{"x":"' + "x" * 4000 + '"}'

    def scenario(readers: Readers) -> None:
        readers.tell(BroadcastPresence((AwarenessEntry(1, 1, "{}"),), AUTHOR))
        for client in (2, 3):
            readers.tell(BroadcastPresence((AwarenessEntry(client, 1, large),), AUTHOR))
        for client in range(10, 30):
            readers.tell(BroadcastPresence((AwarenessEntry(client, 1, "{}"),), AUTHOR))

    quick, _ = run(scenario, Settings(presence_seconds=0.05, max_presence_bytes_per_second=2**17))
    told = [[client for client, _, _ in frame] for frame in said(quick)]
    assert told[0] == [1], "at once"
    assert sorted(client for frame in told for client in frame) == [1, 2, 3, *range(10, 30)], "nothing is lost"
    assert max(sum(client in (2, 3) for client in frame) for frame in told) == 1
