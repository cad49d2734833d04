"""A room, without loop, socket or disk: order, gaps, receipts, decisions."""

import pytest
from pycrdt import Array, Doc, Map, Text, merge_updates
from room.scene import AT, Scene

from cosession.auth import ANONYMOUS, Capabilities, Participant
from cosession.document import SessionDocument
from cosession.errors import CosessionError, MalformedFrame, RoomBroken, TooFast, TooLarge
from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    Encoded,
    Fence,
    Granted,
    KeptValues,
    Notice,
    PermissionDenied,
    QueryAwareness,
    Renewal,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_frame,
    decode_state_vector,
    encode_awareness,
    encode_frame,
    encode_state_vector,
    read_update_header,
)
from cosession.protocol.deletions import encode_deletions
from cosession.protocol.lib0 import uint
from cosession.protocol.nesting import MAX_TYPES_DEEP
from cosession.room.effects import AnswerSync, Remind, Renew, Retitle
from cosession.room.room import Peer
from cosession.room.sync_reply import Openings, Reply
from cosession.settings import Settings


class Writer:
    """A client's document that makes one update for each edit."""

    def __init__(self) -> None:
        self.doc: Doc = Doc()

    def write(self, text: str, root: str = "text:notes") -> bytes:
        before = self.doc.get_state()
        value = self.doc.get(root, type=Text)
        value += text
        return self.doc.get_update(before)


def text_of(scene: Scene, root: str = "text:notes") -> str:
    return str(scene.room.document.doc.get(root, type=Text))


@pytest.fixture
def scene(settings: Settings) -> Scene:
    return Scene(settings)


def test_the_bytes_that_came_in_are_logged_and_sent_to_everybody_else(scene: Scene) -> None:
    scene.join(1, "ada", extended=True)
    scene.join(2, "bo", extended=True)
    writer = Writer()
    update = writer.write("hé👋")
    scene.receive(1, SyncUpdate(update))
    assert scene.taken(2) == [SyncUpdate(update)]
    assert scene.taken(1) == []
    [row] = scene.logged
    assert (row.participant, row.client, row.update) == ("ada", writer.doc.client_id, update)
    assert row.version == scene.room.version
    assert text_of(scene) == "hé👋"


def test_a_client_that_knows_nothing_of_us_gets_its_own_updates_back_only_when_they_are_committed(
    scene: Scene,
) -> None:
    scene.join(1)
    update = Writer().write("a")
    scene.receive(1, SyncUpdate(update))
    assert scene.taken(1) == []
    scene.commit(1)
    assert scene.taken(1) == [SyncUpdate(update)]


def test_a_fence_comes_back_when_all_before_it_is_committed_and_not_earlier(scene: Scene) -> None:
    scene.join(1, extended=True)
    scene.receive(1, Fence(b"nothing before"))
    assert scene.taken(1) == [Fence(b"nothing before")]
    writer = Writer()
    scene.receive(1, SyncUpdate(writer.write("a")))
    scene.receive(1, Fence(b"first"))
    scene.receive(1, SyncUpdate(writer.write("b")))
    scene.receive(1, Fence(b"second"))
    assert scene.taken(1) == []
    scene.commit(1)
    assert scene.taken(1) == [Fence(b"first")]
    scene.commit(2)
    assert scene.taken(1) == [Fence(b"second")]


def test_fences_are_bounded(scene: Scene) -> None:
    small = Scene(Settings(max_fences=3))
    small.join(1, extended=True)
    small.receive(1, SyncUpdate(Writer().write("a")))
    for number in range(3):
        small.receive(1, Fence(bytes([number])))
    with pytest.raises(TooFast):
        small.receive(1, Fence(b"one too many"))


def test_fences_that_came_back_leave_room_for_others_also_after_a_gap() -> None:
    small = Scene(Settings(max_fences=1))
    small.join(1, extended=True)
    writer = Writer()
    for number in range(3):
        small.receive(1, SyncUpdate(writer.write("a")))
        small.receive(1, Fence(bytes([number])))
        small.commit(number + 1)
        assert small.taken(1) == [Fence(bytes([number]))]
    writer.write("lost")
    small.receive(1, SyncUpdate(writer.write("later")))
    small.receive(1, Fence(b"held"))
    [question] = small.taken(1)
    assert isinstance(question, SyncStep1)
    small.receive(1, SyncStep2(writer.doc.get_update(question.vector)))
    small.commit(4)
    assert small.taken(1) == [Fence(b"held")]
    assert small.room.peers[1].fences == 0


