"""The replica alone: frames in, frames out."""

import asyncio
import json
import sys
from typing import Any

import pytest
from client.hub import until
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Map, Provider, Text, create_sync_message, create_update_message, handle_sync_message

from cosession.client.presence import Presence
from cosession.client.replica import DocumentBroken, Replica
from cosession.errors import MalformedFrame
from cosession.protocol import (
    EMPTY_UPDATE,
    Awareness,
    AwarenessEntry,
    Fence,
    Frame,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    decode_state_vector,
    encode_awareness,
    encode_frame,
    split_update,
)


class Waker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


def make(client: int = 1) -> Replica:
    doc: Doc[Any] = Doc(client_id=client)
    wake = Waker()
    return Replica(doc, Presence(client, {"id": f"p{client}"}, wake=wake, changed=Waker()), wake=wake)


def text(doc: "Doc[Any]") -> Text:
    return doc.get("text", type=Text)


def vector(doc: "Doc[Any]") -> dict[int, int]:
    return decode_state_vector(doc.get_state())


def taken(replica: Replica) -> list[Frame]:
    return [decode_frame(data) for data in replica.take()]


def converse(replica: Replica, server: "Doc[Any]") -> None:
    """Let a replica and pycrdt's own protocol functions talk until both are silent."""
    for _ in range(10):
        frames = replica.take()
        if not frames:
            return
        for data in frames:
            if data[0] == 0:
                reply = handle_sync_message(data[1:], server)
                if reply is not None:
                    replica.receive(reply)
            elif data[0] == 102:
                replica.receive(data)
    raise AssertionError("they never fall silent")


def join(replica: Replica, server: "Doc[Any]") -> None:
    replica.open()
    replica.receive(create_sync_message(server))
    converse(replica, server)


def test_a_connection_begins_with_step_one_and_presence_and_nothing_else():
    replica = make()
    text(replica.doc).insert(0, "written before")
    replica.open()

    frames = taken(replica)

    assert [type(frame) for frame in frames] == [SyncStep1, Awareness]


def test_updates_wait_until_the_server_has_said_what_it_lacks():
    replica, server = make(), Doc[Any]()
    replica.open()
    replica.take()
    text(replica.doc).insert(0, "early")
    assert taken(replica) == []

    replica.receive(create_sync_message(server))
    frames = taken(replica)

    assert [type(frame) for frame in frames] == [SyncStep2, Fence]


def test_both_sides_converge_with_pycrdts_own_protocol_functions():
    replica, server = make(), Doc[Any]()
    text(server).insert(0, "server ")
    text(replica.doc).insert(0, "client ")

    join(replica, server)

    assert replica.synced
    assert str(text(replica.doc)) == str(text(server))
    assert vector(replica.doc) == vector(server)


class Line:
    """A pycrdt channel whose other end is a replica."""

    path = "line"

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._coming: asyncio.Queue[bytes] = asyncio.Queue()

    def __aiter__(self) -> "Line":
        return self

    async def __anext__(self) -> bytes:
        return await self.recv()

    async def send(self, message: bytes) -> None:
        self._replica.receive(message)
        self.pump()

    async def recv(self) -> bytes:
        return await self._coming.get()

    def pump(self) -> None:
        for frame in self._replica.take():
            self._coming.put_nowait(frame)


@pytest.mark.anyio
async def test_a_stock_pycrdt_provider_on_the_other_end_converges_and_stays_so():
    replica, other = make(), Doc[Any](client_id=9)
    text(other).insert(0, "provider ")
    text(replica.doc).insert(0, "replica ")
    line = Line(replica)
    replica.open()
    line.pump()

    async with Provider(other, line):
        await until(lambda: replica.synced)
        text(other).insert(0, "α")
        text(replica.doc).insert(0, "β")
        line.pump()
        await until(lambda: vector(replica.doc) == vector(other))

    assert str(text(replica.doc)) == str(text(other))
    assert len(str(text(other))) == len("provider replica αβ")


def test_many_small_edits_leave_as_one_update():
    replica, server = make(), Doc[Any]()
    join(replica, server)
    for number in range(500):
        text(replica.doc).insert(0, str(number % 10))

    frames = taken(replica)

    assert [type(frame) for frame in frames] == [SyncUpdate, Fence]
    server.apply_update(frames[0].update)
    assert str(text(server)) == str(text(replica.doc))


def test_an_update_that_skips_something_is_not_applied_but_asked_for():
    replica, server = make(), Doc[Any](client_id=9)
    join(replica, server)
    text(server).insert(0, "missed ")
    before = server.get_state()
    text(server).insert(7, "seen")
    late = server.get_update(before)

    replica.receive(create_update_message(late))
    asked = taken(replica)

    assert str(text(replica.doc)) == ""
    assert [type(frame) for frame in asked] == [SyncStep1]
    replica.receive(encode_frame(SyncStep2(server.get_update(asked[0].vector))))
    assert str(text(replica.doc)) == "missed seen"


