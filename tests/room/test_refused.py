"""What a refusal costs: only what was refused. A stock Yjs client stays; our own is asked once more, then closed."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Map, Text
from room.scene import AT, Scene

from cosession.auth import Capabilities, Participant
from cosession.document import SessionDocument
from cosession.protocol import (
    EMPTY_UPDATE,
    EMPTY_VECTOR,
    Awareness,
    AwarenessEntry,
    Fence,
    Frame,
    PermissionDenied,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_state_vector,
    encode_awareness,
    encode_frame,
)
from cosession.room.effects import Decline, Effect, Refuse, Remind
from cosession.room.resync import ENDING, WAITING
from cosession.room.room import Peer, Room
from cosession.settings import Settings


class Replica:
    """A participant with a Yjs document of its own, which may be offline."""

    def __init__(
        self,
        scene: Scene,
        connection: int,
        id_: str,
        role: str = "member",
        *,
        extended: bool = False,
        shows: bool = True,
    ):
        self.scene = scene
        self.connection = connection
        self.participant = Participant(id_, id_, capabilities=Capabilities.of(role))
        self.extended = extended
        self.shows = shows
        self.session = SessionDocument(Doc())
        self.connect()
        self.catch_up()

    @property
    def doc(self) -> Doc[Any]:
        return self.session.doc

    @property
    def reach(self) -> int:
        return decode_state_vector(self.doc.get_state())[self.doc.client_id]

    @property
    def peer(self) -> Peer:
        return self.scene.room.peers[self.connection]

    def make_peer(self) -> Peer:
        return Peer(self.participant, self.extended, self.doc.client_id if self.extended else 0)

    def connect(self) -> None:
        self.scene.do(self.scene.room.join(self.connection, self.make_peer(), AT))
        self.scene.room.synced.add(self.connection)
        if self.shows:
            self.frame(Awareness(encode_awareness([AwarenessEntry(self.doc.client_id, 1, "{}")])))
        self.frame(SyncStep2(EMPTY_UPDATE))

    def leave(self) -> None:
        self.scene.do(self.scene.room.leave(self.connection, AT))

    def catch_up(self) -> None:
        self.doc.apply_update(self.scene.room.diff(self.doc.get_state()))

    def write(self, change: Callable[[SessionDocument], object]) -> bytes:
        before = self.doc.get_state()
        with self.session.transaction():
            change(self.session)
        return self.doc.get_update(before)

    def send(self, change: Callable[[SessionDocument], object]) -> list[Effect]:
        return self.frame(SyncUpdate(self.write(change)))

    def offer(self) -> list[Effect]:
        return self.frame(SyncStep2(self.doc.get_update(self.scene.room.document.doc.get_state())))

    def frame(self, frame: Frame) -> list[Effect]:
        effects = self.scene.room.receive(self.connection, encode_frame(frame), AT)
        self.scene.do(effects)
        return effects

    def told(self) -> list[str]:
        return [frame.reason for frame in self.scene.taken(self.connection) if isinstance(frame, PermissionDenied)]


def note(word: str) -> Callable[[SessionDocument], object]:
    return lambda document: document.text("notes").append(word)


def say(id_: str, author: str, words: str = "hello", role: str = "user") -> Callable[[SessionDocument], object]:
    part = {"type": "text", "text": words, "state": "done"}
    return lambda document: document.messages.append(role, [part], id=id_, author=author, created_at=AT)


def forge_title(document: SessionDocument) -> None:
    document.doc.get("meta", type=Map)["schema"] = "forged"


def forge_part(document: SessionDocument) -> None:
    document.doc.get("participants", type=Map)["ada"] = Map({"name": "forged", "notes": Text("forged")})


FORBIDDEN: list[Callable[[SessionDocument], object]] = [
    forge_title,
    forge_part,
    say("forged", "bo"),
    say("forged", "ada", role="assistant"),
    lambda document: document.counters.add("likes", "bo"),
    lambda document: document.doc.get("config", type=Map).update({"forged": 1}),
]


def notes(session: SessionDocument) -> str:
    return str(session.text("notes"))


@pytest.fixture
def scene() -> Scene:
    scene = Scene(Settings())
    scene.do(scene.room.create("Trip", AT))
    return scene


def refused(effects: list[Effect]) -> list[Refuse]:
    return [effect for effect in effects if isinstance(effect, Refuse)]


def test_a_stock_client_stays_when_something_is_refused_and_keeps_the_rest(scene: Scene) -> None:
    ada, bo = Replica(scene, 1, "ada"), Replica(scene, 2, "bo")
    effects = ada.send(lambda document: (note("Porto")(document), forge_title(document), say("m1", "ada")(document)))
    assert not refused(effects)
    assert [effect.connection for effect in effects if isinstance(effect, Decline)] == [1]
    assert "meta/schema" in ada.told()[0]
    ada.send(note(", Faro"))
    document = scene.room.document
    assert (notes(document), document.messages.get("m1") is not None) == ("Porto, Faro", True)
    assert document.to_json()["meta"]["schema"] != "forged"
    bo.catch_up()
    assert bo.session.to_json() == document.to_json()


def test_what_was_refused_vanishes_where_it_was_written(scene: Scene) -> None:
    ada = Replica(scene, 1, "ada")
    ada.send(lambda document: (note("Porto")(document), forge_part(document), say("forged", "bo")(document)))
    scene.do(scene.room.committed(scene.room.version))
    for frame in scene.taken(1):
        if isinstance(frame, SyncUpdate):
            ada.doc.apply_update(frame.update)
    assert "forged" not in str(ada.session.to_json())
    assert notes(ada.session) == notes(scene.room.document) == "Porto"
    assert not any(b"forged" in row.update for row in scene.rows)


@pytest.mark.parametrize("forbidden", range(len(FORBIDDEN)))
@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(0, 7), st.booleans())
def test_a_replica_that_was_offline_loses_what_was_refused_and_nothing_else(
    forbidden: int, acts: list[int], place: int, extended: bool
) -> None:
    scene = Scene(Settings())
    scene.do(scene.room.create("Trip", AT))
    ada = Replica(scene, 1, "ada", extended=extended)
    honest = Scene(Settings())
    honest.do(honest.room.create("Trip", AT))
    expected = Replica(honest, 1, "ada")

    def act(session: SessionDocument, number: int, kind: int) -> None:
        match kind:
            case 0:
                note(f"{number} ")(session)
            case 1:
                say(f"m{number}", "ada", f"words {number}")(session)
            case 2:
                session.state.set(f"k{number}", {"deep": number})
            case _:
                session.counters.add("likes", "ada")

    for number, kind in enumerate(acts):
        if number == place % len(acts):
            ada.write(FORBIDDEN[forbidden])
        ada.write(lambda session, number=number, kind=kind: act(session, number, kind))
        expected.write(lambda session, number=number, kind=kind: act(session, number, kind))
    ada.offer()
    expected.offer()
    whole, wanted = scene.room.document.to_json(), honest.room.document.to_json()
    assert whole["messages"] == wanted["messages"]
    for root in ("state", "counters", "meta", "participants"):
        assert whole[root] == wanted[root], root
    assert notes(scene.room.document) == notes(honest.room.document)
    late = Doc()
    for row in scene.rows:
        late.apply_update(row.update)
    assert late.get_state() == scene.room.document.doc.get_state()
    assert SessionDocument(late).to_json() == whole


def test_an_edit_in_what_was_deleted_and_collected_meanwhile_costs_nothing(scene: Scene) -> None:
    ada, ben = Replica(scene, 1, "ada"), Replica(scene, 2, "ben")
    ada.send(lambda document: document.state.shared.update({"card": Map({"title": "x"})}))
    ben.catch_up()
    ben.leave()
    ada.send(lambda document: document.state.shared.pop("card"))
    state = scene.room.document.doc.get_update()
    after = Scene(Settings())
    after.room = Room(Settings(), [state], 1, {ben.doc.client_id: "ben"})
    ben.scene = after
    ben.connect()

    def edit(document: SessionDocument) -> None:
        card = document.state.shared["card"]
        card["note"] = Map({"who": "ben", "words": Text("in what is gone")})
        card["note"]["words"].insert(0, "more ")

    ben.write(edit)
    ben.write(note("my offline words"))
    effects = ben.offer()
    assert not [effect for effect in effects if isinstance(effect, Refuse | Decline)]
    assert notes(after.room.document) == "my offline words"
    assert after.room.document.to_json()["state"] == {}


def test_a_viewer_stays_and_reads_on_and_what_it_writes_vanishes(scene: Scene) -> None:
    ada, viewer = Replica(scene, 1, "ada"), Replica(scene, 2, "vi", "viewer")
    version = scene.room.version
    for word in ("a", "b", "c"):
        assert not refused(viewer.send(note(word)))
        for frame in scene.taken(2):
            if isinstance(frame, SyncUpdate):
                viewer.doc.apply_update(frame.update)
        assert notes(viewer.session) == ""
    assert scene.room.version == version
    ada.send(note("Porto"))
    viewer.catch_up()
    assert notes(viewer.session) == "Porto"


def test_the_same_refusal_is_told_once(scene: Scene) -> None:
    ada = Replica(scene, 1, "ada")
    scene.sent.clear()
    for number in range(3):
        ada.send(say(f"m{number}", "bo"))
    assert len(ada.told()) == 1


def test_our_client_is_asked_once_more_before_it_is_closed(scene: Scene) -> None:
    ada = Replica(scene, 1, "ada", extended=True)
    scene.sent.clear()
    effects = ada.send(forge_title)
    assert not refused(effects)
    assert Remind(f"{ENDING}1", 3.0) in effects
    in_flight = note("in flight ")
    ada.send(in_flight)
    ada.frame(Fence(b"saved?"))
    ada.write(note("and unsent"))
    [question] = [frame for frame in scene.taken(1) if isinstance(frame, SyncStep1)]
    effects = ada.frame(SyncStep2(ada.doc.get_update(question.vector)))
    assert [effect.error.code for effect in refused(effects)] == ["auth.forbidden"]
    scene.do(scene.room.committed(scene.room.version))
    assert Fence(b"saved?") not in scene.taken(1)
    assert notes(scene.room.document) == "in flight and unsent"


def test_our_client_is_asked_once_more_when_its_answer_is_refused(scene: Scene) -> None:
    ada = Replica(scene, 1, "ada", extended=True)
    ada.write(forge_title)
    scene.sent.clear()
    assert not refused(ada.offer())
    ada.write(note("in flight"))
    [question] = [frame for frame in scene.taken(1) if isinstance(frame, SyncStep1)]
    assert len(refused(ada.frame(SyncStep2(ada.doc.get_update(question.vector))))) == 1
    assert notes(scene.room.document) == "in flight"


def test_our_client_is_closed_after_a_while_when_it_does_not_answer(scene: Scene) -> None:
    ada = Replica(scene, 1, "ada", extended=True)
    ada.send(forge_title)
    assert [effect.connection for effect in refused(scene.room.remind(f"{ENDING}1", AT))] == [1]
    ada.leave()
    assert scene.room.remind(f"{ENDING}1", AT) == []


def test_our_client_that_never_heard_of_a_refusal_is_told_when_it_comes_back(scene: Scene) -> None:
    ada = Replica(scene, 1, "ada", extended=True)
    ada.send(forge_title)
    ada.leave()
    before = ada.doc.get_state()
    scene.sent.clear()
    scene.do(scene.room.join(1, ada.make_peer(), AT))
    scene.receive(1, SyncStep1(before))
    [question] = [frame for frame in scene.taken(1) if isinstance(frame, SyncStep1 | SyncStep2)]
    assert isinstance(question, SyncStep1)
    ada.write(note("written meanwhile"))
    effects = ada.frame(SyncStep2(ada.doc.get_update(question.vector)))
    assert [effect.error.code for effect in refused(effects)] == ["auth.forbidden"]
    assert notes(scene.room.document) == "written meanwhile"
    ada.leave()
    fresh, foreign = Peer(ada.participant, True, 7), Peer(Participant("eve", "Eve"), True, ada.doc.client_id)
    for connection, peer in enumerate((fresh, foreign), 2):
        scene.do(scene.room.join(connection, peer, AT))
        scene.receive(connection, SyncStep1(EMPTY_VECTOR))
        assert any(isinstance(frame, SyncStep2) for frame in scene.taken(connection))


def test_what_stands_on_the_words_of_others_waits_until_they_bring_them(scene: Scene) -> None:
    ada, bo = Replica(scene, 1, "ada"), Replica(scene, 2, "bo", extended=True)
    bo.doc.apply_update(ada.write(note("Porto, ")))
    bo.write(note("Faro"))
    bo.write(lambda document: document.selections.set("bo", "row", 3))
    assert not refused(bo.offer())
    bo.frame(Fence(b"saved?"))
    assert notes(scene.room.document) == ""
    scene.sent.clear()
    effects = ada.offer()
    assert notes(scene.room.document) == "Porto, "
    [question] = [frame for frame in scene.taken(2) if isinstance(frame, SyncStep1)]
    bo.frame(SyncStep2(bo.doc.get_update(question.vector)))
    assert notes(scene.room.document) == "Porto, Faro"
    assert scene.room.document.selections.get("bo", "row") == 3
    scene.do(scene.room.committed(scene.room.version))
    assert Fence(b"saved?") in scene.taken(2)
    assert not refused(effects)


@pytest.mark.parametrize("extended", [False, True])
def test_words_that_come_between_two_parts_of_what_stands_on_them_are_not_waited_for(
    scene: Scene, extended: bool
) -> None:
    ben = Replica(scene, 1, "ben")
    ana = Replica(scene, 2, "ana", extended=extended)
    words = ben.write(note("Oslo"))
    ana.doc.apply_update(words)
    ana.write(note(" or Bergen"))
    answer = encode_frame(SyncStep2(ana.doc.get_update(scene.room.document.doc.get_state())))
    ana.peer.asked = True
    for step in scene.room.receive_in_steps(ana.connection, answer):
        scene.do([] if step is None else step(AT))
        if ana.peer.left is not None and ana.peer.left.lacks:
            ben.frame(SyncUpdate(words))
    assert notes(scene.room.document) == "Oslo"
    assert ana.peer.asked
    ana.offer()
    assert notes(scene.room.document) == "Oslo or Bergen"


@pytest.mark.parametrize("extended", [False, True])
def test_what_others_never_bring_is_given_up_after_a_while(scene: Scene, extended: bool) -> None:
    ada, bo = Replica(scene, 1, "ada"), Replica(scene, 2, "bo", extended=extended)
    bo.doc.apply_update(ada.write(note("Porto, ")))
    bo.write(note("Faro"))
    bo.write(lambda document: document.selections.set("bo", "row", 3))
    bo.offer()
    for _ in range(2):
        effects = scene.room.remind(WAITING, AT)
        assert any(isinstance(effect, Remind) for effect in effects)
        effects = bo.offer()
    if extended:
        effects = bo.frame(SyncStep2(EMPTY_UPDATE))
    assert bool(refused(effects)) == extended
    assert scene.room.document.selections.get("bo", "row") == 3
    assert scene.room.remind(WAITING, AT) == []


def test_a_bearer_of_anothers_edits_stays_and_they_come_from_their_author(scene: Scene) -> None:
    ada, bo = Replica(scene, 1, "ada"), Replica(scene, 2, "bo")
    ada.send(note("Porto"))
    bo.catch_up()
    relayed = ada.write(note(", Lisbon"))
    bo.doc.apply_update(relayed)
    assert not refused(bo.frame(SyncUpdate(relayed)))
    bo.send(note(" by bo"))
    assert notes(scene.room.document) == "Porto"
    bo.frame(SyncStep2(bo.doc.get_update(scene.room.document.doc.get_state())))
    ada.frame(SyncUpdate(relayed))
    bo.frame(SyncStep2(bo.doc.get_update(scene.room.document.doc.get_state())))
    assert notes(scene.room.document) == "Porto, Lisbon by bo"
    assert [row.participant for row in scene.rows if b"Lisbon" in row.update] == ["ada"]


@pytest.mark.parametrize("extended", [False, True])
def test_what_stands_on_unknown_words_that_are_refused_waits_for_their_author(scene: Scene, extended: bool) -> None:
    """After a crash the server doesn't know whose they are, and refuses them of any other participant."""
    lost = SessionDocument(Doc())
    lost.doc.apply_update(scene.room.diff(lost.doc.get_state()))
    say("m1", "ada")(lost)
    note("Porto, ")(lost)
    bo = Replica(scene, 2, "bo", extended=extended)
    bo.doc.apply_update(lost.doc.get_update())
    bo.write(note("Faro"))
    scene.sent.clear()
    assert not refused(bo.offer())
    assert notes(scene.room.document) == ""
    ada = Replica(scene, 1, "ada")
    ada.session = lost
    ada.offer()
    [question] = [frame for frame in scene.taken(2) if isinstance(frame, SyncStep1)]
    assert not refused(bo.frame(SyncStep2(bo.doc.get_update(question.vector))))
    assert notes(scene.room.document) == "Porto, Faro"