def test_a_fence_from_a_client_that_did_not_ask_for_them_is_passed_over(scene: Scene) -> None:
    scene.join(1)
    assert scene.room.receive(1, encode_frame(Fence(b"x")), AT) == []


def test_a_gap_is_not_applied_but_asked_for_and_heals(scene: Scene) -> None:
    scene.join(1)
    scene.join(2)
    writer = Writer()
    lost, later = writer.write("lost "), writer.write("later")
    scene.receive(1, SyncUpdate(later))
    assert text_of(scene) == ""
    assert scene.logged == []
    assert scene.taken(2) == []
    [question] = scene.taken(1)
    assert isinstance(question, SyncStep1)
    scene.receive(1, SyncUpdate(writer.write("!")))
    assert scene.taken(1) == [], "one question at a time"
    scene.receive(1, SyncStep2(writer.doc.get_update(question.vector)))
    assert text_of(scene) == "lost later!"
    assert lost in scene.logged[0].update or scene.logged[0].update


def test_a_fence_after_a_gap_waits_for_the_answer_that_fills_it(scene: Scene) -> None:
    scene.join(1, extended=True)
    writer = Writer()
    writer.write("lost ")
    scene.receive(1, SyncUpdate(writer.write("later")))
    scene.receive(1, Fence(b"all of it"))
    [question] = scene.taken(1)
    assert isinstance(question, SyncStep1), "and no fence"
    scene.receive(1, SyncStep2(writer.doc.get_update(question.vector)))
    assert scene.taken(1) == []
    scene.commit(1)
    assert scene.taken(1) == [Fence(b"all of it")]
    assert text_of(scene) == "lost later"


def test_what_nests_too_deep_for_other_libraries_is_refused_before_it_is_applied(scene: Scene) -> None:
    scene.join(1)
    doc: Doc = Doc()
    inner = doc.get("state", type=Map)
    with doc.transaction():
        for _ in range(MAX_TYPES_DEEP + 2):
            inner["in"] = Map()
            inner = inner["in"]
    scene.receive(1, SyncUpdate(doc.get_update()))
    assert isinstance(scene.taken(1)[-1], PermissionDenied)
    assert scene.room.document.to_json()["state"] == {}


def test_a_question_with_more_new_clients_than_a_frame_may_hold_is_refused() -> None:
    small = Scene(Settings(max_structs_per_frame=1024))
    small.join(1)
    vector = encode_state_vector(dict.fromkeys(range(1025 + len(small.room.vector)), 1))
    with pytest.raises(CosessionError):
        small.receive(1, SyncStep1(vector))


def test_a_question_may_name_as_many_clients_more_as_the_document_knows() -> None:
    small = Scene(Settings(max_structs_per_frame=1024))
    small.join(1)
    for client in range(1, 1501):
        root = b"\x01\x01" + uint(client) + b"\x00\x04\x01\x09text:many\x01x\x00"
        small.receive(1, SyncUpdate(root))
    whole = small.room.document.doc.get_state()
    small.join(2, "bo", synced=False)
    small.receive(2, SyncStep1(encode_state_vector(decode_state_vector(whole) | {5000: 3})))
    assert small.taken(2)


@pytest.mark.parametrize("allowed", [(), ("read",), ("read", "text:notes")])
def test_who_knows_more_deletions_than_a_frame_may_hold_comes_back_and_writes(allowed: tuple[str, ...]) -> None:
    small, writer = Scene(Settings(max_structs_per_frame=1024)), Writer()
    small.join(1)
    text = writer.doc.get("text:notes", type=Text)
    small.receive(1, SyncUpdate(writer.write("ab" * 5000)))
    for start in range(0, 5000, 500):
        before = writer.doc.get_state()
        with writer.doc.transaction():
            for at in range(start, start + 500):
                del text[at : at + 1]
        update = _deletes_after(writer.doc.get_update(before), start)
        small.receive(1, SyncUpdate(update))
    assert text_of(small) == str(text) == "b" * 5000
    by = Participant("vic", "Vic", capabilities=Capabilities.parse(allowed)) if allowed else Participant("vic", "Vic")
    small.do(small.room.join(2, Peer(by, extended=True), AT))
    small.receive(2, SyncStep1(writer.doc.get_state()))
    small.taken(2)
    answer = writer.doc.get_update(small.room.document.doc.get_state())
    assert len(read_update_header(answer).deletes) > 1024
    rows = len(small.rows)
    small.receive(2, SyncStep2(answer))
    assert small.taken(2) == []
    assert len(small.rows) == rows, "it told nothing new"
    if allowed == ("read",):
        return
    again = Writer()
    again.doc.apply_update(writer.doc.get_update())
    state = again.doc.get_state()
    word = again.write("!")
    with again.doc.transaction():
        del again.doc.get("text:notes", type=Text)[0:1]
    small.receive(2, SyncStep2(again.doc.get_update(state)))
    assert text_of(small) == "b" * 4999 + "!"
    assert len(small.rows[-1].update) < 100, f"of the deletions only the new one is kept: {len(word)} bytes of words"