def test_one_gap_asks_once_however_many_updates_follow_it():
    replica, server = make(), Doc[Any](client_id=9)
    join(replica, server)
    updates: list[bytes] = []
    for letter in "abcdef":
        before = server.get_state()
        text(server).insert(0, letter)
        updates.append(server.get_update(before))

    for update in updates[1:]:
        replica.receive(create_update_message(update))

    assert [type(frame) for frame in taken(replica)] == [SyncStep1]


def test_a_server_that_never_fills_a_gap_is_left():
    replica, server = make(), Doc[Any](client_id=9)
    join(replica, server)
    text(server).insert(0, "a")
    before = server.get_state()
    text(server).insert(1, "b")
    gap = server.get_update(before)

    def answer_with_the_gap_for_ever() -> None:
        while True:
            replica.receive(encode_frame(SyncStep2(gap)))

    with pytest.raises(MalformedFrame):
        answer_with_the_gap_for_ever()


def test_a_server_that_lost_its_disk_gets_everything_back():
    replica, server = make(), Doc[Any]()
    join(replica, server)
    text(replica.doc).insert(0, "kept by the client")
    converse(replica, server)
    assert replica.saved
    replica.close()
    blank: Doc[Any] = Doc()

    join(replica, blank)

    assert str(text(blank)) == "kept by the client"


def test_saved_is_true_only_after_the_fence_that_follows_the_edit():
    replica, server = make(), Doc[Any]()
    join(replica, server)
    assert replica.saved
    text(replica.doc).insert(0, "a")
    assert not replica.saved
    first = taken(replica)[-1]
    text(replica.doc).insert(0, "b")

    replica.receive(encode_frame(first))
    assert not replica.saved
    second = taken(replica)

    assert [type(frame) for frame in second] == [SyncUpdate, Fence]
    replica.receive(encode_frame(second[-1]))
    assert replica.saved


def test_a_deletion_alone_counts_as_an_edit():
    replica, server = make(), Doc[Any]()
    join(replica, server)
    text(replica.doc).insert(0, "abc")
    converse(replica, server)

    with replica.doc.transaction():
        del text(replica.doc)[0:1]

    assert not replica.saved
    converse(replica, server)
    assert replica.saved
    assert str(text(server)) == "bc"


def test_a_fence_lost_with_its_connection_is_sent_again_on_the_next():
    replica, server = make(), Doc[Any]()
    join(replica, server)
    text(replica.doc).insert(0, "a")
    replica.take()
    replica.close()
    assert not replica.saved

    join(replica, server)

    assert replica.saved


def test_no_fence_vouches_on_a_new_connection_before_the_server_has_said_what_it_lacks():
    replica, server = make(), Doc[Any](client_id=2)
    join(replica, server)
    text(replica.doc).insert(0, "lost on the way")
    assert Fence in [type(frame) for frame in taken(replica)]
    replica.close()
    replica.open()
    text(replica.doc).insert(0, "and more, ")
    assert [type(frame) for frame in taken(replica)] == [SyncStep1, Awareness]
    replica.receive(encode_frame(SyncStep1(server.get_state())))
    assert [type(frame) for frame in taken(replica)] == [SyncStep2, Fence]
    assert not replica.saved


def test_reading_the_document_is_no_edit():
    replica, server = make(), Doc[Any]()
    join(replica, server)

    replica.doc.get_state()
    replica.doc.get_update()
    text(replica.doc)

    assert replica.edits == 0
    assert taken(replica) == []


def test_bytes_that_are_no_frame_are_refused():
    replica = make()
    replica.open()
    with pytest.raises(MalformedFrame):
        replica.receive(b"\x00\x02\x7f")
    with pytest.raises(MalformedFrame):
        replica.receive(create_update_message(b"\x01\x01\xff"))


def test_a_panic_of_the_crdt_ends_the_replica_with_an_error_that_can_be_caught(monkeypatch: pytest.MonkeyPatch):
    class PanicException(BaseException):
        pass

    def panic(update: bytes) -> None:
        raise PanicException

    replica, server = make(), Doc[Any](client_id=9)
    join(replica, server)
    text(server).insert(0, "x")
    monkeypatch.setattr(replica.doc, "apply_update", panic)

    with pytest.raises(DocumentBroken):
        replica.receive(create_update_message(server.get_update()))


def test_our_state_taken_away_by_others_is_said_again_with_a_higher_clock():
    replica = make(client=7)
    replica.open()
    first = decode_awareness(taken(replica)[1].payload)[0]

    replica.receive(encode_frame(Awareness(encode_awareness([AwarenessEntry(7, first.clock + 5, "null")]))))
    again = decode_awareness(taken(replica)[0].payload)[0]

    assert again.clock > first.clock + 5
    assert json.loads(again.state) == {"user": {"id": "p7"}, "visible": True}


