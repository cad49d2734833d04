"""What a run asks of people and of their browsers, against the real server, and over the death of who asks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server

from cosession.client import Session, connect
from cosession.client import session_link as link_module
from cosession.document import Part, tool_key
from cosession.errors import Disconnected, RunCancelled, ToolFailed

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"limit": {"type": "number"}}, "required": ["limit"]}


def asked(session: Session) -> str | None:
    """The id of the open question."""
    questions = session.approvals.to_json()
    return next((id_ for id_, question in questions.items() if "decision" not in question), None)


def calls(session: Session, run: str) -> list[Part]:
    messages = [message for message in session.messages if message.run == run]
    return [part for message in messages for part in message.parts if part.type.startswith("tool-")]


async def test_people_change_what_they_approve_and_the_agent_gets_that(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        async with planner.run() as run:
            asking = asyncio.ensure_future(run.ask("Book it?", value={"limit": 200}, schema=SCHEMA))
            await until(lambda: asked(anna))
            record = anna.runs.get(run.id)
            assert record is not None
            await until(lambda: record.status == "suspended")
            assert (planner.agents.get("planner") or record).to_json()["status"] == "waiting"
            question = f"{run.id}/1"
            anna.vote(question, "approved", {"limit": "much"})
            await anna.wait_saved()
            anna.vote(question, "approved", {"limit": 900})
            decision = await asking
            assert (decision.approved, decision.value, decision.by) == (True, {"limit": 900}, ("anna",))
        await until(lambda: record.status == "complete")


async def test_a_question_that_nobody_answers_expires(server: Server):
    async with (
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        decision = await run.ask("Book it?", seconds=0.2)
        assert (decision.status, decision.approved, decision.by) == ("expired", False, ())


async def test_a_cancel_ends_the_wait_for_people(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        reached = False
        async with planner.run() as run:
            waiting = asyncio.ensure_future(until(lambda: asked(anna), 15))
            waiting.add_done_callback(lambda _: anna.cancel(run.id, "no"))
            await run.ask("Book it?")
            reached = True
        assert not reached
        await until(lambda: [one.status for one in anna.runs] == ["cancelled"])
        await until(lambda: asked(anna) is None)


async def test_the_next_process_finds_the_answer_to_what_the_one_before_asked(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(link_module, "FLUSH_SECONDS", 0.1)
    server = start_server(lease_grace_seconds=0.3)
    planner = {"session": "trip", "participant": "planner"}
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await anna.send("Book it")

        async def work(session: Session) -> Any:
            async with session.run(reply_to=await anext(session.prompts())) as run:
                run.text(f"attempt {run.epoch}")
                decision = await run.ask("Book it?")
                run.text(f", {decision.status}")

        with pytest.raises(Disconnected, match="may not be saved"):  # noqa: PT012 - leaving says it
            async with connect(server.url, **planner) as one:
                working = asyncio.ensure_future(work(one))
                question = await until_asked(anna)
                transport = one._link._transport  # pyright: ignore[reportPrivateUsage]
                transport._url = "ws://127.0.0.1:9/?ext=1"  # pyright: ignore[reportPrivateUsage]
                assert transport._socket is not None  # pyright: ignore[reportPrivateUsage]
                transport._socket.transport.abort()  # pyright: ignore[reportPrivateUsage]
                await until(lambda: [run.status for run in anna.runs] == ["lost"], 15)
                anna.vote(question, "approved")
                await until(lambda: asked(anna) is None)
                async with connect(server.url, **planner) as two:
                    await work(two)
                working.cancel()
                await asyncio.wait([working])
        await until(lambda: anna.messages[-1].status == "complete")
        assert [message.text for message in anna.messages] == ["Book it", "attempt 2, approved"]


async def until_asked(anna: Session) -> str:
    await until(lambda: asked(anna), 15)
    return asked(anna) or ""


async def test_one_client_answers_a_call_and_the_agent_gets_the_output(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        calling = asyncio.ensure_future(run.call("selected_row", {"table": "flights"}))
        await until(lambda: calls(anna, run.id))
        [part] = calls(anna, run.id)
        assert part.get("input") == {"table": "flights"}
        call = part.get("toolCallId")
        async with anna.claim(tool_key(call)):
            message, client = anna.messages[-1].id, anna.document.doc.client_id
            anna.document.requests.ask_answer(message, call, client, "anna", output={"row": 3})
            assert await calling == {"row": 3}
        assert part.state == "output-available"


async def test_a_call_that_no_client_answers_fails_and_is_closed(server: Server):
    async with (
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        with pytest.raises(ToolFailed, match="No client answered"):
            await run.call("selected_row", seconds=0.2)
        [part] = calls(planner, run.id)
        assert (part.state, part.get("errorText")) == ("output-error", "No client answered.")


async def test_an_answer_that_a_crash_of_the_server_took_back_is_none(hub: Hub):
    def answer(**fields: Any) -> None:
        hub.document.messages[0].parts[0].update(**fields)

    async with (
        connect(hub.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        calling = asyncio.ensure_future(run.call("selected_row"))
        await until(lambda: len(hub.document.messages))
        await planner.wait_saved()
        hub.holding = True
        answer(state="output-available", output="forgotten")
        await until(lambda: hub.held)
        answer(state="input-available")
        [part] = calls(planner, run.id)
        await until(lambda: part.state == "input-available")
        await hub.release()
        await planner.wait_saved()
        answer(state="output-available", output="saved")
        assert await calling == "saved"


async def test_a_call_that_is_cancelled_is_closed_as_well(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        async with planner.run() as run:
            waiting = asyncio.ensure_future(until(lambda: calls(anna, run.id), 15))
            waiting.add_done_callback(lambda _: anna.cancel(run.id))
            with pytest.raises((RunCancelled, asyncio.CancelledError)):
                await run.call("selected_row")
            run.text("I stop.", after_cancel=True)
        await until(lambda: [one.status for one in anna.runs] == ["cancelled"])
        assert [part.state for part in calls(anna, run.id)] == ["output-error"]
