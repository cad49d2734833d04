"""Runs that change hands: lost, adopted, gone on with, and what the process hears that had them before."""

import asyncio
from collections.abc import Callable

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server

from cosession.client import Refusal, Session, connect, run_takeover
from cosession.document import Message, Run
from cosession.errors import RunCancelled

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(lease_grace_seconds=0.5)


def ask(hub: Hub, name: str = "m1") -> None:
    parts = [{"type": "text", "text": "Where to?"}]
    hub.document.messages.append("user", parts, id=name, author="anna", created_at=AT)


def begun(hub: Hub, status: str = "lost") -> Run:
    """A run of the planner that a process began and lost, with some words."""
    ask(hub)
    run = hub.document.runs.start("r1", agent="planner", started_at=AT, reply_to="m1", client=7)
    words = [{"type": "text", "text": "To Lis", "state": "streaming"}]
    hub.document.messages.append("assistant", words, id="a1", author="planner", created_at=AT, run="r1")
    run.add_message("a1")
    run.set_status(status)
    return run


def answers(session: Session) -> list[Message]:
    return [message for message in session.messages if message.role == "assistant"]


async def test_a_lost_run_gives_its_prompt_again_and_its_words_are_replaced_in_one_transaction(hub: Hub):
    record = begun(hub)
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        prompt = await anext(session.prompts())
        async with session.run(reply_to=prompt) as run:
            assert (prompt.id, run.id, run.adopted, run.epoch) == ("m1", "r1", True, 2)
            [answer] = answers(session)
            seen: list[str] = []
            with session.document.observe(lambda _: seen.append(answer.text), "messages"):
                run.text("To Porto.")
            assert set(seen) == {"To Porto."}
    assert (record.status, record.epoch, record.former) == ("complete", 2, [7])
    assert [(m.text, m.status) for m in hub.document.messages][1:] == [("To Porto.", "complete")]


@pytest.mark.parametrize("granted", [False, True])
async def test_who_stops_waiting_for_a_lost_run_in_the_middle_gets_it_when_waiting_again(hub: Hub, granted: bool):
    record = begun(hub)
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        prompts = session.prompts()
        hub.holding = True
        waiting = asyncio.ensure_future(anext(prompts))
        await until(lambda: record.epoch == 2 if granted else len(session.document.requests))
        if granted:
            await until(lambda: [run.epoch for run in session.runs] == [2])
        waiting.cancel()
        await asyncio.wait([waiting])
        await hub.release()
        async with session.run(reply_to=await anext(prompts)) as run:
            assert (run.id, run.epoch) == ("r1", 2)
            run.text("To Porto.")
    assert record.status == "complete"


async def test_a_lost_run_that_was_asked_for_and_is_wanted_by_nobody_is_ended_in_time(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_takeover, "BEGIN_SECONDS", 0.3)
    record = begun(hub)
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        waiting = asyncio.ensure_future(anext(session.prompts()))
        await until(lambda: len(session.document.requests))
        waiting.cancel()
        await until(lambda: (record.status, record.epoch) == ("error", 2))


async def test_an_adopted_run_may_go_on_in_the_words_that_are_there(hub: Hub):
    begun(hub)
    async with (
        connect(hub.url, session="trip", participant="planner") as session,
        asyncio.timeout(60),
        session.run(reply_to=await anext(session.prompts())) as run,
    ):
        assert run.resume() == "To Lis"
        run.text("bon.")
    assert [m.text for m in hub.document.messages] == ["Where to?", "To Lisbon."]


async def test_a_run_that_another_process_took_over_ends_its_block_and_writes_no_more(hub: Hub):
    ask(hub)
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        went_on = False
        async with session.run(reply_to="m1") as run:
            run.text("To ")
            await session.wait_saved()
            record = hub.document.runs.get(run.id)
            assert record is not None
            record.set_status("lost")
            record.hand_over(99, [record.client])
            await asyncio.Event().wait()
            went_on = True
        assert not went_on
        assert (record.status, record.client) == ("running", 99)


