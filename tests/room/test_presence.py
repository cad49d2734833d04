"""Presence: a state belongs to one connection, and leaves with it."""

import json

import pytest

from cosession.auth import ANONYMOUS, Capabilities, Participant
from cosession.errors import MalformedFrame
from cosession.protocol import AwarenessEntry, decode_awareness, encode_awareness
from cosession.room.presence import RoomPresence

GONE = "null"
ADA, BO, EVE = (Participant(name.lower(), name) for name in ("Ada", "Bo", "Eve"))
JUDGED = Participant("jo", "Jo", capabilities=Capabilities.of("member"))


def said(entry: AwarenessEntry) -> dict[str, object]:
    """What a state says, without who the server says it is."""
    return {key: value for key, value in json.loads(entry.state).items() if key != "user"}


def entry(client: int, clock: int, state: str = "{}") -> AwarenessEntry:
    return AwarenessEntry(client, clock, state)


def test_a_late_joiner_is_told_of_everybody_who_is_here() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 1, '{"a":1}')])
    presence.receive(2, BO, [entry(20, 1, '{"b":1}')])
    assert {e.client: said(e) for e in presence.everybody()} == {10: {"a": 1}, 20: {"b": 1}}


def test_who_leaves_is_gone_for_everybody_at_once() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 4)])
    [gone] = presence.leave(1)
    assert (gone.client, gone.gone) == (10, True)
    assert gone.clock >= 4
    assert presence.everybody() == ()


def test_a_state_told_by_somebody_else_does_not_replace_the_owners() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 1, '{"name":"Ada"}')])
    presence.receive(2, EVE, [entry(20, 1)])
    assert presence.receive(2, EVE, [entry(10, 9, '{"name":"Eve"}')]).others == ()
    assert presence.receive(2, EVE, [entry(10, 9, GONE)]).others == ()
    assert said(presence.everybody()[0]) == {"name": "Ada"}


def test_another_participant_cannot_take_a_client_over_with_its_first_word() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 1, '{"name":"Ada"}')])
    assert presence.receive(2, EVE, [entry(10, 9, '{"name":"Eve"}')]).others == ()


def test_a_relay_of_who_has_left_brings_nobody_back() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 3)])
    presence.receive(2, BO, [entry(20, 1)])
    presence.leave(1)
    assert presence.receive(2, BO, [entry(10, 3)]).others == ()
    assert [e.client for e in presence.everybody()] == [20]


def test_a_client_that_returns_with_the_clock_it_had_is_asked_for_a_newer_one() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 7)])
    [gone] = presence.leave(1)
    heard = presence.receive(3, ADA, [entry(10, 7, '{"x":1}')])
    assert heard.others == ()
    assert heard.sender == (gone,)
    [back] = presence.receive(3, ADA, [entry(10, 8, '{"x":1}')]).others
    assert back.clock > gone.clock


def test_a_late_relay_makes_no_ghost_even_of_the_first_word_of_a_connection() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 7)])
    presence.leave(1)
    presence.receive(2, ADA, [entry(10, 7)])
    assert presence.everybody() == ()


def test_who_first_relays_one_who_has_left_speaks_for_itself_afterwards() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 3)])
    presence.leave(1)
    assert presence.receive(2, BO, [entry(10, 3)]).others == ()
    [news] = presence.receive(2, BO, [entry(20, 1, '{"b":1}')]).others
    assert (news.client, said(news)) == (20, {"b": 1})


def test_what_a_second_tab_relays_of_the_first_takes_nothing_over() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 5)])
    assert presence.receive(2, ADA, [entry(10, 5)]).others == ()
    assert presence.leave(2) == ()
    [own] = presence.receive(3, ADA, [entry(11, 0)]).others
    assert own.client == 11


def test_a_reconnected_participant_takes_its_client_over_before_the_old_socket_is_known_to_be_dead() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 5)])
    presence.receive(2, ADA, [entry(10, 6, '{"tab":"new"}')])
    assert presence.leave(1) == ()
    assert said(presence.everybody()[0]) == {"tab": "new"}


def test_an_older_state_of_the_same_client_is_not_news() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 5, '{"x":5}')])
    assert presence.receive(1, ADA, [entry(10, 4, '{"x":4}')]).others == ()


def test_who_somebody_is_is_said_by_the_server() -> None:
    presence = RoomPresence(10_000)
    forged = entry(10, 1, '{"user":{"id":"ada","name":"Ada","color":"red"},"typing":true}')
    [news] = presence.receive(1, EVE, [forged]).others
    assert json.loads(news.state) == {
        "user": {"id": "eve", "name": "Eve", "kind": "human", "color": "red"},
        "typing": True,
    }


def test_the_anonymous_say_of_themselves_what_they_like() -> None:
    presence = RoomPresence(10_000)
    [news] = presence.receive(1, ANONYMOUS, [entry(10, 1, '{"user":{"name":"Somebody"}}')]).others
    assert json.loads(news.state) == {"user": {"name": "Somebody"}}


def test_a_relay_among_the_anonymous_takes_nobody_over() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ANONYMOUS, [entry(10, 5)])
    assert presence.receive(2, ANONYMOUS, [entry(10, 5)]).others == ()
    assert presence.leave(2) == ()
    assert [e.client for e in presence.everybody()] == [10]


