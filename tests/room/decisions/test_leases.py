"""Leases: held by being here, with a grace for who is gone, and none for who said goodbye."""

import pytest

from cosession.room.decisions.leases import Leases
from cosession.room.effects import Remind

RING = Remind("lease/run/r1", 15.0)
STOP = Remind("lease/run/r1", None)


class Crowd:
    """Who is here."""

    def __init__(self) -> None:
        self.here: set[tuple[int, str]] = {(7, "bot")}

    def is_here(self, client: int, participant: str) -> bool:
        return (client, participant) in self.here


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


@pytest.fixture
def leases(crowd: Crowd) -> Leases:
    return Leases(15.0, crowd.is_here)


def test_who_is_here_holds_it_without_a_timer(leases: Leases) -> None:
    assert leases.keep("run/r1", 7, "bot") == []
    assert not leases.are_waiting
    assert not leases.is_over("run/r1")


def test_who_is_not_here_has_a_grace_to_come(leases: Leases, crowd: Crowd) -> None:
    assert leases.keep("run/r1", 8, "bot") == [RING]
    assert leases.are_waiting
    assert leases.is_over("run/r1"), "when it rings now"
    crowd.here.add((8, "bot"))
    assert leases.came(8) == [STOP]
    assert not leases.is_over("run/r1")


def test_who_is_gone_has_a_grace_and_who_said_goodbye_has_none(leases: Leases, crowd: Crowd) -> None:
    leases.keep("run/r1", 7, "bot")
    crowd.here.clear()
    assert leases.left(7, goodbye=False) == [RING]
    assert leases.left(7, goodbye=False) == [], "it runs already"
    assert leases.left(7, goodbye=True) == [Remind("lease/run/r1", 0.0)]


def test_to_keep_again_is_nothing_and_to_hand_over_stops_the_grace(leases: Leases, crowd: Crowd) -> None:
    leases.keep("run/r1", 8, "bot")
    assert leases.keep("run/r1", 8, "bot") == []
    assert leases.keep("run/r1", 7, "bot") == [STOP]
    assert leases.end("run/r1") == []
    assert not leases.is_over("run/r1")


def test_somebody_elses_client_of_that_number_holds_nothing(leases: Leases, crowd: Crowd) -> None:
    leases.keep("run/r1", 7, "eve")
    assert leases.came(7) == []
    assert leases.is_over("run/r1")


def test_the_graces_of_several_things_run_apart(leases: Leases, crowd: Crowd) -> None:
    leases.keep("run/r1", 7, "bot")
    leases.keep("claim/k", 7, "bot")
    crowd.here.clear()
    assert leases.left(7, goodbye=False) == [RING, Remind("lease/claim/k", 15.0)]
    assert leases.end("run/r1") == [STOP]
    assert leases.are_waiting
    crowd.here.add((7, "bot"))
    assert leases.came(7) == [Remind("lease/claim/k", None)]
    assert not leases.are_waiting