async def test_a_run_that_begins_when_its_prompt_was_called_off_is_cancelled(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await anna.send("Where to?")
        prompt = await anext(planner.prompts())
        anna.cancel(prompt.id)
        await until(lambda: prompt.refused)
        why: RunCancelled | None = None
        async with planner.run(reply_to=prompt) as run:
            run.text("To ")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                with pytest.raises(RunCancelled) as told:
                    run.check()
                why = told.value
                raise
        assert why is not None
        assert why.by == "anna"
        await planner.wait_saved()
        assert [(run.status, anna.messages[-1].text) for run in anna.runs] == [("cancelled", "")]
        assert (planner.agents.get("planner") or run).to_json()["status"] == "idle"


async def test_a_run_that_the_server_ended_ends_its_block(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        went_on = False
        async with session.run() as run:
            run.text("To ")
            await session.wait_saved()
            record = hub.document.runs.get(run.id)
            assert record is not None
            record.end("error", at=AT, error="It was lost too often.")
            await asyncio.Event().wait()
            went_on = True
        assert not went_on
        await session.wait_saved()
    assert (record.status, record.error) == ("error", "It was lost too often.")


async def test_a_run_that_was_taken_for_lost_is_adopted_by_the_process_that_has_it(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        async with session.run() as run:
            run.text("To ")
            await session.wait_saved()
            record = hub.document.runs.get(run.id)
            assert record is not None
            record.end("lost", at=AT)
            await until(lambda: run.epoch == 2)
            run.text("Lisbon.")
        await session.wait_saved()
    assert (record.status, record.epoch, record.former) == ("complete", 2, [])
    assert [(m.text, m.status) for m in hub.document.messages] == [("To Lisbon.", "complete")]


async def test_the_end_of_a_run_that_came_too_late_is_said_again(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        async with session.run() as run:
            run.text("To Lisbon.")
            await session.wait_saved()
            hub.holding = True
        record = hub.document.runs.get(run.id)
        assert record is not None
        await until(lambda: record.status == "complete")
        record.end("lost", at=AT)
        await until(lambda: record.status == "complete")
        await hub.release()


async def test_a_prompt_goes_to_one_of_two_processes(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as one,
        connect(server.url, session="trip", participant="planner") as two,
        asyncio.timeout(PATIENCE_SECONDS),
    ):

        async def answer(session: Session) -> None:
            async for prompt in session.prompts():
                async with session.run(reply_to=prompt) as run:
                    run.text(f"Re: {prompt.text}")

        working = [asyncio.ensure_future(answer(session)) for session in (one, two)]
        for number in range(6):
            await anna.send(str(number))
        await until(lambda: sorted(message.text for message in answers(anna)) == [f"Re: {n}" for n in range(6)], 15)
        for task in working:
            task.cancel()


async def test_a_process_that_was_away_too_long_is_followed_by_the_next_and_may_write_no_more(server: Server):
    told: list[Refusal] = []
    planner = {"session": "trip", "participant": "planner"}
    is_back = asyncio.Event()

    async def work(old: Session, prompt: Message, begun: asyncio.Event) -> str:
        async with old.run(reply_to=prompt) as run:
            run.text("To Lis")
            await old.wait_saved()
            begun.set()
            await is_back.wait()
            run.text("bon")
            return "never"
        return run.id

    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        connect(server.url, session="trip", participant="anna") as anna,
        connect(server.url, **planner) as old,
        asyncio.TaskGroup() as tasks,
    ):
        old.on("refused", told.append)
        await anna.send("Where to?")
        begun = asyncio.Event()
        working = tasks.create_task(work(old, await anext(old.prompts()), begun))
        await begun.wait()
        transport = old._link._transport  # pyright: ignore[reportPrivateUsage]
        url, transport._url = transport._url, "ws://127.0.0.1:9/?ext=1"  # pyright: ignore[reportPrivateUsage]
        assert transport._socket is not None  # pyright: ignore[reportPrivateUsage]
        transport._socket.transport.abort()  # pyright: ignore[reportPrivateUsage]
        async with (
            connect(server.url, **planner) as new,
            new.run(reply_to=await anext(new.prompts())) as second,
        ):
            second.text("To Porto.")
            old.state.set("note", "STALE")
            transport._url = url  # pyright: ignore[reportPrivateUsage]
            transport.hurry()
            await until(lambda: told, 15)
            assert told[0].code == "run.superseded"
            is_back.set()
            assert await working == second.id
        await until(lambda: answers(anna)[-1].status == "complete")
        assert [message.text for message in answers(anna)] == ["To Porto."]
        assert "note" not in anna.state


async def test_a_cancelled_run_may_end_its_answer(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, asyncio.timeout(60):
        async with session.run() as run:
            run.text("To Lisbon")
            record = session.runs.get(run.id)
            assert record is not None
            record.record_cancel(by="anna", at=AT)
            try:
                run.text(" and further")
            except RunCancelled:
                run.text(" … I stop here.", after_cancel=True)
                raise
        await session.wait_saved()
    [answer] = hub.document.messages
    assert (answer.text, answer.status, run.id) == ("To Lisbon … I stop here.", "cancelled", answer.run)