def test_an_older_state_of_another_does_not_come_back():
    replica = make()
    replica.open()

    def say(clock: int, state: str) -> None:
        replica.receive(encode_frame(Awareness(encode_awareness([AwarenessEntry(5, clock, state)]))))

    say(3, '{"user":{"id":"b"},"cursor":1}')
    say(2, '{"user":{"id":"b"},"cursor":0}')
    assert replica.presence.others() == {5: {"user": {"id": "b"}, "cursor": 1}}
    say(3, "null")
    say(3, '{"user":{"id":"b"},"cursor":1}')
    assert replica.presence.others() == {}


def test_the_others_are_forgotten_with_the_connection_and_believed_again_at_their_old_clock():
    replica = make()
    replica.open()
    said = encode_frame(Awareness(encode_awareness([AwarenessEntry(5, 3, "{}")])))
    replica.receive(said)

    replica.close()
    assert replica.presence.others() == {}

    replica.open()
    replica.receive(said)
    assert replica.presence.others() == {5: {}}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("mine"), st.text(min_size=1, max_size=4)),
            st.tuples(st.just("theirs"), st.text(min_size=1, max_size=4)),
            st.tuples(st.sampled_from(["talk", "cut", "lose", "delete"]), st.just("")),
        ),
        max_size=25,
    )
)
def test_whatever_breaks_or_is_lost_one_more_connection_makes_both_equal_and_saved(actions: list[tuple[str, str]]):
    replica, server = make(client=1), Doc[Any](client_id=2)
    heard: list[bytes] = []
    subscription = server.observe(lambda event: heard.append(event.update))
    join(replica, server)
    for action, value in actions:
        match action:
            case "mine":
                text(replica.doc).insert(0, value)
            case "theirs":
                heard.clear()
                text(server).insert(0, value)
                for update in heard:
                    replica.receive(create_update_message(update))
            case "delete":
                with replica.doc.transaction():
                    text(replica.doc).clear()
            case "lose":
                text(server).insert(0, "lost on the way")
            case "talk":
                converse(replica, server)
            case _:
                replica.close()
                join(replica, server)
    replica.close()
    join(replica, server)

    assert vector(replica.doc) == vector(server)
    assert str(text(replica.doc)) == str(text(server))
    assert replica.saved
    server.unobserve(subscription)


def test_a_first_sync_in_pieces_is_seen_whole_and_at_once():
    server: Doc[Any] = Doc(client_id=9)
    for word in ("one ", "two ", "three 🐙 " * 400):
        server.get("text", type=Text).insert(0, word)
    replica = make()
    seen: list[str] = []
    shared = text(replica.doc)
    watching = shared.observe(lambda _: seen.append(str(shared)))
    replica.open()
    pieces = [piece for piece in split_update(server.get_update(), 200) if piece != EMPTY_UPDATE]
    assert len(pieces) > 5

    for piece in pieces:
        replica.receive(encode_frame(SyncUpdate(piece)))
        assert seen == []
        assert not replica.synced
    replica.receive(encode_frame(SyncStep2(EMPTY_UPDATE)))

    assert seen == [str(text(server))]
    shared.unobserve(watching)
    assert replica.synced
    assert replica.edits == 0
    replica.receive(create_update_message(b"\x00\x00"))
    assert vector(replica.doc) == vector(server)


def calls_of_sync(*pieces: bytes) -> int:
    """How many functions a first sync calls: the same on every machine."""
    replica = make()
    replica.open()
    count = 0

    def note(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        for piece in pieces[:-1]:
            replica.receive(encode_frame(SyncUpdate(piece)))
        replica.receive(encode_frame(SyncStep2(pieces[-1])))
    finally:
        sys.setprofile(None)
    assert replica.synced
    return count


def test_a_first_sync_in_pieces_is_hardly_more_work_than_in_one():
    server: Doc[Any] = Doc(client_id=9)
    for number in range(2_000):
        server.get("state", type=Map)[f"key {number}"] = "value"
    whole = server.get_update()
    pieces = [piece for piece in split_update(whole, len(whole) // 5) if piece != EMPTY_UPDATE]
    assert calls_of_sync(*pieces) < 1.5 * calls_of_sync(whole)


def test_a_piece_of_a_first_sync_that_fits_only_after_its_end_is_taken_in_then():
    server: Doc[Any] = Doc(client_id=9)
    text(server).insert(0, "first ")
    first = server.get_update()
    before = server.get_state()
    text(server).insert(0, "later ")
    replica = make()
    replica.open()
    replica.receive(encode_frame(SyncUpdate(server.get_update(before))))
    replica.receive(encode_frame(SyncStep2(first)))
    assert str(text(replica.doc)) == "later first "
    assert replica.synced
