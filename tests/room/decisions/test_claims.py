"""Claims: one holder at a time, in order of arrival; passed on when the holder lets go, is gone, or had its time."""

import pytest
from room.decisions.stage import Actor, Stage

from cosession.document import SessionDocument
from cosession.document.times import later
from cosession.errors import Superseded

LEASE = "lease/claim/k"


def holder(stage: Stage, key: str = "k") -> int | None:
    fact = stage.claim(key)
    return None if fact is None else fact["client"]


def line(stage: Stage, key: str = "k") -> list[int]:
    return [one["client"] for one in (stage.claim(key) or {}).get("waiting", [])]


def test_the_first_who_asks_gets_it_and_nothing_is_left_of_the_wishes(stage: Stage) -> None:
    ada, bo = stage.actor("ada"), stage.actor("bo")
    ada.claim("k")
    bo.claim("k")
    fact = stage.claim("k")
    assert fact is not None
    assert (fact["by"], fact["client"], fact["at"]) == ("ada", ada.client, stage.at)
    assert "waiting" not in fact
    assert len(stage.document.requests) == 0


def test_the_epoch_is_the_version_of_the_update_that_grants_it(stage: Stage) -> None:
    ada = stage.actor("ada")
    ada.claim("k")
    epoch = (stage.claim("k") or {})["epoch"]
    [row] = [row for row in stage.rows if row.version == epoch]
    assert row.participant == "server"
    ada.release("k")
    ada.claim("k")
    assert (stage.claim("k") or {})["epoch"] > epoch


def test_two_processes_of_one_participant_are_two(stage: Stage) -> None:
    one, two = stage.actor("bot", "agent"), stage.actor("bot", "agent")
    one.claim("k")
    two.claim("k")
    two.release("k")
    assert holder(stage) == one.client


def test_who_waits_gets_it_in_order_when_it_is_let_go(stage: Stage) -> None:
    ada, bo, cy = stage.actor("ada"), stage.actor("bo"), stage.actor("cy")
    for actor in (ada, bo, cy, bo):
        actor.claim("k", wait=True)
    assert line(stage) == [bo.client, cy.client], "each once, and not who holds it"
    bo.release("k")
    assert line(stage) == [cy.client]
    ada.release("k")
    assert (holder(stage), line(stage)) == (cy.client, [])
    cy.release("k")
    assert stage.claim("k") is None


def test_who_is_gone_loses_it_after_a_grace_to_the_next_who_is_here(stage: Stage) -> None:
    ada, bo, cy = stage.actor("ada"), stage.actor("bo"), stage.actor("cy")
    for actor in (ada, bo, cy):
        actor.claim("k", wait=True)
    bo.leave()
    ada.leave()
    assert holder(stage) == ada.client
    stage.ring(LEASE)
    assert holder(stage) == cy.client
    assert LEASE not in stage.timers


def test_who_comes_back_in_time_keeps_it(stage: Stage) -> None:
    ada = stage.actor("ada")
    ada.claim("k")
    ada.leave()
    ada.come()
    assert LEASE not in stage.timers
    assert holder(stage) == ada.client


def test_who_says_goodbye_loses_it_at_once(stage: Stage) -> None:
    ada = stage.actor("ada")
    ada.claim("k")
    ada.say_goodbye()
    assert stage.timers[LEASE] == 0.0
    stage.ring(LEASE)
    assert stage.claim("k") is None


def test_what_is_claimed_for_a_time_is_free_after_it_unless_it_is_renewed(stage: Stage) -> None:
    ada = stage.actor("ada")
    ada.claim("k", seconds=20)
    first = stage.claim("k")
    assert first is not None
    assert first["until"] == later(stage.at, 20)
    assert stage.timers["until/k"] == 20
    stage.at = later(stage.at, 15)
    ada.claim("k", seconds=20)
    renewed = stage.claim("k")
    assert renewed is not None
    assert renewed["until"] == later(stage.at, 20)
    assert renewed["epoch"] == first["epoch"], "it was hers all the time"
    stage.ring("until/k")
    assert stage.claim("k") is None


