"""What the agents look things up in, and book with: flights, hotels and activities of eight cities, in SQLite.

Built from `data/travel.sql` where it is missing. Each agent's process opens it for itself; queries run in a thread.
To book the same thing for the same run twice books it once, so that a step may be tried again.
"""

import asyncio
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

MOST_ROWS = 8
"""How many rows a search gives: as many as a model reads with care."""

KINDS = ("flights", "hotels", "activities")

_SQL = Path(__file__).with_name("data") / "travel.sql"


class Store:
    """The data of one demo."""

    def __init__(self, file: Path) -> None:
        """Prepare, and build the database where it is missing.

        Args:
            file: the database.
        """
        self._file = file
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f"{file.name}.{os.getpid()}")
            with closing(sqlite3.connect(unfinished)) as database:
                database.executescript(_SQL.read_text("utf-8"))
            unfinished.replace(file)

    async def cities(self) -> list[str]:
        """The names of the cities."""
        return [row["name"] for row in await self._ask("SELECT name FROM cities ORDER BY name", ())]

    async def flights(self, origin: str, destination: str, *, max_price: float | None, direct: bool) -> list[Row]:
        """Flights from one city to another, the cheapest first; they go every day."""
        return await self._ask(
            "SELECT * FROM flights WHERE origin = ? COLLATE NOCASE AND destination = ? COLLATE NOCASE"
            " AND price <= ? AND stops <= ? ORDER BY price LIMIT ?",
            (origin, destination, _limit(max_price), 0 if direct else 9, MOST_ROWS),
        )

    async def hotels(self, city: str, *, max_price: float | None, min_stars: int) -> list[Row]:
        """Hotels of a city, the best rated first."""
        return await self._ask(
            "SELECT * FROM hotels WHERE city = ? COLLATE NOCASE AND price <= ? AND stars >= ?"
            " ORDER BY rating DESC LIMIT ?",
            (city, _limit(max_price), min_stars, MOST_ROWS),
        )

    async def activities(self, city: str, *, max_price: float | None, about: str) -> list[Row]:
        """Things to do in a city, the best rated first."""
        return await self._ask(
            "SELECT * FROM activities WHERE city = ? COLLATE NOCASE AND price <= ? AND title LIKE ?"
            " ORDER BY rating DESC LIMIT ?",
            (city, _limit(max_price), f"%{about}%", MOST_ROWS),
        )

    async def find(self, id: str) -> Row | None:  # noqa: A002 - the column's name
        """The flight, hotel or activity of an id, with its `kind`."""
        for kind in KINDS:
            if rows := await self._ask(f"SELECT *, '{kind}' AS kind FROM {kind} WHERE id = ?", (id,)):  # noqa: S608 - a name of ours
                return rows[0]
        return None

    async def book(self, run: str, item: str, price: float) -> str:
        """Book something, and return the reference.

        Args:
            run: for which run; it books each thing once.
            item: its id.
            price: what it costs altogether.
        """

        def work() -> str:
            with closing(sqlite3.connect(self._file, timeout=10)) as database, database:
                reference = secrets.token_hex(3).upper()
                database.execute("INSERT OR IGNORE INTO bookings VALUES (?, ?, ?, ?)", (run, item, reference, price))
                booked = database.execute("SELECT reference FROM bookings WHERE run = ? AND item = ?", (run, item))
                return str(booked.fetchone()[0])

        return await asyncio.to_thread(work)

    async def _ask(self, query: str, values: tuple[Any, ...]) -> list[Row]:
        def work() -> list[Row]:
            with closing(sqlite3.connect(self._file, timeout=10)) as database:
                database.row_factory = sqlite3.Row
                return [dict(row) for row in database.execute(query, values)]

        return await asyncio.to_thread(work)


def _limit(price: float | None) -> float:
    return 1e9 if price is None else price
