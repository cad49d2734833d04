"""The specialists: each looks one kind of thing up, and lays out two to four offers for people to choose from.

They write their own progress, words and offers into the session; the planner relays nothing.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from chat.tool_model import ToolModel

from cosession.client import AgentRun

from . import trip
from .store import Row, Store
from .talk import Tool, ToolRefused, think

INSTRUCTIONS = """\
You are the specialist for {kind} in a team that plans a trip. Look up with the tools what fits, then offer two
to four of what you found with `offer`, each with a few words on what speaks for it. End with one or two
sentences to people on what you looked for and what you would take. Nothing but what the tools say is known.
"""

BRIEF = "THE TRIP:\n"
"""How the message begins that holds the trip, for models and for the script."""

_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}


@dataclass(frozen=True, slots=True)
class Specialty:
    """What one specialist does.

    Attributes:
        kind: what it looks for; also its participant id.
        name: what people see.
        description: of its search, for the model.
        fields: of its search.
        required: those that a search needs.
        search: looks it up.
    """

    kind: str
    name: str
    description: str
    fields: dict[str, Any]
    required: tuple[str, ...]
    search: Callable[[Store, dict[str, Any]], Awaitable[list[Row]]]


SPECIALTIES = {
    specialty.kind: specialty
    for specialty in (
        Specialty(
            "flights",
            "Flights",
            "Flights from one city to another, for one person.",
            {"origin": _TEXT, "destination": _TEXT, "max_price": _NUMBER, "direct": {"type": "boolean"}},
            ("origin", "destination"),
            lambda store, given: store.flights(
                str(given["origin"]),
                str(given["destination"]),
                max_price=_number(given, "max_price"),
                direct=given.get("direct") is True,
            ),
        ),
        Specialty(
            "hotels",
            "Hotels",
            "Hotels of a city; prices are of a room for two and a night.",
            {"city": _TEXT, "max_price": _NUMBER, "min_stars": _NUMBER},
            ("city",),
            lambda store, given: store.hotels(
                str(given["city"]),
                max_price=_number(given, "max_price"),
                min_stars=int(_number(given, "min_stars") or 0),
            ),
        ),
        Specialty(
            "activities",
            "Activities",
            "Things to do in a city; prices are for one person.",
            {"city": _TEXT, "max_price": _NUMBER, "about": _TEXT},
            ("city",),
            lambda store, given: store.activities(
                str(given["city"]), max_price=_number(given, "max_price"), about=str(given.get("about") or "")
            ),
        ),
    )
}


async def look_up(specialty: Specialty, run: AgentRun, store: Store, model: ToolModel) -> None:
    """Answer one prompt of the planner, or of a person that names the specialist. Raises as `AgentRun.text` does."""
    session = run.session
    known = trip.facts(session)
    done = 0

    def went_on(label: str) -> None:
        nonlocal done
        done = min(done + 1, 3)
        run.progress(label, done, 4)

    async def search(**given: Any) -> list[dict[str, Any]]:
        went_on("Comparing what there is")
        rows = await specialty.search(store, given)
        return [{**row, "price_for_all": trip.card(row, known)["price"]} for row in rows]

    async def offer(choices: list[Any]) -> str:
        went_on("Laying out the offers")
        offered: dict[str, Any] = {}
        for choice in choices[:6]:
            given = choice if isinstance(choice, dict) else {"id": choice}
            row = await store.find(str(given.get("id")))
            if row is None or row["kind"] != specialty.kind:
                raise ToolRefused(f"There is no {given.get('id')!r} among the {specialty.kind}.")
            offered[row["id"]] = {"rank": len(offered)} | trip.card(row, known, str(given.get("why") or ""))
        with session.document.transaction():
            for old in trip.options(session, specialty.kind):
                if old.get("id") not in offered:
                    session.state.delete(["options", specialty.kind, str(old.get("id"))])
            for id_, card in offered.items():
                session.state.set(["options", specialty.kind, id_], card)
        return "People see them now."

    choice = {"type": "object", "properties": {"id": _TEXT, "why": _TEXT}, "required": ["id", "why"]}
    tools = [
        Tool("search", specialty.description, specialty.fields, search, specialty.required),
        Tool(
            "offer",
            "Show people what to choose from.",
            {"choices": {"type": "array", "items": choice}},
            offer,
            ("choices",),
        ),
    ]
    brief = {"kind": specialty.kind, "trip": known, "cities": await store.cities()}
    messages = [
        {"role": "system", "content": INSTRUCTIONS.format(kind=specialty.kind)},
        {"role": "system", "content": BRIEF + json.dumps(brief, ensure_ascii=False)},
        {"role": "user", "content": run.prompt.text if run.prompt else ""},
    ]
    run.progress("Looking", 0, 4)
    await think(run, model, messages, tools)
    run.progress("Done", 4, 4)


def _number(given: dict[str, Any], name: str) -> float | None:
    value = given.get(name)
    return float(value) if isinstance(value, int | float) else None
