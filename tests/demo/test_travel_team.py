"""What the travel team does with what people say and do: by the script, and by a model that says nothing."""

import asyncio
import importlib
import json
from types import ModuleType
from typing import Any

import pytest
from processes import PATIENCE_SECONDS, Server, eventually

from cosession.cli.demo import find_demo
from cosession.client import Session, connect

pytestmark = pytest.mark.anyio

CITIES = ["Berlin", "Lisbon", "Paris", "Rome"]
LISBON = {"from": "Berlin", "to": "Lisbon", "nights": 4, "people": 2}
WORKSHOP = {
    "title": "Tile workshop",
    "kind": "activities",
    "day": 2,
    "time": "11:00",
    "price": 60,
    "status": "chosen",
}
HOTEL = {"title": "Belém Garden", "kind": "hotels", "day": 1, "time": "15:00", "price": 408, "status": "booked"}


class Silent:
    """A model that has nothing to say."""

    name = "silent"

    async def act(self, messages: Any, tools: Any) -> Any:
        for nothing in ():
            yield nothing


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a module of the team as its processes do: in the folder of the demos."""
    monkeypatch.syspath_prepend(str(find_demo("travel").parent))
    return lambda name: importlib.import_module(f"travel.{name}")


def conversation(planner: ModuleType, *rest: dict[str, Any], **plan: Any) -> list[dict[str, Any]]:
    """What a planner's model is told, where the trip to Lisbon is planned."""
    known = {"trip": LISBON, "itinerary": {"activity-1": WORKSHOP, "hotel-1": HOTEL}, "by_hand": {}, "total": 468}
    told = planner.PLAN + json.dumps({**known, "cities": CITIES, **plan})
    return [{"role": "system", "content": "…"}, {"role": "system", "content": told}, *rest]


def says(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(tool: str, result: object) -> list[dict[str, Any]]:
    """A tool that was called, and what came of it."""
    call = {"id": tool, "type": "function", "function": {"name": tool, "arguments": "{}"}}
    made = {"role": "assistant", "content": "", "tool_calls": [call]}
    return [made, {"role": "tool", "tool_call_id": tool, "content": json.dumps(result)}]


def test_what_is_said_while_the_planner_answers_is_done_as_well(part: Any) -> None:
    planner, script = part("planner"), part("planner_script")
    answer = {"role": "assistant", "content": "As it stands,"}
    steer = says(f"{importlib.import_module('chat.models').STEERED}\nAda: Book it")

    lines = script.plan_trip(conversation(planner, says("Ada: How does it look?"), answer, steer))

    assert lines[-1] == ("book", {})


def test_what_is_said_after_the_specialists_have_looked_is_asked_of_those_whom_it_is_for(part: Any) -> None:
    planner, script = part("planner"), part("planner_script")
    steer = says(f"{importlib.import_module('chat.models').STEERED}\nBob: Only direct flights")
    put = called("put_in_itinerary", {"itinerary": {"activity-1": WORKSHOP}, "total": 60})
    before = [
        says("Ada: Lisbon"),
        *called("set_trip", LISBON),
        *called("ask_specialists", {"offers": {}}),
        *put,
        steer,
    ]
    told = conversation(planner, *before, trip={}, itinerary={})

    first = script.plan_trip(told)
    then = script.plan_trip([*told, *called("set_trip", LISBON)])

    assert first == [("set_trip", {})]
    assert list(then[-1][1]) == ["flights"]
    assert "Only direct flights" in then[-1][1]["flights"]


def ended(session: Session, run_id: str) -> int:
    """How many of those whom a run has asked have ended."""
    run = session.document.runs.get(run_id)
    return int(((run is not None and run.progress) or {}).get("done", 0))


async def test_what_is_said_after_a_specialist_has_ended_is_asked_of_it_again(part: Any, server: Server) -> None:
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        connect(server.url, session="trip", participant="ada", kind="human") as ada,
        connect(server.url, session="trip", participant="planner") as planner,
        connect(server.url, session="trip", participant="flights") as flights,
        connect(server.url, session="trip", participant="hotels") as hotels,
    ):
        prompt = await ada.send("Lisbon")
        async with planner.run(reply_to=prompt) as run:
            team = part("planner").Planner(run, None)
            asking = asyncio.create_task(team.ask_specialists(flights="Flights", hotels="Rooms"))
            asked = flights.prompts()
            async with flights.run(reply_to=await anext(asked)):
                pass
            async with hotels.run(reply_to=await anext(hotels.prompts())) as looking:
                await eventually(lambda: ended(planner, run.id) == 1, "the end of one")
                ada.steer(run.id, "Only direct flights")
                assert (await looking.next_steer()).text == "ada: Only direct flights"
            again = await anext(asked)
            assert again.text == "Flights\n\nada: Only direct flights"
            async with flights.run(reply_to=again):
                pass
            assert await asking == {
                "offers": {"flights": [], "hotels": []},
                "people_added": ["ada: Only direct flights"],
            }


