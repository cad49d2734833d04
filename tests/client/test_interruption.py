"""A cancel or a takeover at the `await` at which the handler of a worker waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from client.hub import Hub, until

from cosession.client import AgentRun, Session, connect
from cosession.client.run_lifecycle import interruptible
from cosession.errors import RunCancelled, RunLost

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


@pytest.fixture
async def session(hub: Hub) -> AsyncIterator[Session]:
    async with connect(hub.url, "trip", participant="planner") as session, asyncio.timeout(60):
        yield session


async def handle(session: Session, handler: Callable[[AgentRun], Awaitable[None]]) -> AgentRun:
    """Do with a prompt as a worker does."""

    async def work() -> None:
        await handler(run)

    async with session.run() as run:
        await interruptible(run, work())
    await session.wait_saved()
    return run


async def cancel(hub: Hub, run: AgentRun) -> None:
    """Let a participant cancel a run, once the server has it."""
    await until(lambda: hub.document.runs.get(run.id))
    record = hub.document.runs.get(run.id)
    assert record is not None
    record.record_cancel(by="anna", at=AT, reason="enough")


async def wait_in_a_timeout() -> None:
    async with asyncio.timeout(60):
        await asyncio.Event().wait()


async def wait_for_a_task() -> None:
    await asyncio.wait_for(asyncio.Event().wait(), 60)


async def wait_for_several() -> None:
    await asyncio.gather(asyncio.Event().wait(), asyncio.Event().wait())


@pytest.mark.parametrize(
    "wait",
    [asyncio.Event().wait, wait_in_a_timeout, wait_for_a_task, wait_for_several],
    ids=["event", "timeout", "wait_for", "gather"],
)
async def test_a_handler_that_waits_hears_by_whom_its_run_was_cancelled(
    hub: Hub, session: Session, wait: Callable[[], Awaitable[object]]
):
    before = asyncio.all_tasks()
    heard: list[RunCancelled] = []

    async def answer(run: AgentRun) -> None:
        run.text("To Lisbon")
        await session.wait_saved()
        asking = asyncio.create_task(cancel(hub, run))
        try:
            await wait()
        except RunCancelled as cancelled:
            heard.append(cancelled)
            await asking  # what follows is not interrupted again
            run.text(f", no: {cancelled.reason}", after_cancel=True)
            raise

    run = await handle(session, answer)
    record = hub.document.runs.get(run.id)
    assert record is not None
    assert record.status == "cancelled"
    assert [(cancelled.by, cancelled.reason) for cancelled in heard] == [("anna", "enough")]
    assert hub.document.messages[0].text == "To Lisbon, no: enough"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert asyncio.all_tasks() <= before


async def test_a_cancel_ends_a_task_group_of_a_handler_with_its_tasks(hub: Hub, session: Session):
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def answer(run: AgentRun) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait("one"))
            tasks.create_task(cancel(hub, run))
            await wait("body")

    run = await handle(session, answer)
    record = hub.document.runs.get(run.id)
    assert record is not None
    assert record.status == "cancelled"
    assert sorted(ended) == ["body", "one"]


async def test_a_handler_that_ends_after_a_cancel_has_been_cancelled_all_the_same(hub: Hub, session: Session):
    async def answer(run: AgentRun) -> None:
        asking = asyncio.create_task(cancel(hub, run))
        with pytest.raises(RunCancelled):
            await asyncio.Event().wait()
        await asking

    run = await handle(session, answer)
    record = hub.document.runs.get(run.id)
    assert record is not None
    assert record.status == "cancelled"


async def test_a_handler_that_waits_hears_that_another_process_has_its_run(hub: Hub, session: Session):
    async def answer(run: AgentRun) -> None:
        await session.wait_saved()
        record = hub.document.runs.get(run.id)
        assert record is not None
        record.set_status("lost")
        record.hand_over(99, [record.client])
        with pytest.raises(RunLost, match="Another process"):
            await asyncio.Event().wait()
        raise RunLost

    run = await handle(session, answer)
    record = hub.document.runs.get(run.id)
    assert record is not None
    assert (record.status, record.client) == ("running", 99)


async def test_a_cancellation_from_outside_is_no_cancel_of_the_run(hub: Hub, session: Session):
    began = asyncio.Event()
    heard: list[BaseException] = []

    async def answer(run: AgentRun) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            heard.append(error)
            raise

    task = asyncio.ensure_future(handle(session, answer))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [isinstance(error, RunCancelled) for error in heard] == [False]


async def test_what_a_handler_raises_and_what_it_waits_for_pass_through(hub: Hub, session: Session):
    async def answer(run: AgentRun) -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        assert await asyncio.to_thread(lambda: 7) == 7
        failing = loop.create_future()
        loop.call_soon(failing.set_exception, OSError("no route"))
        with pytest.raises(OSError, match="no route"):
            await failing
        raise ValueError("the model fell over")

    with pytest.raises(ValueError, match="the model fell over"):
        await handle(session, answer)
    await session.wait_saved()
    assert [(run.status, run.error) for run in hub.document.runs] == [("error", "the model fell over")]