def test_an_update_with_more_new_deletions_than_a_frame_may_hold_is_refused() -> None:
    small, writer = Scene(Settings(max_structs_per_frame=1024)), Writer()
    small.join(1)
    small.receive(1, SyncUpdate(writer.write("ab" * 5000)))
    text, before = writer.doc.get("text:notes", type=Text), writer.doc.get_state()
    with writer.doc.transaction():
        for at in range(2000):
            del text[at : at + 1]
    with pytest.raises(TooLarge):
        small.receive(1, SyncUpdate(writer.doc.get_update(before)))
    assert text_of(small) == "ab" * 5000


def _deletes_after(update: bytes, start: int) -> bytes:
    """An update that only deletes, without its first ranges."""
    spans = [(span.client, span.clock, span.length) for span in read_update_header(update).deletes]
    return b"\x00" + encode_deletions(spans[start:])


def test_a_replica_that_answers_with_holes_is_asked_again_and_then_refused(scene: Scene) -> None:
    scene.join(1)
    writer = Writer()
    writer.write("lost ")
    holes = writer.write("later")
    for _ in range(3):
        scene.receive(1, SyncStep2(holes))
        [question] = scene.taken(1)
        assert isinstance(question, SyncStep1), "it may be in the middle of something"
    scene.receive(1, SyncStep2(holes))
    assert isinstance(scene.taken(1)[-1], PermissionDenied)
    assert text_of(scene) == ""


def test_an_answer_without_holes_makes_good_those_before_it(scene: Scene) -> None:
    scene.join(1)
    writer = Writer()
    for _ in range(3):
        writer.write("lost ")
        holes = writer.write("later ")
        for _ in range(3):
            scene.receive(1, SyncStep2(holes))
        scene.receive(1, SyncStep2(writer.doc.get_update()))
    assert text_of(scene) == "lost later " * 3


def test_a_client_id_belongs_to_who_is_present_under_it(scene: Scene) -> None:
    scene.join(1, "ada")
    scene.join(2, "eve")
    writer = Writer()
    scene.receive(1, Awareness(encode_awareness([AwarenessEntry(writer.doc.client_id, 1, "{}")])))
    scene.receive(1, SyncUpdate(writer.write("mine ")))
    forged = writer.write("hers")
    scene.receive(2, SyncUpdate(forged))
    assert isinstance(scene.taken(2)[-1], PermissionDenied)
    assert text_of(scene) == "mine "
    scene.receive(2, SyncStep2(writer.doc.get_update()))
    assert text_of(scene) == "mine hers", "a replica may bring back what others wrote"


def test_nobody_writes_under_the_servers_own_client_id(scene: Scene) -> None:
    scene.join(1)
    forger: Doc = Doc(client_id=scene.room.document.doc.client_id)
    forger.apply_update(scene.room.diff(b"\x00"))
    before = forger.get_state()
    forger.get("meta", type=Map)["title"] = "forged"
    scene.receive(1, SyncUpdate(forger.get_update(before)))
    assert isinstance(scene.taken(1)[-1], PermissionDenied)
    assert scene.room.document.meta.title != "forged"


def test_a_fence_is_small(scene: Scene) -> None:
    scene.join(1, extended=True)
    with pytest.raises(TooLarge):
        scene.receive(1, Fence(b"x" * 2000))


def test_an_edit_of_the_server_that_fails_in_the_middle_breaks_the_room(scene: Scene) -> None:
    def half(document: SessionDocument) -> None:
        document.meta.set_title("half")
        raise ValueError("then it failed")

    with pytest.raises(RoomBroken):
        scene.room.edit(half, AT)


def test_an_update_of_several_clients_has_no_one_client_in_the_log(scene: Scene) -> None:
    scene.join(1)
    first, second = Writer(), Writer()
    update = merge_updates(first.write("a"), second.write("b"))
    scene.receive(1, SyncStep2(update))
    assert scene.logged[-1].client is None


