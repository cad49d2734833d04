"""What every storage must do: `class TestMine(StorageAcceptance)`, with an async fixture `storage` in its module.

Black box: only the interface is used. That what was acknowledged survives a kill, a full disk or damage is for the
tests of each engine.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from storage.rows import at, by_tens, by_turns, update, updates

from cosession.errors import NoSuchSession, SessionDeleted, StorageError, VersionTaken
from cosession.storage import LoadedSession, LoggedUpdate, Place, Snapshot, Storage, StoredSession


async def loaded(storage: Storage, session: str) -> LoadedSession:
    """Load a session that must be there."""
    found = await storage.load(session)
    assert found is not None
    return found


FAR_ENDS = ("\ud7ff", "\ue000", "\U0010ffff", "\U0010ffffz")
"""Ends of ids that are the last of their kind in the order of UTF-8."""


async def joined(storage: Storage, limit: int) -> list[StoredSession]:
    """Read the list of sessions page by page."""
    listed = list(page := await storage.sessions(limit=limit))
    while page:
        assert len(page) <= limit
        listed += (page := await storage.sessions(after=Place(page[-1].updated_at, page[-1].id), limit=limit))
    return listed


class StorageAcceptance:
    """The acceptance suite."""

    async def test_a_new_session_is_empty_and_at_version_0(self, storage: Storage):
        assert await storage.create("trip", title="To Oslo", at=at(1)) is True
        assert await storage.load("trip") == LoadedSession(
            StoredSession("trip", "To Oslo", created_at=at(1), updated_at=at(1), version=0), None, ()
        )

    async def test_a_client_id_is_its_first_writers_also_when_their_rows_were_thinned(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        rows = updates("trip", 1, 30)
        rows = [
            replace(row, client=(row.version % 3) or None, participant="ada" if row.version < 5 else "bo")
            for row in rows
        ]
        await storage.append(rows[:20])
        assert (await loaded(storage, "trip")).writers == {1: "ada", 2: "ada"}
        await storage.save_snapshot(Snapshot("trip", 20, b"twenty"))
        await storage.compact("trip", by_tens)
        late = [replace(row, client=7) if row.version > 25 else row for row in rows[20:]]
        await storage.append(late)
        assert (await loaded(storage, "trip")).writers == {1: "ada", 2: "ada", 7: "bo"}

    @pytest.mark.parametrize("at_version", range(9))
    async def test_who_wrote_first_is_known_wherever_a_snapshot_is(self, storage: Storage, at_version: int):
        await storage.create("trip", title="", at=at(1))
        rows = [
            replace(row, client=row.version % 4, participant=f"by {row.version}") for row in updates("trip", 1, 8)
        ]
        await storage.append(rows)
        await storage.save_snapshot(Snapshot("trip", at_version, b"x"))
        assert (await loaded(storage, "trip")).writers == {1: "by 1", 2: "by 2", 3: "by 3", 0: "by 4"}

    async def test_who_comes_later_under_a_client_id_is_not_taken_for_its_first_writer(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 100))
        await storage.save_snapshot(Snapshot("trip", 100, b"x"))
        await storage.compact("trip", by_tens)
        await storage.append([replace(row, participant="eve") for row in updates("trip", 101, 110)])
        await storage.save_snapshot(Snapshot("trip", 110, b"y"))
        assert (await loaded(storage, "trip")).writers == {7: "ada"}

    async def test_creating_again_changes_nothing(self, storage: Storage):
        await storage.create("trip", title="To Oslo", at=at(1))
        await storage.append(updates("trip", 1, 2))
        before = await storage.load("trip")
        assert await storage.create("trip", title="Other", at=at(9)) is False
        assert await storage.load("trip") == before

    async def test_of_many_concurrent_creators_one_is_told_that_it_made_the_session(self, storage: Storage):
        made = await asyncio.gather(*(storage.create("trip", title=str(i), at=at(i)) for i in range(20)))
        assert made == [True] + [False] * 19
        assert (await loaded(storage, "trip")).info.title == "0"

    async def test_an_unknown_session_loads_as_none(self, storage: Storage):
        assert await storage.load("nowhere") is None

    @pytest.mark.parametrize("name", ["a/b", "Zoë 🧭", "'; DROP TABLE updates; --", "x" * 255, "a\0b", " ", "%2e"])
    async def test_a_session_may_have_any_name(self, storage: Storage, name: str):
        await storage.create(name, title=name, at=at(1))
        await storage.append([update(name, 1)])
        assert (await loaded(storage, name)).updates == (update(name, 1),)
        assert [info.id for info in await storage.sessions()] == [name]
        assert await storage.load(name + "x") is None

    async def test_names_that_differ_in_case_are_different_sessions(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        assert await storage.create("Trip", title="", at=at(1)) is True
        await storage.append([update("Trip", 1)])
        assert (await loaded(storage, "trip")).updates == ()

    async def test_rows_come_back_as_they_went_in(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        rows = [
            update("trip", 1, b"", client=None),
            update("trip", 2, bytes(range(256)), client=0),
            update("trip", 3, b"\0" * 300_000, client=2**53 - 1),
            replace(update("trip", 4), participant="Zoë 🧭"),
        ]
        await storage.append(rows)
        assert (await loaded(storage, "trip")).updates == tuple(rows)
        assert await storage.history("trip") == tuple(rows)

    async def test_an_append_moves_version_and_updated_at(self, storage: Storage):
        await storage.create("trip", title="t", at=at(1))
        await storage.append([update("trip", 1, second=5), update("trip", 2, second=8)])
        info = (await loaded(storage, "trip")).info
        assert info == StoredSession("trip", "t", created_at=at(1), updated_at=at(8), version=2)

    async def test_the_order_of_the_log_is_that_of_versions_even_when_the_clock_goes_back(self, storage: Storage):
        await storage.create("trip", title="", at=at(50))
        await storage.append([update("trip", 1, second=60)])
        await storage.append([update("trip", 2, second=3)])
        assert [row.version for row in (await loaded(storage, "trip")).updates] == [1, 2]
        assert (await loaded(storage, "trip")).info.updated_at == at(3)

    async def test_one_append_carries_rows_of_many_sessions(self, storage: Storage):
        for name in ("a", "b"):
            await storage.create(name, title="", at=at(1))
        await storage.append([update("a", 1), update("b", 1), update("a", 2), update("b", 2)])
        for name in ("a", "b"):
            assert (await loaded(storage, name)).updates == tuple(updates(name, 1, 2))

    async def test_an_append_of_nothing_does_nothing(self, storage: Storage):
        await storage.append([])
        assert await storage.sessions() == ()

    async def test_an_append_may_be_made_again_and_go_on(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 3))
        await storage.append(updates("trip", 1, 3))
        await storage.append(updates("trip", 2, 5))
        found = await loaded(storage, "trip")
        assert found.updates == tuple(updates("trip", 1, 5))
        assert found.info.version == 5

    async def test_a_row_that_comes_twice_in_one_append_is_kept_once(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append([update("trip", 1), update("trip", 1), update("trip", 2)])
        assert (await loaded(storage, "trip")).updates == tuple(updates("trip", 1, 2))

    @pytest.mark.parametrize("version", [-1, 0, 2, 5, 100])
    async def test_a_version_out_of_place_is_refused_and_nothing_of_its_append_stays(
        self, storage: Storage, version: int
    ):
        await storage.create("trip", title="", at=at(1))
        await storage.create("other", title="", at=at(1))
        await storage.append(updates("trip", 1, 2))
        with pytest.raises(StorageError):
            await storage.append([update("other", 1), update("trip", 3), update("trip", version, b"mine")])
        assert (await loaded(storage, "trip")).updates == tuple(updates("trip", 1, 2))
        assert (await loaded(storage, "other")).info.version == 0

    async def test_other_bytes_under_a_version_that_is_there_are_refused(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 2))
        with pytest.raises(VersionTaken):
            await storage.append([update("trip", 2, b"of another writer"), update("trip", 3)])
        assert (await loaded(storage, "trip")).updates == tuple(updates("trip", 1, 2))

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize("other", [{"participant": "eve"}, {"client": 8}, {"client": None}, {"at": at(59)}])
    async def test_a_row_that_differs_only_in_whose_it_is_or_when_is_refused(
        self, storage: Storage, other: dict[str, Any], together: bool
    ):
        await storage.create("trip", title="", at=at(1))
        mine = update("trip", 1, b"\0\0")
        if not together:
            await storage.append([mine])
        with pytest.raises(VersionTaken):
            await storage.append([mine, replace(mine, **other)])
        assert (await loaded(storage, "trip")).updates == (() if together else (mine,))

    async def test_a_session_that_was_never_created_takes_nothing(self, storage: Storage):
        await storage.create("there", title="", at=at(1))
        with pytest.raises(NoSuchSession):
            await storage.append([update("there", 1), update("nowhere", 1)])
        with pytest.raises(NoSuchSession):
            await storage.save_snapshot(Snapshot("nowhere", 0, b"x"))
        with pytest.raises(NoSuchSession):
            await storage.history("nowhere")
        with pytest.raises(NoSuchSession):
            await storage.compact("nowhere", by_tens)
        assert await storage.load("nowhere") is None
        assert (await loaded(storage, "there")).info.version == 0

    async def test_a_snapshot_stands_for_the_log_before_it_and_the_log_stays(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 5))
        await storage.save_snapshot(Snapshot("trip", 3, b"first three"))
        found = await loaded(storage, "trip")
        assert found.snapshot == Snapshot("trip", 3, b"first three")
        assert found.updates == tuple(updates("trip", 4, 5))
        assert await storage.history("trip") == tuple(updates("trip", 1, 5))

    async def test_the_newest_snapshot_wins_in_whatever_order_they_come(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 5))
        for version in (2, 5, 3):
            await storage.save_snapshot(Snapshot("trip", version, b"%d" % version))
        found = await loaded(storage, "trip")
        assert found.snapshot == Snapshot("trip", 5, b"5")
        assert found.updates == ()

    async def test_a_snapshot_ahead_of_the_log_is_refused(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 2))
        with pytest.raises(StorageError):
            await storage.save_snapshot(Snapshot("trip", 3, b"x"))
        assert (await loaded(storage, "trip")).snapshot is None

    async def test_what_is_compacted_loads_the_same_and_its_log_has_ranges(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 205))
        await storage.save_snapshot(Snapshot("trip", 200, b"two hundred" * 1000))
        before = await loaded(storage, "trip")
        await storage.compact("trip", by_tens)
        found = await loaded(storage, "trip")
        assert found == replace(before, thinned=200)
        log = await storage.history("trip")
        assert log == (*by_tens([], updates("trip", 1, 200)), *updates("trip", 201, 205))
        assert (log[1].first, log[1].version, log[1].at) == (11, 20, at(20))

    async def test_a_compacted_session_goes_on_and_is_compacted_again_from_there(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        calls: list[tuple[int, int, int]] = []

        def thin(before: Sequence[LoggedUpdate], rows: Sequence[LoggedUpdate]) -> list[LoggedUpdate]:
            calls.append((sum(row.versions for row in before), rows[0].version, rows[-1].version))
            return by_tens(before, rows)

        for end in (100, 200, 300):
            await storage.append(updates("trip", end - 99, end))
            await storage.save_snapshot(Snapshot("trip", end, b"%d" % end))
            await storage.compact("trip", thin)
        assert calls == [(0, 1, 100), (100, 101, 200), (200, 201, 300)]
        assert await storage.history("trip") == tuple(by_tens([], updates("trip", 1, 300)))

    async def test_a_short_tail_and_what_no_snapshot_covers_stay_single_rows(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 200))
        await storage.compact("trip", by_tens)
        assert await storage.history("trip") == tuple(updates("trip", 1, 200))
        await storage.save_snapshot(Snapshot("trip", 20, b"twenty"))
        await storage.compact("trip", by_tens)
        assert await storage.history("trip") == tuple(updates("trip", 1, 200))
        assert (await loaded(storage, "trip")).thinned == 0

    async def test_thinned_history_is_read_page_by_page_and_a_range_comes_whole(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 103))
        await storage.save_snapshot(Snapshot("trip", 100, b"x"))
        await storage.compact("trip", by_tens)
        ranges = tuple(by_tens([], updates("trip", 1, 100)))
        assert await storage.history("trip", limit=4) == ranges[:4]
        assert await storage.history("trip", after=40, limit=4) == ranges[4:8]
        assert await storage.history("trip", after=80, limit=4) == (*ranges[8:], *updates("trip", 101, 102))
        assert await storage.history("trip", after=35, limit=1) == (ranges[3],)
        assert await storage.history("trip", after=102) == (update("trip", 103),)
        assert await storage.history("trip", after=99, limit=0) == ()

    async def test_a_range_of_several_rows_is_never_cut(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 103))
        await storage.save_snapshot(Snapshot("trip", 100, b"x"))
        await storage.compact("trip", by_turns)
        rows = tuple(by_turns([], updates("trip", 1, 100)))
        assert [(row.first, row.version) for row in rows[:3]] == [(1, 10), (11, 10), (11, 20)]
        assert await storage.history("trip") == (*rows, *updates("trip", 101, 103))
        assert await storage.history("trip", limit=2) == rows[:2]
        assert await storage.history("trip", limit=3) == rows[:4]
        assert await storage.history("trip", after=10, limit=1) == rows[2:4]
        assert await storage.history("trip", after=11, limit=1) == rows[2:4]
        assert await storage.history("trip", after=90, limit=3) == (*rows[18:], update("trip", 101))
        assert await storage.history("trip", after=20, limit=0) == ()

    async def test_a_version_that_was_thinned_can_not_be_written_again(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 100))
        await storage.save_snapshot(Snapshot("trip", 100, b"x"))
        await storage.compact("trip", by_tens)
        with pytest.raises(VersionTaken):
            await storage.append([update("trip", 100), update("trip", 101)])
        await storage.append([update("trip", 101)])
        assert (await loaded(storage, "trip")).updates == (update("trip", 101),)

    async def test_what_comes_in_during_a_compaction_stays(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 2000))
        await storage.save_snapshot(Snapshot("trip", 2000, b"x"))
        async with asyncio.TaskGroup() as tasks:
            compacting = tasks.create_task(storage.compact("trip", by_tens))
            version = 2000
            while not compacting.done():
                version += 1
                await storage.append([update("trip", version)])
                await asyncio.sleep(0)
        assert await storage.history("trip", limit=10_000) == (
            *by_tens([], updates("trip", 1, 2000)),
            *updates("trip", 2001, version),
        )

    async def test_a_session_may_be_deleted_during_its_compaction(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 2000))
        await storage.save_snapshot(Snapshot("trip", 2000, b"x"))
        compacting = asyncio.create_task(storage.compact("trip", by_tens))
        await asyncio.sleep(0)
        assert await storage.delete("trip", at=at(9)) is True
        await asyncio.wait([compacting])
        assert compacting.exception() is None or isinstance(compacting.exception(), SessionDeleted)
        with pytest.raises(SessionDeleted):
            await storage.load("trip")

    async def test_a_compaction_that_would_lose_versions_changes_nothing(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 100))
        await storage.save_snapshot(Snapshot("trip", 100, b"x"))
        for wrong in (
            lambda _, rows: rows[1:],
            lambda _, rows: rows[:-1],
            lambda _, rows: [],
            lambda _, rows: [*rows, rows[-1]],
            lambda _, rows: [rows[-1], *rows],
            lambda _, rows: [replace(row, session="other") for row in rows],
            lambda _, rows: [replace(rows[0], version=0, versions=0), *rows],
            lambda _, rows: [rows[0], replace(rows[0], versions=-1), *rows],
        ):
            with pytest.raises(StorageError):
                await storage.compact("trip", wrong)
            assert await storage.history("trip") == tuple(updates("trip", 1, 100))

    async def test_creations_at_once_are_refused_one_by_one_and_none_overtakes_another_write(self, storage: Storage):
        await storage.create("gone", title="", at=at(1))
        await storage.delete("gone", at=at(2))
        calls = (
            storage.create("trip", title="a", at=at(3)),
            storage.create("gone", title="b", at=at(3)),
            storage.create("late", title="c", at=at(3)),
            storage.delete("late", at=at(4)),
            storage.create("late", title="d", at=at(5)),
        )
        first, second, *others = await asyncio.gather(*calls, return_exceptions=True)
        assert first is True
        assert isinstance(second, SessionDeleted)
        assert others[:2] == [True, True]
        assert isinstance(others[2], SessionDeleted)
        assert [info.id for info in await storage.sessions()] == ["trip"]

    async def test_a_title_changes_and_the_time_of_the_newest_update_stays(self, storage: Storage):
        await storage.create("trip", title="a", at=at(1))
        await storage.create("gone", title="b", at=at(1))
        await storage.delete("gone", at=at(2))
        await storage.set_titles({"gone": "x", "trip": "To Tromsø", "nowhere": "x"})
        assert await storage.sessions() == (StoredSession("trip", "To Tromsø", at(1), at(1), 0),)

    async def test_sessions_are_listed_newest_first_equals_by_id_up_to_the_limit(self, storage: Storage):
        for name, second in (("c", 5), ("a", 5), ("b", 9), ("d", 1)):
            await storage.create(name, title="", at=at(second))
        await storage.append([update("d", 1, second=20)])
        assert [info.id for info in await storage.sessions()] == ["d", "b", "a", "c"]
        assert [info.id for info in await storage.sessions(limit=2)] == ["d", "b"]
        assert await storage.sessions(limit=0) == ()

    async def test_pages_of_sessions_joined_are_the_whole_list(self, storage: Storage):
        for number in range(20):
            await storage.create(f"s{number * 7 % 20}", title="", at=at(number // 6))
        whole = await storage.sessions()
        assert len(whole) == 20
        for limit in (1, 2, 3, 6, 7, 19, 20, 21):
            assert await joined(storage, limit) == list(whole)
        last = Place(whole[-1].updated_at, whole[-1].id)
        assert await storage.sessions(after=last) == ()
        assert await storage.sessions(after=Place(at(59), "")) == whole
        assert await storage.sessions(after=Place(at(1), "s"), limit=0) == ()

    async def test_a_place_in_the_list_stays_while_sessions_are_written_and_deleted(self, storage: Storage):
        for name, second in (("a", 6), ("b", 5), ("c", 5), ("d", 5), ("e", 4), ("f", 3)):
            await storage.create(name, title="", at=at(second))
        first = await storage.sessions(limit=3)
        assert [info.id for info in first] == ["a", "b", "c"]
        await storage.append([update("e", 1, second=20)])
        await storage.append([update("a", 1, second=21)])
        await storage.create("g", title="", at=at(22))
        await storage.delete("c", at=at(23))
        behind = await storage.sessions(after=Place(first[-1].updated_at, first[-1].id))
        assert [info.id for info in behind] == ["d", "f"]

    async def test_sessions_are_found_by_ids_and_by_how_their_ids_begin(self, storage: Storage):
        names = ["trip", "trip-1", "trip-2", "tripod", "Trip-3", "b", *(f"a{end}" for end in FAR_ENDS)]
        for name in names:
            await storage.create(name, title=name, at=at(1))
        await storage.delete("trip-1", at=at(2))
        names.remove("trip-1")
        for name in ("trip", "trip-1", "t%", "tri_", "nowhere"):
            assert [info.id for info in await storage.matching([name])] == [name] * (name in names)
        for begin in ("", "trip", "trip-", "t%", "x", "a", *(f"a{end}" for end in FAR_ENDS), "\U0010ffff"):
            found = await storage.matching([begin + "*"])
            assert sorted(info.id for info in found) == sorted(name for name in names if name.startswith(begin))
            assert [info.title for info in found] == [info.id for info in found]
        found = await storage.matching(["trip-*", "b", "nowhere", "a*"])
        assert sorted(info.id for info in found) == sorted(["trip-2", "b", *(one for one in names if one[0] == "a")])
        assert len(await storage.matching(["trip*", "a*", "b"], limit=4)) == 4
        assert await storage.matching(["b"], limit=0) == ()
        assert await storage.matching([]) == ()

    async def test_the_key_is_random_and_stays(self, storage: Storage):
        key = await storage.key()
        assert len(key) == 32
        assert len(set(key)) > 8
        assert await storage.key() == key

    async def test_history_is_read_page_by_page(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 25))
        pages = [await storage.history("trip", after=after, limit=10) for after in (0, 10, 20, 25, 99)]
        assert [len(page) for page in pages] == [10, 10, 5, 0, 0]
        assert [row for page in pages for row in page] == updates("trip", 1, 25)

    async def test_a_deleted_session_is_gone_and_its_id_is_never_used_again(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await storage.append(updates("trip", 1, 2))
        await storage.save_snapshot(Snapshot("trip", 2, b"x"))
        assert await storage.delete("trip", at=at(9)) is True
        assert await storage.delete("trip", at=at(10)) is False
        assert await storage.sessions() == ()
        for call in (
            lambda: storage.load("trip"),
            lambda: storage.create("trip", title="", at=at(11)),
            lambda: storage.append([update("trip", 3)]),
            lambda: storage.save_snapshot(Snapshot("trip", 2, b"x")),
            lambda: storage.history("trip"),
            lambda: storage.compact("trip", by_tens),
        ):
            with pytest.raises(SessionDeleted):
                await call()

    async def test_deleting_one_session_leaves_the_others(self, storage: Storage):
        for name in ("trip", "trip2"):
            await storage.create(name, title="", at=at(1))
            await storage.append([update(name, 1)])
        await storage.delete("trip", at=at(2))
        assert (await loaded(storage, "trip2")).updates == (update("trip2", 1),)

    async def test_deleting_what_was_never_there_is_no_tombstone(self, storage: Storage):
        assert await storage.delete("trip", at=at(1)) is False
        assert await storage.create("trip", title="", at=at(1)) is True

    async def test_of_whom_something_is_unfinished_is_noted_with_the_rows_and_listed_by_session(
        self, storage: Storage
    ):
        for name in ("c", "a", "b"):
            await storage.create(name, title="", at=at(1))
        assert await storage.work("planner") == ()
        await storage.append([update("a", 1), update("b", 1)], {"a": {"planner"}, "b": {"planner", "flights"}})
        await storage.append([], {"c": {"planner"}})
        assert await storage.work("planner") == ("a", "b", "c")
        assert await storage.work("planner", limit=2) == ("a", "b")
        assert await storage.work("planner", after="b", limit=2) == ("c",)
        assert await storage.work("planner", limit=0) == ()
        assert await storage.work("flights") == ("b",)
        await storage.append([update("b", 2)])
        await storage.append([update("a", 2)], {"a": set()})
        await storage.append([update("a", 2)], {"a": set()})
        assert await storage.work("planner") == ("b", "c")

    async def test_what_is_noted_of_a_refused_append_or_a_session_that_is_not_there_is_nothing(
        self, storage: Storage
    ):
        await storage.create("trip", title="", at=at(1))
        with pytest.raises(VersionTaken):
            await storage.append([update("trip", 5)], {"trip": {"planner"}})
        await storage.append([update("trip", 1)], {"nowhere": {"planner"}})
        assert await storage.work("planner") == ()
        await storage.append([], {"trip": {"planner"}})
        await storage.delete("trip", at=at(2))
        await storage.append([], {"trip": {"planner"}})
        assert await storage.work("planner") == ()

    async def test_writes_happen_in_the_order_of_the_calls(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        await asyncio.gather(*(storage.append([update("trip", version)]) for version in range(1, 201)))
        assert (await loaded(storage, "trip")).updates == tuple(updates("trip", 1, 200))

    async def test_readers_see_whole_appends_only(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        done = asyncio.Event()

        async def read() -> int:
            reads = 0
            while not done.is_set():
                found = await loaded(storage, "trip")
                assert found.info.version % 7 == 0
                covered = found.snapshot.version if found.snapshot else 0
                assert covered + len(found.updates) == found.info.version
                assert len(await storage.history("trip", limit=10_000)) % 7 == 0
                reads += 1
                await asyncio.sleep(0)
            return reads

        async with asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(read()) for _ in range(3)]
            for first in range(1, 50 * 7, 7):
                await storage.append(updates("trip", first, first + 6))
                if first % 5 == 0:
                    await storage.save_snapshot(Snapshot("trip", first + 6, b"x"))
                await asyncio.sleep(0)  # a storage that never waits would leave the readers no turn
            done.set()
        assert all(reader.result() for reader in readers)

    async def test_a_cancelled_append_happens_whole_or_not_at_all_and_the_next_ones_go_on(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        version = 0
        for turns in range(30):
            group = updates("trip", version + 1, version + 5)
            appending = asyncio.create_task(storage.append(group))
            for _ in range(turns):
                await asyncio.sleep(0)
            appending.cancel()
            await asyncio.wait([appending])
            await storage.append(group)  # unknown outcome: made again
            version += 5
        assert (await loaded(storage, "trip")).updates == tuple(updates("trip", 1, version))

    async def test_cancelled_callers_do_not_change_the_order(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        calls = [asyncio.create_task(storage.append([update("trip", version)])) for version in range(1, 51)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls)
        found = await loaded(storage, "trip")
        for call, row in zip(calls[1::2], updates("trip", 1, 50)[1::2], strict=True):
            if not call.cancelled() and call.exception() is None:
                assert row in found.updates
        assert found.updates == tuple(updates("trip", 1, found.info.version))

    async def test_the_rows_may_change_after_the_call(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        rows = updates("trip", 1, 3)
        appending = asyncio.create_task(storage.append(rows))
        await asyncio.sleep(0)
        rows.clear()
        await appending
        assert (await loaded(storage, "trip")).info.version == 3

    async def test_a_storage_that_works_says_so(self, storage: Storage):
        await storage.create("trip", title="", at=at(1))
        before = await storage.load("trip")
        await storage.ping()
        assert await storage.load("trip") == before
