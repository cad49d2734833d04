"""Events: listeners and iterations get the present value after a change, and can't break the sync."""

import asyncio
from typing import Any

import pytest
from client.hub import Hub, until
from pycrdt import Doc

from cosession import Disconnected, InvalidValue, Refusal, TimedOut, connect

pytestmark = pytest.mark.anyio


async def test_a_listener_gets_the_present_value_after_each_change_until_it_is_off(hub: Hub):
    async with connect(hub.url, "trip", participant="anna") as anna:
        titles: list[str] = []
        texts: list[list[str]] = []
        off = anna.on("title", titles.append)
        anna.on("messages", lambda messages: texts.append([message.text for message in messages]))
        anna.set_title("Lisbon")
        await anna.send("Where to?")
        await until(lambda: titles and texts)
        off()
        off()
        anna.set_title("Porto")
        anna.state.set("hotel", "Lutetia")  # changes no message
        await anna.wait_saved()
        assert (titles, texts) == (["Lisbon"], [["Where to?"]])


async def test_changes_in_one_turn_of_the_loop_are_one_event(hub: Hub):
    async with connect(hub.url, "trip", participant="anna") as anna:
        told: list[Any] = []
        anna.on("state", told.append)
        for day in range(10):
            anna.state.set("day", day)
        await until(lambda: told)
        assert told == [{"day": 9}]


async def test_a_listener_that_raises_stops_neither_the_others_nor_the_sync(hub: Hub):
    def fail(_: object) -> None:
        raise RuntimeError("the listener's own fault")

    def cancel(_: object) -> None:
        raise asyncio.CancelledError

    async with connect(hub.url, "trip", participant="anna") as anna:
        titles: list[str] = []
        anna.on("title", fail)
        anna.on("title", cancel)
        anna.on("title", titles.append)
        anna.set_title("Lisbon")
        await until(lambda: titles)
        await anna.wait_saved()
    assert hub.document.meta.title == "Lisbon"


async def test_saved_and_status_are_told_as_they_change(hub: Hub):
    async with connect(hub.url, "trip", participant="anna") as anna:
        saved: list[bool] = []
        statuses: list[str] = []
        anna.on("saved", saved.append)
        anna.on("status", statuses.append)
        await anna.send("Where to?")
        await until(lambda: saved == [False, True])
    assert statuses == ["closed"]


async def test_an_iteration_that_is_behind_gets_only_the_last_value(hub: Hub):
    async with connect(hub.url, "trip", participant="anna") as anna:
        titles = anna.watch("title")
        for number in range(5):
            anna.set_title(f"Title {number}")
            await asyncio.sleep(0)
        assert await anext(titles) == "Title 4"
    with pytest.raises(Disconnected):
        await anext(titles)


async def test_each_update_is_told_and_can_be_applied_elsewhere(hub: Hub):
    async with connect(hub.url, "trip", participant="anna") as anna:
        copy: Doc[Any] = Doc()
        copy.apply_update(anna.doc.get_update())
        changes = anna.watch("change")
        anna.set_title("Lisbon")
        with anna.transact():
            await anna.send("one")
            await anna.send("two")
        copy.apply_update(await anext(changes))
        copy.apply_update(await anext(changes))
        assert copy.get_state() == anna.doc.get_state()


async def test_a_refused_edit_is_told_and_so_is_the_document_that_replaces_the_one_with_it(hub: Hub):
    hub.forbidden = lambda document: any("forbidden" in message.text for message in document.messages)
    async with connect(hub.url, "trip", participant="anna") as anna:
        refusals: list[Refusal] = []
        docs: list[Doc[Any]] = []
        texts: list[list[str]] = []
        anna.on("refused", refusals.append)
        anna.on("doc", docs.append)
        anna.on("messages", lambda messages: texts.append([message.text for message in messages]))
        await anna.send("forbidden")
        await until(lambda: refusals and texts and texts[-1] == [])
        assert (refusals[0].close, refusals[0].lost) == (4403, ("forbidden",))
        assert docs == [anna.doc]
        await anna.send("allowed")
        await until(lambda: texts[-1] == ["allowed"])


async def test_an_unknown_event_is_an_invalid_value(hub: Hub):
    async with connect(hub.url, "trip", participant="anna") as anna:
        with pytest.raises(InvalidValue, match="no event 'message'"):
            anna.on("message", print)  # type: ignore[call-overload,arg-type]  # pyright: ignore


async def test_waiting_with_a_time_ends_when_it_is_over(hub: Hub):
    async with connect(hub.url, "trip", participant="anna") as anna:
        await anna.wait_synced(timeout_seconds=60)
        hub.holding = True
        await anna.send("Where to?")
        with pytest.raises(TimedOut, match="aren't saved"):
            await anna.wait_saved(timeout_seconds=0.01)
        await hub.release()
        await anna.wait_saved(timeout_seconds=60)
