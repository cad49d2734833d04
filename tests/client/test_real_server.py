"""The SDK against the server itself: a process with a disk, killed and started again."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from client.hub import until
from processes import PATIENCE_SECONDS, Server

from cosession.client import Session, connect, create_session, list_sessions
from cosession.errors import BadSessionId, CosessionError, Disconnected, NoSuchSession, SessionExists, TooLarge

pytestmark = pytest.mark.anyio


def texts(session: Session) -> list[str]:
    return [message.text for message in session.messages]


async def test_a_person_asks_an_agent_answers_and_both_see_it(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner", name="Planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        question = await anna.send("Where to?")
        prompt = await anext(planner.prompts())
        assert prompt.id == question.id
        async with planner.run(reply_to=prompt) as run:
            for word in ("To ", "Lisbon", " 🌊"):
                run.text(word)
                await asyncio.sleep(0)
        await until(lambda: texts(anna) == ["Where to?", "To Lisbon 🌊"])
        await until(lambda: anna.messages[1].status == "complete")

        record = anna.runs.get(run.id)
        assert record is not None
        assert (record.agent, record.status) == ("planner", "complete")
        await until(lambda: {state["user"]["id"] for state in anna.presence.others().values()} == {"planner"})


async def test_a_persons_cancel_interrupts_the_agent_and_says_who_and_why(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        async with planner.run() as run:
            run.text("Well, ")
            await until(lambda: anna.runs.get(run.id))
            anna.cancel(run.id, "too slow")
            await asyncio.Event().wait()
        record = anna.runs.get(run.id)
        assert record is not None
        await until(lambda: record.status == "cancelled")
        assert record.cancel is not None
        assert (record.cancel["by"], record.cancel["reason"]) == ("anna", "too slow")
        assert (anna.messages[0].text, anna.messages[0].status) == ("Well, ", "cancelled")


async def test_a_persons_steer_reaches_the_run(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        await until(lambda: anna.runs.get(run.id))
        for _ in range(2):  # a double click, or a second tab
            anna.steer(run.id, "cheaper, please", id="once")
            await anna.wait_saved()
        mine = planner.runs.get(run.id)
        assert mine is not None
        await until(lambda: mine.steers)

        assert [(steer.by, steer.text) for steer in run.steers()] == [("anna", "cheaper, please")]


async def test_what_is_saved_outlives_a_killed_server_and_the_session_goes_on(server: Server):
    async with connect(server.url, session="trip", participant="anna") as anna, asyncio.timeout(PATIENCE_SECONDS):
        await anna.send("one")
        await anna.wait_saved()
        server.kill()
        await until(lambda: anna.status == "offline")
        await anna.send("two")
        await asyncio.to_thread(server.start)
        await anna.wait_saved()
        async with connect(server.url, session="trip", participant="ben") as ben:
            assert texts(ben) == ["one", "two"]


async def test_an_agent_streams_through_a_restart_without_gap_or_repeat(server: Server):
    words = [f"{number} " for number in range(400)]
    async with (
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS * 2),
    ):
        async with planner.run() as run:
            restart = asyncio.ensure_future(asyncio.to_thread(server.restart))
            for word in words:
                run.text(word)
                await asyncio.sleep(0.002)
            await restart
        await planner.wait_saved()
        async with connect(server.url, session="trip", participant="anna") as anna:
            assert texts(anna) == ["".join(words)]


async def test_sessions_are_created_and_listed_over_http(server: Server):
    made = await create_session(server.url, "trip", "Lisbon in May")
    chosen = await create_session(server.url)

    listed = {info.id: info async for info in list_sessions(server.url)}

    assert (made.id, made.title) == ("trip", "Lisbon in May")
    assert set(listed) == {"trip", chosen.id}
    assert listed["trip"].title == "Lisbon in May"
    assert listed["trip"].connections == 0


async def test_as_many_sessions_are_listed_as_are_asked_for(server: Server):
    for name in ("a", "b", "c"):
        await create_session(server.url, name)
    async with connect(server.url, session="a", participant="anna"):
        assert len([info async for info in list_sessions(server.url, limit=2)]) == 2
        assert {info.id async for info in list_sessions(server.url)} == {"a", "b", "c"}
        assert [info.id async for info in list_sessions(server.url, limit=0)] == []
        assert [info.id async for info in list_sessions(server.url, occupied=True)] == ["a"]


async def test_sessions_are_listed_through_all_pages(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cosession.client.http.PAGE_SIZE", 2)
    for name in ("a", "b", "c", "d", "e"):
        await create_session(server.url, name)
    assert [info.id async for info in list_sessions(server.url)] == ["e", "d", "c", "b", "a"]
    assert [info.id async for info in list_sessions(server.url, limit=3)] == ["e", "d", "c"]
    seen: list[str] = []
    async for info in list_sessions(server.url):
        seen.append(info.id)
        if info.id == "d":  # of the next page one comes to the front, and one is new
            await create_session(server.url, "f")
            async with connect(server.url, session="a", participant="anna") as anna:
                await anna.send("the newest")
                await anna.wait_saved()
    assert seen == ["e", "d", "c", "b"]


@pytest.mark.parametrize("url", ["http://[::1", "nonsense", "http://", "ftp://host", "http://host:99999"])
async def test_what_is_no_address_is_refused_the_same_way_everywhere(url: str):
    with pytest.raises(ValueError, match="not a server's address"):
        await anext(list_sessions(url))
    with pytest.raises(ValueError, match="not a server's address"):
        async with connect(url, session="trip", participant="anna"):
            pytest.fail("the block must not be entered")


async def test_a_problem_of_the_server_is_raised_as_the_error_that_it_is(server: Server):
    await create_session(server.url, "trip")

    with pytest.raises(SessionExists, match="trip"):
        await create_session(server.url, "trip")
    with pytest.raises(BadSessionId):
        await create_session(server.url, "no/../way")
    with pytest.raises(CosessionError) as elsewhere:
        await anext(list_sessions(server.url + "/nowhere"))
    assert not isinstance(elsewhere.value, NoSuchSession)


async def test_a_session_that_is_deleted_ends_for_those_who_are_in_it(server: Server):
    async with connect(server.url, session="trip", participant="anna") as anna, asyncio.timeout(PATIENCE_SECONDS):
        await anna.send("Hello")
        await anna.wait_saved()
        async with httpx.AsyncClient() as client:
            assert (await client.delete(f"{server.url}/sessions/trip")).status_code == 204

        with pytest.raises(Disconnected) as ended:
            await anext(anna.prompts())
        assert ended.value.close == 4410


async def test_a_photo_of_ten_megabytes_in_one_value_arrives(server: Server):
    photo = f"data:image/jpeg;base64,{'A' * (10 * 2**20)}"
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="ben", kind="human") as ben,
        asyncio.timeout(3 * PATIENCE_SECONDS),
    ):
        await anna.send("Look", parts=[{"type": "file", "mediaType": "image/jpeg", "url": photo}])
        anna.state.set("photo", photo)
        await anna.wait_saved()
        await until(lambda: ben.state.get("photo"))
        assert ben.state.get("photo") == photo
        await until(lambda: len(ben.messages) == 1)


async def test_a_value_larger_than_the_server_takes_is_refused_before_it_is_written(
    start_server: Callable[..., Server],
):
    server = start_server(max_frame_bytes=2**20)
    async with connect(server.url, session="trip", participant="anna", kind="human") as anna:
        with pytest.raises(TooLarge, match="the server takes 1048576 at once"):
            anna.state.set("photo", "A" * 2**20)
        with pytest.raises(TooLarge, match="the server takes 1048576 at once"):
            await anna.send("Look", parts=[{"type": "file", "mediaType": "image/jpeg", "url": "A" * 2**20}])
        async with anna.run() as run:
            with pytest.raises(TooLarge, match="the server takes 1048576 at once"):
                await run.ask("Is this it?", value={"photo": "A" * 2**20})
            with pytest.raises(TooLarge, match="the server takes 1048576 at once"):
                await run.call("show", {"photo": "A" * 2**20})
            with pytest.raises(TooLarge, match="the server takes 1048576 at once"):
                run.delegate("ben", "A" * 2**20)
            with pytest.raises(TooLarge, match="the server takes 1048576 at once"):
                run.tool("look").error("A" * 2**20)
            run.text("word " * 2**18)
        await anna.wait_saved()
        assert (len(anna.messages), anna.state.get("photo")) == (1, None)
        assert len(anna.messages[0].text) == 5 * 2**18
