"""Tools that clients offer: whoever holds the call answers it, once; and the policy that people may change."""

from typing import Any

import pytest
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.document import Policy, tool_key

KEY = tool_key("c1")


def call(bot: Actor, **more: Any) -> None:
    part = {
        "type": "tool-selected",
        "toolCallId": "c1",
        "state": "input-available",
        "input": {"list": "hotels"},
        "callProviderMetadata": {"cosession": {"client": True, "who": [], **more}},
    }
    bot.write(lambda d: d.messages.append("assistant", [part], id="m1", author="bot", created_at=AT))


def claim(actor: Actor, *, wait: bool = False) -> None:
    actor.write(lambda d: d.requests.ask_claim(KEY, d.doc.client_id, actor.who.id, wait=wait))


def answer(actor: Actor, **what: Any) -> None:
    actor.write(lambda d: d.requests.ask_answer("m1", "c1", d.doc.client_id, actor.who.id, **what))


def part(stage: Stage) -> dict[str, Any]:
    message = stage.document.messages.get("m1")
    assert message is not None
    return message.to_json()["parts"][0]


def test_the_holder_of_a_call_answers_it_and_lets_go(stage: Stage, bot: Actor) -> None:
    call(bot)
    ada = stage.actor("ada")
    claim(ada)

    answer(ada, output={"row": 3})

    assert (part(stage)["state"], part(stage)["output"]) == ("output-available", {"row": 3})
    assert part(stage)["input"] == {"list": "hotels"}
    assert stage.claim(KEY) is None
    assert len(stage.document.requests) == 0


def test_an_error_is_an_answer_too(stage: Stage, bot: Actor) -> None:
    call(bot)
    ada = stage.actor("ada")
    claim(ada)

    answer(ada, error="Nothing is selected.")

    assert (part(stage)["state"], part(stage)["errorText"]) == ("output-error", "Nothing is selected.")


def test_of_two_tabs_one_answers(stage: Stage, bot: Actor) -> None:
    call(bot)
    first, second = stage.actor("ada"), stage.actor("ada")
    claim(first)
    claim(second, wait=True)

    answer(second, output=2)
    assert part(stage)["state"] == "input-available"
    answer(first, output=1)
    answer(second, output=2)

    assert part(stage)["output"] == 1
    assert stage.claim(KEY) is None


def test_the_next_tab_answers_when_the_first_is_gone(stage: Stage, bot: Actor) -> None:
    call(bot)
    first, second = stage.actor("ada"), stage.actor("ada")
    claim(first)
    claim(second, wait=True)
    first.leave()
    stage.ring(f"lease/claim/{KEY}")

    answer(second, output=2)

    assert part(stage)["output"] == 2


def test_what_is_over_is_not_answered_any_more(stage: Stage, bot: Actor) -> None:
    call(bot)
    ada = stage.actor("ada")
    claim(ada)
    bot.write(lambda d: d.messages[0].parts[0].update(state="output-error", errorText="Nobody in time."))

    answer(ada, output=3)

    assert part(stage)["errorText"] == "Nobody in time."
    assert stage.claim(KEY) is None


@pytest.mark.parametrize("more", [{"client": False}, {"who": ["bob"]}, {"who": "bob"}])
def test_who_is_not_asked_does_not_answer(stage: Stage, bot: Actor, more: dict[str, Any]) -> None:
    call(bot, **more)
    ada = stage.actor("ada")
    claim(ada)

    answer(ada, output=3)

    assert part(stage)["state"] == "input-available"


def test_an_answer_to_what_is_not_there_comes_to_nothing(stage: Stage) -> None:
    ada = stage.actor("ada")
    claim(ada)

    answer(ada, output=3)

    assert stage.claim(KEY) is None
    assert len(stage.document.requests) == 0


def test_people_change_what_becomes_of_prompts(stage: Stage) -> None:
    ada = stage.actor("ada")
    stage.do(stage.room.edit(lambda d: d.meta.set_policy(Policy(("bot",), "queue")), AT))

    ada.write(lambda d: d.requests.ask_policy("ada", "interrupt"))
    assert stage.document.meta.rules == Policy(("bot",), "interrupt")
    ada.write(lambda d: d.requests.ask_policy("ada", "shout"))

    assert stage.document.meta.rules == Policy(("bot",), "interrupt")
    assert len(stage.document.requests) == 0
