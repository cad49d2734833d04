"""The queue: what people let wait becomes a message when its turn has come, one at a time."""

from typing import Any

import pytest
from pycrdt import Map, Text
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.document import Policy


def enqueue(actor: Actor, id_: str, text: str = "later", **more: object) -> None:
    actor.write(
        lambda document: document.queue.append(text, id=id_, author=actor.who.id, created_at=AT, **more)  # type: ignore[arg-type]
    )


def said(stage: Stage) -> list[str]:
    return [message.id for message in stage.document.messages]


def waiting(stage: Stage) -> list[str]:
    return [entry.id for entry in stage.document.queue]


def test_an_entry_becomes_a_message_of_its_author_at_once_where_nobody_works(stage: Stage, ada: Actor):
    enqueue(ada, "q1", "to Oslo", to=["bot"])
    assert waiting(stage) == []
    [message] = stage.document.messages
    assert (message.id, message.role, message.text, message.to) == ("q1", "user", "to Oslo", ("bot",))
    assert message.stamp is not None
    assert (message.stamp["by"], message.stamp["at"]) == ("ada", AT)
    assert message.created_at == AT


def test_entries_wait_for_the_end_of_the_run_and_come_one_at_a_time(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1")
    enqueue(ada, "q2")
    assert waiting(stage) == ["q1", "q2"]
    bot.become("complete", "r1")
    assert (said(stage), waiting(stage)) == (["m1", "q1"], ["q2"])
    bot.claim("prompt/q1")
    assert waiting(stage) == ["q2"]
    bot.begin("r2", reply_to="q1")
    assert waiting(stage) == ["q2"]
    bot.become("error", "r2")
    assert (said(stage), waiting(stage)) == (["m1", "q1", "q2"], [])


def test_the_order_is_that_of_now_and_words_are_those_of_now(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    for id_ in ("q1", "q2", "q3"):
        enqueue(ada, id_)
    bob = stage.actor("bob")
    bob.write(lambda document: document.queue.move("q3", 0))
    bob.write(lambda document: document.queue.remove("q1"))
    bob.write(lambda document: document.queue.get("q3").text.append(", or now"))
    bot.become("complete", "r1")
    assert waiting(stage) == ["q2"]
    message = stage.document.messages.get("q3")
    assert message is not None
    assert (message.text, message.author) == ("later, or now", "ada")


def test_the_queue_of_one_agent_does_not_wait_for_another(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1", to=["bot"])
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1", to=["bot"])
    enqueue(ada, "q2", to=["planner"])
    enqueue(ada, "q3", to=["bot", "third"])
    enqueue(ada, "q4", to=["third"])
    assert waiting(stage) == ["q1", "q3", "q4"]


def test_nothing_waits_where_prompts_are_answered_in_parallel(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1")
    enqueue(ada, "q2")
    stage.do(stage.room.edit(lambda document: document.meta.set_policy(Policy((), "parallel")), AT))
    assert waiting(stage) == []


def test_what_everybody_passed_over_blocks_nobody(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    enqueue(ada, "q1")
    assert waiting(stage) == ["q1"]
    bot.claim("prompt/m1")
    assert waiting(stage) == ["q1"]
    bot.release("prompt/m1")
    assert waiting(stage) == []


def test_after_a_crash_an_entry_is_promoted_once(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1")
    rows = len(stage.rows)
    bot.become("complete", "r1")
    assert said(stage) == ["m1", "q1"]
    again = stage.restart(rows)
    assert waiting(again) == ["q1"]
    healer = again.actor("root", "operator")
    healer.leave()
    healer.document.doc.apply_update(ada.document.doc.get_update())
    again.ring("lease/run/r1")
    assert said(again) == ["m1", "q1"]
    healer.come(again)
    bot.come(again)
    assert said(again) == ["m1", "q1"]
    assert waiting(again) == []


def test_what_waits_when_a_room_is_loaded_is_looked_at(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1")
    bot.become("complete", "r1")
    kept = next(number for number, row in enumerate(stage.rows, 1) if row.participant == "bot" and number > 4)
    assert said(stage.restart(kept)) in (["m1"], ["m1", "q1"])
    assert said(stage.restart(len(stage.rows) - 1)) == ["m1", "q1"]


def test_an_entry_that_is_no_prompt_stays_for_people_to_remove(stage: Stage, ada: Actor):
    ada.write(lambda document: document.queue.shared.append({"id": "x"}))
    ada.write(lambda document: document.queue.append("fine", id="q1", author="ada", created_at=AT))
    assert said(stage) == ["q1"]


def test_of_a_queue_longer_than_anybody_plans_the_first_are_looked_at_and_each_has_its_turn(stage: Stage) -> None:
    ada, bot = stage.actor("ada"), stage.actor("bot", "agent")
    ada.prompt("m0")
    bot.begin("r0", reply_to="m0")
    entries = [{"id": f"q{number}", "author": "ada", "text": "hi", "place": -number} for number in range(300)]
    ada.write(lambda document: document.queue.shared.extend([Map(entry) for entry in entries]))
    bot.become("complete", "r0")
    assert [message.id for message in stage.document.messages] == ["m0", "q255"]
    bot.begin("r1", reply_to="q255")
    bot.become("complete", "r1")
    assert stage.document.messages[-1].id == "q256"


def test_anothers_message_under_the_id_of_an_entry_does_not_take_the_prompt(stage: Stage, ada: Actor, bot: Actor):
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1", "book a table")
    stage.actor("mal").prompt("q1", ".")

    bot.become("complete", "r1")
    bot.begin("r2", reply_to="q1")
    bot.become("complete", "r2")

    assert waiting(stage) == []
    assert [(one.text, one.author) for one in stage.document.messages if one.text == "book a table"] == [
        ("book a table", "ada")
    ]
    assert len({message.id for message in stage.document.messages}) == 3


@pytest.mark.parametrize("policy", ["queue", "parallel"])
@pytest.mark.parametrize("more", [0, 70], ids=["few", "many at once"])
def test_two_prompts_of_one_id_are_two_messages(policy: Any, more: int) -> None:
    stage = Stage()
    ada, bo, bot = stage.actor("ada"), stage.actor("bo"), stage.actor("bot", "agent")
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")

    def ask(actor: Actor) -> Any:
        entries = [{"id": f"{actor.who.id}{number}", "author": actor.who.id, "to": ["x"]} for number in range(more)]
        mine = Map({"id": "q1", "author": actor.who.id, "text": Text(f"{actor.who.id}'s words"), "place": more})
        return lambda document: document.queue.shared.extend([mine, *map(Map, entries)])

    ada.write(ask(ada))
    bo.write(ask(bo))
    stage.do(stage.room.edit(lambda document: document.meta.set_policy(Policy((), policy)), AT))
    bot.become("complete", "r1")
    for number, message in enumerate([message.id for message in stage.document.messages][1:], 2):
        if message in {"q1", "q1/ada", "q1/bo"}:
            bot.begin(f"r{number}", reply_to=message)
            bot.become("complete", f"r{number}")
    texts = [(message.text, message.author) for message in stage.document.messages]
    assert texts.count(("ada's words", "ada")) == 1
    if policy == "queue" and ("bo's words", "bo") not in texts:
        last = stage.document.messages[-1].id
        bot.begin("last", reply_to=last)
        bot.become("complete", "last")
    texts = [(message.text, message.author) for message in stage.document.messages]
    assert texts.count(("bo's words", "bo")) == 1
    assert "q1" not in waiting(stage)


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_prompt_becomes_one_message_wherever_the_server_is_killed(
    stage: Stage, ada: Actor, bot: Actor, is_taken: bool
) -> None:
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1", "book a table")
    if is_taken:
        stage.actor("mal").prompt("q1", ".")
    begun = len(stage.rows)
    bot.become("complete", "r1")
    if is_taken:
        bot.begin("r2", reply_to="q1")
        bot.become("complete", "r2")
    assert waiting(stage) == []
    for kept in range(begun, len(stage.rows) + 1):
        again = stage.restart(kept)
        texts = [message.text for message in again.document.messages] + [
            str(entry.text) for entry in again.document.queue
        ]
        assert texts.count("book a table") == 1, kept
        bot.come(again)
        for run in ("r1", "r2"):
            if f"lease/run/{run}" in again.timers:
                again.ring(f"lease/run/{run}")
        messages = [message.text for message in again.document.messages]
        assert messages.count("book a table") == 1, kept


def test_an_entry_that_its_author_has_sent_is_removed(stage: Stage, ada: Actor, bot: Actor) -> None:
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    enqueue(ada, "q1")
    ada.prompt("q1", "now")
    bot.become("complete", "r1")
    bot.begin("r2", reply_to="q1")
    bot.become("complete", "r2")
    assert (said(stage), waiting(stage)) == (["m1", "q1"], [])


def test_a_steer_under_the_id_of_an_entry_does_not_take_the_prompt(stage: Stage, ada: Actor, bot: Actor) -> None:
    ada.prompt("m1")
    bot.begin("r1", reply_to="m1")
    mal = stage.actor("mal")
    mal.write(lambda document: document.requests.ask_steer("r1", "m2", "mal", "."))
    stage.do(stage.room.edit(lambda document: document.meta.set_policy(Policy((), "steer")), AT))
    ada.prompt("m2", "book a table")
    bot.write(lambda document: document.runs.get("r1").mark_seen("m2"))
    bot.become("complete", "r1")

    for place in (stage, stage.restart()):
        place.actor("bot", "agent").claim("prompt/m2")
        assert place.claim("prompt/m2") is not None
