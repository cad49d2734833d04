"""What an operation costs in a long session: counted in calls, which are the same on every machine."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from benchmarks.scaling import GROWING, OPERATIONS, Scene, session
from pycrdt import Doc, Map, Text
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.document import SessionDocument

SIZE = 150
"""More messages than are looked through one by one."""


def calls(act: Callable[[], object]) -> int:
    """How many functions something calls."""
    return len(called(act))


def called(act: Callable[[], object]) -> list[str]:
    """The functions that something calls; those that aren't written in Python have a name."""
    names: list[str] = []

    def note(_: Any, event: str, function: Any) -> None:
        if event == "c_call":
            names.append(function.__qualname__)
        elif event == "call":
            names.append("")

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return names


@pytest.fixture(scope="module", params=[False, True], ids=["whoever", "a member"])
def scenes(request: pytest.FixtureRequest) -> tuple[Scene, Scene]:
    return Scene(session(SIZE), request.param), Scene(session(10 * SIZE), request.param)


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - GROWING))
def test_an_operation_takes_as_much_work_in_a_session_ten_times_as_long(
    scenes: tuple[Scene, Scene], name: str
) -> None:
    costs: list[int] = []
    for scene in scenes:
        for number in (1, 2):  # the first may make what the next ones use
            act = OPERATIONS[name](scene, number)
            cost = calls(act)
        costs.append(cost)
    assert costs[1] <= 1.5 * costs[0], costs


@pytest.mark.parametrize("name", ["cancel", "claim", "post", "release", "steer", "vote"])
def test_what_a_frame_leads_to_is_observed_once(scenes: tuple[Scene, Scene], name: str) -> None:
    act = OPERATIONS[name](scenes[0], 3)
    assert called(act).count("Doc.observe") == 1  # the library goes through all Yjs clients to begin, and to end


def observed_transactions(act: Callable[[], object], doc: Doc[Any]) -> int:
    """How many transactions of a document end while it is observed."""
    count = depth = 0

    def note(frame: Any, event: str, function: Any) -> None:
        nonlocal count, depth
        if event == "call" and frame.f_locals.get("self") is doc:
            depth += (frame.f_code is Doc.observe.__code__) - (frame.f_code is Doc.unobserve.__code__)
        count += depth > 0 and event == "c_call" and function.__qualname__ == "Transaction.commit"

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def test_a_prompt_that_leaves_the_queue_is_observed_only_where_it_must_be() -> None:
    """At the end of each transaction that is observed the library goes through all Yjs clients several times."""
    scene = Scene(session(10 * SIZE), False)
    counts = [observed_transactions(OPERATIONS["queue"](scene, number), scene.room.document.doc) for number in (1, 2)]
    assert counts[-1] <= 6, counts


@pytest.mark.parametrize("messages", [["r1.m"] * 20_000, [f"none{number}" for number in range(20_000)]])
@pytest.mark.parametrize("length", [10, 100])
def test_the_end_of_a_run_costs_no_look_for_each_message_that_it_names(messages: list[str], length: int) -> None:
    stage = Stage()
    bot = stage.actor("bot", "agent")
    for number in range(length):
        bot.prompt(f"m{number}")
    bot.begin(words="Yes.")
    bot.write(lambda document: document.runs.shared["r1"].update({"messages": messages}))
    assert sum(name != "isinstance" for name in called(lambda: bot.become("complete"))) < 32_000


def _voting(voters: int, who: list[str]) -> tuple[Stage, Actor]:
    """A room with an approval that waits for more votes than there are, or that others are to answer."""
    stage = Stage()
    bot, ada = stage.actor("bot", "agent"), stage.actor("ada")
    bot.write(lambda d: d.approvals.ask("a1", question="?", created_at=AT, quorum=10_000, who=who))
    ada.write(lambda d: [_vote(d, f"p{number}") for number in range(voters)])
    return stage, ada


def _vote(document: SessionDocument, voter: str) -> None:
    document.requests.ask_vote("a1", voter, "approved", list(range(20)))


