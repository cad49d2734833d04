"""Prompts: whose they are, what a policy does with those that come while their lane is busy, one answer for each."""

from typing import Any

import pytest
from pycrdt import Array, Map, Text
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.auth import Participant
from cosession.document import Message, Policy
from cosession.room.decisions import UNHEARD
from cosession.room.effects import Unheard


def rule(stage: Stage, double_texting: str = "queue", *agents: str) -> None:
    """Give the session a policy."""
    policy = Policy(agents, double_texting)
    stage.do(stage.room.edit(lambda document: document.meta.set_policy(policy), AT))


def message(stage: Stage, id_: str) -> Message:
    found = stage.document.messages.get(id_)
    assert found is not None
    return found


def holds(stage: Stage, key: str) -> str | None:
    fact = stage.claim(key)
    return None if fact is None else fact["by"]


def test_of_two_agents_that_want_one_prompt_the_first_one_gets_it(stage: Stage, ada: Actor, bot: Actor):
    other = stage.actor("other", "agent")
    ada.prompt()
    bot.claim("prompt/m1")
    other.claim("prompt/m1")
    assert holds(stage, "prompt/m1") == "bot"


@pytest.mark.parametrize("key", ["prompt/nothing", "prompt/", "prompt/m1/bot", "prompt/m1/bot/x", "prompt/m2"])
def test_what_is_no_prompt_of_an_agent_cannot_be_claimed_as_one(stage: Stage, ada: Actor, bot: Actor, key: str):
    ada.prompt()
    ada.prompt("m2", to=["planner"])
    bot.claim(key)
    assert holds(stage, key) is None


def test_a_message_that_names_agents_is_a_prompt_for_each_of_them_and_for_nobody_else(stage: Stage, ada: Actor):
    agents = [stage.actor(name, "agent") for name in ("bot", "planner", "third")]
    ada.prompt(to=["bot", "planner"])
    for agent in agents:
        agent.claim(f"prompt/m1/{agent.who.id}")
        agent.claim("prompt/m1")
    assert sorted(stage.document.claims.to_json()) == ["prompt/m1/bot", "prompt/m1/planner"]


def test_a_prompt_that_names_nobody_is_for_the_first_agent_of_the_policy(stage: Stage, ada: Actor, bot: Actor):
    rule(stage, "queue", "planner", "bot")
    planner = stage.actor("planner", "agent")
    ada.prompt()
    bot.claim("prompt/m1")
    assert holds(stage, "prompt/m1") is None
    planner.claim("prompt/m1")
    assert holds(stage, "prompt/m1") == "planner"


def test_the_run_takes_the_place_of_the_claim_and_the_next_prompt_waits_for_its_end(
    stage: Stage, ada: Actor, bot: Actor
):
    ada.prompt("m1")
    ada.prompt("m2")
    bot.claim("prompt/m1")
    bot.claim("prompt/m2")
    assert holds(stage, "prompt/m2") is None
    bot.begin(reply_to="m1")
    assert holds(stage, "prompt/m1") is None
    assert "until/prompt/m1" not in stage.timers
    bot.claim("prompt/m2")
    assert holds(stage, "prompt/m2") is None
    bot.become("complete")
    bot.claim("prompt/m2")
    bot.claim("prompt/m1")
    assert holds(stage, "prompt/m2") == "bot"
    assert holds(stage, "prompt/m1") is None


