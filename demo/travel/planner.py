"""The planner: finds out what people want, asks the specialists, keeps the itinerary, books when people approve.

What it is told of the trip is the document of this moment: what people changed in the itinerary by hand is in it,
though nobody said a word about it.
"""

import asyncio
import json
from functools import partial
from typing import Any

from chat.tool_model import ToolModel

from cosession.client import AgentRun, Delegation, Step

from . import trip
from .store import KINDS, Store
from .talk import Tool, ToolRefused, think

MOST_REMEMBERED = 30
"""How many messages back the model is told."""

HEED_SECONDS = 0.1
"""How often it looks whether people have added something, while others work for it."""

INSTRUCTIONS = """\
You plan trips with several people at once, in Markdown, briefly. Find out where they start, where they go, for
how many nights, how many they are and what they want to spend; `set_trip` keeps that. Then ask the specialists
by `ask_specialists`, all that are needed in one call; they show their offers to people themselves, so don't
repeat them. When people want to go elsewhere, take out first what is planned for the other place. Put one flight
each way, one hotel and two or three activities into the itinerary, say in a few sentences why, and leave the choice
to people. They change the itinerary by hand: the one below is how it is now, whatever was said before. Book only
when they want it; `book` asks them for approval. Nothing but what the tools say is known of prices and times.
"""

PLAN = "THE PLAN NOW:\n"
"""How the message begins that holds the trip, for models and for the script."""