def test_what_is_known_already_gets_no_version(scene: Scene) -> None:
    scene.join(1)
    scene.join(2)
    update = Writer().write("once")
    scene.receive(1, SyncUpdate(update))
    scene.taken(2)
    scene.receive(1, SyncUpdate(update))
    scene.receive(2, SyncStep2(update))
    assert scene.version == 1
    assert scene.taken(2) == []


def test_of_what_is_known_in_part_only_the_news_is_logged_and_sent(scene: Scene) -> None:
    scene.join(1, "ada")
    scene.join(2, "bo")
    ada, bo = Writer(), Writer()
    bo.doc.apply_update(ada.write("hers "))
    scene.receive(1, SyncUpdate(bo.doc.get_update()))
    scene.taken(2)
    news = bo.write("his ")
    scene.receive(2, SyncStep2(bo.doc.get_update()))
    assert text_of(scene) == "hers his "
    [row] = [row for row in scene.logged if row.participant == "bo"]
    assert row.update == news
    assert scene.taken(1) == [SyncUpdate(news)], "her own words come back when they are committed, and not with his"
    scene.commit(1)
    [echo] = scene.taken(1)
    assert isinstance(echo, SyncUpdate)
    assert [span.client for span in read_update_header(echo.update).brings] == [ada.doc.client_id]


def test_of_a_deletion_that_comes_with_all_the_rest_only_the_deletion_is_sent(scene: Scene) -> None:
    scene.join(1)
    scene.join(2)
    writer = Writer()
    scene.receive(1, SyncUpdate(writer.write("hello")))
    scene.taken(2)
    del writer.doc.get("text:notes", type=Text)[0:2]
    scene.receive(1, SyncStep2(writer.doc.get_update()))
    assert text_of(scene) == "llo"
    [frame] = scene.taken(2)
    assert isinstance(frame, SyncUpdate)
    header = read_update_header(frame.update)
    assert header.brings == ()
    assert [(span.clock, span.end) for span in header.deletes] == [(0, 2)]


def test_the_echo_of_a_deletion_stands_on_nothing_that_its_sender_may_not_have(scene: Scene) -> None:
    """A message is deleted with its stamp, which may still wait for a slow reader."""
    scene.join(1)
    ada = SessionDocument(Doc())
    ada.doc.apply_update(scene.room.diff(b"\x00"))
    before = ada.doc.get_state()
    ada.messages.append("user", [{"type": "text", "text": "Porto?"}], id="m1", author="ada", created_at=AT)
    scene.receive(1, SyncUpdate(ada.doc.get_update(before)))
    del ada.messages.shared[0]
    scene.receive(1, SyncUpdate(ada.doc.get_update(ada.doc.get_state())))
    scene.taken(1)
    scene.do(scene.room.committed(scene.room.version))
    vector = decode_state_vector(ada.doc.get_state())
    echoes = [frame for frame in scene.taken(1) if isinstance(frame, SyncUpdate)]
    assert len(echoes) == 2
    assert all(read_update_header(echo.update).fits(vector) for echo in echoes)


def test_an_update_that_only_deletes_is_logged_once_although_the_state_vector_stays(scene: Scene) -> None:
    scene.join(1)
    scene.join(2)
    writer = Writer()
    scene.receive(1, SyncUpdate(writer.write("hello")))
    scene.taken(2)
    before = writer.doc.get_state()
    del writer.doc.get("text:notes", type=Text)[0:2]
    deletion = writer.doc.get_update(before)
    scene.receive(1, SyncUpdate(deletion))
    assert text_of(scene) == "llo"
    assert scene.taken(2) == [SyncUpdate(deletion)]
    scene.receive(1, SyncUpdate(deletion))
    assert scene.version == 2


def test_a_connection_gets_no_update_before_its_first_sync(scene: Scene) -> None:
    scene.join(1)
    scene.join(2, synced=False)
    update = Writer().write("a")
    scene.receive(1, SyncUpdate(update))
    assert scene.taken(2) == []
    scene.receive(2, SyncStep1(b"\x00"))
    [answer] = scene.taken(2)
    assert isinstance(answer, SyncStep2)
    reader: Doc = Doc()
    reader.apply_update(answer.update)
    assert str(reader.get("text:notes", type=Text)) == "a"