def test_a_connection_brings_others_as_a_bridge_does_and_they_go_with_it() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 1)])
    [behind] = presence.receive(1, ADA, [entry(11, 1, '{"name":"behind","user":{"id":"eve"}}')]).others
    assert behind.client == 11
    assert json.loads(behind.state)["user"]["id"] == ADA.id, "who it is the token says, not the state"
    [gone] = presence.receive(1, ADA, [entry(11, 1, GONE)]).others
    assert (gone.client, gone.gone) == (11, True)
    presence.receive(1, ADA, [entry(12, 1)])
    assert {e.client for e in presence.leave(1)} == {10, 12}
    assert presence.everybody() == ()


def test_who_is_only_brought_gives_way_to_a_connection_of_its_own_and_may_write() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, EVE, [entry(10, 1)])
    presence.receive(1, EVE, [entry(20, 5, '{"name":"Eve"}')])
    assert presence.may_write(BO, 20)
    presence.receive(2, BO, [entry(20, 6, '{"name":"Bo"}')])
    assert [said(e) for e in presence.everybody() if e.client == 20] == [{"name": "Bo"}]
    assert not presence.may_write(EVE, 20)
    assert presence.receive(1, EVE, [entry(20, 9)]).others == ()
    assert [e.client for e in presence.leave(1)] == [10]


def test_what_one_connection_brings_is_bounded_in_number_and_in_all() -> None:
    presence = RoomPresence(1000)
    presence.receive(1, ADA, [entry(0, 1)])
    presence.receive(1, ADA, [entry(client, 1) for client in range(1, 1000)])
    assert len(presence.everybody()) < 30
    assert sum(len(e.state) for e in presence.everybody()) <= 1000
    tiny = RoomPresence(1_000_000)
    tiny.receive(1, ADA, [entry(client, 1) for client in range(1000)])
    assert len(tiny.everybody()) == 64
    assert len(tiny.leave(1)) == 64


def test_who_takes_the_own_state_back_may_say_another_later() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 1)])
    [gone] = presence.receive(1, ADA, [entry(10, 2, GONE)]).others
    assert gone.gone
    [back] = presence.receive(1, ADA, [entry(10, 3)]).others
    assert back.clock > gone.clock


def test_a_state_that_is_too_large_is_dropped_and_its_client_stays_as_it_was() -> None:
    presence = RoomPresence(100)
    large = json.dumps({"x": "x" * 200})
    heard = presence.receive(1, ADA, [entry(10, 1, large)])
    assert heard.is_too_large
    [shown] = heard.others
    assert json.loads(shown.state).keys() == {"user"}, "it is here all the same"
    assert not presence.receive(1, ADA, [entry(10, 2, '{"typing":true}')]).is_too_large
    heard = presence.receive(1, ADA, [entry(10, 3, large)])
    assert (heard.is_too_large, heard.others) == (True, ())
    [shown] = presence.everybody()
    assert json.loads(shown.state)["typing"]


@pytest.mark.parametrize("character", ["x", "é", "漢", "🐙"])
def test_the_size_of_a_state_is_that_of_its_utf_8(character: str) -> None:
    for size in (1000, 1001):
        state = json.dumps({"x": ""}, separators=(",", ":"))
        words = character * ((1000 - len(state)) // len(character.encode()))
        words += "x" * (size - len(state) - len(words.encode()))
        state = json.dumps({"x": words}, ensure_ascii=False, separators=(",", ":"))
        assert RoomPresence(1000).receive(1, ADA, [entry(10, 1, state)]).is_too_large == (size > 1000)


def test_half_an_emoji_in_a_state_can_be_sent_on() -> None:
    for participant in (ADA, ANONYMOUS):
        presence = RoomPresence(10_000)
        payload = encode_awareness([entry(10, 1, '{"draft":"hi \\ud83d"}')])
        [news] = presence.receive(1, participant, decode_awareness(payload)).others
        assert json.loads(news.state)["draft"] == "hi \ud83d"
        assert decode_awareness(encode_awareness([news])) == (news,)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_state_that_only_python_can_read_is_malformed(constant: str) -> None:
    with pytest.raises(MalformedFrame):
        decode_awareness(encode_awareness([entry(10, 1, f'{{"x":{constant}}}')]))


def test_what_json_can_not_say_and_what_is_nested_too_deep_is_refused() -> None:
    presence = RoomPresence(10_000)
    for state in ('{"x":1e999}', '{"x":' + "[" * 3000 + "]" * 3000 + "}"):
        with pytest.raises(MalformedFrame):
            presence.receive(1, ADA, [entry(10, 1, state)])


def test_also_an_anonymous_client_takes_over_from_its_old_connection_with_a_newer_clock() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ANONYMOUS, [entry(10, 1)])
    assert presence.receive(2, ANONYMOUS, [entry(10, 1)]).others == ()
    [news] = presence.receive(2, ANONYMOUS, [entry(10, 2)]).others
    assert news.clock == 2
    assert presence.leave(1) == ()
    assert [e.client for e in presence.everybody()] == [10]


def test_who_has_a_new_name_is_not_taken_for_somebody_else() -> None:
    presence = RoomPresence(10_000)
    presence.receive(1, ADA, [entry(10, 1)])
    assert presence.may_write(Participant(ADA.id, "Ada L."), 10)
    assert not presence.may_write(EVE, 10)
    assert presence.may_write(EVE, 11)


def test_the_oldest_are_forgotten_of_those_who_were_first_under_a_client_id() -> None:
    presence = RoomPresence(10_000)
    for client in range(5000):
        presence.receive(client, JUDGED, [entry(client + 1, 1)])
        presence.leave(client)
    assert not presence.is_others(1, "eve")
    assert presence.is_others(5000, "eve")
