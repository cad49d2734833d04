"""Who may not write everything is judged, and only what was admitted is seen; the server says whose a message is."""

from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from admission.forge import Item, forge, nothing, shared, string
from pycrdt import Doc
from room.scene import AT, Scene

from cosession.auth import Capabilities, Participant
from cosession.document import SessionDocument
from cosession.errors import ClientIdTaken, CosessionError, NotAllowed
from cosession.protocol import (
    EMPTY_UPDATE,
    Awareness,
    AwarenessEntry,
    Fence,
    SyncStep2,
    SyncUpdate,
    decode_state_vector,
    encode_awareness,
    encode_frame,
)
from cosession.protocol.lib0 import uint
from cosession.protocol.structs import read_structs
from cosession.protocol.update_format import GC
from cosession.room.effects import Append, Broadcast, Effect, Refuse
from cosession.room.resync import PATIENCE, WAITING
from cosession.room.room import Peer, Room
from cosession.settings import Settings


class Writer:
    """A participant with a role, and a replica of its own."""

    def __init__(self, scene: Scene, connection: int, id_: str, role: str, expires_at: float | None = None) -> None:
        self.participant = Participant(id_, id_, capabilities=Capabilities.of(role), expires_at=expires_at)
        self.connection = connection
        self._scene = scene
        scene.do(scene.room.join(connection, Peer(self.participant, True), AT))
        scene.room.synced.add(connection)
        self.session = SessionDocument(Doc())
        self.catch_up()

    def catch_up(self) -> None:
        self.session.doc.apply_update(self._scene.room.diff(self.session.doc.get_state()))

    def say(self, id_: str, text: str, *, author: str | None = None) -> list[Effect]:
        parts = [{"type": "text", "text": text}]
        return self.send(
            lambda: self.session.messages.append(
                "user", parts, id=id_, author=author or self.participant.id, created_at=AT
            )
        )

    def send(self, change: Any) -> list[Effect]:
        before = self.session.doc.get_state()
        with self.session.transaction():
            change()
        return self.frame(SyncUpdate(self.session.doc.get_update(before)))

    def offer(self) -> list[Effect]:
        return self.frame(SyncStep2(self.session.doc.get_update(self._scene.room.document.doc.get_state())))

    def show(self) -> None:
        """Be present under one's Yjs client id."""
        self.frame(Awareness(encode_awareness([AwarenessEntry(self.session.doc.client_id, 1, "{}")])))

    def frame(self, frame: Any) -> list[Effect]:
        room = self._scene.room
        effects = room.receive(self.connection, encode_frame(frame), AT)
        while room.peers[self.connection].ending is not None and not (effects and isinstance(effects[-1], Refuse)):
            effects += room.receive(self.connection, encode_frame(SyncStep2(EMPTY_UPDATE)), AT)
        self._scene.do(effects)
        if isinstance(frame, SyncUpdate) and effects and isinstance(effects[-1], Refuse):
            raise effects[-1].error
        return effects


@pytest.fixture
def scene() -> Scene:
    scene = Scene(Settings())
    scene.do(scene.room.create("Trip", AT))
    return scene


def test_a_message_bears_the_stamp_of_who_sent_it(scene: Scene) -> None:
    ada = Writer(scene, 1, "ada", "member")
    ada.say("m1", "Porto?")
    message = scene.room.document.messages.get("m1")
    assert message is not None
    assert message.text == "Porto?"
    assert message.stamp == {"by": "ada", "at": AT, "seq": scene.room.version - 1}


def test_who_may_write_everything_is_stamped_as_well(scene: Scene) -> None:
    Writer(scene, 1, "ada", "admin").say("m1", "Porto?")
    message = scene.room.document.messages.get("m1")
    assert message is not None
    assert message.stamp is not None
    assert message.stamp["by"] == "ada"


def test_who_may_bring_back_what_others_wrote_is_the_writer_of_what_they_send(scene: Scene) -> None:
    op = Writer(scene, 1, "op", "operator")
    known = op.session.doc.get_state()
    op.send(lambda: op.session.text("notes").append("Porto"))
    op.session.text("notes").append(", Faro")
    op.frame(SyncUpdate(op.session.doc.get_update(known)))
    assert [row.client for row in scene.rows[-2:]] == [op.session.doc.client_id] * 2, (
        "also where it was known in part"
    )