def test_readers_that_open_a_large_session_soon_after_each_other_get_the_same_frames() -> None:
    scene = Scene(Settings(max_piece_bytes=1024))
    scene.join(1)
    scene.receive(1, SyncUpdate(Writer().write("x" * 20_000)))

    def opened(connection: int) -> tuple[Reply, list[Remind]]:
        scene.join(connection, synced=False)
        effects = scene.room.receive(connection, encode_frame(SyncStep1(b"\x00")), AT)
        [reply] = [effect.reply for effect in effects if isinstance(effect, AnswerSync)]
        return reply, [effect for effect in effects if isinstance(effect, Remind)]

    alone, [timer] = opened(2)
    first, [] = opened(3)
    assert first is alone, "which is still being sent"
    assert opened(4) == opened(5) == (first, [])
    scene.receive(1, SyncUpdate(Writer().write("more")))
    larger, [] = opened(6)
    assert larger.size > first.size
    *same, last = filter(None, first)
    *also, as_update, more = filter(None, larger)
    assert list(map(id, also)) == list(map(id, same))
    assert [type(decode_frame(frame)) for frame in (last, as_update, more)] == [SyncStep2, SyncUpdate, SyncStep2]
    assert scene.room.remind(timer.what, AT) == [timer], "some came meanwhile"
    assert scene.room.remind(timer.what, AT) == []
    assert opened(7)[0] is larger, "which is still being sent"


def test_a_reply_that_is_sent_is_kept_for_a_while_where_two_came_and_not_where_one_did() -> None:
    openings, made = Openings(KeptValues(), 1024), list[bytes]()

    def whole() -> Encoded:
        made.append(Writer().write("x" * 20_000))
        return Encoded.of(made[-1])

    assert [openings.reply(whole)[1] for _ in range(4)] == [True, False, False, False]
    assert len(made) == 2, "the first one was sent, and gone"
    assert [openings.rest(), openings.rest()] == [True, False]
    assert [openings.reply(whole)[1] for _ in range(4)] == [True, False, False, False]
    assert len(made) == 4, "the first one after a while came alone again"


def test_the_reply_of_a_small_session_is_not_kept(scene: Scene) -> None:
    scene.join(1)
    scene.receive(1, SyncUpdate(Writer().write("x" * 1000)))
    scene.join(2, synced=False)
    effects = scene.room.receive(2, encode_frame(SyncStep1(b"\x00")), AT)
    assert [type(effect) for effect in effects] == [AnswerSync]


def test_a_client_that_was_away_for_a_thousand_updates_catches_up_in_one_exchange(scene: Scene) -> None:
    scene.join(1)
    scene.join(2)
    writer, reader = Writer(), Doc()
    update = writer.write("start ")
    scene.receive(1, SyncUpdate(update))
    reader.apply_update(update)
    scene.do(scene.room.leave(2, AT))
    for number in range(1000):
        scene.receive(1, SyncUpdate(writer.write(f"{number} ")))
    scene.join(3, synced=False)
    scene.receive(3, SyncStep1(reader.get_state()))
    [answer] = scene.taken(3)
    assert isinstance(answer, SyncStep2)
    reader.apply_update(answer.update)
    assert str(reader.get("text:notes", type=Text)) == text_of(scene)


def test_presence_reaches_everybody_else_and_late_joiners_and_ends_with_the_connection(scene: Scene) -> None:
    scene.join(1, "ada")
    scene.join(2, "bo")
    scene.receive(1, Awareness(encode_awareness([AwarenessEntry(7, 1, '{"user":{"name":"Ada"}}')])))
    assert scene.presence.pop(2) == [(7, False)]
    scene.join(3, "cy")
    assert scene.presence.pop(3) == [(7, False)]
    scene.receive(2, QueryAwareness())
    assert scene.presence.pop(2) == [(7, False)]
    scene.do(scene.room.leave(1, AT))
    assert scene.presence.pop(2) == [(7, True)]


@pytest.mark.parametrize(
    "state", ['"away"', "[]", "3", '{"__proto__":{"a":1}}', "[" * 500 + "]" * 500, '{"a":' * 300 + "1" + "}" * 300]
)
def test_a_state_that_no_reader_may_see_is_left_out_of_a_stock_clients_presence(
    settings: Settings, state: str
) -> None:
    scene = Scene(settings)
    scene.join(1, "ada")
    scene.join(2, "bo")
    shown = [AwarenessEntry(7, 1, state), AwarenessEntry(8, 1, '{"user":{"name":"Ada"}}')]
    scene.receive(1, Awareness(encode_awareness(shown)))
    assert scene.presence[2] == [(8, False)]
    scene.join(3, "cy", extended=True)
    with pytest.raises(MalformedFrame):
        scene.receive(3, Awareness(encode_awareness(shown)))