def test_of_a_long_time_the_clock_is_asked_too_because_timers_ring_hourly(stage: Stage) -> None:
    ada = stage.actor("ada")
    ada.claim("k", seconds=7200)
    stage.at = later(stage.at, 3600)
    stage.ring("until/k")
    assert holder(stage) == ada.client
    assert stage.timers["until/k"] == 3600
    stage.at = later(stage.at, 3600)
    stage.ring("until/k")
    assert stage.claim("k") is None


@pytest.mark.parametrize("seconds", [True, -1, 0, "soon", [], 1e300])
def test_a_time_that_makes_no_sense_is_none_or_a_year(stage: Stage, seconds: object) -> None:
    ada = stage.actor("ada")
    ada.write(
        lambda document: document.requests.put(
            "claim", "k", str(ada.client), participant="ada", value={"seconds": seconds}
        )
    )
    fact = stage.claim("k")
    assert fact is not None
    assert fact.get("until") in (None, later(stage.at, 366 * 86400))


def test_a_wish_without_a_client_or_a_key_comes_to_nothing(stage: Stage) -> None:
    ada = stage.actor("ada")
    for subject in (("k",), ("k", "nobody"), ("k", "1", "2"), ()):
        ada.write(lambda document, subject=subject: document.requests.put("claim", *subject, participant="ada"))
        ada.write(lambda document, subject=subject: document.requests.put("release", *subject, participant="ada"))
    assert stage.document.claims.to_json() == {}
    assert len(stage.document.requests) == 0


def test_not_more_than_some_may_wait(stage: Stage) -> None:
    ada = stage.actor("ada")
    ada.claim("k")

    def crowd(document: object) -> None:
        for client in range(200):
            ada.document.requests.ask_claim("k", client, "ada", wait=True)

    ada.write(crowd)
    assert len(line(stage)) == 64


def test_what_was_held_is_held_after_a_restart_for_a_grace(stage: Stage) -> None:
    ada = stage.actor("ada")
    ada.claim("k", seconds=100)
    again = stage.restart()
    assert again.timers[LEASE] == again.settings.lease_grace_seconds
    assert again.timers["until/k"] == 100
    ada.come(again)
    assert LEASE not in again.timers
    ada.release("k")
    assert again.claim("k") is None


def test_a_clock_that_went_back_gives_nobody_more_time(stage: Stage) -> None:
    stage.actor("ada").claim("k", seconds=10)
    stage.at = "2025-01-01T00:00:00.000Z"
    again = stage.restart()
    again.do(again.room.begin("2025-01-01T00:00:00.000Z"))
    assert again.timers["until/k"] == 10


def test_a_claim_that_somebody_forges_or_takes_away_is_written_back(stage: Stage) -> None:
    ada, eve = stage.actor("ada"), stage.actor("eve")
    ada.claim("k")
    fact = stage.claim("k")
    eve.write(lambda document: document.claims.grant("k", by="eve", client=eve.client, epoch=99, at=stage.at))
    assert stage.claim("k") == fact
    eve.write(lambda document: document.claims.release("k"))
    assert stage.claim("k") == fact
    eve.write(lambda document: document.claims.shared.update({"other": {"by": 7}}))
    assert stage.claim("other") is None


def test_a_grant_that_a_crash_undid_and_a_replica_brings_back_is_granted_anew(stage: Stage) -> None:
    ada = stage.actor("ada")
    rows = len(stage.rows)
    ada.claim("k")
    lost = (stage.claim("k") or {})["epoch"]
    again = stage.restart(rows)
    again.actor("bo").prompt()
    ada.come(again)
    fact = again.claim("k")
    assert fact is not None
    assert (fact["client"], fact["epoch"]) == (ada.client, again.room.version)
    assert fact["epoch"] > lost


def test_one_that_comes_back_to_find_another_there_is_written_over(stage: Stage) -> None:
    ada = stage.actor("ada")
    rows = len(stage.rows)
    ada.claim("k")
    again = stage.restart(rows)
    bo = again.actor("bo")
    bo.claim("k")
    ada.come(again)
    assert holder(again) == bo.client
    assert ada.document.claims.get("k") == again.claim("k")


