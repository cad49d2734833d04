"""A run: its life in the document, and how a cancel reaches a body that is busy elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from client.hub import Hub, until

from cosession.client import Session, Step, connect
from cosession.client import answer_stream as answer_module
from cosession.client.transport import MERGE_SECONDS
from cosession.document import Message, Part
from cosession.errors import Disconnected, InvalidValue, RunCancelled
from cosession.protocol import SyncUpdate

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


@pytest.fixture
async def session(hub: Hub) -> AsyncIterator[Session]:
    async with connect(hub.url, session="trip", participant="planner", name="Planner") as session:
        yield session


def cancel(hub: Hub, run: str, reason: str = "enough") -> None:
    record = hub.document.runs.get(run)
    assert record is not None
    record.record_cancel(by="anna", at=AT, reason=reason)


def cancel_here(session: Session, run: str) -> None:
    """Record a cancel in the agent's own replica, as if it came in this moment."""
    record = session.runs.get(run)
    assert record is not None
    record.record_cancel(by="anna", at=AT)


def answer(hub: Hub) -> Message:
    [message] = [message for message in hub.document.messages if message.role == "assistant"]
    return message


def written(hub: Hub) -> str | None:
    """What the hub has of the answer so far."""
    return next((message.text for message in hub.document.messages if message.role == "assistant"), None)


async def arrived(hub: Hub, run: str) -> None:
    await until(lambda: hub.document.runs.get(run))


async def test_a_run_streams_one_message_and_ends_complete(hub: Hub, session: Session):
    prompt = await session.send("Where to?")
    async with session.run(reply_to=prompt, task="Looking at maps") as run:
        run.text("To ")
        await arrived(hub, run.id)
        agent = hub.document.agents.get("planner")
        assert agent is not None
        assert (agent.run, agent.task) == (run.id, "Looking at maps")
        assert agent.status in {"thinking", "working"}
        await until(lambda: written(hub))
        assert answer(hub).status == "streaming"
        run.text("Lisbon 🌊.")
    await session.wait_saved()

    record = hub.document.runs.get(run.id)
    assert record is not None
    assert (record.status, record.reply_to, record.messages) == ("complete", prompt.id, [answer(hub).id])
    assert record.task == "Looking at maps"
    assert (answer(hub).text, answer(hub).status, answer(hub).author) == ("To Lisbon 🌊.", "complete", "planner")
    assert [part.to_json() for part in answer(hub).parts] == [
        {"type": "text", "text": "To Lisbon 🌊.", "state": "done"}
    ]
    assert answer(hub).run == run.id
    agent = hub.document.agents.get("planner")
    assert agent is not None
    assert (agent.status, agent.run) == ("idle", None)


async def test_many_tokens_make_few_updates(hub: Hub, session: Session):
    began = asyncio.get_running_loop().time()
    async with session.run() as run:
        for number in range(2_000):
            run.text(f"{number} ")
            if number % 50 == 0:
                await asyncio.sleep(0)
    await session.wait_saved()
    seconds = asyncio.get_running_loop().time() - began

    assert answer(hub).text == "".join(f"{number} " for number in range(2_000))
    assert hub.count(SyncUpdate) < 20 + seconds / MERGE_SECONDS


async def test_a_run_changes_the_document_seldom_however_many_tokens_come(hub: Hub, session: Session):
    async with session.run(batch_ms=50) as run:
        run.text("first ")
        changes: list[bytes] = []
        subscription = session.document.doc.observe(lambda event: changes.append(event.update))
        began = asyncio.get_running_loop().time()
        for _ in range(200):
            run.text("word ")
            await asyncio.sleep(0.001)
        seconds = asyncio.get_running_loop().time() - began
        session.document.doc.unobserve(subscription)

    assert len(changes) <= seconds / 0.05 + 2


async def test_a_token_does_not_wait_for_the_next_one(hub: Hub, session: Session):
    async with session.run(batch_ms=20) as run:
        run.text("a")
        run.text("b")
        await until(lambda: written(hub) == "ab")