def test_an_auth_message_of_a_client_is_passed_over(settings: Settings) -> None:
    scene = Scene(settings)
    scene.join(1, "ada")
    scene.receive(1, PermissionDenied("token"))
    assert scene.room.peers[1].ending is None


@pytest.mark.parametrize("extended", [True, False])
def test_presence_that_is_too_large_costs_no_connection(extended: bool) -> None:
    scene = Scene(Settings(max_presence_bytes=256))
    scene.join(1, extended=extended)
    state = '{"x":"' + "x" * 300 + '"}'
    scene.receive(1, Awareness(encode_awareness([AwarenessEntry(7, 1, state)])))
    told = [(frame.code, frame.touched, frame.final) for frame in scene.taken(1) if isinstance(frame, Notice)]
    assert told == ([("too-large", "presence", False)] if extended else [])
    scene.receive(1, SyncUpdate(Writer().write("still here")))
    assert text_of(scene) == "still here"


def test_a_frame_that_is_too_large_is_refused_before_it_is_read() -> None:
    scene = Scene(Settings(max_frame_bytes=1024))
    scene.join(1)
    with pytest.raises(TooLarge):
        scene.receive(1, SyncUpdate(b"x" * 2000))


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x03\x00", b"\x00\x02\x05ab", b"\x00\x02\x02\x00\x00trailing", b"\x00\x02\x01\xff"]
)
def test_garbage_is_malformed_and_changes_nothing(scene: Scene, data: bytes) -> None:
    scene.join(1)
    with pytest.raises(MalformedFrame):
        scene.room.receive(1, data, AT)
    assert scene.version == 0


def test_an_update_that_panics_the_crdt_library_breaks_the_room_and_is_not_logged(scene: Scene) -> None:
    scene.join(1)
    writer = Doc(client_id=1000)
    with writer.transaction():
        text = writer.get("text:notes", type=Text)
        text += "abcdef"
    scene.receive(1, SyncUpdate(writer.get_update()))
    panics = bytes.fromhex("0101e8070684e8070500")
    logged = list(scene.logged)
    with pytest.raises((RoomBroken, MalformedFrame)):
        scene.room.receive(1, encode_frame(SyncUpdate(panics)), AT)
    assert scene.logged == logged


def test_a_new_session_is_written_once_by_the_server(scene: Scene) -> None:
    scene.do(scene.room.create("Trip", AT))
    scene.do(scene.room.create("Other", AT))
    assert scene.room.document.meta.title == "Trip"
    assert [row.participant for row in scene.rows] == ["server"]


def facts(scene: Scene) -> dict[str, object]:
    return scene.room.document.to_json()["meta"]


def test_an_application_with_roots_of_its_own_finds_nothing_of_ours(scene: Scene) -> None:
    scene.do(scene.room.create("", AT))
    scene.join(1)
    doc: Doc = Doc()
    doc.get("messages", type=Array).append(Map({"text": "hi", "from": "x"}))
    doc.get("state", type=Map)["a"] = 1
    scene.receive(1, SyncUpdate(doc.get_update()))
    scene.do(scene.room.attend(AT, at_once=True))
    assert facts(scene) == {}
    assert scene.room.document.doc.get("messages", type=Array).to_py() == [{"text": "hi", "from": "x"}]


@pytest.mark.parametrize("extended", [True, False])
def test_the_facts_of_a_session_are_written_with_the_first_use_of_the_schema(scene: Scene, extended: bool) -> None:
    scene.do(scene.room.create("", "2025-12-31T00:00:00.000Z"))
    scene.join(1, extended=extended)
    document = SessionDocument()
    document.meta.set_title("Porto")
    if extended:
        document.state.set("a", 1)
    else:
        document.messages.append("user", [{"type": "text", "text": "hi"}], id="m1", author="ada", created_at=AT)
    scene.receive(1, SyncUpdate(document.doc.get_update()))
    written = {"schema": 1, "created_at": "2025-12-31T00:00:00.000Z", "title": "Porto"}
    assert facts(scene) == written
    rows = len(scene.rows)
    scene.do(scene.room.create("", AT))
    document.state.set("b", 2)
    scene.receive(1, SyncUpdate(document.doc.get_update()))
    assert (facts(scene), len(scene.rows)) == (written, rows + 1)


def test_a_session_without_facts_gets_them_after_a_restart_too(scene: Scene) -> None:
    scene.do(scene.room.create("", AT))
    scene.join(1)
    doc: Doc = Doc()
    doc.get("notes", type=Text).insert(0, "hi")
    scene.receive(1, SyncUpdate(doc.get_update()))
    again = Scene(Settings(agents=("planner",)), [row.update for row in scene.rows], scene.room.version)
    again.do(again.room.create("", AT))
    assert (facts(again), again.rows) == ({}, [])
    again.do(again.room.edit(lambda document: document.runs.start("r1", agent="ada", started_at=AT), AT))
    assert facts(again) == {"schema": 1, "created_at": AT}


