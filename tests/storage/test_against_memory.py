"""Any sequence of calls, reopenings between them: SQLite answers as the dictionaries do."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from storage.memory import MemoryStorage
from storage.rows import at, by_tens, by_turns, update

from cosession.errors import CosessionError
from cosession.storage import LoggedUpdate, Place, Snapshot, SqliteStorage, Storage, Thin

NAMES = st.sampled_from(["trip", "Trip", "🧭", ""])
SECONDS = st.integers(0, 59)
VERSIONS = st.integers(0, 8)
ROWS = st.lists(st.tuples(NAMES, VERSIONS, SECONDS, st.sampled_from([b"", b"a", b"b"])), max_size=4)


async def answer(call: Awaitable[object]) -> object:
    """What a call returned, or the kind of its error."""
    try:
        return await call
    except CosessionError as error:
        return type(error)


class Comparison(RuleBasedStateMachine):
    """Two storages, which are asked the same."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.memory = MemoryStorage()

    @initialize()
    def open(self) -> None:
        async def opening() -> None:
            self.closing = AsyncExitStack()
            self.sqlite = await self.closing.enter_async_context(SqliteStorage.open(self.folder / "db"))

        self.runner.run(opening())

    def teardown(self) -> None:
        self.runner.run(self.closing.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    def same(self, call: Callable[[Storage], Awaitable[object]]) -> None:
        async def both() -> tuple[object, object]:
            return await answer(call(self.sqlite)), await answer(call(self.memory))

        ours, reference = self.runner.run(both())
        assert ours == reference

    @rule(name=NAMES, title=st.text(max_size=3).filter(lambda text: text.isprintable()), second=SECONDS)
    def create(self, name: str, title: str, second: int) -> None:
        self.same(lambda storage: storage.create(name, title=title, at=at(second)))

    @rule(rows=ROWS)
    def append_anything(self, rows: list[tuple[str, int, int, bytes]]) -> None:
        made = [update(name, version, data, second=second) for name, version, second, data in rows]
        self.same(lambda storage: storage.append(made))

    @rule(name=NAMES, count=st.integers(1, 3) | st.just(80), back=st.integers(0, 2), second=SECONDS)
    def append_what_follows(self, name: str, count: int, back: int, second: int) -> None:
        log = self.memory._logs.get(name, [])
        end = log[-1].version if log else 0
        again: list[LoggedUpdate] = log[len(log) - back :] if back else []
        made = [update(name, end + 1 + number, second=second) for number in range(count)]
        self.same(lambda storage: storage.append([*again, *made]))

    @rule(name=NAMES, version=VERSIONS, data=st.binary(max_size=3))
    def save_snapshot(self, name: str, version: int, data: bytes) -> None:
        self.same(lambda storage: storage.save_snapshot(Snapshot(name, version, data)))

    @rule(name=NAMES, back=st.integers(0, 3), thin=st.sampled_from([by_tens, by_turns]))
    def compact(self, name: str, back: int, thin: Thin) -> None:
        log = self.memory._logs.get(name, [])
        version = max(log[-1].version - back, 0) if log else 0
        self.same(lambda storage: storage.save_snapshot(Snapshot(name, version, b"x" * 500)))
        self.same(lambda storage: storage.compact(name, thin))

    @rule(name=NAMES, title=st.sampled_from(["", "Oslo", "🧭"]))
    def set_title(self, name: str, title: str) -> None:
        self.same(lambda storage: storage.set_titles({name: title}))

    @rule(work=st.dictionaries(NAMES, st.sets(st.sampled_from(["planner", "flights"]))))
    def note_work(self, work: dict[str, set[str]]) -> None:
        self.same(lambda storage: storage.append([], work))

    @rule(after=NAMES, limit=st.integers(-1, 3))
    def work(self, after: str, limit: int) -> None:
        self.same(lambda storage: storage.work("planner", after=after, limit=limit))

    @rule(name=NAMES, after=st.integers(-1, 99), limit=st.integers(-1, 9))
    def history(self, name: str, after: int, limit: int) -> None:
        self.same(lambda storage: storage.history(name, after=after, limit=limit))

    @rule(second=st.none() | SECONDS, name=NAMES, limit=st.integers(-1, 4))
    def sessions(self, second: int | None, name: str, limit: int) -> None:
        after = None if second is None else Place(at(second), name)
        self.same(lambda storage: storage.sessions(after=after, limit=limit))

    @rule(patterns=st.sampled_from([(), ("*",), ("trip", "T*"), ("🧭*", "t*", ""), ("Trip",)]))
    def matching(self, patterns: tuple[str, ...]) -> None:
        async def found(storage: Storage) -> object:
            return sorted(await storage.matching(patterns), key=lambda info: info.id)

        self.same(found)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.same(lambda storage: storage.delete(name, at=at(1)))

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.closing.aclose())
        self.open()

    @invariant()
    def loads_the_same(self) -> None:
        for name in ("trip", "Trip", "🧭", ""):
            self.same(lambda storage, name=name: storage.load(name))


TestSqliteAgainstMemory = Comparison.TestCase
TestSqliteAgainstMemory.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
