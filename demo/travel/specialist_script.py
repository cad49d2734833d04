"""The specialists' part of the script: it searches, compares, and says what speaks for each offer."""

import json
import re
from typing import Any

from chat.models import STEERED

from .cues import ABOUT, SIGNATURE, Line, Messages, given
from .specialists import BRIEF


def look_up(messages: Messages) -> list[Line]:
    """What a specialist says and does next."""
    brief = given(messages, BRIEF)
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
            return [f"I found no {kind} that fit. {SIGNATURE}"]
        return [
            f"I compared {len(rows)} {kind}.",
            ("offer", {"choices": [{"id": row["id"], "why": why} for row, why in chosen]}),
        ]
    heard = "".join(f"I take that in:\n\n> {line}\n\n" for line in said.splitlines()[1:] if said.startswith(STEERED))
    has_offered = any(message["role"] == "tool" and str(message["content"])[0] == '"' for message in messages)
    if heard and has_offered and _is_for_others(kind, said):
        return [f"{heard}That is for the others; my offers stay."]
    return _search(kind, trip, said, heard)


def _search(kind: str, trip: dict[str, Any], said: str, heard: str) -> list[Line]:
    """Say what is looked for, and look; what people added since (`heard`) may limit the price."""
    goal = trip.get("to")
    limit = re.search(r"(?:under|below|at most) (\d+)", said, re.IGNORECASE) if heard else None
    wanted: dict[str, Any] = {"max_price": int(limit[1])} if limit else {}
    if kind == "flights":
        if re.search(r"\bdirect\b|no stop", said, re.IGNORECASE):
            wanted["direct"] = True
        ways = [(trip.get("from"), goal), (goal, trip.get("from"))]
        return [
            f"{heard}I look for flights from {trip.get('from')} to {goal} and back, every airline.",
            *(("search", {"origin": origin, "destination": end, **wanted}) for origin, end in ways),
        ]
    if kind == "hotels":
        if stars := re.search(r"(\d)[ -]star", said, re.IGNORECASE):
            wanted["min_stars"] = int(stars[1])
        words = f"{heard}I look for rooms in {goal}: quiet, well rated, near the sights."
        return [words, ("search", {"city": goal, **wanted})]
    abouts = [word for word in ("museum", "food", "day trip", "bicycle", "walk") if word in said.lower()][:1]
    return [
        f"{heard}I look what one can do in {goal}, by day and in the evening.",
        *(("search", {"city": goal, **wanted, "about": about}) for about in abouts),
        ("search", {"city": goal, **wanted}),
    ]


def _is_for_others(kind: str, said: str) -> bool:
    meant = [each for each, words in ABOUT.items() if re.search(words, said, re.IGNORECASE)]
    return bool(meant) and kind not in meant


def _chosen(kind: str, rows: list[dict[str, Any]], trip: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Two to four of what was found, and why."""
    if kind == "flights":
        ways = [[row for row in rows if (row["origin"] == trip.get("from")) is is_out] for is_out in (True, False)]
        return [one for way in ways for one in _cheapest_and_another(way)]
    if kind == "hotels":
        best, cheap = rows[:2], sorted(rows[2:], key=lambda row: row["price"])[:1]
        whys = ["the best rated", "well rated", "the cheapest that is good"]
        return list(zip([*best, *cheap], whys, strict=False))
    best = max((row["rating"] for row in rows), default=0)
    return [(row, _praise(row, best)) for row in rows[:4]]


def _praise(row: dict[str, Any], best: float) -> str:
    if row["rating"] == best:
        return "the best rated"
    return "well rated" if row["price"] else "costs nothing"


def _cheapest_and_another(way: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    if len(way) < 2:
        return [(row, "the only one") for row in way]
    cheapest, other = way[:2]
    return [(cheapest, "the cheapest"), (other, "later" if other["departs"] > cheapest["departs"] else "earlier")]


def _advice(kind: str, trip: dict[str, Any], chosen: list[tuple[dict[str, Any], str]]) -> str:
    if not chosen:
        return "That is what there is."
    row, why = chosen[0]
    title = row.get("title") or row.get("name") or f"{row['airline']} at {row['departs']}"
    return (
        f"{len(chosen)} {kind} for {trip.get('to')} are in the plan to choose from. I would take **{title}**: {why}."
    )
