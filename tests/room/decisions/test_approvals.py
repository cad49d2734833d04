"""Approvals: who may vote, what counts together, and that a decision is made once."""

from typing import Any

import pytest
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.document import Approval, SessionDocument
from cosession.document.times import later
from cosession.protocol import Notice

LIMIT = {"type": "object", "properties": {"limit": {"type": "number", "maximum": 500}}, "required": ["limit"]}


@pytest.fixture
def bot(stage: Stage) -> Actor:
    bot = stage.actor("bot", "agent")
    bot.write(lambda d: d.runs.start("r1", agent="bot", started_at=AT, client=d.doc.client_id))
    return bot


def ask(bot: Actor, **fields: Any) -> None:
    given = {"question": "Book?", "created_at": AT, "run": "r1", **fields}
    bot.write(lambda d: d.approvals.ask("a1", **given))


def vote(actor: Actor, decision: str = "approved", value: Any = None) -> None:
    actor.write(lambda d: d.requests.ask_vote("a1", actor.who.id, decision, value))


def asked(stage: Stage) -> Approval:
    approval = stage.document.approvals.get("a1")
    assert approval is not None
    return approval


def decided(stage: Stage) -> str | None:
    return (asked(stage).decision or {}).get("decision")


def heal(stage: Stage, heard: bytes) -> None:
    """Let a witness bring back what a server said before it was killed."""
    stage.do(stage.room.edit(lambda document: document.doc.apply_update(heard), AT))


def test_one_vote_decides_where_no_quorum_is_asked_for(stage: Stage, bot: Actor) -> None:
    ask(bot, value={"limit": 200})

    vote(stage.actor("ada"), value={"limit": 200})

    assert asked(stage).decision == {"by": ["ada"], "decision": "approved", "value": {"limit": 200}, "at": AT}
    assert len(stage.document.requests) == 0
    vote(stage.actor("bob"), "rejected")
    assert decided(stage) == "approved"
    assert asked(stage).votes.keys() == {"ada"}


def test_a_vote_is_for_the_value_that_was_shown(stage: Stage, bot: Actor) -> None:
    ask(bot, value={"limit": 200}, quorum=2)
    ada, bob = stage.actor("ada"), stage.actor("bob")

    vote(ada, value={"limit": 200})
    ada.write(lambda d: d.approvals.shared["a1"]["value"].update({"limit": 900}))
    vote(bob, value={"limit": 900})
    assert decided(stage) is None
    vote(bob, value={"limit": 200})

    assert asked(stage).decision == {"by": ["ada", "bob"], "decision": "approved", "value": {"limit": 200}, "at": AT}


@pytest.mark.parametrize("value", [{"limit": 200}, {}, [200], []])
def test_a_vote_without_a_value_is_declined_where_the_value_can_be_edited(stage: Stage, bot: Actor, value: Any):
    ask(bot, value=value)
    ada = stage.actor("ada", extended=True)

    vote(ada)

    assert (decided(stage), asked(stage).votes) == (None, {})
    assert [one.code for one in stage.taken(ada.connection) if isinstance(one, Notice)] == ["request.invalid"]
    vote(ada, value=value)
    assert (asked(stage).decision or {})["value"] == value


@pytest.mark.parametrize("value", [None, 200, "yes"])
def test_a_vote_may_leave_out_what_nobody_can_edit(stage: Stage, bot: Actor, value: Any) -> None:
    ask(bot, value=value)
    vote(stage.actor("ada"))
    assert (asked(stage).decision or {})["value"] == value


def test_a_rejection_needs_no_value(stage: Stage, bot: Actor) -> None:
    ask(bot, value={"limit": 200})
    vote(stage.actor("ada"), "rejected")
    assert decided(stage) == "rejected"


def test_who_asked_does_not_answer_also_where_no_run_asks(stage: Stage, bot: Actor) -> None:
    ask(bot, run=None)
    assert asked(stage).asked_by == "bot"

    vote(bot)
    vote(stage.actor("bot", "agent"))
    assert asked(stage.restart()).votes == {}

    vote(stage.actor("ada"))
    assert decided(stage) == "approved"