def test_a_message_in_anothers_name_is_refused_and_seen_by_nobody(scene: Scene) -> None:
    bo = Writer(scene, 2, "bo", "member")
    ada = Writer(scene, 1, "ada", "member")
    before = scene.room.document.to_json()
    with pytest.raises(NotAllowed) as refusal:
        ada.say("m1", "I agree", author="bo")
    assert refusal.value.touched == "messages/*/metadata/author"
    bo.catch_up()
    assert scene.room.document.to_json() == bo.session.to_json() == before
    assert not any(b"I agree" in row.update for row in scene.rows)


def test_a_viewer_writes_nothing(scene: Scene) -> None:
    viewer = Writer(scene, 1, "vi", "viewer")
    with pytest.raises(NotAllowed):
        viewer.say("m1", "hello")


def test_a_client_id_stays_its_first_writers_when_they_have_left(scene: Scene) -> None:
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    ada.say("m1", "Porto?")
    scene.do(scene.room.leave(1, AT))
    bo.session = ada.session
    bo.show()
    with pytest.raises(ClientIdTaken):
        bo.say("m2", "Lisbon")


@pytest.mark.parametrize("role", ["member", "admin"])
def test_nobody_writes_under_the_client_id_of_the_server_before_it_does(scene: Scene, role: str) -> None:
    Writer(scene, 1, "ada", role)  # has been here, so that the server has nothing to say of them
    after = reloaded(scene, len(scene.rows))
    ada = Writer(after, 1, "ada", role)
    server = after.room.document.doc.client_id
    assert server not in after.room.vector
    ada.session = SessionDocument(Doc(client_id=server))
    ada.catch_up()
    with pytest.raises(ClientIdTaken):
        ada.send(lambda: ada.session.text("notes").append("Porto"))
    assert server not in after.room.vector


def test_among_those_who_may_write_everything_only_presence_counts(scene: Scene) -> None:
    ada, bo = Writer(scene, 1, "ada", "admin"), Writer(scene, 2, "bo", "admin")
    ada.send(lambda: ada.session.text("notes").append("Porto"))
    bo.session = ada.session
    bo.send(lambda: bo.session.text("notes").append(", Faro"))
    ada.show()
    bo.show()
    with pytest.raises(ClientIdTaken):
        bo.send(lambda: bo.session.text("notes").append(", Lisbon"))
    assert str(scene.room.document.text("notes")) == "Porto, Faro"


def test_what_somebody_sends_again_that_another_wrote_is_known_and_refused_to_nobody(scene: Scene) -> None:
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    ada.send(lambda: ada.session.text("notes").append("Porto"))
    bo.catch_up()
    bo.session.text("notes").append(", Faro")
    bo.frame(SyncUpdate(bo.session.doc.get_update()))
    assert str(scene.room.document.text("notes")) == "Porto, Faro"


def reloaded(scene: Scene, rows: int) -> Scene:
    """The room after a crash that lost all but the first rows."""
    kept = scene.rows[:rows]
    after = Scene(Settings())
    writers = {row.client: row.participant for row in kept if row.client is not None}
    after.room = Room(Settings(), [row.update for row in kept], kept[-1].version, writers)
    return after


def wrote_offline(ada: Writer, clients: tuple[int, ...], rounds: int = 1) -> None:
    """Write under several Yjs client ids in turn, as pages that were reloaded or tabs side by side do."""
    for client in clients * rounds:
        state = ada.session.doc.get_update()
        ada.session = SessionDocument(Doc(client_id=client))
        ada.session.doc.apply_update(state)
        ada.session.text("notes").append(f"{client} ")


@pytest.mark.parametrize("rounds", [1, 3], ids=["one after the other", "in turn"])
def test_each_client_id_of_an_offer_stays_its_writers_when_the_room_is_loaded_again(
    scene: Scene, rounds: int
) -> None:
    ada = Writer(scene, 1, "ada", "member")
    wrote_offline(ada, (5, 10, 7), rounds)
    ada.offer()
    assert [row.version for row in scene.rows] == list(range(1, scene.room.version + 1))
    after = reloaded(scene, len(scene.rows))
    assert str(after.room.document.text("notes")) == "5 10 7 " * rounds
    eve = Writer(after, 2, "eve", "member")
    for client in (5, 10, 7):
        eve.session = SessionDocument(Doc(client_id=client))
        eve.catch_up()
        eve.show()
        notes = eve.session.text("notes")
        with pytest.raises(ClientIdTaken):
            eve.send(partial(notes.append, "eve's"))
        after.do(after.room.leave(2, AT))
        eve = Writer(after, 2, "eve", "member")


