"""The trip as it stands in the session's state, which people edit by hand: where everything is, in one place.

    trip       {from, to, start, nights, people, budget}
    options    {flights | hotels | activities: {ID: {rank, title, detail, price, why, …}}}, each by its agent
    itinerary  {ID: {kind, title, day, time, price, by, status: "chosen" | "booked", reference?}}
    seen       {ID: {title, day, time}}: as the planner saw the itinerary last, to tell what people did since

The planner makes the Maps, before anybody else needs them: two who make the same one at once would lose one's part.
"""

from typing import Any

from cosession.client import Session

from .store import KINDS, Row

FACTS = ("from", "to", "start", "nights", "people", "budget")
"""What is known of a trip."""


def prepare(session: Session) -> None:
    """Make the Maps that aren't there yet."""
    with session.document.transaction():
        for path in ("trip", "options", *(f"options.{kind}" for kind in KINDS), "itinerary", "seen"):
            if not isinstance(session.state.get(path), dict):
                session.state.set(path, {})


def facts(session: Session) -> dict[str, Any]:
    """What is known of the trip."""
    return _object(session, "trip")


def itinerary(session: Session) -> dict[str, Any]:
    """What is planned, by id."""
    return {id_: item for id_, item in _object(session, "itinerary").items() if isinstance(item, dict)}


def options(session: Session, kind: str) -> list[dict[str, Any]]:
    """What an agent offers, the best first."""
    offered = [option for option in _object(session, f"options.{kind}").values() if isinstance(option, dict)]
    return sorted(offered, key=lambda option: str(option.get("rank")))


def by_hand(session: Session) -> dict[str, list[str]]:
    """What people took out of the itinerary, put into it and moved in it since the planner saw it last."""
    seen, now = _object(session, "seen"), _brief(itinerary(session))
    before = {id_: item for id_, item in seen.items() if isinstance(item, dict)}
    both = [(before[id_], item) for id_, item in now.items() if id_ in before]
    return {
        "removed": [str(item.get("title")) for id_, item in before.items() if id_ not in now],
        "added": [str(item["title"]) for id_, item in now.items() if id_ not in before],
        "moved": [f"{item['title']} to day {item['day']}, {item['time']}" for was, item in both if was != item],
    }


def remember(session: Session) -> None:
    """Note the itinerary as the planner knows it now."""
    session.state.set("seen", _brief(itinerary(session)))


def unbooked(session: Session) -> dict[str, Any]:
    """What is planned and not booked yet, by id."""
    return {id_: item for id_, item in itinerary(session).items() if item.get("status") != "booked"}


def cost(items: dict[str, Any]) -> float:
    """What things of the itinerary cost."""
    prices = [item.get("price") for item in items.values()]
    return sum(price for price in prices if isinstance(price, int | float))


def card(row: Row, trip: dict[str, Any], why: str = "") -> dict[str, Any]:
    """A row of the data as an option that people choose from; its price is for everybody and the whole stay.

    Args:
        row: a flight, a hotel or an activity.
        trip: what is known of the trip.
        why: what speaks for it.
    """
    people, nights = _number(trip, "people", 1), _number(trip, "nights", 3)
    if "airline" in row:
        stops = "direct" if not row["stops"] else "one stop"
        is_back = str(row["destination"]).lower() == str(trip.get("from", "")).lower()
        return {
            "id": row["id"],
            "kind": "flights",
            "title": f"{row['origin']} → {row['destination']}",
            "detail": f"{row['airline']} {row['number']}, lands {row['arrives']}, {stops}",
            "price": row["price"] * people,
            "leg": "back" if is_back else "out",
            "day": nights + 1 if is_back else 1,
            "time": row["departs"],
            "why": why,
        }
    if "stars" in row:
        rooms = (people + 1) // 2
        return {
            "id": row["id"],
            "kind": "hotels",
            "title": row["name"],
            "detail": f"{row['area']}, {'★' * row['stars']}, rated {row['rating']}, {nights} nights",
            "price": row["price"] * rooms * nights,
            "day": 1,
            "time": "15:00",
            "why": why,
        }
    return {
        "id": row["id"],
        "kind": "activities",
        "title": row["title"],
        "detail": f"{row['hours']} hours, rated {row['rating']}",
        "price": row["price"] * people,
        "day": 2,
        "time": row["starts"],
        "why": why,
    }


def _brief(items: dict[str, Any]) -> dict[str, Any]:
    return {id_: {name: item.get(name) for name in ("title", "day", "time")} for id_, item in items.items()}


def _object(session: Session, path: str) -> dict[str, Any]:
    value = session.state.get(path)
    return value if isinstance(value, dict) else {}


def _number(trip: dict[str, Any], name: str, otherwise: int) -> int:
    value = trip.get(name)
    return min(int(value), 99) if isinstance(value, int | float) and value >= 1 else otherwise
