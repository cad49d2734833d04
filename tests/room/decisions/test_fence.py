"""The fence: of a process from which a run has passed on, nothing new is taken; what others saw of it comes back."""

from room.decisions.stage import Actor, Stage

from cosession.auth import Capabilities, Participant
from cosession.errors import Superseded


def frozen(stage: Stage) -> Actor:
    """A process that was away for so long that another took up its run."""
    old = stage.actor("bot", "agent")
    old.begin(words="one two ")
    old.leave()
    stage.ring("lease/run/r1")
    return old


def successor(stage: Stage) -> Actor:
    new = stage.actor("bot", "agent")
    new.adopt()
    new.grow("three ")
    return new


def words(stage: Stage) -> str:
    return next(iter(stage.document.messages)).text


def test_a_frozen_process_that_wakes_writes_nothing_into_its_successors_words(stage: Stage) -> None:
    old = frozen(stage)
    successor(stage)
    old.write(lambda document: document.messages.get("r1.m").parts[0].text.append("STALE"))
    old.come()
    assert isinstance(old.refusal, Superseded)
    assert words(stage) == "one two three "


def test_nor_does_one_that_comes_back_first_and_then_writes(stage: Stage) -> None:
    old = frozen(stage)
    old.come()
    successor(stage)
    old.grow("STALE")
    assert isinstance(old.refusal, Superseded)
    assert words(stage) == "one two three "


def test_it_may_write_under_another_client_id(stage: Stage) -> None:
    frozen(stage)
    successor(stage)
    fresh = stage.actor("bot", "agent")
    fresh.begin("r2", words="mine")
    assert stage.run("r2").status == "running"


def test_the_fence_outlives_the_server(stage: Stage) -> None:
    old = frozen(stage)
    successor(stage)
    again = stage.restart()
    old.write(lambda document: document.messages.get("r1.m").parts[0].text.append("STALE"))
    old.come(again)
    assert isinstance(old.refusal, Superseded)
    assert words(again) == "one two three "


def test_somebody_who_saw_its_words_brings_back_what_a_crash_took(stage: Stage) -> None:
    old = stage.actor("bot", "agent")
    old.begin(words="one ")
    rows = len(stage.rows)
    witness = stage.actor("ada")
    old.grow("two ")
    again = stage.restart(rows)
    again.ring("lease/run/r1")
    new = Actor(again, Participant("bot", "bot", "agent"))
    new.come()
    new.adopt()
    witness.come(again)
    assert words(again) == "one two "


def test_nobody_fences_off_a_client_of_somebody_else(stage: Stage) -> None:
    ada = stage.actor("ada")
    eve = stage.actor("eve", "agent")
    eve.write(lambda document: document.runs.start("r1", agent="eve", started_at=stage.at, client=ada.client))
    eve.leave()
    stage.ring("lease/run/r1")
    stage.actor("eve", "agent").adopt()
    assert stage.run().former == [ada.client]
    ada.prompt()
    assert stage.document.messages.get("m1") is not None


def test_the_fence_holds_for_who_may_not_write_everything_too(stage: Stage) -> None:
    agent = Participant("bot", "bot", "agent", Capabilities.of("agent"))
    old = Actor(stage, agent)
    old.come()
    old.begin(words="one ")
    old.leave()
    stage.ring("lease/run/r1")
    new = Actor(stage, agent)
    new.come()
    new.adopt()
    assert stage.run().client == new.client
    old.write(lambda document: document.messages.get("r1.m").parts[0].text.append("STALE"))
    old.come()
    assert isinstance(old.refusal, Superseded)
    assert words(stage) == "one "


def test_another_agent_claims_nothing_for_a_client_that_is_not_its_own(stage: Stage) -> None:
    old = frozen(stage)
    successor(stage)
    eve = stage.actor("eve", "agent")
    stage.actor("ada").prompt("m9", to=["eve"])
    for ask in (
        lambda d: d.requests.ask_claim("prompt/m9/eve", old.client, "eve"),
        lambda d: d.requests.ask_claim("lock", old.client, "eve"),
    ):
        eve.write(ask)
    assert stage.document.claims.to_json() == {}
    old.write(lambda document: document.messages.get("r1.m").parts[0].text.append("STALE"))
    old.come()
    assert isinstance(old.refusal, Superseded)


def test_a_fence_stays_whoever_else_is_fenced_under_that_number(stage: Stage) -> None:
    old = frozen(stage)
    successor(stage)
    eve = stage.actor("eve", "agent")
    eve.write(lambda document: document.runs.start("r2", agent="eve", started_at=stage.at, client=old.client))
    eve.leave()
    stage.ring("lease/run/r2")
    stage.actor("eve", "agent").adopt("r2")
    old.write(lambda document: document.messages.get("r1.m").parts[0].text.append("STALE"))
    old.come()
    assert isinstance(old.refusal, Superseded)


def test_a_lost_run_is_adopted_only_for_a_client_of_its_agent(stage: Stage) -> None:
    frozen(stage)
    ada, new = stage.actor("ada"), stage.actor("bot", "agent")
    new.write(lambda document: document.requests.ask_adopt("r1", ada.client, "bot"))
    assert stage.run().status == "lost"