def test_a_client_id_is_said_to_be_somebodys_once(scene: Scene) -> None:
    ada = Writer(scene, 1, "ada", "member")
    wrote_offline(ada, (5, 10))
    ada.offer()
    before = len(scene.rows)
    wrote_offline(ada, (10, 5, 7))
    ada.offer()
    assert [row.client for row in scene.rows[before:]] == [7, None]


def test_a_fence_behind_an_offer_of_several_client_ids_stands_for_all_of_it(scene: Scene) -> None:
    ada = Writer(scene, 1, "ada", "member")
    wrote_offline(ada, (5, 10))
    ada.offer()
    ada.frame(Fence(b"saved?"))
    scene.do(scene.room.committed(scene.room.version - 1))
    assert Fence(b"saved?") not in scene.taken(1)
    scene.do(scene.room.committed(scene.room.version))
    assert Fence(b"saved?") in scene.taken(1)


def test_the_client_id_of_a_server_that_only_wrote_in_somebodys_name_stays_a_servers(scene: Scene) -> None:
    after = reloaded(scene, len(scene.rows))
    former = after.room.document.doc.client_id
    after.do(
        after.room.edit(lambda document: document.state.set("place", value="Porto"), AT, Participant("ada", "Ada"))
    )
    assert [(row.participant, row.client) for row in after.rows] == [("server", former), ("ada", None)]
    after.rows[:0] = scene.rows
    eve = Writer(reloaded(after, len(after.rows)), 2, "eve", "member")
    eve.session = SessionDocument(Doc(client_id=former))
    eve.catch_up()
    eve.show()
    with pytest.raises(ClientIdTaken):
        eve.send(lambda: eve.session.text("notes").append("eve's"))


def test_who_comes_back_after_a_crash_gives_back_what_is_their_own(scene: Scene) -> None:
    ada = Writer(scene, 1, "ada", "member")
    rows = len(scene.rows)
    ada.say("m1", "Porto?")
    after = reloaded(scene, rows)
    again = Writer(after, 1, "ada", "member")
    again.session = ada.session
    assert not any(isinstance(effect, Refuse) for effect in again.offer())
    message = after.room.document.messages.get("m1")
    assert message is not None
    assert (message.text, (message.stamp or {})["by"]) == ("Porto?", "ada")


def test_a_member_gives_back_its_own_after_a_crash_and_nothing_that_others_wrote(scene: Scene) -> None:
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    rows = len(scene.rows)
    ada.say("m1", "Porto?")
    bo.catch_up()
    bo.send(lambda: bo.session.selections.set("bo", "city", "Lisbon"))
    after = reloaded(scene, rows)
    again = Writer(after, 2, "bo", "member")
    again.session = bo.session
    assert not any(isinstance(effect, Refuse) for effect in again.offer())
    document = after.room.document
    assert document.messages.get("m1") is None
    assert document.selections.get("bo", "city") == "Lisbon"
    first = Writer(after, 1, "ada", "member")
    first.session = ada.session
    first.offer()
    assert document.messages.get("m1") is not None


@pytest.mark.parametrize("clients", [(5, 10), (10, 5)])
def test_of_an_offer_all_parts_are_taken_that_stand_on_each_other(scene: Scene, clients: tuple[int, int]) -> None:
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    rows = len(scene.rows)
    ada.say("m1", "Porto?")
    bo.catch_up()
    for client in clients:
        state = bo.session.doc.get_update()
        bo.session = SessionDocument(Doc(client_id=client))
        bo.session.doc.apply_update(state)
        bo.session.text("notes").append(f"{client} ")
    after = reloaded(scene, rows)
    again = Writer(after, 2, "bo", "member")
    again.session = bo.session
    again.offer()
    assert str(after.room.document.text("notes")) == "{} {} ".format(*clients)


def test_a_member_gives_back_no_words_of_who_is_present_under_their_client_id(scene: Scene) -> None:
    """The log that a crash left doesn't know the id; presence does."""
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    rows = len(scene.rows)
    ada.send(lambda: ada.session.text("notes").append("Porto"))
    bo.catch_up()
    after = reloaded(scene, rows)
    first, second = Writer(after, 1, "ada", "member"), Writer(after, 2, "bo", "member")
    first.session, second.session = ada.session, bo.session
    first.show()
    assert not any(isinstance(effect, Refuse) for effect in second.offer())
    assert str(after.room.document.text("notes")) == ""
    first.offer()
    assert [row.participant for row in after.rows if b"Porto" in row.update] == ["ada"]


