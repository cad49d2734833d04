"""What a client offers of others' updates, in answer to the server's question what it has."""

import pytest
from admission.scene import Client, Scene, participant, say, session, text_of, updates_of
from pycrdt import Doc

from cosession.admission import Admitted
from cosession.auth import Participant
from cosession.document import SessionDocument
from cosession.errors import NotAllowed
from cosession.protocol import decode_state_vector

STATE = session().doc.get_update()


class Crash:
    """A session whose server lost what `write` does, while a client has it."""

    def __init__(self, scene: Scene, who: Participant) -> None:
        self.scene = scene
        self.client = Client(scene, who)
        self.own = {self.client.document.doc.client_id}

    def write(self, writer: str, role: str, change: object) -> None:
        other = Client(self.scene, participant(writer, role=role))
        other.document = SessionDocument(Doc())
        other.document.doc.apply_update(self.client.document.doc.get_update())
        for update in updates_of(other.document, change):
            self.client.document.doc.apply_update(update)

    def offer(self) -> Admitted:
        update = self.client.document.doc.get_update(self.scene.document.doc.get_state())
        return self.scene.receive(update, self.client.who, is_own=self.own.__contains__)


def test_ones_own_is_offered_as_it_was_written(scene: Scene) -> None:
    crash = Crash(scene, participant("eve", role="member"))
    updates_of(crash.client.document, lambda d: say(d, "m-new", "eve"))

    crash.offer()

    assert scene.document.messages.get("m-new").stamp["by"] == "eve"


def test_anothers_message_is_not_taken_from_a_member(scene: Scene) -> None:
    crash = Crash(scene, participant("eve", role="member"))
    crash.write("bob", "member", lambda d: say(d, "m-new", "bob"))

    with pytest.raises(NotAllowed) as refusal:
        crash.offer()
    assert refusal.value.needs == ("admin",)


def test_an_edit_of_ones_own_message_by_another_client_is_taken(scene: Scene) -> None:
    """E.g. by one's other device, which is known to be one's own."""
    crash = Crash(scene, participant("eve", role="member"))
    crash.write("eve", "member", lambda d: text_of(d, "m-eve").insert(0, "oh, "))
    crash.own = set(decode_state_vector(crash.client.document.doc.get_state()))

    crash.offer()

    assert str(text_of(scene.document, "m-eve")) == "oh, hello"


def test_what_another_wrote_in_ones_own_message_is_not_taken_from_a_member(scene: Scene) -> None:
    """Nobody can tell it from a lie that uses up the clocks of a client, whose own words are then passed over."""
    crash = Crash(scene, participant("eve", role="member"))
    crash.write("olga", "operator", lambda d: text_of(d, "m-eve").insert(0, "oh, "))

    with pytest.raises(NotAllowed):
        crash.offer()


def test_an_edit_of_anothers_message_is_not_taken_from_a_member(scene: Scene) -> None:
    crash = Crash(scene, participant("eve", role="member"))
    crash.write("bob", "member", lambda d: text_of(d, "m-bob").insert(0, "oh, "))

    with pytest.raises(NotAllowed):
        crash.offer()


def test_nor_from_an_operator_who_may_edit_all_messages(scene: Scene) -> None:
    """What is new under another's client id would be signed as theirs, and use up what they write next."""
    crash = Crash(scene, participant("olga", role="operator"))
    crash.write("bob", "member", lambda d: say(d, "m-new", "bob"))

    with pytest.raises(NotAllowed):
        crash.offer()
    assert scene.document.messages.get("m-new") is None
