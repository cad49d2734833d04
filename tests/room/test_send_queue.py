"""The outbox: what waits is merged, and bounded without losing anything."""

from pycrdt import Doc, Text

from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    Encoded,
    Fence,
    Frame,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    decode_state_vector,
    encode_frame,
    read_update_header,
)
from cosession.protocol.awareness import GONE
from cosession.room.effects import Update
from cosession.room.send_queue import SendQueue
from cosession.room.sync_reply import Reply


class Writer:
    """A document that makes updates as a room would pass them on."""

    def __init__(self) -> None:
        self.doc: Doc = Doc()

    def write(self, text: str) -> Update:
        before = self.doc.get_state()
        notes = self.doc.get("notes", type=Text)
        notes += text
        update = self.doc.get_update(before)
        return Update(update, encode_frame(SyncUpdate(update)), read_update_header(update).brings)

    @property
    def vector(self) -> dict[int, int]:
        return decode_state_vector(self.doc.get_state())


def never(_: bytes) -> bytes:
    raise AssertionError("no diff is needed")


def test_a_lone_update_leaves_as_the_bytes_that_came_in() -> None:
    writer, outbox = Writer(), SendQueue(1000, 256, 100_000)
    update = writer.write("hello")
    outbox.put_updates([update])
    [frame] = outbox.take(never, {})
    assert frame is update.frame


def test_updates_that_wait_become_one_frame() -> None:
    writer, outbox, reader = Writer(), SendQueue(100_000, 256, 100_000), Doc()
    for _ in range(100):
        outbox.put_updates([writer.write("é👩‍🚀")])
    [frame] = outbox.take(never, {})
    message = decode_frame(frame)
    assert isinstance(message, SyncUpdate)
    reader.apply_update(message.update)
    assert str(reader.get("notes", type=Text)) == "é👩‍🚀" * 100
    assert not outbox


def test_a_reader_too_far_behind_gets_one_diff_and_misses_nothing() -> None:
    writer, outbox, reader = Writer(), SendQueue(500, 256, 100_000), Doc()
    first = writer.write("start ")
    reader.apply_update(first.update)
    for number in range(200):
        outbox.put_updates([writer.write(f"{number} ")])
        assert outbox.waiting_bytes <= 500
    [frame] = outbox.take(writer.doc.get_update, writer.vector)
    message = decode_frame(frame)
    assert isinstance(message, SyncUpdate)
    reader.apply_update(message.update)
    assert str(reader.get("notes", type=Text)) == str(writer.doc.get("notes", type=Text))


def test_frames_that_must_arrive_keep_their_order_and_bytes() -> None:
    outbox = SendQueue(1000, 256, 100_000)
    frames = [encode_frame(Fence(bytes([n]))) for n in range(5)]
    for frame in frames:
        outbox.put_frame(frame)
    assert outbox.take(never, {}) == frames


def test_of_presence_only_the_latest_state_of_each_client_waits() -> None:
    outbox = SendQueue(1000, 256, 100_000)
    for clock in range(1, 50):
        outbox.put_presence([AwarenessEntry(1, clock, "{}"), AwarenessEntry(2, clock, "{}")])
    [frame] = outbox.take(never, {})
    message = decode_frame(frame)
    assert isinstance(message, Awareness)
    assert sorted((e.client, e.clock) for e in decode_awareness(message.payload)) == [(1, 49), (2, 49)]


def test_a_state_that_was_taken_back_while_it_waited_is_told_as_gone() -> None:
    outbox = SendQueue(1000, 256, 100_000)
    outbox.put_presence([AwarenessEntry(1, 1, "{}"), AwarenessEntry(2, 1, "{}")])
    outbox.put_presence([AwarenessEntry(1, 1, GONE)])
    [frame] = outbox.take(never, {})
    message = decode_frame(frame)
    assert isinstance(message, Awareness)
    assert {(e.client, e.clock, e.gone) for e in decode_awareness(message.payload)} == {(1, 1, True), (2, 1, False)}
    assert not outbox