def test_nobody_takes_a_client_id_from_its_writer_by_being_present_under_it(scene: Scene) -> None:
    ada, eve = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "eve", "member")
    ada.send(lambda: ada.session.text("notes").append("Porto"))
    eve.frame(Awareness(encode_awareness([AwarenessEntry(ada.session.doc.client_id, 1, "{}")])))
    ada.send(lambda: ada.session.text("notes").append(", Faro"))
    assert str(scene.room.document.text("notes")) == "Porto, Faro"


def test_what_was_deleted_meanwhile_is_told_to_who_has_it_from_before_a_crash(scene: Scene) -> None:
    """Whoever has the words already learns from the deletion alone that they are gone."""
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    rows = len(scene.rows)
    ada.send(lambda: ada.session.text("notes").append("Porto"))
    seen = SessionDocument(Doc())
    seen.doc.apply_update(ada.session.doc.get_update())
    bo.say("m1", "Faro?")
    ada.catch_up()
    ada.session.text("notes").delete(0, 5)
    after = reloaded(scene, rows)
    again = Writer(after, 1, "ada", "member")
    again.session = ada.session
    for effect in again.offer():
        if isinstance(effect, Broadcast):
            seen.doc.apply_update(effect.update.update)
    assert str(seen.text("notes")) == str(after.room.document.text("notes")) == ""


def test_a_fence_that_waits_for_an_answer_is_not_sent_back_when_the_answer_is_refused(scene: Scene) -> None:
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    rows = len(scene.rows)
    ada.say("m1", "Porto?")
    bo.catch_up()
    after = reloaded(scene, rows)
    again = Writer(after, 2, "bo", "member")
    again.session = bo.session
    again.send(lambda: bo.session.messages.get("m1").parts[0].text.shared.insert(3, "Faro "))
    again.frame(Fence(b"saved?"))
    again.offer()
    after.do(after.room.committed(after.room.version))
    assert Fence(b"saved?") not in after.sent.get(2, [])


@pytest.mark.parametrize("filler", [Item(GC, uint(100)), nothing(100, parent="messages")], ids=["gone", "stillborn"])
def test_nobody_uses_up_the_clocks_of_somebody_else(scene: Scene, filler: Item) -> None:
    """What is written later under a clock that is known already is passed over, and would be lost without a word."""
    ada, eve = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "eve", "member")
    ada.send(lambda: ada.session.text("notes").append("Porto"))
    with suppress(CosessionError):
        eve.frame(SyncStep2(forge(ada.session.doc.client_id, 5, filler)))
    ada.send(lambda: ada.session.text("notes").append(", Faro"))
    assert str(scene.room.document.text("notes")) == "Porto, Faro"


def test_an_operator_gives_back_what_others_wrote_under_their_names(scene: Scene) -> None:
    ada, op = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "op", "admin")
    rows = len(scene.rows)
    ada.say("m1", "Porto?")
    op.session.doc.apply_update(ada.session.doc.get_update(op.session.doc.get_state()))
    after = reloaded(scene, rows)
    again = Writer(after, 2, "op", "admin")
    again.session = op.session
    effects = again.offer()
    message = after.room.document.messages.get("m1")
    assert message is not None
    assert (message.stamp or {})["by"] == "ada"
    row = next(effect for effect in effects if isinstance(effect, Append))
    assert (row.participant, row.client) == ("op", None), (
        "who brings it, and not under whose client id it was written"
    )


def test_who_may_edit_everything_is_not_believed_about_who_wrote_what_they_send(scene: Scene) -> None:
    Writer(scene, 1, "op", "admin").say("m1", "I agree", author="ada")
    message = scene.room.document.messages.get("m1")
    assert message is not None
    assert (message.stamp or {})["by"] == "op"


def run_of(scene: Scene, agent: Writer, run: str, reply_to: str) -> None:
    agent.catch_up()
    agent.send(lambda: agent.session.runs.start(run, agent="bot", started_at=AT, reply_to=reply_to))


def cancelled(scene: Scene, run: str) -> bool:
    found = scene.room.document.runs.get(run)
    assert found is not None
    assert not list(scene.room.document.requests.items())
    return found.cancel is not None


