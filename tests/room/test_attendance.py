"""Attendance: what the document says of who is here is true, and is written only when it has lasted."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pycrdt import Doc
from room.scene import AT, Scene

from cosession.auth import Capabilities, Participant
from cosession.protocol import Awareness, AwarenessEntry, encode_awareness
from cosession.room.effects import Remind
from cosession.room.room import Peer
from cosession.settings import Settings

ADA = Participant("ada", "Ada")
BOT = Participant("bot", "Bot", "agent")
LATER = "2026-01-01T00:00:09.000Z"


@pytest.fixture
def scene() -> Scene:
    return Scene(Settings())


def enter(scene: Scene, connection: int, who: Participant = ADA) -> None:
    scene.do(scene.room.join(connection, Peer(who), AT))


def leave(scene: Scene, connection: int, at: str = LATER) -> None:
    scene.do(scene.room.leave(connection, at))


def settle(scene: Scene) -> int:
    """Let two ticks pass; how many updates they made."""
    before = scene.room.version
    for _ in range(2):
        scene.do(scene.room.attend(LATER))
    return scene.room.version - before


def said(scene: Scene, who: str = "ada") -> dict[str, Any]:
    known = scene.room.document.participants.get(who)
    assert known is not None
    return {key: value for key, value in known.to_json().items() if key not in ("name", "kind", "since")}


def show(scene: Scene, connection: int, clock: int, **state: object) -> None:
    entry = AwarenessEntry(connection, clock, json.dumps(state))
    scene.receive(connection, Awareness(encode_awareness([entry])))


def test_who_joins_is_online_on_one_device_and_looks(scene: Scene) -> None:
    enter(scene, 1)
    assert said(scene) == {"online": True, "devices": 1, "looking": True}
    assert settle(scene) == 0


def test_an_agent_does_not_look(scene: Scene) -> None:
    enter(scene, 1, BOT)
    assert said(scene, "bot") == {"online": True, "devices": 1, "looking": False}


def test_each_connection_is_a_device(scene: Scene) -> None:
    for connection in (1, 2, 3):
        enter(scene, connection)
    assert settle(scene) == 1
    assert said(scene)["devices"] == 3


def test_who_has_left_is_offline_since_the_last_connection_ended(scene: Scene) -> None:
    enter(scene, 1)
    enter(scene, 2)
    leave(scene, 1, AT)
    settle(scene)
    assert "last_seen" not in said(scene), "there is one more"
    leave(scene, 2, LATER)
    assert settle(scene) == 1
    assert said(scene) == {"online": False, "devices": 0, "looking": False, "last_seen": LATER}


def test_a_reload_writes_nothing(scene: Scene) -> None:
    enter(scene, 1)
    settle(scene)
    leave(scene, 1)
    scene.do(scene.room.attend(LATER))
    enter(scene, 2)
    assert settle(scene) == 0


def test_a_connection_that_comes_and_goes_all_the_time_writes_nothing_meanwhile(scene: Scene) -> None:
    enter(scene, 1)
    settle(scene)
    before = scene.room.version
    for connection in range(1, 50):
        leave(scene, connection)
        scene.do(scene.room.attend(LATER))
        enter(scene, connection + 1)
    assert scene.room.version == before
    assert settle(scene) == 0


def test_many_who_leave_at_once_are_one_update(scene: Scene) -> None:
    for number in range(20):
        enter(scene, number, Participant(f"p{number}", "P"))
    settle(scene)
    for number in range(20):
        leave(scene, number)
    assert settle(scene) == 1
    assert not any(who.online for _, who in scene.room.document.participants)


def test_the_shell_is_reminded_until_nothing_waits(scene: Scene) -> None:
    reminder = Remind("attendance", Settings().attendance_seconds)
    effects = scene.room.join(1, Peer(ADA), AT)
    assert effects.count(reminder) == 1
    assert reminder not in scene.room.join(2, Peer(ADA), AT), "it is reminded already"
    assert reminder in scene.room.remind("attendance", AT)
    assert reminder not in scene.room.remind("attendance", AT)


def test_a_page_that_says_so_is_looked_at_or_not(scene: Scene) -> None:
    enter(scene, 1)
    show(scene, 1, 1, visible=False)
    settle(scene)
    assert said(scene)["looking"] is False
    enter(scene, 2)
    show(scene, 2, 1, visible=True)
    settle(scene)
    assert said(scene)["looking"] is True, "one of two is looked at"
    show(scene, 2, 2, visible=False)
    settle(scene)
    assert said(scene)["looking"] is False


def test_a_page_that_does_not_say_is_taken_to_be_looked_at(scene: Scene) -> None:
    enter(scene, 1)
    show(scene, 1, 1, visible=False)
    settle(scene)
    show(scene, 1, 2, visible="perhaps")
    settle(scene)
    assert said(scene)["looking"] is True


def test_a_glance_at_another_tab_writes_nothing(scene: Scene) -> None:
    enter(scene, 1)
    settle(scene)
    show(scene, 1, 1, visible=False)
    scene.do(scene.room.attend(LATER))
    show(scene, 1, 2, visible=True)
    assert settle(scene) == 0


def test_an_agent_whose_console_is_looked_at_says_so(scene: Scene) -> None:
    enter(scene, 1, BOT)
    show(scene, 1, 1, visible=True)
    settle(scene)
    assert said(scene, "bot")["looking"] is True


def test_other_words_in_presence_write_nothing(scene: Scene) -> None:
    enter(scene, 1)
    settle(scene)
    for clock in range(1, 20):
        show(scene, 1, clock, cursor=clock)
    assert settle(scene) == 0


def test_what_a_crash_left_untrue_is_made_true(scene: Scene) -> None:
    enter(scene, 1)
    enter(scene, 2, BOT)
    settle(scene)
    again = Scene(Settings(), [row.update for row in scene.rows], scene.room.version)
    again.do(again.room.recover(AT))
    for who in ("ada", "bot"):
        assert said(again, who) == {"online": False, "devices": 0, "looking": False, "last_seen": AT}
    assert again.room.version == scene.room.version + 1, "all of them in one update"


def test_a_session_that_nobody_is_said_to_be_in_loads_without_a_word(scene: Scene) -> None:
    enter(scene, 1)
    leave(scene, 1)
    scene.do(scene.room.attend(LATER, at_once=True))
    again = Scene(Settings(), [row.update for row in scene.rows], scene.room.version)
    assert again.room.recover(AT) == []


def test_before_a_room_goes_all_is_written_at_once(scene: Scene) -> None:
    enter(scene, 1)
    leave(scene, 1)
    before = scene.room.version
    scene.do(scene.room.attend(LATER, at_once=True))
    assert scene.room.version == before + 1
    assert said(scene)["online"] is False


@pytest.mark.parametrize("act", [lambda s: leave(s, 1), lambda s: show(s, 1, 1, visible=True)])
def test_of_who_has_no_presence_only_the_name_is_known(scene: Scene, act: Callable[[Scene], None]) -> None:
    enter(scene, 1, Participant("eve", "Eve", capabilities=Capabilities.parse(["read"])))
    assert said(scene, "eve") == {}
    act(scene)
    assert settle(scene) == 0
    assert said(scene, "eve") == {}


def test_the_presence_of_who_may_not_show_it_is_passed_over(scene: Scene) -> None:
    scene.join(1, "ada")
    enter(scene, 2, Participant("eve", "Eve", capabilities=Capabilities.parse(["read"])))
    show(scene, 2, 1, mood="sly")
    assert scene.presence.get(1, []) == []
    assert scene.room.presence.everybody() == ()


def test_nobody_but_the_server_can_make_somebody_be_online(scene: Scene) -> None:
    enter(scene, 1)
    leave(scene, 1)
    settle(scene)
    show_of_nobody = AwarenessEntry(1, 99, '{"visible":true,"user":{"id":"ada"}}')
    enter(scene, 2, Participant("eve", "Eve"))
    scene.receive(2, Awareness(encode_awareness([show_of_nobody])))
    settle(scene)
    assert said(scene)["online"] is False


@pytest.mark.parametrize("who", [ADA, BOT])
def test_a_participant_that_is_known_comes_without_an_edit(
    scene: Scene, who: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed, watched, observe = Participant(who.id, "Another", who.kind), list[Doc](), Doc.observe

    def note(doc: Doc, callback: Any) -> Any:
        watched.append(doc)
        return observe(doc, callback)

    def join(connection: int, who: Participant) -> bool:
        watched.clear()
        enter(scene, connection, who)
        return bool(watched)

    monkeypatch.setattr(Doc, "observe", note)
    joined = [who, who, renamed, renamed]
    assert [join(number, one) for number, one in enumerate(joined)] == [True, False, True, False]
