"""The list of sessions in pages: all that may be read is found, once, and a page costs the same of however many."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.memory import MemoryStorage
from storage.rows import at, update

from cosession.auth import Capabilities, Grant, Scope
from cosession.runtime.listing import MOST_FOUND, MOST_READ, page_among, read_page
from cosession.storage import Place, SqliteStorage, StoredSession, in_order
from cosession.storage.migrations import migrate

pytestmark = pytest.mark.anyio

MANY = 20_000
READ, NOTHING = Capabilities.of("viewer"), Capabilities()


class Counted(SqliteStorage):
    """A storage that counts the sessions that it returns in lists."""

    rows = 0

    async def sessions(self, *, after: Place | None = None, limit: int = 100) -> tuple[StoredSession, ...]:
        found = await super().sessions(after=after, limit=limit)
        self.rows += len(found)
        return found

    async def matching(self, patterns: Sequence[str], *, limit: int = 100) -> tuple[StoredSession, ...]:
        found = await super().matching(patterns, limit=limit)
        self.rows += len(found)
        return found


def fill(path: Path, updated_at: Callable[[int], str]) -> None:
    """Make a database of very many sessions, of which three, the oldest among them, have other names."""
    names = {3: "trip-a", MANY // 2: "trip-b", MANY - 1: "trip-c"}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, "db")
        db.execute("BEGIN")
        rows = ((names.get(number, f"t-{number:05}"), updated_at(number)) for number in range(MANY))
        db.executemany("INSERT INTO sessions VALUES (?, '', '', ?, 0, NULL)", rows)
        db.execute("COMMIT")


@asynccontextmanager
async def stored(path: Path, updated_at: Callable[[int], str]) -> AsyncIterator[Counted]:
    """Open such a database."""
    await asyncio.to_thread(fill, path, updated_at)
    async with Counted.open(path) as storage:
        assert isinstance(storage, Counted)
        yield storage


def grant(**scopes: Capabilities) -> Grant:
    return Grant("ada", "Ada", "human", tuple(Scope(pattern, given) for pattern, given in scopes.items()))


@pytest.mark.parametrize(
    "scopes",
    [
        {"trip-a": READ, "trip-b": READ, "trip-c": READ, "trip-d": READ},
        {"trip-*": READ},
        {"*": NOTHING, "trip-*": READ, "trip-a": READ},
        {"t*": READ, "t-*": NOTHING},  # a pattern of almost all, of which almost all are taken out again
        {"*": READ, "t-*": NOTHING},
    ],
)
@pytest.mark.parametrize("equal", [False, True], ids=["by time", "all at one time"])
async def test_three_sessions_of_twenty_thousand_are_found_by_following_pages(
    tmp_path: Path, scopes: dict[str, Capabilities], equal: bool
):
    ada = grant(**scopes)
    found: list[str] = []
    async with stored(tmp_path / "db", lambda number: at(0 if equal else MANY - number)) as storage:
        place: Place | None = None
        for _ in range(MANY // MOST_READ + 3):
            storage.rows = 0
            page = await read_page(
                storage, ada.patterns("read"), lambda session: ada.may("read", session), limit=2, after=place
            )
            assert storage.rows <= MOST_READ + MOST_FOUND + 1
            found += [info.id for info in page.sessions]
            place = page.next
            if place is None:
                break
    assert place is None
    assert found == ["trip-a", "trip-b", "trip-c"]


async def test_a_page_of_everything_reads_one_session_more_than_it_lists(tmp_path: Path):
    async with stored(tmp_path / "db", at) as storage:
        page = await read_page(storage, ["*"], lambda _: True, limit=100, after=None)
        assert len(page.sessions) == 100
        assert storage.rows == 101


async def test_a_page_looks_at_a_bounded_number_of_sessions_and_is_not_the_last(tmp_path: Path):
    asked: list[str] = []

    def never(session: str) -> bool:
        asked.append(session)
        return False

    async with stored(tmp_path / "db", at) as storage:
        page = await read_page(storage, ["*"], never, limit=1, after=None)
    assert page.sessions == ()
    assert page.next is not None
    assert len(asked) == MOST_READ


SECONDS = st.integers(0, 3)  # few, so that many are equal
NAMES = st.text("abc", min_size=1, max_size=3)
TIMES = st.dictionaries(NAMES, SECONDS, max_size=12)
WRITES = st.lists(st.lists(st.tuples(NAMES, st.booleans()), max_size=2), max_size=12)
PATTERNS = st.sampled_from([("*",), ("a*", "b", "cc"), ("ab", "b*"), ()])


def covered(patterns: Sequence[str]) -> Callable[[str], bool]:
    ada = grant(**dict.fromkeys(patterns, READ))
    return lambda session: ada.may("read", session)


@given(times=TIMES, patterns=PATTERNS, limit=st.integers(1, 5))
def test_pages_joined_are_the_sorted_list(times: dict[str, int], patterns: Sequence[str], limit: int):
    allowed = covered(patterns)
    infos = [StoredSession(name, "", at(0), at(second), 0) for name, second in times.items()]

    async def join(occupied: bool) -> list[StoredSession]:
        storage = MemoryStorage()
        for info in infos:
            await storage.create(info.id, title="", at=info.updated_at)
        joined: list[StoredSession] = []
        place: Place | None = None
        while True:
            if occupied:
                page = await page_among(infos, allowed, limit, place)
            else:
                page = await read_page(storage, patterns, allowed, limit, place)
            assert len(page.sessions) <= limit
            joined += page.sessions
            place = page.next
            if place is None:
                return joined

    wanted = [info.id for info in in_order(infos) if allowed(info.id)]
    for occupied in (False, True):
        assert [info.id for info in asyncio.run(join(occupied))] == wanted


@given(times=TIMES, patterns=PATTERNS, limit=st.integers(1, 3), writes=WRITES)
def test_sessions_written_between_pages_are_not_listed_twice_and_others_not_left_out(
    times: dict[str, int], patterns: Sequence[str], limit: int, writes: list[list[tuple[str, bool]]]
):
    allowed = covered(patterns)

    async def follow() -> None:
        storage = MemoryStorage()
        for name, second in times.items():
            await storage.create(name, title="", at=at(second))
        listed: list[str] = []
        touched: set[str] = set()
        versions: dict[str, int] = {}
        place: Place | None = None
        for number in range(len(times) + 1):
            page = await read_page(storage, patterns, allowed, limit, place)
            listed += [info.id for info in page.sessions]
            place = page.next
            if place is None:
                break
            for name, deletes in writes[number] if number < len(writes) else ():
                touched.add(name)
                if deletes:
                    await storage.delete(name, at=at(9))
                elif await storage.matching([name]):
                    versions[name] = versions.get(name, 0) + 1
                    await storage.append([update(name, versions[name], second=10 + number)])
        assert place is None
        assert len(set(listed)) == len(listed)
        assert {name for name in times if allowed(name)} - touched <= set(listed)

    asyncio.run(follow())