@pytest.mark.parametrize("extended", [False, True])
def test_what_stands_on_unknown_words_that_never_come_is_given_up(scene: Scene, extended: bool) -> None:
    lost = SessionDocument(Doc())
    say("m1", "ada")(lost)
    note("Porto, ")(lost)
    bo = Replica(scene, 2, "bo", extended=extended)
    bo.doc.apply_update(lost.doc.get_update())
    bo.write(note("Faro"))
    bo.write(lambda document: document.selections.set("bo", "row", 3))
    bo.offer()
    assert scene.room.document.selections.get("bo", "row") is None
    for _ in range(2):
        scene.do(scene.room.remind(WAITING, AT))
        effects = bo.offer()
    if extended:
        effects = bo.frame(SyncStep2(EMPTY_UPDATE))
    assert bool(refused(effects)) == extended
    assert scene.room.document.selections.get("bo", "row") == 3
    assert notes(scene.room.document) == ""


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("role", ["member", "agent", "operator", "admin"])
def test_words_of_others_in_an_answer_cost_its_sender_none_of_its_own(
    scene: Scene, role: str, extended: bool
) -> None:
    ada = Replica(scene, 1, "ada")
    bo = Replica(scene, 2, "bo", role, extended=extended)
    ada.send(note("Porto, "))
    bo.catch_up()
    bo.doc.apply_update(ada.write(note("Lisbon, ")))
    bo.write(say("m1", "bo", role="assistant" if role == "agent" else "user"))
    bo.write(lambda document: document.selections.set("bo", "row", 3))
    bo.offer()
    assert scene.room.document.messages.get("m1") is not None
    assert scene.room.document.selections.get("bo", "row") == 3
    assert notes(scene.room.document) == ("Porto, Lisbon, " if role == "admin" else "Porto, ")


