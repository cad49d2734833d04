"""What doesn't fit is refused in the call that writes it, and nothing of it is written."""

import datetime
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

import anyio.lowlevel
import pytest
from client.hub import Hub, until

from cosession.client import AgentRun, Session, connect
from cosession.errors import InvalidValue, TooLarge
from cosession.protocol import Granted, Limits

pytestmark = pytest.mark.anyio


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


BAD: dict[str, Any] = {
    "NaN": float("nan"),
    "an infinity": float("inf"),
    "an integer that browsers can't hold": 2**53,
    "an integer of many digits": 10**5000,
    "bytes": b"abc",
    "a time": datetime.datetime(2026, 1, 1),  # noqa: DTZ001 - it isn't JSON, whatever its zone
    "a set": {1},
    "an object": object(),
    "too deep": nested(100),
    "__proto__": {"__proto__": 1},
    "half a character": "\ud83d",
    "a key of half a character": {"\ud83d": 1},
    "a key that is no text": {1: 1},
}

WAYS: dict[str, Callable[[Session, AgentRun, Any], object]] = {
    "state": lambda session, run, bad: session.state.set("a.b", [bad]),
    "presence": lambda session, run, bad: session.presence.set("cursor", {"at": bad}),
    "a tool's schema": lambda session, run, bad: session.offer_tool("t", print, schema={"x": bad}),
    "a tool's input": lambda session, run, bad: run.tool("t", {"x": [bad]}),
    "a vote": lambda session, run, bad: session.vote("a1", "approved", {"x": bad}),
    "a selection": lambda session, run, bad: session.selections.set("bot", "cell", {"x": bad}),
    "a delegation": lambda session, run, bad: run.delegate("other", "do it", data={"x": bad}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_no_value_that_is_not_json_is_written_anywhere_nor_half_of_it(hub: Hub, way: str):
    async with connect(hub.url, session="trip", participant="bot") as session, session.run() as run:
        run.steers()  # from the first step on it says that it works
        await session.wait_saved()
        before, said = session.document.to_json(), session.presence.everybody()
        for name, bad in BAD.items():
            with pytest.raises(InvalidValue):
                WAYS[way](session, run, bad)
            assert session.document.to_json() == before, name
            assert session.presence.everybody() == said, name
        assert session.saved


async def test_a_message_with_a_part_that_is_not_json_is_not_sent(hub: Hub):
    async with connect(hub.url, session="trip", participant="bot") as session:
        for bad in BAD.values():
            with pytest.raises(InvalidValue):
                await session.send("look", parts=[{"type": "data-x", "data": {"x": bad}}])
        with pytest.raises(InvalidValue):
            session.enqueue("\ud83d")
        with pytest.raises(InvalidValue):
            session.count("likes", float("nan"))
        with pytest.raises(InvalidValue):
            session.steer("r1", "\ud83d")
        assert session.saved
        assert session.messages.to_json() == []


@pytest.mark.parametrize("path", [["a", 5, "b"], ["list", 7], ["list", 7, "x"], ["text", "x"], ["new", 0]])
async def test_a_path_that_cannot_be_written_leaves_nothing_on_its_way(hub: Hub, path: list[str | int]):
    async with connect(hub.url, session="trip", participant="bot") as session:
        session.state.set("list", [1, 2])
        session.state.set("text", "words")
        before = session.state.to_json()
        with pytest.raises(InvalidValue, match="path"):
            session.state.set(path, 1)
        assert session.state.to_json() == before


async def test_what_no_frame_holds_is_refused_in_the_call_and_the_rest_goes_on(hub: Hub):
    hub.grant = Granted("bot", "Bot", "agent", ("admin",), None, Limits(4096, 1024, 1024))
    async with connect(hub.url, session="trip", participant="bot") as session, session.run() as run:
        await until(lambda: session.me.capabilities)
        attempts: list[Callable[[], Any]] = [
            lambda: session.state.set("a", "x" * 5000),
            lambda: session.state.set("a", [1] * 1200),
            lambda: session.enqueue("🌊" * 1100),
            lambda: run.tool("t", {"x": "x" * 5000}),
            lambda: run.tool("t").output("x" * 5000),
            lambda: session.steer("r1", "x" * 5000),
            lambda: session.vote("a1", "approved", "x" * 5000),
        ]
        for attempt in attempts:
            with pytest.raises(TooLarge, match="the server takes"):
                attempt()
        with pytest.raises(TooLarge, match="The message has"):
            await session.send("look", parts=[{"type": "file", "mediaType": "image/png", "url": "A" * 5000}])
        await session.send("fine")
        await session.wait_saved()
        run.text("a long answer, which is cut where it has to be: " + "🌊" * 5000)
        await session.wait_saved()
        assert hub.document.messages[0].text.endswith("🌊" * 5000)


async def test_a_single_value_larger_than_the_server_takes_is_refused_and_its_parts_are_not(hub: Hub):
    hub.grant = Granted("bot", "Bot", "agent", ("admin",), None, Limits(value_bytes=2000, value_entries=100))
    async with connect(hub.url, session="trip", participant="bot") as session, session.run() as run:
        await until(lambda: session.me.capabilities)
        rows = [{"n": number} for number in range(34)]
        attempts: list[Callable[[], Any]] = [
            lambda: session.state.set("a", {"b": "é" * 999}),
            lambda: run.tool("t", {"x": "x" * 1995}),
            lambda: run.tool("t").output(rows),
            lambda: session.vote("a1", "approved", rows),
            lambda: session.steer("r1", "x" * 1995),
        ]
        for attempt in attempts:
            with pytest.raises(TooLarge, match=r"a value of .* the server takes (2000|100); write"):
                attempt()
        with pytest.raises(TooLarge, match="The message holds a value of 102 keys and values"):
            await session.send("look", parts=[{"type": "data-rows", "data": rows}])
        session.state.set("rows", rows)
        run.tool("t", {"rows": rows})
        run.tool("t").output(rows[:33])
        session.enqueue("x" * 3000)
        await session.send("x" * 3000, parts=[{"type": "data-rows", "data": rows[:33]}])
        await session.wait_saved()


async def test_presence_and_tools_that_the_server_would_not_take_are_refused_in_the_call(hub: Hub):
    hub.grant = Granted("bot", "Bot", "agent", ("admin",), None, Limits(presence_bytes=2**14))
    async with connect(hub.url, session="trip", participant="bot") as session:
        await until(lambda: session.me.capabilities)
        session.presence.set("selected", "🐙" * 1400)  # 5.6 KB, as text: fine
        with pytest.raises(TooLarge, match="belongs into the document"):
            session.presence.set("selected", "🐙" * 5000)
        assert session.presence.everybody()[0]["selected"] == "🐙" * 1400
        offered = 0
        with pytest.raises(TooLarge):  # noqa: PT012 - one of them is too many
            for offered in range(100):
                session.offer_tool(f"tool_{offered}", print, description="x" * 400)
        assert 10 < offered < 40
        assert len(session.presence.everybody()[0]["tools"]) == offered
        session.presence.set("selected", None)
        session.offer_tool(f"tool_{offered}", print, description="x" * 400)


LONG = "x" * 5000

LARGE: dict[str, Callable[[Session, AgentRun], Any]] = {
    "the id of a message": lambda session, run: session.send("x", id=LONG),
    "the parent of a message": lambda session, run: session.send("x", parent=LONG),
    "an agent that is asked": lambda session, run: session.send("x", to=[LONG]),
    "an agent of a prompt": lambda session, run: session.enqueue("x", to=[LONG]),
    "a counter": lambda session, run: session.count(LONG),
    "a counter's name": lambda session, run: session.counters.add(LONG, "bot"),
    "the title": lambda session, run: session.set_title(LONG),
    "a run to cancel": lambda session, run: session.cancel(LONG),
    "the reason of a cancel": lambda session, run: session.cancel("r1", LONG),
    "a run to steer": lambda session, run: session.steer(LONG, "x"),
    "the id of a steer": lambda session, run: session.steer("r1", "x", id=LONG),
    "an approval": lambda session, run: session.vote(LONG, "approved"),
    "a selection": lambda session, run: session.selections.set("bot", "cell", LONG),
    "the name of a selection": lambda session, run: session.selections.set("bot", LONG, 1),
    "a key of a path": lambda session, run: session.state.set([LONG], 1),
    "a key on the way": lambda session, run: session.state.set([LONG, "a"], 1),
    "the name of a text": lambda session, run: session.text(LONG),
    "a queued prompt": lambda session, run: session.queue.append(LONG, id="q", author="bot", created_at="2026"),
    "a claim": lambda session, run: session.claim(LONG),
    "a tool's name": lambda session, run: run.tool(LONG),
    "the id of a call": lambda session, run: run.tool("t", id=LONG),
    "the error of a call": lambda session, run: run.tool("t").error(LONG),
    "progress": lambda session, run: run.progress(LONG),
    "a step": lambda session, run: run.step(LONG, lambda step: anyio.lowlevel.checkpoint()),
    "a question": lambda session, run: run.ask(LONG),
    "the key of a question": lambda session, run: run.ask("?", key=LONG),
    "a participant who is asked": lambda session, run: run.ask("?", participants=[LONG]),
    "a tool that is called": lambda session, run: run.call(LONG),
    "a participant who is to call": lambda session, run: run.call("t", participants=[LONG]),
    "an agent of a delegation": lambda session, run: run.delegate(LONG, "x"),
    "the key of a delegation": lambda session, run: run.delegate("other", "x", key=LONG),
    "a task": lambda session, run: session.run(task=LONG).__aenter__(),
    "what a run answers": lambda session, run: session.run(reply_to=LONG).__aenter__(),
}


@pytest.mark.parametrize("large", LARGE)
async def test_whatever_is_larger_than_a_frame_is_refused_in_the_call(hub: Hub, large: str):
    hub.grant = Granted("bot", "Bot", "agent", ("admin",), None, Limits(4096, 1024, 1024))
    async with connect(hub.url, session="trip", participant="bot") as session, session.run() as run:
        await until(lambda: session.me.capabilities)
        with pytest.raises(TooLarge, match="the server takes"):
            await given(LARGE[large](session, run))
        session.state.set("fine", 1)
        await session.wait_saved()
        assert session.messages.to_json() == [] or large == "the error of a call"


WRONG: dict[str, Callable[[Session, AgentRun], Any]] = {
    "agents as a text": lambda session, run: session.send("x", to="other"),
    "agents of a prompt as a text": lambda session, run: session.enqueue("x", to="other"),
    "participants as a text": lambda session, run: run.ask("?", participants="anna"),
    "callers as a text": lambda session, run: run.call("t", participants="anna"),
    "a vote that is none": lambda session, run: session.vote("a1", "maybe"),
    "a reason that is no text": lambda session, run: session.cancel("r1", bad(5)),
    "a steer that is no text": lambda session, run: session.steer("r1", bad(("x",))),
    "a tool's name that is no text": lambda session, run: run.tool(bad(None)),
    "progress that is no text": lambda session, run: run.progress(bad({"a": 1})),
    "a question that is no text": lambda session, run: run.ask(bad(5)),
    "a step that is no text": lambda session, run: run.step(bad(5), lambda step: anyio.lowlevel.checkpoint()),
    "the name of a text that is none": lambda session, run: session.text(bad(5)),
}


def bad(value: object) -> Any:
    return value


async def given(result: Any) -> None:
    if isawaitable(result):
        await result


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_no_text_or_no_list_of_ids_is_refused_and_nothing_is_written(hub: Hub, wrong: str):
    async with connect(hub.url, session="trip", participant="bot") as session, session.run() as run:
        run.steers()  # from the first step on it says that it works
        before = session.document.to_json()
        with pytest.raises(InvalidValue):
            await given(WRONG[wrong](session, run))
        assert session.document.to_json() == before
