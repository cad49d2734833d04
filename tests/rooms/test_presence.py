"""Presence: a state belongs to one connection, and leaves with it."""

from cosession.protocol import AwarenessEntry
from cosession.rooms.presence import Presence

GONE = "null"


def entry(client: int, clock: int, state: str = "{}") -> AwarenessEntry:
    return AwarenessEntry(client, clock, state)


def test_a_late_joiner_is_told_of_everybody_who_is_here() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 1, '{"a":1}')])
    presence.receive(2, "bo", [entry(20, 1, '{"b":1}')])
    assert {e.client: e.state for e in presence.everybody()} == {10: '{"a":1}', 20: '{"b":1}'}


def test_who_leaves_is_gone_for_everybody_at_once() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 4)])
    [gone] = presence.leave(1)
    assert (gone.client, gone.gone) == (10, True)
    assert gone.clock > 4
    assert presence.everybody() == ()


def test_a_state_told_by_somebody_else_does_not_replace_the_owners() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 1, '{"name":"Ada"}')])
    presence.receive(2, "eve", [entry(20, 1)])
    assert presence.receive(2, "eve", [entry(10, 9, '{"name":"Eve"}')]) == ()
    assert presence.receive(2, "eve", [entry(10, 9, GONE)]) == ()
    assert presence.everybody()[0].state == '{"name":"Ada"}'


def test_another_participant_cannot_take_a_client_over_with_its_first_word() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 1, '{"name":"Ada"}')])
    assert presence.receive(2, "eve", [entry(10, 9, '{"name":"Eve"}')]) == ()


def test_a_relay_of_who_has_left_brings_nobody_back() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 3)])
    presence.receive(2, "bo", [entry(20, 1)])
    presence.leave(1)
    assert presence.receive(2, "bo", [entry(10, 3)]) == ()
    assert [e.client for e in presence.everybody()] == [20]


def test_a_client_that_returns_with_its_old_clock_is_seen_with_a_newer_one() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 7)])
    [gone] = presence.leave(1)
    [back] = presence.receive(3, "ada", [entry(10, 7, '{"x":1}')])
    assert back.clock > gone.clock
    [later] = presence.receive(3, "ada", [entry(10, 8, '{"x":2}')])
    assert later.clock > back.clock


def test_a_reconnected_participant_takes_its_client_over_before_the_old_socket_is_known_to_be_dead() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 5)])
    presence.receive(2, "ada", [entry(10, 6, '{"tab":"new"}')])
    assert presence.leave(1) == ()
    assert presence.everybody()[0].state == '{"tab":"new"}'


def test_an_older_state_of_the_same_client_is_not_news() -> None:
    presence = Presence()
    presence.receive(1, "ada", [entry(10, 5, '{"x":5}')])
    assert presence.receive(1, "ada", [entry(10, 4, '{"x":4}')]) == ()