def test_who_edits_the_value_of_an_old_question_has_not_asked_it(stage: Stage, bot: Actor) -> None:
    stage.do(stage.room.edit(lambda d: d.approvals.ask("a1", question="?", created_at=AT, value={"limit": 1}), AT))
    again = stage.restart()
    ada = again.actor("ada")
    ada.write(lambda d: d.approvals.shared["a1"]["value"].update({"limit": 2}))
    vote(ada, value={"limit": 2})
    assert decided(again) == "approved"


def test_an_agent_does_not_answer_what_is_asked_on_its_behalf(stage: Stage, bot: Actor) -> None:
    """The planner has asked the scout, the scout has asked the bot, and the bot asks people."""
    planner, scout = stage.actor("planner", "agent"), stage.actor("scout", "agent")
    planner.begin("r-planner")
    planner.prompt("m1", role="assistant", run="r-planner", to=["scout"])
    scout.begin("r-scout", reply_to="m1")
    scout.prompt("m2", role="assistant", run="r-scout", to=["bot"])
    bot.begin("r-bot", reply_to="m2")
    ask(bot, run="r-bot")

    for agent in (planner, scout, bot):
        vote(agent)
    assert asked(stage).votes == {}

    vote(stage.actor("reviewer", "agent"))
    assert decided(stage) == "approved"


def test_true_is_not_one(stage: Stage, bot: Actor) -> None:
    ask(bot, quorum=2)

    vote(stage.actor("ada"), value={"limit": 1})
    vote(stage.actor("bob"), value={"limit": True})

    assert decided(stage) is None


def test_a_later_vote_of_somebody_replaces_their_earlier_one(stage: Stage, bot: Actor) -> None:
    ask(bot, quorum=2)
    ada, bob = stage.actor("ada"), stage.actor("bob")

    vote(ada)
    vote(ada)
    vote(ada, "rejected")
    vote(bob)
    assert decided(stage) is None
    vote(stage.actor("eve"), "rejected", "too dear")

    assert asked(stage).decision == {"by": ["ada", "eve"], "decision": "rejected", "value": None, "at": AT}


def test_only_those_who_are_asked_vote_and_never_the_agent_itself(stage: Stage, bot: Actor) -> None:
    ask(bot, who=["ada", "bot"])

    vote(bot)
    vote(stage.actor("bob"))
    assert asked(stage).votes == {}
    vote(stage.actor("ada"))

    assert decided(stage) == "approved"


@pytest.mark.parametrize("value", [None, 200, {"limit": 900}, {"limit": "200"}])
def test_what_does_not_fit_the_schema_is_not_approved_but_may_be_rejected(
    stage: Stage, bot: Actor, value: Any
) -> None:
    ask(bot, schema=LIMIT)
    ada = stage.actor("ada")

    vote(ada, value=value)
    assert asked(stage).votes == {}
    vote(ada, "rejected", value)

    assert decided(stage) == "rejected"


@pytest.mark.parametrize("decision", ["yes", "expired", "", "withdrawn"])
def test_a_vote_that_is_none_does_not_count(stage: Stage, bot: Actor, decision: str) -> None:
    ask(bot)

    vote(stage.actor("ada"), decision)

    assert asked(stage).to_json()["votes"] == {}
    assert len(stage.document.requests) == 0


def test_a_vote_on_what_is_not_there_comes_to_nothing(stage: Stage) -> None:
    stage.actor("ada").write(lambda d: d.requests.ask_vote("a7", "ada", "approved"))

    assert len(stage.document.requests) == 0
    assert stage.document.approvals.to_json() == {}