@pytest.mark.parametrize("extended", [False, True])
def test_a_replica_that_shows_nothing_loses_what_was_refused_and_nothing_else(scene: Scene, extended: bool) -> None:
    """Its client id is known to be its own once it writes on under it."""
    ada = Replica(scene, 1, "ada", extended=extended, shows=False)
    ada.write(forge_title)
    ada.write(note("Porto"))
    scene.sent.clear()
    ada.offer()
    assert not refused(ada.send(note(", Lisbon")))
    [question] = [frame for frame in scene.taken(1) if isinstance(frame, SyncStep1)]
    effects = ada.frame(SyncStep2(ada.doc.get_update(question.vector)))
    assert notes(scene.room.document) == "Porto, Lisbon"
    assert bool(refused(effects)) == extended


@pytest.mark.parametrize("why", ["refused", "waits"])
def test_a_part_of_the_words_of_an_unknown_client_makes_it_nobodys(scene: Scene, why: str) -> None:
    """After a crash another participant brings them first; their author would be locked out of its own client id."""
    lost, cleo, bo = SessionDocument(Doc()), Replica(scene, 3, "cleo"), Replica(scene, 2, "bo")
    cleo.send(note("Faro, "))
    lost.doc.apply_update(scene.room.diff(lost.doc.get_state()))
    note("Porto, ")(lost)
    more = cleo.write(note("Lisbon, "))
    if why == "waits":
        lost.doc.apply_update(more)
        lost.text("notes").insert(len(str(lost.text("notes"))), "Braga, ")
    say("m1", "ada")(lost)
    bo.doc.apply_update(lost.doc.get_update())
    bo.offer()
    assert lost.doc.client_id not in scene.room.vector
    if why == "waits":
        cleo.send(lambda _: None)
        cleo.offer()
    ada = Replica(scene, 1, "ada")
    ada.session = lost
    ada.frame(Awareness(encode_awareness([AwarenessEntry(lost.doc.client_id, 1, "{}")])))
    ada.offer()
    assert scene.room.vector[lost.doc.client_id] == ada.reach
    assert scene.room.document.messages.get("m1") is not None
    assert "Porto" in notes(scene.room.document)