async def test_parts_keep_their_order_when_kinds_alternate(hub: Hub, session: Session):
    async with session.run() as run:
        run.reasoning("Let me ")
        run.reasoning("think.")
        run.text("I look it up.")
        call = run.tool("search", {"q": "hotels"}, id="c1")
        call.output(["Ritz"])
        run.text("The ")
        run.text("Ritz.")
    await session.wait_saved()

    assert [part.to_json() for part in answer(hub).parts] == [
        {"type": "reasoning", "text": "Let me think.", "state": "done"},
        {"type": "text", "text": "I look it up.", "state": "done"},
        {
            "type": "tool-search",
            "toolCallId": "c1",
            "state": "output-available",
            "input": {"q": "hotels"},
            "output": ["Ritz"],
        },
        {"type": "text", "text": "The Ritz.", "state": "done"},
    ]


async def test_progress_is_in_the_document(hub: Hub, session: Session):
    async with session.run() as run:
        run.progress("Comparing hotels", 3, 10)
        await arrived(hub, run.id)
        record = hub.document.runs.get(run.id)
        assert record is not None
        await until(lambda: record.progress == {"label": "Comparing hotels", "done": 3, "total": 10})
        agent = hub.document.agents.get("planner")
        assert agent is not None
        assert agent.progress == record.progress
    await session.wait_saved()
    assert agent.progress is None


async def test_a_cancel_interrupts_a_body_that_waits_for_something_else(hub: Hub, session: Session):
    async with asyncio.timeout(60):
        async with session.run() as run:
            run.text("I was about to ")
            await arrived(hub, run.id)
            cancel(hub, run.id)
            await asyncio.Event().wait()
    await session.wait_saved()

    record = hub.document.runs.get(run.id)
    assert record is not None
    assert record.status == "cancelled"
    assert (answer(hub).text, answer(hub).status) == ("I was about to ", "cancelled")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancel_is_raised_at_the_next_step_with_who_and_why(hub: Hub, session: Session):
    caught: list[RunCancelled] = []
    async with session.run() as run:
        await arrived(hub, run.id)
        cancel(hub, run.id, "too slow")
        try:
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                run.text("more")
            except RunCancelled as error:
                caught.append(error)
            raise

    assert [(error.by, error.reason) for error in caught] == [("anna", "too slow")]


async def test_a_body_that_never_waits_learns_of_a_cancel_by_its_steps(hub: Hub, session: Session):
    steps = 0
    async with session.run() as run:
        cancel_here(session, run.id)
        for _ in range(10):
            run.check()
            steps += 1
    assert steps == 0


async def test_after_the_step_has_raised_clean_up_is_not_interrupted(hub: Hub, session: Session):
    cleaned = False
    async with session.run() as run:
        cancel_here(session, run.id)
        try:
            run.check()
        finally:
            await asyncio.sleep(0.01)
            cleaned = True
    assert cleaned


async def test_a_cancellation_from_outside_stays_one(hub: Hub, session: Session):
    started = asyncio.Event()
    runs: list[str] = []

    async def agent() -> None:
        async with session.run() as run:
            runs.append(run.id)
            run.text("half")
            started.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(agent())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await session.wait_saved()

    record = hub.document.runs.get(runs[0])
    assert record is not None
    assert record.status == "cancelled"
    assert answer(hub).status == "cancelled"


async def test_a_cancellation_from_outside_stays_one_even_together_with_a_cancel(hub: Hub, session: Session):
    started = asyncio.Event()
    after = False

    async def agent() -> None:
        nonlocal after
        async with session.run() as run:
            cancel_here(session, run.id)
            started.set()
            await asyncio.Event().wait()
        after = True

    task = asyncio.ensure_future(agent())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not after


async def test_a_timeout_around_a_run_stays_a_timeout(hub: Hub, session: Session):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), session.run():
            await asyncio.Event().wait()


async def test_a_cancel_that_reaches_a_task_group_of_the_body_ends_at_the_border(hub: Hub, session: Session):
    async def tokens(run_text: str) -> None:
        while True:
            run.text(run_text)
            await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        async with session.run() as run, asyncio.TaskGroup() as tasks:
            tasks.create_task(tokens("a"))
            tasks.create_task(tokens("b"))
            await arrived(hub, run.id)
            cancel(hub, run.id)

    await session.wait_saved()
    assert answer(hub).status == "cancelled"