def test_an_approval_expires(stage: Stage, bot: Actor) -> None:
    ask(bot, expires_at=later(AT, 60))
    assert stage.timers["approval/a1"] == 60

    stage.at = later(AT, 59)
    stage.ring("approval/a1")
    assert (decided(stage), stage.timers["approval/a1"]) == (None, 1)
    stage.at = later(AT, 60)
    stage.ring("approval/a1")

    assert asked(stage).decision == {"by": [], "decision": "expired", "value": None, "at": later(AT, 60)}
    assert "approval/a1" not in stage.timers


def test_a_vote_that_comes_too_late_does_not_count_although_no_timer_rang(stage: Stage, bot: Actor) -> None:
    ask(bot, expires_at=later(AT, 60))
    stage.at = later(AT, 61)

    vote(stage.actor("ada"))

    assert decided(stage) != "approved"


def test_what_is_decided_waits_for_no_time(stage: Stage, bot: Actor) -> None:
    ask(bot, expires_at=later(AT, 60))

    vote(stage.actor("ada"))

    assert "approval/a1" not in stage.timers


@pytest.mark.parametrize("written", ["soon", "", "2026"])
def test_a_time_that_cannot_be_read_never_comes(stage: Stage, bot: Actor, written: str) -> None:
    ask(bot, expires_at=written)

    if decided(stage) is None:
        vote(stage.actor("ada"))
        assert decided(stage) == "approved"


def test_what_an_ended_run_asks_is_withdrawn(stage: Stage, bot: Actor) -> None:
    ask(bot)
    bot.write(lambda d: d.runs.get("r1").end("complete", at=AT))
    assert decided(stage) == "withdrawn"

    bot.write(lambda d: d.approvals.ask("a2", question="And now?", created_at=AT, run="r1"))

    approval = stage.document.approvals.get("a2")
    assert approval is not None
    assert approval.decision is not None
    assert approval.decision["decision"] == "withdrawn"


def test_what_a_lost_run_asks_stays_open_for_its_next_process(stage: Stage, bot: Actor) -> None:
    ask(bot)
    bot.leave()
    stage.ring("lease/run/r1")
    assert stage.run().status == "lost"

    vote(stage.actor("ada"))

    assert decided(stage) == "approved"


def test_a_restart_keeps_votes_and_time(stage: Stage, bot: Actor) -> None:
    ask(bot, quorum=2, expires_at=later(AT, 60))
    vote(stage.actor("ada"))

    again = stage.restart()
    assert again.timers["approval/a1"] == 60
    vote(again.actor("bob"))

    assert decided(again) == "approved"


def test_what_expired_while_nobody_served_it_is_decided_at_load(stage: Stage, bot: Actor) -> None:
    ask(bot, expires_at=later(AT, 60))

    again = stage.restart(at=later(AT, 61))

    assert decided(again) == "expired"


def test_a_decision_that_a_crash_undid_does_not_come_back_over_the_next_one(stage: Stage, bot: Actor) -> None:
    """Whichever of the two the document's order prefers: the server's client ids decide that, so try several."""
    ask(bot)
    rows = len(stage.rows)
    ada = stage.actor("ada")
    vote(ada)
    heard = ada.document.doc.get_update()
    for _ in range(8):
        again = stage.restart(rows)
        vote(again.actor("bob"), "rejected")
        heal(again, heard)
        assert decided(again) == "rejected"


def test_a_decision_that_a_crash_undid_comes_back_where_nobody_decided_since(stage: Stage, bot: Actor) -> None:
    ask(bot)
    rows = len(stage.rows)
    ada = stage.actor("ada")
    vote(ada)

    again = stage.restart(rows)
    heal(again, ada.document.doc.get_update())

    assert decided(again) == "approved"


def test_a_vote_that_a_crash_undid_does_not_come_back_over_a_later_one(stage: Stage, bot: Actor) -> None:
    """Whichever of the two the document's order prefers: the server's client ids decide that, so try several."""
    ask(bot, quorum=2)
    rows = len(stage.rows)
    ada = stage.actor("ada")
    vote(ada)
    heard = ada.document.doc.get_update()
    for _ in range(8):
        again = stage.restart(rows)
        vote(again.actor("ada"), "rejected")
        heal(again, heard)
        assert asked(again).votes["ada"]["decision"] == "rejected"
        vote(again.actor("bob"))
        assert decided(again) is None


