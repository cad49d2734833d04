"""The planner's part of the script: it reads cities, numbers and dates out of what people say."""

import calendar
import re
from typing import Any

from chat.models import STEERED

from .cues import ABOUT, SIGNATURE, Line, Messages, given, results
from .planner import PLAN
from .store import KINDS

_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "a": 1}
_NUMBER = r"(\d+|one|two|three|four|five|six|seven)"
_DATES = [*calendar.month_name[1:], *calendar.month_abbr[1:], *calendar.day_name, *calendar.day_abbr]


def plan_trip(messages: Messages) -> list[Line]:
    """What the planner says and does next."""
    plan = given(messages, PLAN)
    if (later := _since_late_steer(messages)) is not None:
        plan, messages = _as_it_became(plan, results(messages)), later
    words = [str(message["content"]) for message in messages if message["role"] == "user"]
    said = next((each.partition(": ")[2] for each in reversed(words) if not each.startswith(STEERED)), "")
    added = [line for each in words if each.startswith(STEERED) for line in each.splitlines()[1:]]
    done = results(messages)
    if "book" in done:
        return [_booked(done["book"])]
    if "put_in_itinerary" in done:
        return [_proposal(done, added)]
    if "ask_specialists" in done:
        picks = _picks(done["ask_specialists"].get("offers", {}), {**plan["trip"], **done.get("set_trip", {})})
        return [("put_in_itinerary", {"ids": picks})]
    said = " ".join([said, *added])
    if "set_trip" in done:
        return _ask_around(said, done["set_trip"], plan)
    greeting = _noticed(plan["by_hand"])
    if re.search(r"\bbook\b|\breserve\b", said, re.IGNORECASE):
        return [f"{greeting}I ask for your approval first.", ("book", {})]
    if unknown := _unknown_places(said, plan["cities"]):
        places, cities = " and ".join(unknown), ", ".join(plan["cities"])
        return [f"{greeting}I have nothing for {places}. I know {cities}.\n\n{SIGNATURE}"]
    facts = _read(said, plan["cities"], plan["trip"])
    wants_search = any(re.search(words, said, re.IGNORECASE) for words in ABOUT.values())
    if not facts and not wants_search:
        return [greeting + _standing(plan)]
    if "to" not in {**plan["trip"], **facts}:
        return [f"{greeting}Where do you want to go? I know {', '.join(plan['cities'])}.\n\n{SIGNATURE}"]
    return [greeting, ("set_trip", facts)] if greeting else [("set_trip", facts)]


def _since_late_steer(messages: Messages) -> Messages | None:
    """What is to be answered, when it is a steer that came after the specialists had looked: a request of its own."""
    last = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=0)
    if str(messages[last]["content"]).startswith(STEERED) and "put_in_itinerary" in results(messages[:last]):
        steer = str(messages[last]["content"]).splitlines()[-1]
        return [*messages[:2], {"role": "user", "content": steer}, *messages[last + 1 :]]
    return None