def test_no_more_updates_than_the_limit_become_one_frame() -> None:
    writer, outbox = Writer(), SendQueue(100_000, 3, 100_000)
    for letter in "letters":
        outbox.put_updates([writer.write(letter)])
    for letter in "mine":
        outbox.put_echo(writer.write(letter))
    frames = [decode_frame(frame) for frame in outbox.take(never, {})]
    lengths = [
        sum(span.length for span in read_update_header(frame.update).brings)
        for frame in frames
        if isinstance(frame, SyncUpdate)
    ]
    assert lengths == [3, 3, 1, 3, 1]


def test_what_comes_while_a_reader_is_behind_is_not_lost_either() -> None:
    writer, outbox, reader = Writer(), SendQueue(10, 256, 100_000), Doc()
    first, second = writer.write("more than ten bytes"), writer.write("and more")
    outbox.put_updates([first])
    outbox.put_updates([second])
    [frame] = outbox.take(writer.doc.get_update, writer.vector)
    message = decode_frame(frame)
    assert isinstance(message, SyncUpdate)
    reader.apply_update(message.update)
    assert str(reader.get("notes", type=Text)) == "more than ten bytesand more"


def test_a_reader_that_is_behind_gets_back_of_its_own_only_what_is_committed() -> None:
    others, own, reader = Writer(), Writer(), Doc()
    committed = own.write("committed ")
    own.write("not committed")
    outbox = SendQueue(10, 256, 100_000)
    room = Doc()
    update = others.write("more than ten bytes")
    for each in (update.update, own.doc.get_update()):
        room.apply_update(each)
    outbox.put_echo(committed)
    outbox.put_updates([update])
    for frame in outbox.take(room.get_update, decode_state_vector(room.get_state())):
        message = decode_frame(frame)
        assert isinstance(message, SyncUpdate)
        reader.apply_update(message.update)
    came = decode_state_vector(reader.get_state())
    assert came == {others.doc.client_id: len("more than ten bytes"), own.doc.client_id: len("committed ")}


def taken(outbox: SendQueue, doc: Doc) -> list[Frame]:
    """What is sent until nothing waits any more."""
    frames: list[Frame] = []
    while outbox:
        frames += [decode_frame(frame) for frame in outbox.take(doc.get_update, decode_state_vector(doc.get_state()))]
    return frames


def test_a_large_answer_leaves_in_pieces_that_fit_and_the_last_one_is_the_step_2() -> None:
    writer, outbox = Writer(), SendQueue(10_000, 256, 1000)
    writer.write("é👩‍🚀" * 1000)
    outbox.put_reply(Reply(Encoded.of(writer.doc.get_update()), 1000))
    pieces = taken(outbox, writer.doc)
    vector: dict[int, int] = {}
    for piece in pieces:
        assert isinstance(piece, SyncStep2 if piece is pieces[-1] else SyncUpdate)
        assert len(piece.update) < 1100
        header = read_update_header(piece.update)
        assert header.fits(vector)
        vector |= {span.client: span.end for span in header.brings}
    assert vector == writer.vector
    assert len(pieces) > 10


def test_a_large_reply_is_made_once_for_all_and_each_reads_at_its_own_pace() -> None:
    writer = Writer()
    writer.write("x" * 20_000)
    reply = Reply(Encoded.of(writer.doc.get_update()), 1000)
    first, second = SendQueue(10_000, 256, 1000), SendQueue(10_000, 256, 1000)
    first.put_reply(reply)
    ahead = [frame for _ in range(5) for frame in first.take(never, {})]
    second.put_reply(reply)
    late = [frame for _ in range(100) for frame in second.take(never, {})]
    ahead += [frame for _ in range(100) for frame in first.take(never, {})]
    assert len(ahead) >= 20
    assert [id(frame) for frame in ahead] == [id(frame) for frame in late]


def test_a_small_answer_is_one_frame() -> None:
    writer, outbox = Writer(), SendQueue(10_000, 256, 1000)
    update = writer.write("hello").update
    outbox.put_reply(Reply(Encoded.of(update), 1000))
    assert taken(outbox, writer.doc) == [SyncStep2(update)]