def test_a_stamp_that_comes_back_with_its_message_stays_as_it_was(scene: Scene) -> None:
    ada, op = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "op", "admin")
    rows = len(scene.rows)
    for number in range(3):
        ada.say(f"m{number}", "Porto?")
    op.catch_up()
    after = reloaded(scene, rows)
    again = Writer(after, 2, "op", "admin")
    again.session = op.session
    again.offer()
    assert after.room.document.messages.to_json() == scene.room.document.messages.to_json()


def test_a_member_stops_the_runs_that_answer_them_and_no_others(scene: Scene) -> None:
    ada, bo, bot = (
        Writer(scene, 1, "ada", "member"),
        Writer(scene, 2, "bo", "member"),
        Writer(scene, 3, "bot", "agent"),
    )
    ada.say("m1", "Porto?")
    run_of(scene, bot, "r1", "m1")
    for writer in (bo, ada):
        assert not cancelled(scene, "r1")
        writer.catch_up()
        writer.send(lambda by=writer: by.session.requests.ask_cancel("r1", by.participant.id, "enough"))
    assert cancelled(scene, "r1")


def test_what_the_server_writes_in_somebodys_name_is_no_clients_in_the_log(scene: Scene) -> None:
    scene.do(
        scene.room.edit(lambda document: document.state.set("place", value="Porto"), AT, Participant("ada", "Ada"))
    )
    assert (scene.rows[-1].participant, scene.rows[-1].client) == ("ada", None)


def test_an_operator_stops_every_run(scene: Scene) -> None:
    ada, op, bot = (
        Writer(scene, 1, "ada", "member"),
        Writer(scene, 2, "op", "operator"),
        Writer(scene, 3, "bot", "agent"),
    )
    ada.say("m1", "Porto?")
    run_of(scene, bot, "r1", "m1")
    op.catch_up()
    op.send(lambda: op.session.requests.ask_cancel("r1", "op", "enough"))
    assert cancelled(scene, "r1")


def test_what_the_server_writes_in_somebodys_name_is_known_to_who_is_judged_next(scene: Scene) -> None:
    ada, bo = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "bo", "member")
    ada.say("m1", "Porto?")
    parts = [{"type": "text", "text": "by HTTP"}]
    for number in range(2):
        scene.do(
            scene.room.edit(
                lambda document, number=number: document.messages.append(
                    "user", parts, id=f"h{number}", author="ada", created_at=AT
                ),
                AT,
                ada.participant,
            )
        )
        bo.catch_up()
        bo.say(f"b{number}", "Lisbon")
    stamped = [(message.id, (message.stamp or {}).get("by")) for message in scene.room.document.messages]
    assert stamped == [("m1", "ada"), ("h0", "ada"), ("b0", "bo"), ("h1", "ada"), ("b1", "bo")]


@pytest.mark.parametrize("role", ["member", "admin"])
@pytest.mark.parametrize("frame", [SyncUpdate, SyncStep2], ids=["update", "offer"])
@pytest.mark.parametrize("reloaded", [False, True], ids=["live", "reloaded"])
def test_a_pair_that_is_cut_becomes_replacement_characters(
    scene: Scene,
    role: str,
    frame: type,
    reloaded: bool,
) -> None:
    bo = Writer(scene, 1, "bo", role)
    bo.send(lambda: bo.session.text("notes").append("a🐙b🐙c"))
    if reloaded:
        scene = Scene(Settings(), [scene.room.document.doc.get_update()], scene.room.version)
        bo = Writer(scene, 1, "bo", role)
    eve, client = Writer(scene, 2, "eve", role), 77
    [text] = [one for one in read_structs(scene.room.document.doc.get_update()) if one.parent == "text:notes"]
    first, second = (text.client, text.clock + 2), (text.client, text.clock + 5)
    eve.frame(frame(forge(client, 0, string("x", left=(first[0], first[1] - 1), right=first))))
    eve.frame(frame(forge(client, 1, deletes=((*second, 1),))))
    bo.send(lambda: bo.session.text("notes").append("d"))
    assert str(Writer(scene, 3, "cy", role).session.text("notes")) == "a\ufffdx\ufffdb\ufffdcd"
    assert str(scene.room.document.text("notes")) == "a\ufffdx\ufffdb\ufffdcd"
    replayed = Scene(Settings(), [scene.room.document.doc.get_update()], scene.room.version)
    assert str(replayed.room.document.text("notes")) == "a\ufffdx\ufffdb\ufffdcd"


