"""What a session shows and lets one ask for: the state as it changes, the queue, the policy, addressed prompts."""

import asyncio

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server

from cosession.client import OfferedTool, StateChange, connect, create_session
from cosession.errors import Disconnected, InvalidValue

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


async def test_a_path_of_the_state_is_watched_and_equal_json_is_not_told(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        session.state.set("trip.flight", {"price": 1})
        changes = session.state.watch("trip.flight")
        coming = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        session.state.set("trip.hotel", "Ritz")
        session.state.set("trip.flight", {"price": 1})
        await session.wait_saved()
        assert not coming.done()
        hub.document.state.set("trip.flight.price", 2)
        assert await coming == StateChange("trip.flight", {"price": 1}, {"price": 2})
        hub.document.state.delete("trip.flight")
        assert await anext(changes) == StateChange("trip.flight", {"price": 2}, None)


async def test_a_cancelled_wait_for_a_change_loses_none(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        changes = session.state.watch("a")
        session.state.set("a", 1)
        for before, after in ((None, 1), (1, 2)):
            session.state.set("a", after)
            assert await anext(changes) == StateChange("a", before, after)
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
    with pytest.raises(InvalidValue):
        session.state.watch("a..b")


async def test_a_watch_goes_on_over_a_refusal_and_ends_with_the_session(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        session.on("refused", lambda _: None)
        state = session.state
        changes = state.watch("a")
        async with asyncio.timeout(60):
            coming = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            old = session.document
            hub.forbidden = lambda document: "bad" in document.state
            state.set("bad", 1)
            await until(lambda: session.document is not old)
            hub.document.state.set("a", 1)
            assert await coming == StateChange("a", None, 1)
            assert state.get("a") == 1
            coming = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            hub.refusal = (4410, "It is deleted.")
            hub.cut()
            with pytest.raises(Disconnected):
                await coming
        assert (await session.wait_closed()).close == 4410


async def test_the_queue_and_the_policy_are_shared(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        with pytest.raises(InvalidValue, match="double_texting"):
            anna.set_policy("shout")
        anna.set_policy("reject")
        await until(lambda: planner.policy.double_texting == "reject")
        question = await anna.send("Where to?")
        async with planner.run(reply_to=await anext(planner.prompts())):
            first, second = anna.enqueue("And then?"), anna.enqueue("And home?")
            anna.queue.move(second.id, 0)
            await until(lambda: [str(entry.text) for entry in planner.queue] == ["And home?", "And then?"])
            planner.queue.remove(first.id)
            late = await anna.send("Now!")
            await until(lambda: late.refused)
            assert (late.refused or {})["code"] == "busy"
        assert (await anext(planner.prompts())).text == "And home?"
        assert [message.text for message in anna.messages] == ["Where to?", "Now!", "And home?"]
        assert question.refused is None


async def test_a_prompt_goes_to_the_agents_that_it_names(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        connect(server.url, session="trip", participant="flights") as flights,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        asked = await anna.send("To both", to=["planner", "flights"])
        only = await anna.send("To one", to=["flights"])
        assert (await anext(planner.prompts())).id == asked.id
        async with flights.run(reply_to=await anext(flights.prompts())) as run:
            assert run.reply_to == asked.id
        assert (await anext(flights.prompts())).id == only.id


async def test_a_prompt_that_is_cancelled_before_anybody_has_it_is_not_given(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        first, second = await anna.send("One"), await anna.send("Two")
        anna.cancel(first.id, "never mind")
        await until(lambda: first.refused)
        async with connect(server.url, session="trip", participant="planner") as planner:
            assert (await anext(planner.prompts())).id == second.id


async def test_the_tools_that_others_offer_are_seen_and_nonsense_is_passed_over(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna", kind="human") as anna,
        connect(hub.url, session="trip", participant="planner") as planner,
        asyncio.timeout(60),
    ):
        schema = {"type": "object"}
        anna.presence.set("tools", [{"name": "row", "description": "Which?", "schema": schema}, 5, {"name": 1}])
        await until(lambda: planner.tools)
        assert planner.tools == [OfferedTool("row", "Which?", schema, "anna")]
        assert anna.tools == []


async def test_a_session_is_created_with_a_policy(server: Server):
    await create_session(server.url, "trip", policy={"agents": ["flights"], "double_texting": "steer"})
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        connect(server.url, session="trip", participant="flights") as flights,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        assert (anna.policy.agents, anna.policy.double_texting) == (("flights",), "steer")
        question = await anna.send("Where to?")
        passed_over = asyncio.ensure_future(anext(planner.prompts()))
        async with flights.run(reply_to=await anext(flights.prompts())) as run:
            assert run.reply_to == question.id
            await until(lambda: anna.runs.get(run.id))
            more = await anna.send("By train!")
            steer = await run.next_steer()
            assert (steer.id, steer.text) == (more.id, "By train!")
        await flights.wait_saved()
        assert not passed_over.done()
        passed_over.cancel()