def test_presence_of_very_many_goes_in_frames_no_larger_than_a_piece_as_it_is_read() -> None:
    outbox = SendQueue(1000, 256, 10_000)
    outbox.put_presence([AwarenessEntry(client, 1, "{}") for client in range(3)])
    assert not outbox.is_large
    outbox.put_presence([AwarenessEntry(client, 1, '{"a":"%s"}' % ("x" * 3_000)) for client in range(20)])
    assert outbox.is_large
    heard: dict[int, int] = {}
    while outbox:
        [frame] = outbox.take(never, {})
        assert len(frame) < 11_000
        awareness = decode_frame(frame)
        assert isinstance(awareness, Awareness)
        heard |= {entry.client: entry.clock for entry in decode_awareness(awareness.payload)}
        if len(heard) == 3:
            outbox.put_presence([AwarenessEntry(client, 2, '{"a":"y"}') for client in (1, 18, 19)])
    assert heard == dict.fromkeys(range(20), 1) | {1: 2, 18: 2, 19: 2}
    assert not outbox.is_large


def test_between_pieces_go_fences_presence_and_receipts_but_no_update_that_stands_on_the_rest() -> None:
    writer, own, outbox, reader = Writer(), Writer(), SendQueue(100_000, 256, 1000), Doc()
    reader.apply_update(own.doc.get_update())
    writer.write("x" * 5000)
    outbox.put_reply(Reply(Encoded.of(writer.doc.get_update()), 1000))
    before = outbox.take(never, {})
    outbox.put_updates([writer.write("later")])
    outbox.put_frame(encode_frame(Fence(b"1")))
    receipt = own.write("mine")
    outbox.put_echo(receipt)
    outbox.put_presence([AwarenessEntry(1, 1, "{}")])
    between = [decode_frame(frame) for frame in outbox.take(never, {})]
    assert Fence(b"1") in between
    assert SyncUpdate(receipt.update) in between
    assert any(isinstance(frame, Awareness) for frame in between)
    *pieces, later = taken(outbox, writer.doc)
    assert isinstance(pieces[-1], SyncStep2)
    assert isinstance(later, SyncUpdate)
    for frame in (*map(decode_frame, before), *between, *pieces, later):
        if isinstance(frame, SyncUpdate | SyncStep2):
            assert read_update_header(frame.update).fits(decode_state_vector(reader.get_state()))
            reader.apply_update(frame.update)
    assert str(reader.get("notes", type=Text)).replace("mine", "") == "x" * 5000 + "later"


def test_who_falls_behind_again_while_it_gets_pieces_gets_all_of_it() -> None:
    writer, outbox, reader = Writer(), SendQueue(3000, 256, 1000), Doc()
    frames: list[Frame] = []
    for number in range(100):
        outbox.put_updates([writer.write(f"{number} " * 200)])
        frames += [decode_frame(frame) for frame in outbox.take(writer.doc.get_update, writer.vector)]
    frames += taken(outbox, writer.doc)
    for frame in frames:
        assert isinstance(frame, SyncUpdate)
        assert read_update_header(frame.update).fits(decode_state_vector(reader.get_state()))
        reader.apply_update(frame.update)
    assert str(reader.get("notes", type=Text)) == str(writer.doc.get("notes", type=Text))


def test_answers_that_wait_for_their_turn_hold_the_asker_back() -> None:
    writer, outbox = Writer(), SendQueue(3000, 256, 1000)
    writer.write("x" * 5000)
    outbox.put_reply(Reply(Encoded.of(writer.doc.get_update()), 1000))
    outbox.take(never, {})
    assert not outbox.is_full, "the one under way is not counted: it is as large as the document"
    outbox.put_reply(Reply(Encoded.of(writer.doc.get_update()), 1000))
    assert outbox.is_full
    assert [type(frame) for frame in taken(outbox, writer.doc)].count(SyncStep2) == 2
    assert not outbox.is_full


def test_a_large_receipt_leaves_in_pieces_too() -> None:
    writer, outbox, reader = Writer(), SendQueue(3000, 256, 1000), Doc()
    outbox.put_echo(writer.write("x" * 5000))
    for frame in taken(outbox, writer.doc):
        assert isinstance(frame, SyncUpdate)
        assert len(frame.update) < 1100
        reader.apply_update(frame.update)
    assert str(reader.get("notes", type=Text)) == "x" * 5000
