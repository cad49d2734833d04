"""Tool calls in an answer: the states of the AI SDK, and people who approve a call and change its input."""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import AgentRun, Session, ToolCall, connect
from cosession.errors import InvalidValue, RunCancelled

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"
SECRET = secrets.token_hex(32)
ROOM = {"hotel": "Lutetia", "nights": 2}


def token(subject: str, role: str) -> str:
    said = {"sub": subject, "role": role, "sessions": ["trip"], "exp": int(time.time() + 600)}
    return mint({**said, "kind": "agent" if role == "agent" else "human"}, secret_keys(SECRET)[0])


def joined(server: Server, subject: str, role: str) -> Any:
    kind = "agent" if role == "agent" else "human"
    return connect(server.url, session="trip", participant=subject, kind=kind, token=token(subject, role))


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server that knows people by tokens."""
    return start_server(auth_secret=SECRET, lease_grace_seconds=0.5)


def call_of(run: AgentRun) -> dict[str, Any]:
    """The last part of the answer."""
    assert run.message is not None
    return run.message.to_json()["parts"][-1]


def calls(session: Session) -> list[dict[str, Any]]:
    parts = [part for message in session.messages.to_json() for part in message["parts"]]
    return [part for part in parts if "toolCallId" in part]


async def test_an_input_that_streams_is_shown_as_it_grows(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run(batch_ms=0) as run:
            call = run.tool("book", id="c1", title="Book a room", streaming=True)
            head = {"type": "tool-book", "toolCallId": "c1", "title": "Book a room"}
            assert call_of(run) == {**head, "state": "input-streaming"}
            call.grow('{"hotel": ')
            call.grow('"🏨"}')
            assert call_of(run) == {**head, "state": "input-streaming", "rawInput": '{"hotel": "🏨"}'}
            call.ready({"hotel": "🏨"})
            assert call_of(run) == {**head, "state": "input-available", "input": {"hotel": "🏨"}}
            with pytest.raises(InvalidValue, match="complete"):
                call.grow("more")
            with pytest.raises(InvalidValue, match="streams"):
                await run.tool("book", id="c2", streaming=True).ask("Book?")
            assert not session.approvals.to_json()
            run.truncate()
            call = run.tool("book", {"hotel": "🏨"}, id="c1", title="Book a room")
            call.output({"room": None}, preliminary=True)
            done = {**head, "state": "output-available", "input": {"hotel": "🏨"}}
            assert call_of(run) == {**done, "output": {"room": None}, "preliminary": True}
            call.output({"room": 7})
            assert call_of(run) == {**done, "output": {"room": 7}}
        await session.wait_saved()
    assert hub.document.messages[0].to_json()["parts"] == [{**done, "output": {"room": 7}}]


async def test_what_is_buffered_of_an_input_does_not_come_after_it(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="planner") as session,
        session.run(batch_ms=60_000) as run,
    ):
        run.text("I book. ")
        call = run.tool("book", streaming=True)
        for token in ('{"nights', '": 2}'):
            call.grow(token)
        call.ready({"nights": 2})
        run.text("Wait. ", id="t")
        run.text("Please", id="t")
        assert run.edits() == []
        assert run.message is not None
        assert [part.get("rawInput") for part in run.message.to_json()["parts"]] == [None, None, None]


async def test_a_text_beside_an_input_that_streams_leaves_it_open(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run(batch_ms=0) as run:
        call = run.tool("book", streaming=True)
        call.grow('{"nights')
        run.text("I book")
        call.grow('": 2}')
        [part] = calls(session)
        assert (part["state"], part["rawInput"]) == ("input-streaming", '{"nights": 2}')


async def test_a_call_can_be_of_a_tool_that_is_known_at_run_time_or_of_the_provider(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:
        run.tool("search", {"q": 1}, id="c1", dynamic=True, provider_executed=True).output([])
        assert call_of(run) == {
            "type": "dynamic-tool",
            "toolName": "search",
            "toolCallId": "c1",
            "providerExecuted": True,
            "state": "output-available",
            "input": {"q": 1},
            "output": [],
        }


async def test_a_call_fails_or_is_denied_with_a_reason(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:
        run.tool("book", streaming=True).error("The model wrote no JSON.")
        assert (call_of(run)["state"], call_of(run)["errorText"]) == ("output-error", "The model wrote no JSON.")
        run.tool("book", ROOM).deny("Too expensive")
        part = call_of(run)
        assert (part["state"], part["approval"]["approved"], part["approval"]["reason"]) == (
            "output-denied",
            False,
            "Too expensive",
        )


async def test_the_id_of_a_call_is_used_once(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:
        run.tool("book", ROOM, id="c1").output(1)
        with pytest.raises(InvalidValue, match="used once"):
            run.tool("book", ROOM, id="c1")
        with pytest.raises(InvalidValue, match="streaming"):
            run.tool("book", ROOM, streaming=True)
        first, second = run.tool("book"), run.tool("book")
        assert (first.id, second.id) == (f"{run.id}-1", f"{run.id}-2")


async def asked(session: Session) -> str:
    """The id of the open question."""

    def found() -> str | None:
        questions = session.approvals.to_json()
        return next((id_ for id_, question in questions.items() if "decision" not in question), None)

    await until(found)
    return found() or ""


async def test_people_change_the_input_of_a_call_before_they_approve_it(server: Server):
    states: list[str] = []
    async with (
        joined(server, "anna", "member") as anna,
        joined(server, "vera", "viewer") as vera,
        joined(server, "planner", "agent") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await until(lambda: planner.me.capabilities is not None)
        with vera.document.observe(lambda _: states.extend(part["state"] for part in calls(vera)), "messages"):
            async with planner.run() as run:
                call = run.tool("book", ROOM)
                asking = asyncio.ensure_future(call.ask("Book this room?", seconds=600))
                question = await asked(anna)
                approval = anna.approvals.get(question)
                assert approval is not None
                assert (approval.tool_call, approval.value) == (call.id, ROOM)
                await until(lambda: [part.get("approval") for part in calls(anna)] == [{"id": question}])
                approval.shared["value"]["nights"] = 3
                anna.vote(question, "approved", {**ROOM, "nights": 3})
                decision = await asking
                assert (decision.status, decision.approved) == ("approved", True)
                assert (decision.value, decision.by) == ({**ROOM, "nights": 3}, ("anna",))
                assert call_of(run)["state"] == "approval-responded"
                await planner.wait_saved()
                call.output({"room": 7})
            await planner.wait_saved()
            done = {
                "type": "tool-book",
                "toolCallId": call.id,
                "state": "output-available",
                "input": {**ROOM, "nights": 3},
                "output": {"room": 7},
                "approval": {"id": question, "approved": True},
            }
            await until(lambda: calls(vera) == [done])
    assert list(dict.fromkeys(states)) in (
        ["input-available", "approval-requested", "approval-responded", "output-available"],
        ["approval-requested", "approval-responded", "output-available"],
    )


async def test_a_call_that_people_reject_is_denied(server: Server):
    async with (
        joined(server, "anna", "member") as anna,
        joined(server, "planner", "agent") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        asking = asyncio.ensure_future(run.tool("book", ROOM).ask("Book?", participants=["anna"], key="book"))
        question = await asked(anna)
        anna.vote(question, "rejected")
        decision = await asking
        assert (decision.status, decision.approved) == ("rejected", False)
        assert call_of(run)["state"] == "output-denied"
        assert call_of(run)["approval"] == {"id": question, "approved": False}
        late = await run.tool("book", ROOM).ask("Book?", seconds=0.2)
        assert late.status == "expired"
        assert call_of(run)["state"] == "output-denied"
        assert call_of(run)["approval"]["reason"] == "No decision was made in time."
        with pytest.raises(InvalidValue, match="list of ids"):
            await run.tool("book", ROOM).ask("Book?", participants="anna")
        await planner.wait_saved()


async def test_a_cancel_ends_the_wait_for_an_approval_of_a_call(server: Server):
    async with (
        joined(server, "olga", "operator") as olga,
        joined(server, "planner", "agent") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        async with planner.run() as run:
            call = run.tool("book", ROOM)
            waiting = asyncio.ensure_future(asked(olga))
            waiting.add_done_callback(lambda _: olga.cancel(run.id, "no"))
            with pytest.raises((RunCancelled, asyncio.CancelledError)):
                await call.ask("Book?")
            run.text("I stop.", after_cancel=True)
        await planner.wait_saved()
        await until(lambda: [part["state"] for part in calls(olga)] == ["output-denied"])


async def test_the_next_process_finds_the_approval_of_a_call(hub: Hub):
    """The first process is gone after it has asked: the part and the question are all that is left of it."""
    hub.document.messages.append("user", [{"type": "text", "text": "Book"}], id="m1", author="anna", created_at=AT)
    record = hub.document.runs.start("r1", agent="planner", started_at=AT, reply_to="m1", client=7)
    waiting = {"type": "tool-book", "toolCallId": "r1-1", "state": "approval-requested", "input": ROOM}
    hub.document.messages.append(
        "assistant",
        [{"type": "text", "text": "A room. "}, {**waiting, "approval": {"id": "r1/1"}}],
        id="a1",
        author="planner",
        created_at=AT,
        status="streaming",
        run="r1",
    )
    record.add_message("a1")
    question = hub.document.approvals.ask("r1/1", question="?", created_at=AT, run="r1", tool_call="r1-1", value=ROOM)
    question.decide("approved", by=["anna"], at=AT, value={**ROOM, "nights": 3})
    record.set_status("lost")
    async with connect(hub.url, session="trip", participant="planner") as planner, asyncio.timeout(60):
        async with planner.run(reply_to=await anext(planner.prompts())) as run:
            run.resume()
            call = run.tool("book", ROOM)
            assert isinstance(call, ToolCall)
            decision = await call.ask("Book?")
            assert decision.value == {**ROOM, "nights": 3}
            call.output(7)
        await planner.wait_saved()
    [part] = [part for part in hub.document.messages[1].to_json()["parts"] if "toolCallId" in part]
    assert (part["toolCallId"], part["state"], part["input"], part["output"]) == (
        "r1-1",
        "output-available",
        {**ROOM, "nights": 3},
        7,
    )
