"""Reservations: what a worker is handed, in whose name it is written, and of whom something is unfinished."""

from room.decisions.stage import GRACE, Actor, Stage
from room.scene import AT

from cosession.document.times import later
from cosession.room.decisions import Job
from cosession.room.effects import Waiting


def reserve(stage: Stage, agent: str = "flights", client: int = 77) -> Job | None:
    job, effects = stage.room.reserve(agent, client, stage.at)
    stage.do(effects)
    return job


def ask(ada: Actor, *ids: str, agent: str = "flights") -> None:
    for id_ in ids:
        ada.prompt(id_, to=[agent])


def worker(stage: Stage, client: int, agent: str = "flights") -> Actor:
    return stage.actor(agent, "agent", client=client)


FLIGHTS = frozenset({"flights"})
NOBODY = frozenset[str]()


def test_the_first_prompt_is_claimed_for_the_client_that_will_do_it(stage: Stage, ada: Actor):
    ask(ada, "m1", "m2")
    assert stage.told == Waiting(FLIGHTS, FLIGHTS)
    job = reserve(stage)
    fact = stage.claim("prompt/m1/flights")
    assert fact is not None
    assert job == Job("", "m1", None, 77, fact["epoch"])
    assert (fact["by"], fact["client"], fact["epoch"]) == ("flights", 77, stage.room.version)
    assert stage.told == Waiting(FLIGHTS, NOBODY)
    assert reserve(stage, client=78) is None
    assert reserve(stage, "hotels") is None


def test_one_after_the_other_is_done_until_nothing_is_unfinished(stage: Stage, ada: Actor):
    ask(ada, "m1", "m2")
    for number, prompt in enumerate(("m1", "m2"), 1):
        job = reserve(stage, client=number)
        assert job is not None
        assert job.message == prompt
        flights = worker(stage, number)
        flights.begin(f"r{number}", reply_to=prompt)
        assert stage.told == Waiting(FLIGHTS, NOBODY)
        flights.become("complete", f"r{number}")
        flights.leave()
    assert stage.told == Waiting(NOBODY, NOBODY)
    assert reserve(stage) is None


def test_what_is_given_back_is_free_at_once(stage: Stage, ada: Actor):
    ask(ada, "m1")
    reserve(stage, client=77)
    assert stage.timers["lease/claim/prompt/m1/flights"] == GRACE
    stage.do(stage.room.give_back(77))
    assert stage.timers["lease/claim/prompt/m1/flights"] == 0
    stage.ring("lease/claim/prompt/m1/flights")
    assert stage.told == Waiting(FLIGHTS, FLIGHTS)
    assert reserve(stage, client=78) is not None


def test_a_lost_run_is_handed_on_with_its_next_epoch_before_new_prompts(stage: Stage, ada: Actor):
    ask(ada, "m1", "m2")
    reserve(stage, client=77)
    flights = worker(stage, 77)
    flights.begin("r1", reply_to="m1", words="half")
    flights.leave()
    assert stage.told == Waiting(FLIGHTS, NOBODY)
    stage.ring("lease/run/r1")
    assert stage.told == Waiting(FLIGHTS, FLIGHTS)
    assert reserve(stage, client=78) == Job("", "m1", "r1", 78, 2)
    run = stage.run("r1")
    assert (run.status, run.client, run.epoch, run.former) == ("running", 78, 2, [77])
    assert reserve(stage, client=79) is None


def test_a_restart_hands_on_what_was_lost_in_the_crash(stage: Stage, ada: Actor):
    ask(ada, "m1", "m2")
    reserve(stage, client=77)
    worker(stage, 77).begin("r1", reply_to="m1")
    again = stage.restart()
    assert reserve(again) is None
    again.ring("lease/run/r1")
    assert again.told == Waiting(FLIGHTS, FLIGHTS)
    assert reserve(again, client=78) == Job("", "m1", "r1", 78, 2)