def test_a_prompt_that_was_taken_and_not_begun_is_free_again_after_a_while(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt()
    bot.claim("prompt/m1")
    assert stage.timers["until/prompt/m1"] == stage.settings.begin_seconds
    stage.ring("until/prompt/m1")
    other = stage.actor("bot", "agent")
    other.claim("prompt/m1")
    assert stage.claim("prompt/m1") is not None
    assert stage.claim("prompt/m1")["client"] == other.client  # type: ignore[index]


def test_of_two_processes_that_answer_one_prompt_the_second_is_taken_back(stage: Stage, ada: Actor, bot: Actor):
    other = stage.actor("bot", "agent")
    ada.prompt()
    bot.begin("r1", reply_to="m1", words="one")
    other.begin("r2", reply_to="m1", words="two")
    assert stage.run("r2").status == "cancelled"
    assert message(stage, "r2.m").deleted
    assert stage.run("r1").status == "running"
    bot.become("complete")
    assert message(stage, "r1.m").text == "one"


def test_who_answers_what_another_process_has_claimed_is_taken_back(stage: Stage, ada: Actor, bot: Actor):
    other = stage.actor("bot", "agent")
    ada.prompt()
    bot.claim("prompt/m1")
    other.begin("r2", reply_to="m1", words="two")
    assert stage.run("r2").status == "cancelled"
    assert holds(stage, "prompt/m1") == "bot"


def test_a_prompt_whose_run_failed_may_be_answered_once_more(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt()
    bot.begin("r1", reply_to="m1")
    bot.become("error")
    bot.begin("r2", reply_to="m1")
    assert stage.run("r2").status == "running"


def test_what_a_process_wrote_offline_counts_like_what_it_writes_now(stage: Stage, ada: Actor, bot: Actor):
    other = stage.actor("bot", "agent")
    ada.prompt()
    bot.leave()
    bot.begin("r1", reply_to="m1", words="offline", status="complete")
    other.begin("r2", reply_to="m1", words="now")
    bot.come()
    assert [stage.run(id_).status for id_ in ("r1", "r2")] == ["cancelled", "running"]


def test_who_took_a_prompt_and_froze_is_fenced_by_the_run_that_answers_it(stage: Stage, ada: Actor, bot: Actor):
    other = stage.actor("bot", "agent")
    ada.prompt()
    bot.claim("prompt/m1")
    other.claim("prompt/m1", wait=True)
    bot.leave()
    stage.ring("lease/claim/prompt/m1")
    assert stage.claim("prompt/m1")["former"] == [bot.client]  # type: ignore[index]
    other.begin("r1", reply_to="m1")
    assert stage.run("r1").former == [bot.client]
    assert stage.restart().room._memory.fenced == {(bot.client, "bot")}


# --- double texting -------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(stage: Stage, ada: Actor, bot: Actor) -> Stage:
    """A session in which the agent works."""
    ada.prompt("m1")
    bot.claim("prompt/m1")
    bot.begin("r1", reply_to="m1")
    return stage


def test_queue_lets_it_wait(busy: Stage, ada: Actor, bot: Actor):
    ada.prompt("m2")
    assert busy.run("r1").steers == []
    assert busy.run("r1").cancel is None
    bot.claim("prompt/m2")
    assert holds(busy, "prompt/m2") is None


def test_parallel_lets_it_be_answered_beside_it(busy: Stage, ada: Actor, bot: Actor):
    rule(busy, "parallel")
    ada.prompt("m2")
    bot.claim("prompt/m2")
    assert holds(busy, "prompt/m2") == "bot"


def test_reject_never_answers_it(busy: Stage, ada: Actor, bot: Actor):
    rule(busy, "reject")
    ada.prompt("m2")
    assert message(busy, "m2").refused == {"code": "busy", "by": "server", "at": AT}
    assert message(busy, "m2").author == "ada"
    bot.become("complete")
    bot.claim("prompt/m2")
    assert holds(busy, "prompt/m2") is None
    ada.prompt("m3")
    assert message(busy, "m3").refused is None


def test_interrupt_ends_the_run_in_the_name_of_who_wrote(busy: Stage, ada: Actor, bot: Actor):
    rule(busy, "interrupt")
    ada.prompt("m2")
    assert busy.run("r1").cancel == {"by": "ada", "at": AT, "reason": "interrupted"}
    bot.become("cancelled")
    bot.claim("prompt/m2")
    assert holds(busy, "prompt/m2") == "bot"


def test_steer_tells_it_to_the_run_and_it_is_answered_with_that(busy: Stage, ada: Actor, bot: Actor):
    rule(busy, "steer")
    ada.prompt("m2", "rather by train")
    assert busy.run("r1").steers == [{"id": "m2", "by": "ada", "text": "rather by train", "at": AT}]
    bot.write(lambda document: document.runs.get("r1").mark_seen("m2"))
    bot.become("complete")
    bot.claim("prompt/m2")
    assert holds(busy, "prompt/m2") is None
    bot.claim("prompt/m2")
    assert holds(busy.restart(), "prompt/m2") is None


@pytest.mark.parametrize("end", ["complete", "cancelled", "error"])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_steer_that_the_run_did_not_take_in_is_a_prompt_again(
    busy: Stage, ada: Actor, bot: Actor, end: str, restarts: bool
):
    rule(busy, "steer")
    ada.prompt("m2", "rather by train")
    if restarts:
        busy = busy.restart()
        bot.come(busy)
    bot.claim("prompt/m2")
    assert holds(busy, "prompt/m2") is None
    bot.become(end)
    bot.claim("prompt/m2")
    assert holds(busy, "prompt/m2") == "bot"


@pytest.mark.parametrize("policy", ["steer", "interrupt", "reject"])
def test_what_an_agent_wants_of_another_always_waits_its_turn(busy: Stage, bot: Actor, policy: str):
    rule(busy, policy)
    planner = busy.actor("planner", "agent")
    planner.prompt("d1", role="assistant", to=["bot"])
    assert (busy.run("r1").steers, busy.run("r1").cancel, message(busy, "d1").refused) == ([], None, None)


@pytest.mark.parametrize("policy", ["steer", "interrupt", "reject", "parallel", "queue"])
def test_no_policy_matters_to_an_idle_agent(stage: Stage, ada: Actor, bot: Actor, policy: str):
    rule(stage, policy)
    ada.prompt("m1")
    assert message(stage, "m1").refused is None
    bot.claim("prompt/m1")
    assert holds(stage, "prompt/m1") == "bot"


def test_a_prompt_that_was_taken_back_or_called_off_is_not_answered(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    ada.prompt("m2")
    ada.write(lambda document: document.messages.get("m1").delete(at=AT))
    ada.cancel("m2")
    for id_ in ("m1", "m2"):
        bot.claim(f"prompt/{id_}")
        assert holds(stage, f"prompt/{id_}") is None
    assert message(stage, "m2").refused == {"code": "cancelled", "by": "ada", "at": AT}


def test_a_restart_knows_what_is_open_what_is_answered_and_what_waits_for_its_turn(
    busy: Stage, ada: Actor, bot: Actor
):
    ada.prompt("m2")
    again = busy.restart()
    bot.come(again)
    for id_ in ("m1", "m2"):
        bot.claim(f"prompt/{id_}")
        assert holds(again, f"prompt/{id_}") is None
    bot.become("complete")
    bot.claim("prompt/m1")
    bot.claim("prompt/m2")
    assert (holds(again, "prompt/m1"), holds(again, "prompt/m2")) == (None, "bot")


def test_the_policy_is_changed_by_request_and_the_agents_stay(stage: Stage, ada: Actor):
    rule(stage, "queue", "planner")

    def ask(**value: Any) -> None:
        ada.write(lambda document: document.requests.put("policy", participant="ada", value=value))

    ask(double_texting="steer")
    assert stage.document.meta.rules == Policy(("planner",), "steer")
    ask(double_texting="shout")
    ask(agents=["eve"])
    assert stage.document.meta.rules == Policy(("planner",), "steer")
    assert len(stage.document.requests) == 0


def test_a_run_that_begins_when_its_prompt_was_called_off_is_taken_back(stage: Stage) -> None:
    ada, bot = stage.actor("ada"), stage.actor("bot", "agent")
    ada.prompt("m1")
    bot.claim("prompt/m1")
    ada.cancel("m1")
    bot.begin(reply_to="m1", words="so")
    assert stage.run().status == "cancelled"
    assert [message.id for message in stage.document.messages if not message.deleted] == ["m1"]


@pytest.mark.parametrize(
    "wrong", [{"stamp": {"by": "ada", "seq": "third"}}, {"stamp": {"seq": {}}}, {"id": Text("m1")}, {"stamp": 5}]
)
def test_what_only_looks_like_a_prompt_ends_nothing_and_the_session_can_be_loaded(
    stage: Stage, ada: Actor, wrong: dict[str, Any]
) -> None:
    message = {
        "id": "m1",
        "role": "user",
        "metadata": Map({"to": ["bot"]}),
        "parts": Array([Map({"type": "data-x"})]),
    }
    ada.write(lambda document: document.messages.shared.append(Map({**message, **wrong})))
    ada.write(lambda document: document.queue.append("hi", id="q1", author="ada", created_at=AT))
    assert len(stage.restart().document.messages.shared) == 2


def test_a_prompt_for_which_no_agent_is_here_is_told_once(stage: Stage, ada: Actor):
    ada.prompt()
    ada.prompt("m2", to=["planner"])
    assert stage.timers.keys() & {UNHEARD}
    assert stage.room.unheard() == [Unheard("", "m1"), Unheard("planner", "m2")]
    assert stage.room.unheard() == []
    ada.prompt("m3")
    assert stage.room.remind(UNHEARD, AT) == [Unheard("", "m1"), Unheard("planner", "m2")]


def test_a_prompt_for_which_an_agent_is_here_is_not_told(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt()
    ada.prompt("m2", to=["bot"])
    assert stage.room.unheard() == []
    ada.prompt("m3", to=["planner"])
    assert stage.room.unheard() == [Unheard("planner", "m3")]
    ada.prompt("m4", to=["planner"])
    stage.do(stage.room.man(Participant("planner", "Planner", "agent"), 1, AT))
    assert stage.room.unheard() == []


def test_of_prompts_that_are_gone_or_answered_nothing_is_told(stage: Stage, ada: Actor):
    ada.prompt()
    stage.do(stage.room.edit(lambda _: message(stage, "m1").delete(at=AT), AT))
    assert stage.room.unheard() == []