async def test_a_cancel_of_one_run_leaves_the_next_alone(hub: Hub, session: Session):
    async with session.run() as first:
        await arrived(hub, first.id)
        cancel(hub, first.id)
        await asyncio.wait_for(asyncio.Event().wait(), 60)
    async with session.run() as second:
        await asyncio.sleep(0.01)
        second.text("fine")
    await session.wait_saved()

    record = hub.document.runs.get(second.id)
    assert record is not None
    assert record.status == "complete"


async def test_a_cancel_of_an_outer_run_goes_through_the_inner_one(hub: Hub, session: Session):
    reached: list[str] = []
    async with asyncio.timeout(60):
        async with session.run() as outer:
            async with session.run() as inner:
                cancel_here(session, outer.id)
                outer.check()
            reached.append("after the inner run")
        reached.append("after the outer run")
    await session.wait_saved()

    assert reached == ["after the outer run"]
    assert [record.status for record in hub.document.runs] == ["cancelled", "cancelled"]
    mine = hub.document.runs.get(inner.id)
    assert mine is not None
    assert mine.cancel is None


async def test_an_exception_marks_run_and_message_and_goes_on(hub: Hub, session: Session):
    with pytest.raises(ValueError, match="the model fell over"):  # noqa: PT012 - the run's border is what is tested
        async with session.run() as run:
            run.text("Half an ans")
            raise ValueError("the model fell over")
    await session.wait_saved()

    record = hub.document.runs.get(run.id)
    assert record is not None
    assert (record.status, record.error) == ("error", "the model fell over")
    assert (answer(hub).text, answer(hub).status) == ("Half an ans", "error")
    agent = hub.document.agents.get("planner")
    assert agent is not None
    assert agent.status == "idle"


async def test_steers_are_given_once_and_marked_as_seen(hub: Hub, session: Session):
    async with session.run() as run:
        assert run.steers() == []
        await arrived(hub, run.id)
        record = hub.document.runs.get(run.id)
        assert record is not None
        record.record_steer("s1", by="anna", text="cheaper", at=AT)
        record.record_steer("s2", by="ben", text="nearer", at=AT)
        mine = session.document.runs.get(run.id)
        assert mine is not None
        await until(lambda: len(mine.steers) == 2)

        assert [(steer.by, steer.text) for steer in run.steers()] == [("anna", "cheaper"), ("ben", "nearer")]
        assert run.steers() == []
        await session.wait_saved()
        assert record.seen == ["s1", "s2"]


async def test_a_run_waits_for_the_next_steer_and_each_is_given_once(hub: Hub, session: Session):
    async with asyncio.timeout(60):
        async with session.run() as run:
            waiting = [asyncio.ensure_future(run.next_steer()) for _ in range(2)]
            await arrived(hub, run.id)
            record = hub.document.runs.get(run.id)
            assert record is not None
            for number in range(3):
                record.record_steer(f"s{number}", by="anna", text="cheaper", at=AT)
            given = [(await each).id for each in waiting]
            mine = session.document.runs.get(run.id)
            assert mine is not None
            await until(lambda: len(mine.steers) == 3)
            assert sorted(given) == ["s0", "s1"]
            assert [steer.id for steer in run.steers()] == ["s2"]
            asyncio.get_running_loop().call_soon(cancel_here, session, run.id)
            await run.next_steer()
            pytest.fail("the run was cancelled")
    await session.wait_saved()
    assert sorted(record.seen) == ["s0", "s1", "s2"]
    assert record.status == "cancelled"


async def test_a_message_deleted_while_it_streams_stays_deleted(hub: Hub, session: Session):
    async with session.run(batch_ms=0) as run:
        call = run.tool("search", {"q": "hotels"})
        run.text("Something wrong")
        await until(lambda: written(hub))
        answer(hub).delete(at=AT)
        mine = run.message
        assert mine is not None
        await until(lambda: mine.deleted)
        run.text(" and more")
        call.output("found")
        run.tool("book").error("sold out")
    await session.wait_saved()

    assert answer(hub).deleted
    assert answer(hub).parts == []


