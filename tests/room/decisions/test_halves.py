"""Prompts that a crash took from the server, and that come back in halves: from somebody who had the beginning of it
only, then from somebody who has all of it."""

from collections.abc import Sequence

import pytest
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.document import Message, Policy, SessionDocument
from cosession.protocol import EMPTY_UPDATE, split_update

PARTS = [{"type": "text", "text": "Where to?", "state": "done"}]


def written(to: Sequence[str], *, role: str = "user", stamped: bool = False) -> list[bytes]:
    """A message of Ada's, in the smallest pieces in which a server sends one."""
    ada = SessionDocument(client_id=77)
    message = ada.messages.append(role, PARTS, id="m1", author="ada", created_at=AT, to=to)
    if stamped:
        message.set_stamp(by="ada", at=AT, seq=5)
    pieces = [piece for piece in split_update(ada.doc.get_update(), 1) if piece != EMPTY_UPDATE]
    assert len(pieces) > 5
    return pieces


def bring(stage: Stage, who: str, pieces: Sequence[bytes]) -> Actor:
    """Somebody comes who has these pieces, and gives them back."""
    actor = stage.actor(who)
    actor.leave()
    for piece in pieces:
        actor.document.doc.apply_update(piece)
    actor.come()
    return actor


def rule(stage: Stage, *agents: str, double_texting: str = "queue") -> None:
    policy = Policy(agents, double_texting)
    stage.do(stage.room.edit(lambda document: document.meta.set_policy(policy), AT))


def message(stage: Stage) -> Message:
    found = stage.document.messages.get("m1")
    assert found is not None
    return found


def cuts(pieces: Sequence[bytes]) -> range:
    return range(1, len(pieces))


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize(("to", "key"), [((), "prompt/m1"), (("bot",), "prompt/m1/bot")])
@pytest.mark.parametrize("restarts", [False, True])
def test_whoever_asks_for_it_gets_it_when_all_of_it_is_there(
    to: Sequence[str], key: str, stamped: bool, restarts: bool
):
    pieces = written(to, stamped=stamped)
    for cut in cuts(pieces):
        stage = Stage()
        bot = stage.actor("bot", "agent")
        ada = stage.actor("ada")
        ada.prompt("m0", to=to)
        bot.claim(f"prompt/m0/{'/'.join(to)}".rstrip("/"))  # now the messages have been read
        bot.begin(reply_to="m0", status="complete")
        bring(stage, "witness", pieces[:cut])
        if restarts:
            stage = stage.restart()
            bot.come(stage)
            bot.claim("prompt/nothing")
        bring(stage, "other", pieces)
        assert message(stage).author == "ada"
        assert message(stage).verified
        bot.claim(key)
        assert (stage.claim(key) or {}).get("by") == "bot", f"cut at {cut}"


def test_the_workers_of_an_agent_are_told_of_it():
    for to, policy in (((), ("bot",)), (("bot",), ())):
        pieces = written(to, role="assistant" if to else "user")
        for cut in cuts(pieces):
            stage = Stage()
            rule(stage, *policy)
            bring(stage, "witness", pieces[:cut])
            bring(stage, "other", pieces)
            assert stage.told.takeable == {"bot"}, f"cut at {cut}"
            job, effects = stage.room.reserve("bot", 99, AT)
            stage.do(effects)
            assert job is not None
            assert job.message == "m1"


def test_a_half_of_it_is_nobodys_to_answer_and_one_for_somebody_else_in_the_end_not_either():
    pieces = written(("planner",))
    for cut in cuts(pieces):
        stage = Stage()
        bot = stage.actor("bot", "agent")
        bring(stage, "witness", pieces[:cut])
        bot.claim("prompt/m1")
        assert stage.claim("prompt/m1") is None, f"cut at {cut}"
        bring(stage, "other", pieces)
        bot.claim("prompt/m1")
        bot.claim("prompt/m1/bot")
        assert stage.document.claims.to_json() == {}


def test_one_that_was_answered_before_its_other_half_came_is_not_answered_again():
    pieces = written(())
    for cut in cuts(pieces):
        stage = Stage()
        bot = stage.actor("bot", "agent")
        bring(stage, "witness", pieces[:cut])
        bot.begin(reply_to="m1", status="complete")
        bring(stage, "other", pieces)
        bot.claim("prompt/m1")
        assert stage.claim("prompt/m1") is None


@pytest.mark.parametrize("double_texting", ["steer", "reject", "interrupt"])
def test_the_policy_is_for_the_whole_of_it_and_once(double_texting: str):
    pieces = written(())
    for cut in cuts(pieces):
        stage = Stage()
        rule(stage, "bot", double_texting=double_texting)
        bot, ada = stage.actor("bot", "agent"), stage.actor("ada")
        ada.prompt("m0")
        bot.claim("prompt/m0")
        bot.begin(reply_to="m0")
        bring(stage, "witness", pieces[:cut])
        bring(stage, "other", pieces)
        told = [len(steer["text"]) > 0 for steer in stage.run().steers]  # what was there of the words
        refused, cancelled = message(stage).refused is not None, stage.run().cancel is not None
        expected = {
            "steer": ([True], False, False),
            "reject": ([], True, False),
            "interrupt": ([], False, True),
        }
        assert (told, refused, cancelled) == expected[double_texting], f"cut at {cut}"
        ada.write(lambda document: document.messages.get("m1").set_metadata(starred=True))
        ada.write(lambda document: document.messages.get("m1").append_part(PARTS[0]))
        assert len(stage.run().steers) == len(told)