def test_votes_of_one_frame_cost_as_much_among_many_as_among_few() -> None:
    costs: list[int] = []
    for voters in (25, 250):
        _, ada = _voting(voters, [])
        costs.append(calls(lambda ada=ada: ada.write(lambda d: [_vote(d, f"q{number}") for number in range(100)])))
    assert costs[1] < 1.2 * costs[0], costs


def test_votes_of_one_frame_read_once_who_may_answer() -> None:
    costs: list[int] = []
    for others in (100, 10_000):
        _, ada = _voting(0, [f"p{number}" for number in range(others)])
        costs.append(calls(lambda ada=ada: ada.write(lambda d: [_vote(d, f"q{number}") for number in range(100)])))
    assert costs[1] < costs[0] + 10 * 10_000, costs


def _steered(steers: int) -> tuple[Stage, Actor]:
    """A room with a run that was told so much, and was told something since the room was loaded."""
    stage = Stage()
    bot, ada = stage.actor("bot", "agent"), stage.actor("ada")
    bot.begin("r1")
    told = [{"id": f"old{number}", "by": "ada", "text": "left", "at": AT} for number in range(steers)]
    bot.write(lambda document: document.runs.get("r1").shared["steers"].extend(told))
    ada.write(lambda document: document.requests.ask_steer("r1", "first", "ada", "left"))
    return stage, ada


def test_a_steer_costs_as_much_on_a_run_that_was_told_much_as_on_another() -> None:
    costs: list[int] = []
    for steers in (10, 1_000):
        _, ada = _steered(steers)
        asks = [f"s{number}" for number in range(50)]
        costs.append(
            calls(
                lambda ada=ada, asks=asks: ada.write(
                    lambda document: [document.requests.ask_steer("r1", id_, "ada", "right") for id_ in asks]
                )
            )
        )
    assert costs[1] < 1.1 * costs[0], costs


def test_a_run_that_had_many_processes_is_read_no_longer_for_it() -> None:
    costs: list[int] = []
    for former in (100, 10_000):
        stage = Stage()
        bot = stage.actor("bot", "agent")
        bot.begin("r1")
        run = {**stage.run().to_json(), "id": "r2", "former": list(range(1_000, 1_000 + former))}
        bot.write(lambda document, run=run: document.runs.shared.update({"r2": Map(run)}))
        assert stage.run("r2").former[-1] == 999 + former
        costs.append(calls(lambda bot=bot: bot.write(lambda d: d.runs.get("r2").set_progress("reads", 1, 2))))
    assert costs[1] <= 1.1 * costs[0], costs


def test_a_run_that_says_how_far_it_is_costs_no_look_at_the_queue() -> None:
    costs: list[int] = []
    for waiting in (2, 200):
        stage = Stage()
        ada, bot = stage.actor("ada"), stage.actor("bot", "agent")
        ada.prompt("m1")
        bot.begin("r1", reply_to="m1")
        ada.write(lambda document, waiting=waiting: _enqueue(document, waiting))
        assert len(stage.document.queue.shared) == waiting
        costs.append(calls(lambda bot=bot: bot.write(lambda d: d.runs.get("r1").set_progress("reads", 1, 2))))
    assert costs[1] <= 1.1 * costs[0], costs


def _enqueue(document: SessionDocument, entries: int) -> None:
    for number in range(entries):
        fields = {"id": f"q{number}", "author": "ada", "created_at": AT, "text": Text("later"), "place": number}
        document.queue.shared.append(Map(fields))


def test_of_a_flood_of_requests_only_those_that_are_answered_are_taken_apart() -> None:
    costs: list[int] = []
    for segments in (2, 150):
        ada = Stage().actor("ada")
        asked = {f"x{number}/{'%41/' * segments}ada": {} for number in range(1_000)}
        costs.append(calls(lambda ada=ada, asked=asked: ada.write(lambda d: d.requests.shared.update(asked))))
    assert costs[1] < costs[0] + 256 * 150 * 20, costs


def test_a_key_of_a_request_that_is_too_long_is_not_taken_apart() -> None:
    ada = Stage().actor("ada")
    key = f"claim/{'%2Fa/' * 20_000}ada"
    assert calls(lambda: ada.write(lambda d: d.requests.shared.update({key: {}}))) < 20_000