async def test_a_message_taken_out_of_the_list_while_it_streams_is_not_written_to(hub: Hub, session: Session):
    async with session.run(batch_ms=0) as run:
        run.text("Something wrong")
        await until(lambda: written(hub))
        hub.document.messages.shared.clear()
        await until(lambda: len(session.messages) == 0)
        run.text(" and more")
        run.reasoning("Hm.")
        run.tool("search")
    await session.wait_saved()

    assert len(hub.document.messages) == 0
    record = hub.document.runs.get(run.id)
    assert record is not None
    assert record.status == "complete"


async def test_a_run_goes_on_through_a_break_of_the_network(hub: Hub, session: Session):
    async with session.run() as run:
        run.text("before, ")
        await arrived(hub, run.id)
        await hub.stop()
        await until(lambda: session.status == "offline")
        run.text("during, ")
        await hub.start()
        await until(lambda: session.status == "online")
        run.text("after")
    await session.wait_saved()

    assert answer(hub).text == "before, during, after"


async def test_a_run_of_a_session_that_is_over_ends_at_its_next_step(hub: Hub):
    with pytest.raises(Disconnected, match=r"^The session was deleted"):  # noqa: PT012 - the borders are what is tested
        async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:
            hub.refusal = (4410, "The session was deleted.")
            hub.cut()
            await until(lambda: session.status == "closed")
            run.text("into the void")


async def test_a_run_is_used_inside_its_block_only(hub: Hub, session: Session):
    async with session.run() as run:
        pass
    with pytest.raises(RuntimeError, match="async with"):
        run.text("late")


async def test_a_run_that_writes_nothing_leaves_no_message(hub: Hub, session: Session):
    async with session.run() as run:
        run.check()
    await session.wait_saved()

    assert [message.id for message in hub.document.messages] == []
    record = hub.document.runs.get(run.id)
    assert record is not None
    assert record.status == "complete"


async def test_a_steer_that_another_client_wrote_without_an_id_is_passed_over(hub: Hub, session: Session):
    async with session.run() as run:
        await arrived(hub, run.id)
        record = hub.document.runs.get(run.id)
        assert record is not None
        record.shared["steers"].append({"text": "nobody's"})
        record.record_steer("s1", by="anna", text="cheaper", at=AT)
        mine = session.document.runs.get(run.id)
        assert mine is not None
        await until(lambda: mine.steers)

        assert [steer.id for steer in run.steers()] == ["s1"]


async def test_an_emoji_that_is_cut_in_two_between_tokens_is_put_together(hub: Hub, session: Session):
    async with session.run() as run:
        for token in ("hello ", "sea \ud83c", "\udf0a", " and", " sun \u2600", "\ufe0f \ud83d"):
            run.text(token)
    await session.wait_saved()

    assert answer(hub).text == "hello sea \U0001f30a and sun \u2600\ufe0f \ufffd"  # the last half had no other


@pytest.mark.parametrize("token", ["\udf0a", None, b"bytes", 7], ids=repr)
async def test_a_token_that_is_no_text_ends_the_run_and_loses_nothing_before_it(
    hub: Hub, session: Session, token: str
):
    with pytest.raises(InvalidValue):  # noqa: PT012 - the run's border is what is tested
        async with session.run() as run:
            run.text("hello ")
            run.text("kept words ")
            run.text(token)
    await session.wait_saved()

    record = hub.document.runs.get(run.id)
    assert record is not None
    assert record.status == "error"
    assert (answer(hub).text, answer(hub).status) == ("hello kept words ", "error")


async def test_half_a_character_in_the_middle_ends_the_run_and_loses_nothing_before_it(hub: Hub, session: Session):
    with pytest.raises(InvalidValue, match="half of a surrogate pair"):  # noqa: PT012 - the run's border
        async with session.run() as run:
            for token in ("hello ", "kept words ", "\ud83d", "end"):
                run.text(token)
    await session.wait_saved()

    assert (answer(hub).text, answer(hub).status) == ("hello kept words ", "error")


