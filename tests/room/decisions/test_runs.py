"""Runs: what an agent may make of one, what the server makes of it when the agent is gone, and who may go on."""

import pytest
from pycrdt import Map
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.document import Policy, SessionDocument
from cosession.document.run_states import RUN_STATUSES, may_become
from cosession.errors import BadDocument, RoomBroken
from cosession.protocol import Notice
from cosession.room.decisions.steers import MOST_STEERS

LEASE = "lease/run/r1"


def lost(stage: Stage, *, words: str = "half a sen") -> None:
    """A run whose agent died in the middle of it."""
    bot = stage.actor("bot", "agent")
    bot.begin(words=words)
    bot.leave()
    stage.ring(LEASE)


def test_a_run_whose_agent_is_gone_is_lost_after_a_grace_and_its_text_stays(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(words="half a sen")
    assert LEASE not in stage.timers
    bot.leave()
    assert stage.timers[LEASE] == stage.settings.lease_grace_seconds
    assert stage.run().status == "running"
    stage.ring(LEASE)
    assert stage.run().status == "lost"
    [message] = stage.document.messages
    assert (message.status, message.text, message.parts[0].state) == ("error", "half a sen", "done")
    agent = stage.document.agents.get("bot")
    assert agent is not None
    assert (agent.status, agent.run, agent.task) == ("idle", None, None)
    assert not stage.room.is_waiting


def test_an_agent_that_comes_back_in_time_goes_on(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()
    bot.leave()
    assert stage.room.is_waiting
    bot.come()
    assert LEASE not in stage.timers
    assert stage.run().status == "running"


def test_an_agent_that_said_goodbye_is_lost_at_once(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()
    bot.say_goodbye()
    assert stage.timers[LEASE] == 0.0
    stage.ring(LEASE)
    assert stage.run().status == "lost"


def test_presence_that_comes_after_the_first_update_is_in_time(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.leave()
    bot.come(shows=False)
    bot.begin()
    assert LEASE in stage.timers
    bot.show()
    assert LEASE not in stage.timers


def test_a_run_that_names_no_client_is_held_by_any_connection_of_its_agent(stage: Stage) -> None:
    one, other = stage.actor("bot", "agent"), stage.actor("bot", "agent")
    one.write(lambda document: document.runs.start("r1", agent="bot", started_at=stage.at))
    one.leave()
    assert LEASE not in stage.timers
    other.leave()
    assert LEASE in stage.timers
    other.come()
    assert LEASE not in stage.timers


@pytest.mark.parametrize("after", RUN_STATUSES)
@pytest.mark.parametrize("before", ["queued", "running", "suspended", "complete", "cancelled", "error"])
def test_what_an_agent_may_not_make_of_its_run_is_written_back(stage: Stage, before: str, after: str) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(status=before)
    bot.become(after)
    expected = after if before == after or may_become(before, after) else before
    assert stage.run().status == expected


def test_what_only_the_server_says_of_a_run_is_written_back(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()
    bot.write(lambda document: document.runs.get("r1").write({"epoch": 9, "client": 1, "former": [bot.client]}))
    run = stage.run()
    assert (run.epoch, run.client, run.former) == (1, bot.client, [])


def test_a_lost_run_is_taken_up_by_another_process_of_its_agent(stage: Stage) -> None:
    lost(stage)
    old = stage.run().client
    bot = stage.actor("bot", "agent")
    bot.adopt()
    run = stage.run()
    assert (run.status, run.epoch, run.client, run.former, run.ended_at) == ("running", 2, bot.client, [old], None)
    assert len(stage.document.requests) == 0
    bot.leave()
    stage.ring(LEASE)
    assert stage.run().status == "lost"


def test_the_same_process_takes_its_lost_run_up_again_and_is_not_fenced_off(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(words="one ")
    bot.leave()
    stage.ring(LEASE)
    bot.come()
    bot.adopt()
    assert (stage.run().status, stage.run().epoch, stage.run().former) == ("running", 2, [])
    bot.grow("two")
    assert next(iter(stage.document.messages)).text == "one two"


def test_of_two_processes_that_ask_one_gets_the_run(stage: Stage) -> None:
    lost(stage)
    first, second = stage.actor("bot", "agent"), stage.actor("bot", "agent")
    first.adopt()
    second.adopt()
    assert (stage.run().client, stage.run().epoch) == (first.client, 2)


def test_nobody_takes_up_what_is_not_lost_or_not_theirs(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()
    other = stage.actor("bot", "agent")
    other.adopt()
    other.adopt("nothing")
    assert stage.run().client == bot.client
    bot.leave()
    stage.ring(LEASE)
    stage.actor("eve", "agent").adopt()
    assert stage.run().status == "lost"


def test_a_last_word_that_comes_late_counts_while_nobody_else_went_on(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(words="all of it")
    bot.leave()
    stage.ring(LEASE)
    bot.come()
    bot.become("complete")
    assert stage.run().status == "complete"


def test_what_kills_every_process_ends_as_an_error(stage: Stage) -> None:
    for _ in range(stage.settings.max_attempts):
        bot = stage.actor("bot", "agent")
        if stage.document.runs.get("r1") is None:
            bot.begin()
        else:
            bot.adopt()
        assert stage.run().status == "running"
        bot.leave()
        stage.ring(LEASE)
    assert stage.run().status == "error"
    assert "died" in stage.run().error


def test_after_a_restart_everybody_has_a_grace_to_come_back(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()
    again = stage.restart()
    assert again.timers[LEASE] == again.settings.lease_grace_seconds
    bot.come(again)
    assert LEASE not in again.timers
    bot.become("complete")
    assert again.run().status == "complete"


def test_a_cancel_is_recorded_and_the_agent_ends_the_run(stage: Stage) -> None:
    bot, ada = stage.actor("bot", "agent"), stage.actor()
    bot.begin()
    ada.cancel(reason="enough")
    cancelled = stage.run().cancel
    assert cancelled is not None
    assert (cancelled["by"], cancelled["reason"]) == ("ada", "enough")
    assert stage.run().status == "running", "the agent may say last words"
    bot.become("cancelled")
    assert stage.run().status == "cancelled"


def test_the_reason_of_a_cancel_is_kept_as_far_as_a_sentence_goes(stage: Stage) -> None:
    bot, ada = stage.actor("bot", "agent"), stage.actor()
    bot.begin()
    ada.cancel(reason="x" * 100_000)
    cancelled = stage.run().cancel
    assert cancelled is not None
    assert cancelled["reason"] == "x" * 1_000


def test_a_cancelled_run_whose_agent_dies_is_cancelled_not_lost(stage: Stage) -> None:
    bot, ada = stage.actor("bot", "agent"), stage.actor()
    bot.begin(words="so")
    ada.cancel()
    bot.leave()
    stage.ring(LEASE)
    assert stage.run().status == "cancelled"
    assert next(iter(stage.document.messages)).status == "cancelled"


def test_a_queued_or_lost_run_is_cancelled_at_once(stage: Stage) -> None:
    bot, ada = stage.actor("bot", "agent"), stage.actor()
    bot.begin("r2", status="queued")
    ada.cancel("r2")
    assert stage.run("r2").status == "cancelled"
    lost(stage)
    ada.cancel()
    assert (stage.run().status, (stage.run().cancel or {})["by"]) == ("cancelled", "ada")
    bot.adopt()
    assert stage.run().status == "cancelled"


def test_a_prompt_that_nobody_has_begun_to_answer_is_cancelled_by_its_author(stage: Stage) -> None:
    ada = stage.actor()
    ada.prompt()
    ada.cancel("m1")
    message = stage.document.messages.get("m1")
    assert message is not None
    assert message.refused is not None
    assert (message.refused["code"], message.refused["by"]) == ("cancelled", "ada")


def test_with_a_run_goes_what_it_asked_of_other_agents(stage: Stage) -> None:
    ada, planner, flights = stage.actor(), stage.actor("planner", "agent"), stage.actor("flights", "agent")
    planner.begin()
    for number, agent in enumerate(("flights", "hotels")):
        planner.prompt(f"m{number}", role="assistant", run="r1", to=[agent])
        planner.write(lambda document, number=number: document.runs.get("r1").add_message(f"m{number}"))
    flights.begin("r2", reply_to="m0")
    ada.cancel()
    assert stage.run("r2").cancel is not None
    unanswered = stage.document.messages.get("m1")
    assert unanswered is not None
    assert unanswered.refused is not None


def test_a_run_that_somebody_takes_out_of_the_document_is_forgotten(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()
    bot.leave()

    def remove(document: SessionDocument) -> None:
        del document.runs.shared["r1"]

    stage.actor("root").write(remove)
    assert LEASE not in stage.timers
    assert not stage.room.is_waiting


def test_a_run_ends_whatever_stands_in_its_message(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(words="half")

    def write(document: SessionDocument) -> None:
        message = document.messages.get("r1.m")
        assert message is not None
        message.parts[0].shared["type"] = "nonsense"

    bot.write(write)
    bot.become("complete")
    assert (stage.run().status, stage.document.messages[0].status) == ("complete", "complete")


def test_a_decision_that_fails_refuses_nobody_but_ends_the_room(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it follows from is applied: a refusal would leave it in the document and out of the log."""

    def fail(_: object) -> None:
        raise BadDocument("It doesn't fit.")

    bot = stage.actor("bot", "agent")
    monkeypatch.setattr("cosession.room.changes.decide", fail)
    with pytest.raises(RoomBroken):
        bot.begin()


CALLS = {
    "input-streaming": {"rawInput": "{"},
    "input-available": {"input": {}},
    "approval-requested": {"input": {}, "approval": {"id": "a"}},
    "approval-responded": {"input": {}, "approval": {"id": "a", "approved": True}},
}


@pytest.mark.parametrize("how", ["complete", "cancelled", "error", "lost", "cancel"])
@pytest.mark.parametrize("state", CALLS)
def test_no_tool_call_outlives_its_run(stage: Stage, how: str, state: str) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(words="let me look")
    call = {"type": "tool-look", "toolCallId": "c1", "state": state, **CALLS[state]}
    done = {"type": "tool-look", "toolCallId": "c0", "state": "output-available", "input": {}, "output": 1}
    for part in (done, call):
        bot.write(lambda d, part=part: d.messages.get("r1.m").append_part(part))

    if how in ("lost", "cancel"):
        bot.leave()
        stage.ring(LEASE)
        if how == "cancel":
            stage.actor("ada").cancel("r1")
    else:
        bot.become(how)

    [message] = stage.document.messages
    _, before, after = message.to_json()["parts"]
    assert before == done
    assert after["state"] == "output-error"
    assert after["errorText"] == ("cancelled" if how == "cancelled" else "interrupted")


def test_a_call_to_peoples_devices_outlives_the_process_that_made_it_and_ends_with_the_run(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(words="let me look")
    asks = {"cosession": {"client": True, "who": []}}
    call = {"type": "tool-row", "toolCallId": "c1", "state": "input-available", "input": {}}
    bot.write(lambda d: d.messages.get("r1.m").append_part({**call, "callProviderMetadata": asks}))

    bot.leave()
    stage.ring(LEASE)
    [message] = stage.document.messages
    assert message.to_json()["parts"][-1]["state"] == "input-available"

    stage.actor("ada").cancel("r1")
    [message] = stage.document.messages
    assert message.to_json()["parts"][-1]["state"] == "output-error"


def test_of_a_run_with_very_many_messages_the_last_ones_are_ended(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin(words="first")
    bot.write(lambda d: d.messages.append("assistant", [], id="last", author="bot", created_at=AT, run="r1"))
    bot.write(lambda d: d.messages.get("last").set_status("streaming"))
    ids = ["r1.m", *(f"none{number}" for number in range(5_000)), "last"]
    bot.write(lambda d: d.runs.shared["r1"].update({"messages": ids}))

    bot.become("complete")

    assert [message.status for message in stage.document.messages] == ["streaming", "complete"]


def test_of_a_run_with_very_many_open_calls_the_last_ones_are_ended(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()

    def call(document: SessionDocument) -> None:
        calls = [{"type": "tool-row", "toolCallId": "c1", "state": "input-available", "input": {}}] * 60
        for number in range(20):
            document.messages.append("assistant", calls, id=f"m{number}", author="bot", created_at=AT, run="r1")
            document.runs.get("r1").add_message(f"m{number}")

    bot.write(call)
    bot.become("complete")

    states = [part.state for message in stage.document.messages for part in message.parts]
    assert states == ["input-available"] * 944 + ["output-error"] * 256


def _told(bot: Actor, steers: int) -> None:
    """Let a run have so many steers."""
    told = [{"id": f"old{number}", "by": "ada", "text": "left", "at": AT} for number in range(steers)]
    bot.write(lambda document: document.runs.get("r1").shared["steers"].extend(told))


def test_a_run_takes_so_many_steers_and_declines_more(stage: Stage) -> None:
    ada, bot = stage.actor("ada", extended=True), stage.actor("bot", "agent")
    bot.begin()
    _told(bot, MOST_STEERS - 1)
    for id_ in ("last", "one too many", "last"):
        ada.write(lambda document, id_=id_: document.requests.ask_steer("r1", id_, "ada", "right"))
    assert [steer["id"] for steer in stage.run().steers[-2:]] == [f"old{MOST_STEERS - 2}", "last"]
    notices = [frame for frame in stage.taken(ada.connection) if isinstance(frame, Notice)]
    assert [(notice.code, notice.final) for notice in notices] == [("limit.too_large", False)]


def test_a_prompt_for_a_run_that_takes_no_more_steers_waits(stage: Stage) -> None:
    ada, bot = stage.actor("ada"), stage.actor("bot", "agent")
    ada.prompt("m1")
    bot.begin(reply_to="m1")
    _told(bot, MOST_STEERS)
    stage.do(stage.room.edit(lambda document: document.meta.set_policy(Policy((), "steer")), AT))
    ada.prompt("m2")
    assert len(stage.run().steers) == MOST_STEERS
    bot.become("complete")
    bot.claim("prompt/m2")
    assert stage.claim("prompt/m2") is not None


def test_a_steer_that_a_crash_undid_and_a_replica_brings_back_is_one(stage: Stage) -> None:
    ada, bot = stage.actor("ada"), stage.actor("bot", "agent")
    bot.begin()
    ada.write(lambda document: document.requests.ask_steer("r1", "s1", "ada", "right"))
    bot.write(lambda d: d.runs.get("r1").record_steer("s2", by="ada", text="left", at=AT))
    ada.write(lambda document: document.requests.ask_steer("r1", "s2", "ada", "left"))
    assert [steer["id"] for steer in stage.run().steers] == ["s1", "s2"]
    assert stage.run().steers_length == 2


def test_of_very_many_former_processes_of_a_run_the_last_are_kept(stage: Stage) -> None:
    bot = stage.actor("bot", "agent")
    bot.begin()
    run = {**stage.run().to_json(), "id": "r2", "former": list(range(1_000, 2_000))}
    bot.write(lambda document: document.runs.shared.update({"r2": Map(run)}))
    rows = [row for row in stage.rows if row.participant != "server"]
    for room in (stage, Stage(updates=[row.update for row in rows])):
        assert room.run("r2").former == list(range(1_936, 2_000))
