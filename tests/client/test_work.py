"""What a run does besides streaming: steps that are tried again, delegation, what people change in its words."""

import asyncio

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server

from cosession.client import Session, Step, connect
from cosession.errors import RunCancelled

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


async def test_a_step_that_is_tried_again_replaces_what_it_wrote_in_one_transaction(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:
        run.text("I look. ")
        shown: list[tuple[str, int]] = []

        def note(_: object) -> None:
            record = session.runs.get(run.id)
            assert record is not None
            assert run.message is not None
            shown.append((run.message.text, record.steps[0]["attempt"] if record.steps else 0))

        with session.document.observe(note, "messages", "runs"):

            async def search(step: Step) -> int:
                run.text(f"Found {step.attempt}")
                if step.attempt == 1:
                    raise OSError("the line is dead")
                return step.attempt

            assert await run.step("search", search, attempts=2, pause_seconds=0) == 2
        run.text(". Done.")
        record = session.runs.get(run.id)
        assert record is not None
        assert record.steps == [
            {"id": "1", "name": "search", "status": "complete", "attempt": 2, "attempts": 2, "detail": None}
        ]
        assert set(shown) == {
            ("I look. ", 0),
            ("I look. ", 1),
            ("I look. Found 1", 1),
            ("I look. Found 2", 2),
        }
    await until(lambda: [message.text for message in hub.document.messages] == ["I look. Found 2. Done."])


async def test_a_step_that_fails_for_good_raises_and_says_why(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:

        async def search(step: Step) -> None:
            step.detail(f"attempt {step.attempt}")
            raise OSError("the line is dead")

        with pytest.raises(OSError, match="dead"):
            await run.step("search", search, attempts=2, pause_seconds=0)
        record = session.runs.get(run.id)
        assert record is not None
        assert (record.steps[0]["status"], record.steps[0]["detail"]) == ("error", "the line is dead")


async def test_a_cancel_is_no_failure_of_a_step(hub: Hub):
    attempts: list[int] = []
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:

        async def search(step: Step) -> None:
            attempts.append(step.attempt)
            record = session.runs.get(run.id)
            assert record is not None
            record.record_cancel(by="anna", at=AT)
            run.check()

        with pytest.raises(RunCancelled):
            await run.step("search", search, attempts=3, pause_seconds=0)
    assert attempts == [1]


async def test_people_see_what_a_step_that_wrote_nothing_again_had_left(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:

        async def search(step: Step) -> None:
            if step.attempt == 1:
                run.text("rubbish")
                raise OSError

        await run.step("search", search, attempts=2, pause_seconds=0)
        run.text("clean")
        assert run.message is not None
        assert run.message.text == "clean"


async def test_what_people_change_in_the_words_of_a_run_is_told_once(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="planner") as session,
        session.run() as run,
    ):
        run.text("To Lisbon")
        assert run.edits() == []
        assert run.message is not None
        mine = run.message
        await until(lambda: anna.messages.get(mine.id))
        anna.edit(mine.id, "To Porto")
        await until(lambda: mine.text == "To Porto")
        [edit] = run.edits()
        assert (edit.message, edit.by, edit.before, edit.after) == (mine.id, "anna", "To Lisbon", "To Porto")
        run.text(", then home.")
        assert run.edits() == []


async def specialist(session: Session) -> None:
    async for prompt in session.prompts():
        async with session.run(reply_to=prompt) as run:
            run.text(f"{prompt.text}: found")
            if "wait" in prompt.text:
                await asyncio.Event().wait()


async def test_of_several_runs_that_answer_a_delegation_the_one_that_counts_is_taken(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as planner, planner.run() as run:
        job = run.delegate("flights", "flights to Lisbon")
        runs = planner.document.runs
        for number in range(6):  # they came too late, and the server took them back
            late = runs.start(f"late{number}", agent="flights", started_at=AT, reply_to=job.message.id)
            late.end("cancelled", at=AT)
            assert (await job.done() or late).status == "cancelled"
        again = runs.start("again", agent="flights", started_at=AT, reply_to=job.message.id)
        for status in ("running", "suspended", "lost", "complete"):
            again.set_status(status)
            assert job.run == again
        assert await job.done() == again


async def test_an_orchestrator_delegates_and_waits_for_the_end(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        connect(server.url, session="trip", participant="flights") as flights,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        working = asyncio.ensure_future(specialist(flights))
        question = await anna.send("To Lisbon", to=["planner"])
        async with planner.run(reply_to=await anext(planner.prompts())) as run:
            job = run.delegate("flights", "flights to Lisbon", data={"people": 2})
            done = await job.done()
            assert done is not None
            assert (done.agent, done.status) == ("flights", "complete")
            [answer] = [message for message in planner.messages if message.run == done.id]
            assert answer.text == "flights to Lisbon: found"
            again = run.delegate("flights", "wait")
            await until(lambda: again.run is not None)
            anna.cancel(run.id, "enough")
            await again.done()
        record = anna.runs.get(run.id)
        assert record is not None
        assert record.reply_to == question.id
        await until(lambda: [one.status for one in anna.runs] == ["cancelled", "complete", "cancelled"])
        working.cancel()