def test_a_prompt_passes_from_who_is_gone_and_the_old_process_is_fenced_off(stage: Stage) -> None:
    stage.actor("ada").prompt("m1")
    old, new = stage.actor("bot", "agent"), stage.actor("bot", "agent")
    old.claim("prompt/m1")
    assert stage.timers["until/prompt/m1"] == stage.settings.begin_seconds
    new.claim("prompt/m1", wait=True)
    old.leave()
    stage.ring("lease/claim/prompt/m1")
    fact = stage.claim("prompt/m1")
    assert fact is not None
    assert (fact["client"], fact["former"]) == (new.client, [old.client])
    again = stage.restart()
    old.prompt("late")
    old.come(again)
    assert isinstance(old.refusal, Superseded)


def test_a_prompt_that_its_holder_passed_over_is_free_for_others_who_aren_t_fenced_off(stage: Stage) -> None:
    stage.actor("ada").prompt("m1")
    old, new = stage.actor("bot", "agent"), stage.actor("bot", "agent")
    old.claim("prompt/m1")
    stage.ring("until/prompt/m1")
    assert stage.claim("prompt/m1") is None
    new.claim("prompt/m1")
    assert holder(stage, "prompt/m1") == new.client
    old.prompt("m2")
    assert stage.document.messages.get("m2") is not None


def test_people_are_never_fenced_off(stage: Stage) -> None:
    ada, bo = stage.actor("ada"), stage.actor("bo")
    ada.claim("k")
    bo.claim("k", wait=True)
    ada.leave()
    stage.ring(LEASE)
    ada.prompt()
    ada.come()
    assert stage.document.messages.get("m1") is not None


def test_what_a_worker_was_to_do_and_gives_back_is_free_at_once(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.leave()
    Actor.come(bot, shows=False)
    bot.claim("k")
    stage.do(stage.room.give_back(bot.client))
    assert stage.timers[LEASE] == 0.0
    stage.ring(LEASE)
    assert stage.claim("k") is None


@pytest.mark.parametrize(
    "nonsense", [5, "x", {"waiting": 5}, {"waiting": [5]}, {"former": 5}, {"until": 5}, {"client": "7"}]
)
def test_a_claim_that_somebody_made_up_and_that_is_none_is_taken_away(stage: Stage, nonsense: object) -> None:
    fact = {"by": "ada", "client": 7, "epoch": 1, "at": stage.at}
    made_up = fact | nonsense if isinstance(nonsense, dict) else nonsense
    ada = stage.actor("ada")
    ada.write(lambda document: document.claims.shared.update({"k": made_up}))
    assert stage.claim("k") is None
    assert not stage.restart().document.claims.to_json()


def test_what_is_claimed_has_a_name(stage: Stage) -> None:
    ada = stage.actor("ada")
    fact = {"by": "ada", "client": 7, "epoch": 1, "at": stage.at}
    ada.write(lambda document: document.claims.shared.update({"": fact}))
    assert not stage.document.claims.to_json()


def test_of_more_wishes_than_anybody_has_at_once_the_rest_comes_to_nothing(stage: Stage) -> None:
    """Each takes its time, and everybody else waits for it."""
    ada = stage.actor("ada")

    def ask(document: SessionDocument) -> None:
        for number in range(300):
            document.requests.ask_claim(f"k{number}", ada.client, "ada")

    ada.write(ask)
    assert len(stage.document.claims.to_json()) == 256
    assert not len(stage.document.requests)


@pytest.mark.parametrize(
    "key", ["claim//5/ada", "claim/__proto__/5/ada", "claim/k/9999999999999999/ada", "claim/k/x/ada"]
)
def test_what_cannot_be_claimed_is_not_granted_and_harms_nothing(stage: Stage, key: str) -> None:
    ada = stage.actor("ada")
    ada.write(lambda document: document.requests.shared.update({key: {}}))
    assert stage.document.claims.to_json() == {}
    ada.claim("k")
    assert holder(stage) == ada.client