def test_nobody_uses_up_the_clocks_of_an_unknown_client_by_what_is_refused(scene: Scene) -> None:
    """Its words may be another's, whom a crash made the server forget."""
    bo = Replica(scene, 2, "bo")
    unknown = SessionDocument(Doc())
    say("m1", "ada")(unknown)
    bo.doc.apply_update(unknown.doc.get_update())
    assert not refused(bo.offer())
    assert unknown.doc.client_id not in scene.room.vector


def test_a_full_document_takes_deletions_and_the_clocks_of_what_it_has_no_place_for() -> None:
    scene = Scene(Settings(max_document_bytes=20_000))
    scene.do(scene.room.create("Trip", AT))
    ada = Replica(scene, 1, "ada")
    ada.send(note("x" * 10_000))
    ada.send(lambda document: (document.state.set("image", "y" * 15_000), note("small")(document)))
    assert notes(scene.room.document).endswith("small")
    assert "image" not in scene.room.document.to_json()["state"]
    ada.send(lambda document: document.text("notes").shared.clear())
    ada.send(note("again"))
    assert notes(scene.room.document) == "again"


def reuse(scene: Scene, *, extended: bool) -> tuple[Replica, Replica]:
    """Two participants whose documents have one Yjs client id; the first has written more than the second will."""
    ada = Replica(scene, 1, "ada")
    eve = Replica(scene, 2, "eve", extended=extended)
    ada.send(lambda session: session.text("notes").append("the words of ada"))
    eve.session = SessionDocument(Doc(client_id=ada.doc.client_id))
    return ada, eve