class Planner:
    """Answers one prompt.

    Args:
        run: the run that answers.
        store: the data.
    """

    def __init__(self, run: AgentRun, store: Store) -> None:
        self._session = run.session
        self._run = run
        self._store = store
        self._rounds = 0

    async def answer(self, model: ToolModel) -> None:
        """Answer by a model. Raises as `AgentRun.text` does."""
        trip.prepare(self._session)
        plan = {
            "trip": trip.facts(self._session),
            "itinerary": trip.itinerary(self._session),
            "by_hand": trip.by_hand(self._session),
            "total": trip.cost(trip.itinerary(self._session)),
            "cities": await self._store.cities(),
        }
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "system", "content": PLAN + json.dumps(plan, ensure_ascii=False)},
            *self._conversation(),
        ]
        await think(self._run, model, messages, self._tools())
        trip.remember(self._session)

    def _conversation(self) -> list[dict[str, Any]]:
        """What people and the planner said up to the prompt."""
        told: list[dict[str, Any]] = []
        for message in self._session.messages:
            who = self._session.who(message.author)
            if not message.deleted and message.text.strip() and not message.to:
                if message.role == "user":
                    told.append({"role": "user", "content": f"{who.name}: {message.text}"})
                elif message.author == self._session.me.id:
                    told.append({"role": "assistant", "content": message.text})
            if message.id == self._run.reply_to:
                break
        return told[-MOST_REMEMBERED:]

    def _tools(self) -> list[Tool]:
        text, number = {"type": "string"}, {"type": "number"}
        kinds = {"type": "string", "description": "What to look for; leave it out when it isn't needed."}
        facts = {"from": text, "to": text, "start": text, "nights": number, "people": number, "budget": number}
        ids = {"type": "array", "items": text, "description": "Ids of offers, e.g. flight-7."}
        return [
            Tool("set_trip", "Note what is known of the trip. Cities by their names.", facts, self.set_trip),
            Tool(
                "ask_specialists",
                "Let specialists look for something, at the same time; returns what they offer.",
                dict.fromkeys(KINDS, kinds),
                self.ask_specialists,
            ),
            Tool("put_in_itinerary", "Put offers into the itinerary.", {"ids": ids}, self.put, ("ids",)),
            Tool("take_out", "Take things out of the itinerary.", {"ids": ids}, self.take_out, ("ids",)),
            Tool("book", "Ask people to approve the itinerary, and book what isn't booked yet.", {}, self.book),
        ]

    async def set_trip(self, **facts: Any) -> dict[str, Any]:
        """Note what is known of the trip."""
        with self._session.document.transaction():
            for name, value in facts.items():
                if isinstance(value, str | int | float):
                    self._session.state.set(f"trip.{name}", value)
        return trip.facts(self._session)

    async def ask_specialists(self, **wanted: Any) -> dict[str, Any]:
        """Delegate, wait for all, and return what they offer; what people add meanwhile is passed on to them.

        A specialist that had ended before it heard of that is asked again.
        """
        known = trip.facts(self._session)
        wishes = {kind: str(wanted[kind]) for kind in KINDS if wanted.get(kind)}
        jobs: dict[str, Delegation] = {}
        added: list[str] = []
        while wishes:
            self._rounds += 1
            for kind, wish in wishes.items():
                jobs[kind] = self._run.delegate(kind, wish, data={"trip": known}, key=f"{kind}-{self._rounds}")
            self._run.progress("The specialists are looking", 0, len(wishes))
            added += await self._wait([jobs[kind] for kind in wishes])
            missed = {kind: _missed(job, added) for kind, job in jobs.items()}
            wishes = {kind: "\n\n".join([jobs[kind].message.text, *words]) for kind, words in missed.items() if words}
        offers = {kind: trip.options(self._session, kind) for kind in jobs}
        return {"offers": offers, **({"people_added": added} if added else {})}

    async def _wait(self, jobs: list[Delegation]) -> list[str]:
        """Wait for all, tell them what people add, and return that."""
        added: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            pending = {tasks.create_task(job.done()): job for job in jobs}
            while pending:
                ended, _ = await asyncio.wait(pending, timeout=HEED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    del pending[task]
                if ended:
                    self._run.progress("The specialists are looking", len(jobs) - len(pending), len(jobs))
                for steer in self._run.steers():
                    said = f"{self._session.who(steer.by).name}: {steer.text}"
                    added.append(said)
                    for job in pending.values():
                        job.steer(said)
        return added

    async def put(self, ids: list[str]) -> dict[str, Any]:
        """Put offers into the itinerary; another flight of the same way, or another hotel, goes out."""
        facts = trip.facts(self._session)
        day = 2
        for id_ in ids:
            row = await self._store.find(str(id_))
            if row is None:
                raise ToolRefused(f"There is no {id_!r} among the offers.")
            card = trip.card(row, facts)
            with self._session.document.transaction():
                for other, item in trip.itinerary(self._session).items():
                    is_same = item.get("kind") == card["kind"] and item.get("leg") == card.get("leg")
                    if card["kind"] != "activities" and is_same and item.get("status") != "booked":
                        self._session.state.delete(["itinerary", other])
                if card["kind"] == "activities":
                    card["day"], day = day, day + 1
                item = {name: value for name, value in card.items() if name not in ("id", "why")}
                self._session.state.set(
                    ["itinerary", card["id"]], {**item, "by": self._session.me.id, "status": "chosen"}
                )
        return {"itinerary": trip.itinerary(self._session), "total": trip.cost(trip.itinerary(self._session))}

    async def take_out(self, ids: list[str]) -> dict[str, Any]:
        """Take things out of the itinerary."""
        planned = trip.itinerary(self._session)
        for id_ in ids:
            if planned.get(str(id_), {}).get("status") == "booked":
                raise ToolRefused(f"{planned[str(id_)].get('title')} is booked, so it stays.")
            self._session.state.delete(["itinerary", str(id_)])
        return {"itinerary": trip.itinerary(self._session), "total": trip.cost(trip.itinerary(self._session))}

    async def book(self) -> dict[str, Any]:
        """Ask for approval, and book what is in the itinerary when it is given."""
        wanted = trip.unbooked(self._session)
        if not wanted:
            raise ToolRefused("There is nothing in the itinerary that isn't booked.")
        cost = trip.cost(wanted)
        decision = await self._run.ask(
            f"Book {len(wanted)} {'thing' if len(wanted) == 1 else 'things'} for {cost:g} €?",
            value={"limit": cost},
            schema={
                "type": "object",
                "properties": {"limit": {"type": "number", "minimum": 0, "title": "At most, in €"}},
                "required": ["limit"],
            },
            key="book",
        )
        if not decision.approved:
            return {"booked": {}, "decision": decision.status}
        now = trip.unbooked(self._session)
        wanted = {id_: now[id_] for id_ in wanted if id_ in now}  # who took something out meanwhile doesn't want it
        cost = trip.cost(wanted)
        if cost > float(decision.value["limit"]):
            return {"booked": {}, "decision": f"{cost:g} € is more than the {decision.value['limit']:g} € approved"}
        booked: dict[str, str] = {}
        for id_, item in wanted.items():
            title, price = str(item.get("title")), trip.cost({id_: item})
            booked[title] = await self._run.step(f"Book {title}", partial(self._book, id_, price), attempts=3)
        names = [self._session.who(one).name for one in decision.by]
        return {"booked": booked, "approved_by": names, "limit": decision.value["limit"]}

    async def _book(self, id_: str, price: float, _step: Step) -> str:
        reference = await self._store.book(self._run.id, id_, price)
        with self._session.document.transaction():
            if id_ in trip.itinerary(self._session):
                self._session.state.set(["itinerary", id_, "status"], "booked")
                self._session.state.set(["itinerary", id_, "reference"], reference)
        return reference


def _missed(job: Delegation, added: list[str]) -> list[str]:
    """What of the words that people added a specialist hasn't taken in, though it has done its work."""
    run = job.run
    if run is None or run.status != "complete":
        return []
    heard = {steer["text"] for steer in run.steers if steer["id"] in run.seen}
    return [words for words in added if words not in heard and words not in job.message.text]