@pytest.mark.parametrize("role", ["member", "admin"])
@pytest.mark.parametrize("pretends", [False, True])
@pytest.mark.parametrize("is_loaded_anew", [False, True])
def test_a_client_id_is_its_first_ones_also_while_they_are_away(
    scene: Scene, pretends: bool, is_loaded_anew: bool, role: str
) -> None:
    ada = Writer(scene, 1, "ada", role, expires_at=2e9)
    ada.show()
    client = ada.session.doc.client_id
    scene.do(scene.room.leave(1, AT))
    if is_loaded_anew:
        writers = {row.client: row.participant for row in scene.rows if row.client is not None}
        updates = [row.update for row in scene.rows]
        scene.room = Room(Settings(), updates, scene.room.version, writers)
    eve = Writer(scene, 2, "eve", "member")
    if pretends:
        eve.frame(Awareness(encode_awareness([AwarenessEntry(client, 9, "{}")])))
    with suppress(ClientIdTaken):
        eve.frame(SyncUpdate(forge(client, 0, string("taken", parent="text:notes"))))
    assert str(scene.room.document.text("notes")) == ""
    scene.do(scene.room.join(3, Peer(ada.participant, True), AT))
    ada.connection = 3
    ada.say("m1", "written offline")
    assert scene.room.document.messages.get("m1").text == "written offline"


def with_half_a_message(scene: Scene) -> tuple[Writer, Writer]:
    """A device that is away, and another one of its participant, which offers half of a message of the first one."""
    phone = Writer(scene, 1, "ada", "member")
    phone.show()
    scene.do(scene.room.leave(1, AT))
    laptop = Writer(scene, 2, "ada", "member")
    laptop.show()
    laptop.frame(SyncStep2(forge(phone.session.doc.client_id, 0, shared(1, parent="messages"))))
    return phone, laptop


def test_half_a_message_of_another_device_waits_for_the_device(scene: Scene) -> None:
    phone, _ = with_half_a_message(scene)
    scene.do(scene.room.join(3, Peer(phone.participant, True), AT))
    phone.connection = 3
    phone.say("m1", "written before a crash")
    message = scene.room.document.messages.get("m1")
    assert message is not None
    assert message.text == "written before a crash"


def test_half_a_message_of_a_device_that_stays_away_holds_its_reader_for_a_while_only(scene: Scene) -> None:
    phone, laptop = with_half_a_message(scene)
    for _ in range(PATIENCE):
        scene.do(scene.room.remind(WAITING, AT))
        assert phone.session.doc.client_id not in decode_state_vector(scene.room.document.doc.get_state())
        laptop.frame(SyncStep2(forge(phone.session.doc.client_id, 0, shared(1, parent="messages"))))
    assert decode_state_vector(scene.room.document.doc.get_state())[phone.session.doc.client_id] == 1
    assert len(list(scene.room.document.messages)) == 0


def test_who_only_watches_leaves_no_row_in_the_log(scene: Scene) -> None:
    Writer(scene, 1, "ada", "viewer").show()
    assert scene.logged == []


def test_a_participant_that_shows_itself_under_ever_new_ids_does_not_fill_the_log(scene: Scene) -> None:
    for connection in range(400):
        Writer(scene, connection, "ada", "member").show()
        scene.do(scene.room.leave(connection, AT))
    assert 200 < len(scene.logged) < 300


@pytest.mark.parametrize("act", ["deletes", "writes"])
def test_a_refused_cut_leaves_the_pair_whole(scene: Scene, act: str) -> None:
    ada, eve = Writer(scene, 1, "ada", "member"), Writer(scene, 2, "eve", "member")
    ada.say("m1", "a🐙b")
    [text] = [one for one in read_structs(scene.room.document.doc.get_update()) if one.length == 4]
    half = (text.client, text.clock + 2)
    first = (text.client, text.clock + 1)
    update = forge(77, 0, deletes=((*half, 1),)) if act == "deletes" else forge(77, 0, string("x", left=first))
    with pytest.raises(NotAllowed):
        eve.frame(SyncUpdate(update))
    assert Writer(scene, 4, "cy", "member").session.messages.get("m1").text == "a🐙b"
    bo = Writer(scene, 3, "bo", "member")
    bo.send(lambda: bo.session.text("notes").append("x"))
    assert str(scene.room.document.text("notes")) == "x"