@pytest.mark.parametrize(
    ("said", "place"),
    [("3 nights in Porto", "Porto"), ("Let's go to Évora instead", "Évora"), ("from Oslo to Lisbon", "Oslo")],
)
def test_a_place_that_the_script_does_not_know_is_said(part: Any, said: str, place: str) -> None:
    planner, script = part("planner"), part("planner_script")

    [line] = script.plan_trip(conversation(planner, says(f"Ada: {said}")))

    assert f"I have nothing for {place}. I know Berlin, Lisbon, Paris, Rome." in line


@pytest.mark.parametrize(
    "said",
    ["to Rome in November", "3 nights in Lisbon from Sunday", "from May to Paris", "A hotel in Alfama, please"],
)
def test_months_days_and_quarters_are_no_places_to_go_to(part: Any, said: str) -> None:
    planner, script = part("planner"), part("planner_script")

    assert script.plan_trip(conversation(planner, says(f"Ada: {said}")))[-1][0] == "set_trip"


def test_who_goes_elsewhere_keeps_only_what_is_booked(part: Any) -> None:
    planner, script = part("planner"), part("planner_script")
    asked = [says("Ada: Rome, please"), *called("set_trip", {**LISBON, "to": "Rome"})]

    lines = script.plan_trip(conversation(planner, *asked))

    assert lines[1] == ("take_out", {"ids": ["activity-1"]})
    assert lines[2][0] == "ask_specialists"


def test_what_people_did_by_hand_is_told(part: Any) -> None:
    planner, script = part("planner"), part("planner_script")
    by_hand = {"removed": ["Berlin → Lisbon"], "moved": ["Tile workshop to day 3, 11:00"]}

    lines = script.plan_trip(conversation(planner, says("Ada: How does it look?"), by_hand=by_hand))

    assert "you took out **Berlin → Lisbon**, and you moved **Tile workshop to day 3, 11:00** by hand" in lines[0]


def test_only_the_best_rated_is_praised_as_that(part: Any) -> None:
    brief = part("specialists").BRIEF + json.dumps({"kind": "activities", "trip": LISBON})
    ratings = {"museum": (8.7, 18), "opera": (9.5, 18), "walk": (8.0, 0)}
    rows = [{"id": id_, "title": id_, "rating": rating, "price": price} for id_, (rating, price) in ratings.items()]
    told = [{"role": "system", "content": brief}, says("with museums"), *called("search", rows)]

    _, (_, offer) = part("specialist_script").look_up(told)

    whys = {choice["id"]: choice["why"] for choice in offer["choices"]}
    assert whys == {"museum": "well rated", "opera": "the best rated", "walk": "costs nothing"}


async def test_the_plan_tells_what_was_moved_and_not_what_stayed(part: Any, server: Server) -> None:
    trip = part("trip")
    async with connect(server.url, session="trip", participant="planner") as session:
        trip.prepare(session)
        session.state.set("itinerary", {"activity-1": WORKSHOP, "hotel-1": HOTEL})
        trip.remember(session)
        session.state.set(["itinerary", "activity-1", "day"], 3)

        assert trip.by_hand(session) == {"removed": [], "added": [], "moved": ["Tile workshop to day 3, 11:00"]}


async def test_a_model_that_says_nothing_leaves_nobody_waiting(part: Any, server: Server) -> None:
    talk = part("talk")
    async with (
        connect(server.url, session="trip", participant="ada", kind="human") as ada,
        connect(server.url, session="trip", participant="planner") as planner,
    ):
        prompt = await ada.send("Where to?")
        async with planner.run(reply_to=prompt) as run:
            await talk.think(run, Silent(), [], [])

        await eventually(lambda: any(talk.SILENCE in message.text for message in ada.messages), "the answer")