@pytest.mark.parametrize("root", ["notes", "others"])
def test_words_under_clocks_that_have_other_words_are_refused_before_their_fence(root: str) -> None:
    scene = Scene(Settings())
    _, eve = reuse(scene, extended=True)
    effects = eve.send(lambda session: session.text(root).append("lost"))
    effects += eve.frame(Fence(b"1"))
    effects += eve.frame(SyncStep2(EMPTY_UPDATE))
    assert [effect.error.close_code for effect in effects if isinstance(effect, Refuse)] == [4409]
    assert not any(isinstance(frame, Fence) for frame in scene.taken(2))


def test_a_stock_client_with_the_id_of_another_is_told_that_its_words_are_lost() -> None:
    scene = Scene(Settings())
    ada, eve = reuse(scene, extended=False)
    scene.taken(2)
    eve.send(lambda session: session.state.set("a", 1))
    assert any(isinstance(frame, PermissionDenied) for frame in scene.taken(2))
    ada.send(lambda session: session.text("notes").append(", and more"))
    assert str(scene.room.document.doc.get("text:notes", type=Text)) == "the words of ada, and more"


def test_words_that_are_told_again_are_no_reuse_of_an_id() -> None:
    scene = Scene(Settings())
    ada, ben = Replica(scene, 1, "ada"), Replica(scene, 2, "ben", extended=True)
    updates = [
        ada.write(lambda session: session.text("notes").append("é🐙 and ")),
        ada.write(lambda session: session.state.set("a", {"b": [1, 2**40, 0.5], "c": None})),
        ada.write(say("m1", "ada", "hi 🐙")),
        ada.write(lambda session: session.text("notes").append("more")),
        ada.write(lambda session: session.text("notes").delete(1, 2)),
    ]
    for update in updates:
        ada.frame(SyncUpdate(update))
    for update in (*updates, ada.doc.get_update(), scene.room.diff(b"\x00")):
        scene.room.peers[2].compared = frozenset()
        assert not any(isinstance(effect, Refuse | Remind) for effect in ben.frame(SyncUpdate(update)))
    assert ben.peer.ending is None