@pytest.mark.parametrize("batch_ms", [10, 60_000])
async def test_a_write_that_fails_behind_the_bodys_back_is_raised_from_the_run(
    hub: Hub, session: Session, monkeypatch: pytest.MonkeyPatch, batch_ms: int
):
    failed = False

    def fail(self: Part, text: str) -> None:
        nonlocal failed
        failed = True
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the run's border is what is tested
        async with session.run(batch_ms=batch_ms) as run:
            run.text("hello ")
            monkeypatch.setattr(Part, "grow", fail)
            run.text("lost")
            if batch_ms < 1000:
                await until(lambda: failed)
                with pytest.raises(ZeroDivisionError):
                    run.check()
    await session.wait_saved()

    record = hub.document.runs.get(run.id)
    assert record is not None
    assert (record.status, answer(hub).status) == ("error", "error")


async def test_a_token_waits_thirty_milliseconds_for_others_unless_told_otherwise(
    session: Session, monkeypatch: pytest.MonkeyPatch
):
    loop, delays = asyncio.get_running_loop(), list[float]()
    later = loop.call_later

    def note(delay: float, callback: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        delays.append(delay)
        return later(delay, callback, *arguments)

    async with session.run() as run:
        monkeypatch.setattr(answer_module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
        run.text("first ")
        monkeypatch.setattr(loop, "call_later", note)
        run.text("second ")
        run.text("third ")
        monkeypatch.undo()

    assert delays == [pytest.approx(0.03)]


class Silent(Exception):
    def __str__(self) -> str:
        return ""


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("the model is down"), "the model is down"),
        (Silent(), "Silent, without a word."),
        (Unreadable(), "Unreadable, without a word."),
        (RuntimeError("half of 🐙 is \ud83d"), "half of 🐙 is ?"),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [OSError("no route")])]), "no route"),
        (RuntimeError("x" * 100_000), "x" * 2000 + "…"),
    ],
)
async def test_a_run_that_fails_before_its_first_word_says_why_in_its_record(hub: Hub, error: Exception, said: str):
    async with connect(hub.url, session="trip", participant="planner") as session:
        question = await session.send("Where to?")
        with pytest.raises(type(error)):
            async with session.run(reply_to=question):
                raise error
        await session.wait_saved()
        [run] = hub.document.runs
        assert (run.status, run.error, run.reply_to) == ("error", said, question.id)


@pytest.mark.parametrize("error", [ValueError("\ud83d"), ValueError("x" * 100_000), Unreadable()])
async def test_a_step_is_tried_again_whatever_its_error_says(hub: Hub, error: Exception):
    async with connect(hub.url, session="trip", participant="bot") as session, session.run() as run:

        async def work(step: Step) -> int:
            if step.attempt == 1:
                raise error
            return step.attempt

        assert await run.step("look it up", work, attempts=2, pause_seconds=0) == 2


@pytest.mark.parametrize("how", ["complete", "error", "cancelled"])
async def test_no_tool_call_outlives_its_run(hub: Hub, how: str):
    async with connect(hub.url, session="trip", participant="planner") as session:
        with suppress(ZeroDivisionError):
            async with session.run() as run:
                run.tool("search", {"q": 1}, id="open")
                run.tool("search", {"q": 2}, id="done").output("found")
                message = run.message
                assert message is not None
                message.append_part({"type": "tool-book", "toolCallId": "typing", "state": "input-streaming"})
                asked = {"type": "tool-book", "toolCallId": "asked", "state": "approval-requested", "input": {}}
                message.append_part({**asked, "approval": {"id": "a1"}})
                if how == "error":
                    raise ZeroDivisionError
                if how == "cancelled":
                    await session.wait_saved()
                    record = hub.document.runs.get(run.id)
                    assert record is not None
                    record.record_cancel(by="ben", at="t")
                    await asyncio.Event().wait()
        await session.wait_saved()
        parts = {part["toolCallId"]: part for part in hub.document.messages[0].to_json()["parts"]}
        assert {id_: part["state"] for id_, part in parts.items()} == {
            "open": "output-error",
            "done": "output-available",
            "typing": "output-error",
            "asked": "output-denied",
        }
        assert parts["open"]["errorText"].startswith("The run")