def test_a_title_that_a_member_writes_is_noted_for_the_list(scene: Scene) -> None:
    scene.join(1)
    doc: Doc = Doc()
    doc.get("meta", type=Map)["title"] = "Porto"
    effects = scene.room.receive(1, encode_frame(SyncUpdate(doc.get_update())), AT)
    assert [effect.title for effect in effects if isinstance(effect, Retitle)] == ["Porto"]


def test_a_cancel_is_asked_for_by_a_member_and_decided_once_by_the_server(scene: Scene) -> None:
    scene.join(1, "ada")
    scene.join(2, "bo")
    scene.do(scene.room.edit(lambda document: document.runs.start("r1", agent="bot", started_at=AT), AT))
    for connection, who in ((1, "ada"), (2, "bo")):
        doc: Doc = Doc()
        doc.get("requests", type=Map)[f"cancel/r1/{who}"] = {"reason": f"{who} says stop"}
        scene.receive(connection, SyncUpdate(doc.get_update()))
    run = scene.room.document.runs.get("r1")
    assert run is not None
    assert run.cancel == {"by": "ada", "at": AT, "reason": "ada says stop"}
    assert list(scene.room.document.requests.items()) == []


def test_a_steer_is_kept_in_order_and_its_request_removed(scene: Scene) -> None:
    scene.join(1, "ada")
    scene.do(scene.room.edit(lambda document: document.runs.start("r1", agent="bot", started_at=AT), AT))
    doc: Doc = Doc()
    for number in range(3):
        before = doc.get_state()
        doc.get("requests", type=Map)[f"steer/r1/s{number}/ada"] = {"text": f"more {number}"}
        scene.receive(1, SyncUpdate(doc.get_update(before)))
    run = scene.room.document.runs.get("r1")
    assert run is not None
    assert [(steer["id"], steer["by"], steer["text"]) for steer in run.steers] == [
        (f"s{number}", "ada", f"more {number}") for number in range(3)
    ]
    assert list(scene.room.document.requests.items()) == []


def test_what_can_not_be_granted_does_not_wait_for_ever(scene: Scene) -> None:
    scene.join(1, "ada")
    doc: Doc = Doc()
    requests = doc.get("requests", type=Map)
    with doc.transaction():
        requests["cancel/nothing/ada"] = {"reason": ""}
        requests["steer/nothing/ada"] = {"text": 7}
        requests["cancel/ada"] = "not even an object"
    scene.receive(1, SyncUpdate(doc.get_update()))
    assert list(scene.room.document.requests.items()) == []


def test_who_joins_is_introduced_once_and_again_under_a_new_name(scene: Scene) -> None:
    scene.join(1, "ada")
    ada = scene.room.document.participants.get("ada")
    assert ada is not None
    here = {"online": True, "devices": 1, "looking": True}
    assert ada.to_json() == {"name": "ada", "kind": "human", "since": AT, **here}
    version = scene.room.version
    scene.join(2, "ada")
    assert scene.room.version == version
    scene.do(scene.room.join(3, Peer(Participant("ada", "Ada L.")), AT))
    assert ada.to_json()["name"] == "Ada L."
    scene.do(scene.room.join(4, Peer(ANONYMOUS), AT))
    assert scene.room.document.participants.get(ANONYMOUS.id) is None


def test_an_agent_is_declared_when_it_first_joins(scene: Scene) -> None:
    scene.do(scene.room.join(1, Peer(Participant("bot", "Bot", "agent")), AT))
    agent = scene.room.document.agents.get("bot")
    assert agent is not None
    assert agent.name == "Bot"
    version = scene.room.version
    scene.do(scene.room.join(2, Peer(Participant("bot", "Bot", "agent")), AT))
    assert scene.room.version == version


def test_a_room_is_loaded_from_its_log_whole(scene: Scene, settings: Settings) -> None:
    scene.join(1)
    writer = Writer()
    for word in ("one ", "two ", "three"):
        scene.receive(1, SyncUpdate(writer.write(word)))
    again = Scene(settings, [row.update for row in scene.rows], scene.room.version)
    assert text_of(again) == "one two three"
    assert [row.version for row in scene.rows] == list(range(1, again.room.version + 1))
    assert again.room.vector == scene.room.vector


