"""The model that is used when none is configured: a script, which calls the same tools and says what it is.

It reads cities, numbers and dates out of what people say. Which part it plays it sees from the tools it is given.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from chat.models import STEERED
from chat.tool_model import Call

from .planner import PLAN
from .specialists import BRIEF
from .store import KINDS

PAUSE_WORDS = 25
"""A call of a tool takes as long as so many words: else nobody would see it happen."""

_SCRIPT = "*No language model is connected: I am a script that reads cities, numbers and a few words.*"
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "a": 1}
_NUMBER = r"(\d+|one|two|three|four|five|six|seven)"
_ABOUT = {
    "flights": r"fl(y|ight|ights)\b|plane",
    "hotels": r"hotel|sleep|room",
    "activities": r"activit|\bdo\b|museum|tour",
}

Messages = Sequence[Mapping[str, Any]]
Line = str | tuple[str, dict[str, Any]]
"""Words to say, or a tool to call."""


class ScriptedToolModel:
    """Plays the planner and the specialists."""

    def __init__(self, words_per_second: float = 30.0) -> None:
        """Prepare.

        Args:
            words_per_second: how fast it writes; 0 writes without a pause.
        """
        self.name = "scripted"
        self._pause_seconds = 1 / words_per_second if words_per_second > 0 else 0.0

    async def act(self, messages: Messages, tools: Sequence[Mapping[str, Any]]) -> AsyncGenerator[str | Call, None]:
        """Give the next turn of the script."""
        is_specialist = any(tool["function"]["name"] == "offer" for tool in tools)
        for number, line in enumerate(_specialist(messages) if is_specialist else _planner(messages)):
            if isinstance(line, tuple):
                await asyncio.sleep(self._pause_seconds * PAUSE_WORDS)
                yield Call(f"call-{len(messages)}-{number}", line[0], json.dumps(line[1]))
                continue
            for word in re.findall(r"\s*\S+\s*", line):
                await asyncio.sleep(self._pause_seconds)
                yield word


# -- the planner


def _planner(messages: Messages) -> list[Line]:
    plan = _given(messages, PLAN)
    messages = _since_late_steer(messages)
    words = [str(message["content"]) for message in messages if message["role"] == "user"]
    said = next((each.partition(": ")[2] for each in reversed(words) if not each.startswith(STEERED)), "")
    added = [line for each in words if each.startswith(STEERED) for line in each.splitlines()[1:]]
    results = _results(messages)
    if "book" in results:
        return [_booked(results["book"])]
    if "put_in_itinerary" in results:
        return [_proposal(results, added)]
    if "ask_specialists" in results:
        return [
            (
                "put_in_itinerary",
                {
                    "ids": _picks(
                        results["ask_specialists"].get("offers", {}), {**plan["trip"], **results.get("set_trip", {})}
                    )
                },
            )
        ]
    if "set_trip" in results:
        return _ask_around(" ".join([said, *added]), results["set_trip"], plan)
    greeting = _noticed(plan["by_hand"])
    if re.search(r"\bbook\b|\breserve\b", said, re.IGNORECASE):
        return [f"{greeting}I ask for your approval first.", ("book", {})]
    facts = _read(said, plan["cities"], plan["trip"])
    wants_search = any(re.search(words, said, re.IGNORECASE) for words in _ABOUT.values())
    if not facts and not wants_search:
        return [greeting + _standing(plan)]
    if "to" not in {**plan["trip"], **facts}:
        return [f"{greeting}Where do you want to go? I know {', '.join(plan['cities'])}.\n\n{_SCRIPT}"]
    return [greeting, ("set_trip", facts)] if greeting else [("set_trip", facts)]


def _since_late_steer(messages: Messages) -> Messages:
    """What is to be answered: a steer that comes after the specialists have looked is a request of its own."""
    last = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=0)
    if str(messages[last]["content"]).startswith(STEERED) and "put_in_itinerary" in _results(messages[:last]):
        steer = str(messages[last]["content"]).splitlines()[-1]
        return [*messages[:2], {"role": "user", "content": steer}, *messages[last + 1 :]]
    return messages


def _ask_around(said: str, trip: dict[str, Any], plan: dict[str, Any]) -> list[Line]:
    if "from" not in trip or "to" not in trip:
        return [f"From where do you start, and where do you go?\n\n{_SCRIPT}"]
    is_elsewhere = any(trip.get(name) != plan["trip"].get(name) for name in ("from", "to"))
    named = [kind for kind, words in _ABOUT.items() if re.search(words, said, re.IGNORECASE)]
    kinds = list(KINDS) if is_elsewhere or not named else named
    wish = (
        f"For {trip['people']} people, {trip['nights']} nights in {trip['to']} from {trip['from']}. They said: {said}"
    )
    who = " and ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
    return [
        f"{trip['nights']} nights in **{trip['to']}** for {trip['people']}: I ask {who}.",
        ("ask_specialists", dict.fromkeys(kinds, wish)),
    ]


def _read(said: str, cities: list[str], known: dict[str, Any]) -> dict[str, Any]:
    """What a sentence says of the trip; nothing where it says nothing."""
    facts: dict[str, Any] = {}
    named = sorted((said.lower().find(city.lower()), city) for city in cities if city.lower() in said.lower())
    start = re.search(r"\bfrom (\w+)", said, re.IGNORECASE)
    origin = next((city for _, city in named if start and city.lower() == start[1].lower()), None)
    goal = next((city for _, city in named if city != origin), None)
    facts |= {"from": origin} if origin else {}
    facts |= {"to": goal} if goal else {}
    for name, pattern in {
        "nights": rf"{_NUMBER}[ -](?:night|day)",
        "people": rf"{_NUMBER} (?:people|persons|of us|adults|friends)|for {_NUMBER}\b(?! (?:night|day|€|euro))",
        "budget": r"(?:budget|under|below|at most|up to)\D{0,12}(\d+)|(\d+) ?(?:€|euro)",
        "start": r"(\d{4}-\d\d-\d\d)|\b(\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\w*)",
    }.items():
        if found := re.search(pattern, said, re.IGNORECASE):
            value = next(group for group in found.groups() if group)
            facts[name] = value if name == "start" else _NUMBERS.get(value.lower()) or int(value)
    if facts.get("to"):
        usual = {
            "from": next(city for city in cities if city != facts["to"]),
            "nights": 3,
            "people": 2,
            "budget": 1500,
        }
        facts = {**{name: value for name, value in usual.items() if name not in known}, **facts}
    return facts


def _picks(offers: dict[str, list[dict[str, Any]]], trip: dict[str, Any]) -> list[str]:
    """The first of each that leaves half of the budget for the rest, and the first two things to do."""
    picked: list[str] = []
    for leg in ("out", "back"):
        picked += [option["id"] for option in offers.get("flights", []) if option.get("leg") == leg][:1]
    rooms = offers.get("hotels", [])
    fit = [option for option in rooms if option["price"] <= trip.get("budget", 1500) / 2]
    picked += [option["id"] for option in fit or sorted(rooms, key=lambda option: option["price"])][:1]
    return picked + [option["id"] for option in offers.get("activities", [])][:2]


def _proposal(results: dict[str, Any], added: list[str]) -> str:
    result = results["put_in_itinerary"]
    if "itinerary" not in result:
        return f"That didn't work: {result.get('error')}\n\n{_SCRIPT}"
    added = [*added, *results.get("ask_specialists", {}).get("people_added", [])]
    heard = "".join(f"> {one}\n\n" for one in added) + ("I passed that on to them. " if added else "")
    lines = "\n".join(
        f"| {item.get('title')} | {item.get('price')} € |"
        for item in sorted(result["itinerary"].values(), key=_by_day)
    )
    return (
        f"{heard}Here is a first plan, at **{result['total']:g} €** for everybody:\n\n"
        f"| What | For everybody |\n|---|---:|\n{lines}\n\n"
        "Choose others from the cards, change times, or delete what you don't like: I see the plan as it stands. "
        f"Say *book* when you are happy.\n\n{_SCRIPT}"
    )


def _standing(plan: dict[str, Any]) -> str:
    items = sorted(plan["itinerary"].values(), key=_by_day)
    if not items:
        return f"The plan is empty. Where do you go? E.g. *3 nights in Lisbon from Berlin for 2*.\n\n{_SCRIPT}"
    titles = "; ".join(f"day {item.get('day')}: {item.get('title')}" for item in items)
    kinds = {item.get("kind") for item in items}
    missing = [kind for kind in KINDS if kind not in kinds]
    gap = f" There are no {' and no '.join(missing)} in it." if missing else ""
    return f"As it stands, the plan costs **{plan['total']:g} €**: {titles}.{gap}\n\n{_SCRIPT}"


def _noticed(by_hand: dict[str, list[str]]) -> str:
    said = [
        f"you {verb} **{'**, **'.join(by_hand[key])}**"
        for key, verb in (("removed", "took out"), ("added", "chose"))
        if by_hand.get(key)
    ]
    return f"I see that {' and '.join(said)} by hand. " if said else ""


def _booked(result: dict[str, Any]) -> str:
    if not result.get("booked"):
        why = result.get("error") or (
            "nothing fits under the limit" if result.get("over_the_limit") else result.get("decision")
        )
        return f"Nothing was booked: {why}.\n\n{_SCRIPT}"
    lines = "\n".join(f"| {title} | `{reference}` |" for title, reference in result["booked"].items())
    by = ", ".join(result["approved_by"])
    said = f"Booked, up to {result['limit']:g} € as {by} approved:"
    return f"{said}\n\n| What | Reference |\n|---|---|\n{lines}\n\n{_SCRIPT}"


def _by_day(item: dict[str, Any]) -> tuple[str, str]:
    return str(item.get("day")), str(item.get("time"))


# -- the specialists


def _specialist(messages: Messages) -> list[Line]:
    brief = _given(messages, BRIEF)
    kind, trip = brief["kind"], brief["trip"]
    since = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=0)
    said = str(messages[since]["content"])
    results = [json.loads(str(m["content"])) for m in messages[since:] if m["role"] == "tool"]
    rows = list({row["id"]: row for result in results if isinstance(result, list) for row in result}.values())
    if any(isinstance(result, str) for result in results):
        return [_advice(kind, trip, _chosen(kind, rows, trip))]
    if results:
        chosen = _chosen(kind, rows, trip)
        if not chosen:
            return [f"I found no {kind} that fit. {_SCRIPT}"]
        return [
            f"I compared {len(rows)} {kind}.",
            ("offer", {"choices": [{"id": row["id"], "why": why} for row, why in chosen]}),
        ]
    heard = (
        "".join(f"I take that in:\n\n> {line}\n\n" for line in said.splitlines()[1:])
        if said.startswith(STEERED)
        else ""
    )
    if (
        heard
        and _is_for_others(kind, said)
        and any(m["role"] == "tool" and str(m["content"])[0] == '"' for m in messages)
    ):
        return [f"{heard}That is for the others; my offers stay."]
    limit = re.search(r"(?:under|below|at most) (\d+)", said, re.IGNORECASE) if heard else None
    given = {"max_price": int(limit[1])} if limit else {}
    if kind == "flights":
        direct = {"direct": True} if re.search(r"\bdirect\b|no stop", said, re.IGNORECASE) else {}
        ways = [(trip.get("from"), trip.get("to")), (trip.get("to"), trip.get("from"))]
        calls: list[Line] = [("search", {"origin": a, "destination": b, **given, **direct}) for a, b in ways]
        return [
            f"{heard}I look for flights from {trip.get('from')} to {trip.get('to')} and back, every airline.",
            *calls,
        ]
    if kind == "hotels":
        stars = re.search(r"(\d)[ -]star", said, re.IGNORECASE)
        given |= {"min_stars": int(stars[1])} if stars else {}
        return [
            f"{heard}I look for rooms in {trip.get('to')}: quiet, well rated, near the sights.",
            ("search", {"city": trip.get("to"), **given}),
        ]
    about = next((word for word in ("museum", "food", "day trip", "bicycle", "walk") if word in said.lower()), None)
    place = {"city": trip.get("to"), **given}
    return [
        f"{heard}I look what one can do in {trip.get('to')}, by day and in the evening.",
        *([("search", {**place, "about": about})] if about else []),
        ("search", place),
    ]


def _is_for_others(kind: str, said: str) -> bool:
    meant = [each for each, words in _ABOUT.items() if re.search(words, said, re.IGNORECASE)]
    return bool(meant) and kind not in meant


def _chosen(kind: str, rows: list[dict[str, Any]], trip: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Two or three of what was found, and why."""
    if kind == "flights":
        out = [row for row in rows if str(row["origin"]) == trip.get("from")]
        back = [row for row in rows if str(row["origin"]) != trip.get("from")]
        return [
            (row, why)
            for way in (out, back)
            for row, why in zip(way, ("the cheapest", "a better time"), strict=False)
        ]
    if kind == "hotels":
        best, cheap = rows[:2], sorted(rows[2:], key=lambda row: row["price"])[:1]
        return [
            *((row, f"rated {row['rating']}") for row in best),
            *((row, "the cheapest that is good") for row in cheap),
        ]
    return [(row, f"rated {row['rating']}") for row in rows[:4]]


def _advice(kind: str, trip: dict[str, Any], chosen: list[tuple[dict[str, Any], str]]) -> str:
    if not chosen:
        return "That is what there is."
    row, why = chosen[0]
    title = row.get("title") or row.get("name") or f"{row['airline']} at {row['departs']}"
    return (
        f"{len(chosen)} {kind} for {trip.get('to')} are in the plan to choose from. I would take **{title}**: {why}."
    )


# -- what a model is told


def _given(messages: Messages, begin: str) -> dict[str, Any]:
    told = next(str(m["content"]) for m in messages if str(m["content"]).startswith(begin))
    return dict(json.loads(told[len(begin) :]))


def _results(messages: Messages) -> dict[str, Any]:
    """What the tools gave since a person last asked something, by the tool's name."""
    names = {call["id"]: call["function"]["name"] for m in messages for call in m.get("tool_calls", ())}
    return {names[m["tool_call_id"]]: json.loads(str(m["content"])) for m in messages if m["role"] == "tool"}
