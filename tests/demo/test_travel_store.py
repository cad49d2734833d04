"""What the travel planner's agents look up and book with."""

from pathlib import Path
from types import ModuleType

import pytest

from cosession.cli.demo import find_demo, load

pytestmark = pytest.mark.anyio


@pytest.fixture
def travel() -> ModuleType:
    """The data of the demo."""
    return load(find_demo("travel"), "store")


async def test_every_two_cities_have_flights_and_every_city_has_rooms_and_things_to_do(
    travel: ModuleType, tmp_path: Path
):
    store = travel.Store(tmp_path / "travel.sqlite3")
    cities = await store.cities()

    assert len(cities) == 8
    for city in cities:
        assert await store.hotels(city.upper(), max_price=None, min_stars=0)
        assert len(await store.activities(city, max_price=None, about="")) == travel.MOST_ROWS
        for other in set(cities) - {city}:
            assert await store.flights(city, other, max_price=None, direct=False)


async def test_a_search_keeps_to_its_limits_and_takes_any_text(travel: ModuleType, tmp_path: Path):
    store = travel.Store(tmp_path / "travel.sqlite3")

    flights = await store.flights("Berlin", "Lisbon", max_price=200, direct=True)
    assert all(row["price"] <= 200 and row["stops"] == 0 for row in flights)
    assert all(row["price"] == 0 for row in await store.activities("Rome", max_price=0, about=""))
    assert await store.hotels("'; DROP TABLE hotels; --", max_price=None, min_stars=0) == []
    assert (await store.find("hotel-1"))["kind"] == "hotels"
    assert await store.find("nothing") is None


async def test_what_is_booked_twice_for_one_run_is_booked_once(travel: ModuleType, tmp_path: Path):
    store = travel.Store(tmp_path / "travel.sqlite3")

    first, again = await store.book("run", "hotel-1", 90), await store.book("run", "hotel-1", 90)
    other = await travel.Store(tmp_path / "travel.sqlite3").book("another", "hotel-1", 90)

    assert first == again != other