def test_a_connection_is_taken_for_what_its_new_token_says_from_its_next_frame_on(scene: Scene) -> None:
    scene.join(1, "ada", extended=True)
    scene.join(2, "bo")
    scene.receive(1, Awareness(encode_awareness([AwarenessEntry(7, 1, "{}")])))
    viewer = Participant("ada", "Ada L.", capabilities=Capabilities.parse(["read"]), expires_at=9.5)
    scene.do(scene.room.regrant(1, viewer, AT))
    assert Granted("ada", "Ada L.", "human", ("read",), 9.5) in scene.taken(1)
    assert scene.room.peers[1].participant is viewer
    assert scene.presence[2][-1] == (7, True), "who may not show presence any more is gone"
    scene.receive(1, Awareness(encode_awareness([AwarenessEntry(7, 9, "{}")])))
    assert scene.room.presence.everybody() == ()
    assert scene.room.document.participants.get("ada") is not None
    assert scene.room.document.to_json()["participants"]["ada"]["name"] == "Ada L."


def test_a_new_token_is_the_shells_to_verify_and_nobody_elses(scene: Scene) -> None:
    scene.join(1, extended=True)
    assert scene.room.receive(1, encode_frame(Renewal("token")), AT) == [Renew(1, "token")]
    scene.join(2, extended=False)
    assert scene.room.receive(2, encode_frame(Renewal("token")), AT) == []


def test_a_decision_that_finds_nothing_to_do_writes_nothing_so_that_deciding_ends(scene: Scene) -> None:
    scene.join(1)

    def ask(document: SessionDocument) -> None:
        document.runs.start("r1", agent="bot", started_at=AT)
        document.requests.ask_cancel("r1", "ada")
        document.requests.ask_cancel("none", "ada")

    scene.do(scene.room.edit(ask, AT))
    document, version = scene.room.document, scene.room.version
    assert len(document.requests) == 0
    scene.do(scene.room.edit(lambda document: document.meta.set_title(""), AT))
    assert scene.room.begin(AT) == []
    assert scene.room.version == version + 1, "the title alone"


def test_readers_that_read_nothing_hold_no_more_than_a_bound() -> None:
    def whole() -> Encoded:
        return Encoded.of(document)

    writer = Writer()
    document = writer.write("x" * 20_000)
    openings = Openings(KeptValues(), piece_bytes=1024, own_bytes=100_000)
    replies = [openings.own(Encoded.of(document), whole)[0] for _ in range(30)]
    assert len({id(reply) for reply in replies}) == 5, "four of their own, and one for all others"
    assert all(b"".join(reply) for reply in replies)
    del replies
    [kept] = {id(openings.reply(whole)[0]) for _ in range(2)}
    assert id(openings.own(Encoded.of(document), whole)[0]) != kept, "they are gone"


def test_a_small_reply_is_ones_own_whatever_others_hold() -> None:
    openings = Openings(KeptValues(), piece_bytes=1024, own_bytes=0)
    reply, _ = openings.own(Encoded.of(b"\x00\x00"), lambda: Encoded.of(b"\x00\x00" * 1000))
    assert list(reply) == [encode_frame(SyncStep2(b"\x00\x00"))]


def test_a_client_that_has_every_struct_is_sent_what_was_deleted_since_it_asked_last(scene: Scene) -> None:
    scene.join(1)
    writer = Writer()
    scene.receive(1, SyncUpdate(writer.write("some words")))
    for number in range(3):
        scene.join(2 + number, synced=False)
        replica = Doc()
        replica.apply_update(scene.room.diff(b"\x00"))
        scene.do(scene.room.edit(lambda document: document.doc.get("text:notes", type=Text).__delitem__(0), AT))
        scene.receive(2 + number, SyncStep1(replica.get_state()))
        [answer] = scene.taken(2 + number)
        assert isinstance(answer, SyncStep2)
        replica.apply_update(answer.update)
        assert str(replica.get("text:notes", type=Text)) == text_of(scene)


def test_the_deletions_for_clients_that_have_every_struct_are_read_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.join(1)
    scene.receive(1, SyncUpdate(Writer().write("some words")))
    asked: list[bytes] = []
    read = Doc.get_update
    monkeypatch.setattr(Doc, "get_update", lambda doc, state: asked.append(state) or read(doc, state))
    vector = scene.room.document.doc.get_state()
    for connection in (2, 3, 4):
        scene.join(connection, "ada", synced=False)
        scene.receive(connection, SyncStep1(vector))
    assert len(asked) == 1