def test_the_last_vote_comes_back_although_an_earlier_one_was_saved(stage: Stage, bot: Actor) -> None:
    ask(bot, quorum=2)
    ada = stage.actor("ada")
    vote(ada)
    rows = len(stage.rows)
    stage.at = later(AT, 5)
    vote(ada, "rejected")
    vote(stage.actor("bob"), "rejected")
    ada.hear()

    again = stage.restart(rows)
    heal(again, ada.document.doc.get_update())

    assert (decided(again), asked(again).votes["ada"]["decision"]) == ("rejected", "rejected")


def test_a_vote_that_a_crash_undid_comes_back_and_counts(stage: Stage, bot: Actor) -> None:
    ask(bot, quorum=2)
    rows = len(stage.rows)
    ada = stage.actor("ada")
    vote(ada)
    again = stage.restart(rows)
    vote(again.actor("bob"))
    assert decided(again) is None

    heal(again, ada.document.doc.get_update())

    assert (asked(again).decision or {})["by"] == ["ada", "bob"]


@pytest.mark.parametrize("votes", [{"ada": {"decision": "perhaps"}}, {"ada": "approved"}, {"ada": {}}, "approved"])
def test_nothing_is_decided_by_votes_that_are_none(stage: Stage, bot: Actor, votes: Any) -> None:
    ask(bot)

    stage.actor("eve").write(lambda d: d.approvals.shared["a1"].update({"votes": votes}))
    assert decided(stage) is None
    vote(stage.actor("bob"))

    assert (asked(stage).decision or {})["by"] == ["bob"]


def test_who_may_write_everything_does_not_rewrite_a_decision(stage: Stage, bot: Actor) -> None:
    ask(bot)
    ada = stage.actor("ada")
    vote(ada)

    ada.write(lambda d: d.approvals.shared["a1"].update({"decision": {"by": ["eve"], "decision": "rejected"}}))

    assert asked(stage).decision == {"by": ["ada"], "decision": "approved", "value": None, "at": AT}


def test_a_smaller_quorum_decides_for_the_group_of_the_first_voter(stage: Stage, bot: Actor) -> None:
    ask(bot, quorum=3)
    eve = stage.actor("eve")
    for voter, decision in (("d", "approved"), ("a", "rejected"), ("c", "approved"), ("b", "rejected")):
        vote(stage.actor(voter), decision)
    eve.write(lambda d: d.approvals.shared["a1"].update({"quorum": 2}))
    assert asked(stage).decision == {"by": ["a", "b"], "decision": "rejected", "value": None, "at": AT}


def test_votes_in_one_frame_count_together_with_the_earlier_ones(stage: Stage, bot: Actor) -> None:
    ask(bot, quorum=3)
    vote(stage.actor("ada"), value={"a": [1, True], "b": 1})
    eve = stage.actor("eve")

    def cast(document: SessionDocument) -> None:
        document.requests.ask_vote("a1", "bob", "approved", {"b": 1, "a": [1, True]})
        document.requests.ask_vote("a1", "cem", "approved", {"b": 1, "a": [1, 1]})
        document.requests.ask_vote("a1", "dan", "approved", {"b": True, "a": [1, True]})

    eve.write(cast)
    assert decided(stage) is None
    vote(stage.actor("cem"), value={"b": 1, "a": [1, True]})
    assert (asked(stage).decision or {})["by"] == ["ada", "bob", "cem"]


def test_of_very_many_who_may_answer_a_notice_names_some(stage: Stage, bot: Actor) -> None:
    ask(bot, who=[f"p{number}" for number in range(100)])
    ada = stage.actor("ada", extended=True)
    vote(ada)
    [notice] = [one for one in stage.taken(ada.connection) if isinstance(one, Notice)]
    assert notice.reason == "p0, p1, p2, p3, p4, p5, p6, p7 and 92 others may answer this."