def test_what_dies_again_and_again_is_taken_up_after_longer_and_longer_pauses_and_at_last_given_up(
    stage: Stage, ada: Actor
):
    ask(ada, "m1")
    reserve(stage, client=1)
    worker(stage, 1).begin("r1", reply_to="m1")
    for client in (1, 2):
        actor = next(actor for actor in stage.actors if actor.client == client)
        actor.leave()
        stage.ring("lease/run/r1")
        if client == 2:
            assert reserve(stage, client=3) is None
            assert stage.told == Waiting(FLIGHTS, NOBODY)
            assert stage.timers["retry/r1"] == GRACE
            stage.at = later(stage.at, GRACE)
            stage.ring("retry/r1")
            assert stage.told == Waiting(FLIGHTS, FLIGHTS)
        assert reserve(stage, client=client + 1) is not None
        worker(stage, client + 1)
    next(actor for actor in stage.actors if actor.client == 3).leave()
    stage.ring("lease/run/r1")
    assert stage.run().status == "error"
    assert stage.told == Waiting(NOBODY, NOBODY)


def test_a_prompt_that_its_workers_always_pass_over_is_offered_no_more(stage: Stage, ada: Actor):
    ask(ada, "m1")
    for client in range(1, stage.settings.max_attempts + 1):
        assert reserve(stage, client=client) is not None
        stage.ring("until/prompt/m1/flights")
    assert reserve(stage, client=99) is None
    assert stage.told == Waiting(NOBODY, NOBODY)
    agent = worker(stage, 100)
    agent.claim("prompt/m1/flights")
    assert stage.claim("prompt/m1/flights") is not None


def test_old_prompts_are_nobodys_work_any_more(stage: Stage, ada: Actor):
    ask(ada, "m1")
    again = stage.restart()
    again.at = later(AT, again.settings.work_seconds + 1)
    assert reserve(again) is None
    ada.come(again)
    ask(ada, "m2")
    job = reserve(again)
    assert job is not None
    assert job.message == "m2"


def test_what_was_called_off_is_not_handed_out(stage: Stage, ada: Actor):
    ask(ada, "m1", "m2", "m3")
    ada.cancel("m1")
    ada.write(lambda document: document.messages.get("m2").delete(at=AT))
    job = reserve(stage)
    assert job is not None
    assert job.message == "m3"


def test_nobody_is_told_of_what_names_no_agent(stage: Stage, ada: Actor):
    ada.prompt("m1")
    assert stage.told == Waiting(NOBODY, NOBODY)
    assert reserve(stage, "bot") is None


def test_a_lost_run_is_not_handed_on_while_another_of_its_agent_works(stage: Stage, ada: Actor):
    ask(ada, "m1", "m2")
    reserve(stage, client=77)
    first = worker(stage, 77)
    first.begin("r1", reply_to="m1")
    second = worker(stage, 78)
    first.leave()
    stage.ring("lease/run/r1")
    second.claim("prompt/m2/flights")
    second.begin("r2", reply_to="m2")
    assert reserve(stage, client=79) is None
    second.become("complete", "r2")
    assert reserve(stage, client=79) == Job("", "m1", "r1", 79, 2)


def test_a_delegation_is_handed_to_the_agent_that_it_names(stage: Stage):
    planner = stage.actor("planner", "agent")
    planner.prompt("d1", role="assistant", to=["flights"])
    job = reserve(stage)
    assert job is not None
    assert job.message == "d1"


def test_a_prompt_that_was_taken_out_of_the_document_is_forgotten_and_nothing_of_it_is_touched(
    stage: Stage, ada: Actor
):
    """Its Map is freed memory by then: to look at it ended the process."""
    ask(ada, *(f"m{number}" for number in range(50)))
    ada.write(lambda document: document.messages.shared.clear())
    for number in range(50):
        ada.prompt(f"n{number}", "x" * 200)  # something else is there now
    assert reserve(stage) is None
    assert stage.told == Waiting(NOBODY, NOBODY)