def _as_it_became(plan: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
    """The plan, which was told at the beginning, after what the planner has done with it."""
    put = {name: value for name, value in done["put_in_itinerary"].items() if name in ("itinerary", "total")}
    return {**plan, **put, "trip": {**plan["trip"], **done.get("set_trip", {})}, "by_hand": {}}


def _ask_around(said: str, trip: dict[str, Any], plan: dict[str, Any]) -> list[Line]:
    if "from" not in trip or "to" not in trip:
        return [f"From where do you start, and where do you go?\n\n{SIGNATURE}"]
    is_elsewhere = any(trip.get(name) != plan["trip"].get(name) for name in ("from", "to"))
    named = [kind for kind, words in ABOUT.items() if re.search(words, said, re.IGNORECASE)]
    kinds = list(KINDS) if is_elsewhere or not named else named
    wish = (
        f"For {trip['people']} people, {trip['nights']} nights in {trip['to']} from {trip['from']}. They said: {said}"
    )
    who = " and ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
    old = [id_ for id_, item in plan["itinerary"].items() if is_elsewhere and item.get("status") != "booked"]
    lines: list[Line] = [f"{trip['nights']} nights in **{trip['to']}** for {trip['people']}: I ask {who}."]
    if old:
        lines.append(("take_out", {"ids": old}))
    return [*lines, ("ask_specialists", dict.fromkeys(kinds, wish))]


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


def _unknown_places(said: str, cities: list[str]) -> list[str]:
    """Where somebody wants to go, or start, that the script has nothing for: a name, but no month and no day."""
    known = "|".join([*cities, *_DATES])
    return re.findall(rf"\b(?:to|from|visit|(?:nights?|days?|week|weekend) in) (?!(?:{known})\b)([A-ZÀ-Ý]\w+)", said)


def _picks(offers: dict[str, list[dict[str, Any]]], trip: dict[str, Any]) -> list[str]:
    """The first of each that leaves half of the budget for the rest, and the first two things to do."""
    picked: list[str] = []
    for leg in ("out", "back"):
        picked += [option["id"] for option in offers.get("flights", []) if option.get("leg") == leg][:1]
    rooms = offers.get("hotels", [])
    fit = [option for option in rooms if option["price"] <= trip.get("budget", 1500) / 2]
    picked += [option["id"] for option in fit or sorted(rooms, key=lambda option: option["price"])][:1]
    return picked + [option["id"] for option in offers.get("activities", [])][:2]


def _proposal(done: dict[str, Any], added: list[str]) -> str:
    result = done["put_in_itinerary"]
    if "itinerary" not in result:
        return f"That didn't work: {result.get('error')}\n\n{SIGNATURE}"
    added = [*added, *done.get("ask_specialists", {}).get("people_added", [])]
    heard = "".join(f"> {one}\n\n" for one in added) + ("I passed that on to them. " if added else "")
    lines = "\n".join(
        f"| {item.get('title')} | {item.get('price')} € |"
        for item in sorted(result["itinerary"].values(), key=_by_day)
    )
    return (
        f"{heard}Here is a first plan, at **{result['total']:g} €** for everybody:\n\n"
        f"| What | For everybody |\n|---|---:|\n{lines}\n\n"
        "Choose others from the cards, change times, move or delete what you don't like: I see the plan as it is. "
        f"Say *book* when you are happy.\n\n{SIGNATURE}"
    )


def _standing(plan: dict[str, Any]) -> str:
    items = sorted(plan["itinerary"].values(), key=_by_day)
    if not items:
        return f"The plan is empty. Where do you go? E.g. *3 nights in Lisbon from Berlin for 2*.\n\n{SIGNATURE}"
    titles = "; ".join(f"day {item.get('day')}: {item.get('title')}" for item in items)
    kinds = {item.get("kind") for item in items}
    missing = [kind for kind in KINDS if kind not in kinds]
    gap = f" There are no {' and no '.join(missing)} in it." if missing else ""
    return f"As it stands, the plan costs **{plan['total']:g} €**: {titles}.{gap}\n\n{SIGNATURE}"


def _noticed(by_hand: dict[str, list[str]]) -> str:
    said = [
        f"you {verb} **{'**, **'.join(by_hand[key])}**"
        for key, verb in (("removed", "took out"), ("added", "chose"), ("moved", "moved"))
        if by_hand.get(key)
    ]
    return f"I see that {', and '.join(said)} by hand. " if said else ""


def _booked(result: dict[str, Any]) -> str:
    if not result.get("booked"):
        return f"Nothing was booked: {result.get('error') or result.get('decision')}.\n\n{SIGNATURE}"
    lines = "\n".join(f"| {title} | `{reference}` |" for title, reference in result["booked"].items())
    by = ", ".join(result["approved_by"])
    said = f"Booked, up to {result['limit']:g} € as {by} approved:"
    return f"{said}\n\n| What | Reference |\n|---|---|\n{lines}\n\n{SIGNATURE}"


def _by_day(item: dict[str, Any]) -> tuple[str, str]:
    return str(item.get("day")), str(item.get("time"))
