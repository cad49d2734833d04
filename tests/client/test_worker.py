"""A worker against the real server: it is handed prompts of sessions that it isn't in, does them and leaves."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from client.hub import Hub, until
from faults.worker import ANSWER
from forks import Forked
from processes import PATIENCE_SECONDS, TESTS, Server
from websockets.asyncio.server import ServerConnection, serve

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import AgentRun, CheckpointStore, Handler, RawHandler, Session, Worker, connect
from cosession.client import worker as worker_module
from cosession.client.errand import Errand, ErrandSession
from cosession.document import Message
from cosession.errors import Disconnected, InvalidValue, RunLost

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path, lease_grace_seconds=1, begin_seconds=2, unload_after_seconds=1, agents='["flights"]')
    server.start()
    yield server
    server.close()


def worker_of(url: str, answer: Handler, **more: int) -> Worker:
    worker = Worker("flights", url=url, **more)
    worker.handler(answer)
    return worker


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[Worker]:
    """A worker that is there for the length of a block."""
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(PATIENCE_SECONDS):
        working = tasks.create_task(worker.run())
        yield worker
        working.cancel()


def working(server: Server, answer: Handler, **more: int) -> AbstractAsyncContextManager[Worker]:
    return running(worker_of(server.url, answer, **more))


def working_raw(server: Server, answer: RawHandler) -> AbstractAsyncContextManager[Worker]:
    worker = Worker("flights", url=server.url)
    worker.raw_handler(answer)
    return running(worker)


def said(run: AgentRun) -> str:
    """The text of the prompt."""
    assert run.prompt is not None
    return run.prompt.text


async def echo(run: AgentRun) -> None:
    run.text(f"{said(run)}!")


async def echo_raw(session: Session, prompt: Message) -> None:
    async with session.run(reply_to=prompt) as run:
        await echo(run)


def answers(session: Session) -> list[str]:
    return [
        message.text for message in session.messages if message.role == "assistant" and message.status == "complete"
    ]


async def test_a_worker_answers_in_a_session_that_it_never_joined_by_itself(server: Server):
    async with working(server, echo), connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("to Oslo")
        await until(lambda: answers(ada) == ["to Oslo!"])
        assert {run.status for run in ada.runs} == {"complete"}
        await until(lambda: not ada.presence.others())


async def test_what_was_asked_while_no_worker_was_there_is_answered_when_one_comes(server: Server):
    for number in range(5):
        async with connect(server.url, session=f"trip{number}", participant="ada", kind="human") as ada:
            await ada.send(f"to Oslo {number}")
    server.restart()
    async with working(server, echo, concurrency=2):
        for number in range(5):
            async with connect(server.url, session=f"trip{number}", participant="ada", kind="human") as ada:
                await until(lambda ada=ada, number=number: answers(ada) == [f"to Oslo {number}!"])


async def test_no_more_are_answered_at_a_time_than_it_said(server: Server):
    most, now, gate = 0, 0, asyncio.Event()

    async def count(run: AgentRun) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await gate.wait()
        await echo(run)
        now -= 1

    async with working(server, count, concurrency=2):
        for number in range(5):
            async with connect(server.url, session=f"trip{number}", participant="ada", kind="human") as ada:
                await ada.send("hi")
        await until(lambda: now == 2)
        gate.set()
        for number in range(5):
            async with connect(server.url, session=f"trip{number}", participant="ada", kind="human") as ada:
                await until(lambda ada=ada: answers(ada) == ["hi!"])
    assert most == 2


async def test_a_handler_that_fails_has_failed_once_and_the_next_prompt_is_answered(server: Server):
    async def fail(run: AgentRun) -> None:
        if said(run) == "bad":
            raise RuntimeError("no such flight")
        run.text("good")

    async with working(server, fail), connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("bad")
        await until(lambda: [(run.status, run.error) for run in ada.runs] == [("error", "no such flight")])
        await ada.send("good")
        await until(lambda: sorted(run.status for run in ada.runs) == ["complete", "error"])


async def test_a_handler_that_fails_before_it_has_begun_a_run_has_failed_once_as_well(server: Server):
    calls: list[str] = []

    async def fail(session: Session, prompt: Message) -> None:
        calls.append(prompt.text)
        if prompt.text == "bad":
            raise RuntimeError("no such flight")
        await echo_raw(session, prompt)

    async with working_raw(server, fail), connect(server.url, session="trip", participant="ada", kind="human") as ada:
        bad = await ada.send("bad")
        await until(lambda: [run.status for run in ada.runs] == ["error"])
        [run] = ada.runs
        assert (run.reply_to, run.error) == (bad.id, "no such flight")
        await ada.send("good")
        await until(lambda: answers(ada) == ["good!"])
    assert calls == ["bad", "good"]


async def test_a_prompt_that_a_handler_passes_over_is_offered_again(server: Server):
    passed: list[str] = []

    async def pass_twice(session: Session, prompt: Message) -> None:
        if len(passed) < 2:
            passed.append(prompt.text)
        else:
            await echo_raw(session, prompt)

    async with (
        working_raw(server, pass_twice),
        connect(server.url, session="trip", participant="ada", kind="human") as ada,
    ):
        await ada.send("to Oslo")
        await until(lambda: answers(ada) == ["to Oslo!"])
    assert passed == ["to Oslo", "to Oslo"]


@pytest.mark.parametrize(("steady_seconds", "growing"), [(60.0, True), (0.0, False)])
async def test_pauses_grow_until_a_connection_has_lasted(
    monkeypatch: pytest.MonkeyPatch, steady_seconds: float, growing: bool
):
    monkeypatch.setattr(worker_module, "STEADY_SECONDS", steady_seconds)
    attempts: list[int] = []
    seen = asyncio.Event()

    def note(attempt: int) -> float:
        attempts.append(attempt)
        if len(attempts) == 5:
            seen.set()
        return 0.0

    async def leave(socket: ServerConnection) -> None:
        await socket.send("[" * 100_000)
        await socket.close(1011)

    monkeypatch.setattr(worker_module, "retry_delay", note)
    async with (
        serve(leave, "127.0.0.1", 0) as useless,
        asyncio.timeout(PATIENCE_SECONDS),
        asyncio.TaskGroup() as tasks,
    ):
        port = useless.sockets[0].getsockname()[1]
        working = tasks.create_task(worker_of(f"http://127.0.0.1:{port}", echo).run())
        await seen.wait()
        working.cancel()
    assert attempts[:5] == ([0, 1, 2, 3, 4] if growing else [0] * 5)


def test_a_program_that_the_server_refuses_says_why(tmp_path: Path):
    server = Server(tmp_path, auth_secret="s" * 32)
    server.start()
    try:
        with pytest.raises(Disconnected, match="token"):
            worker_of(server.url, echo).main()
    finally:
        server.close()


async def test_who_drains_finishes_what_it_has_and_leaves_the_rest_to_others(server: Server):
    began, gate = asyncio.Event(), asyncio.Event()

    async def slow(run: AgentRun) -> None:
        began.set()
        await gate.wait()
        run.text("slow")

    async with connect(server.url, session="trip", participant="ada", kind="human") as ada:
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(PATIENCE_SECONDS):
            worker = worker_of(server.url, slow)
            working_on = tasks.create_task(worker.run())
            await ada.send("one")
            await began.wait()
            draining = tasks.create_task(worker.drain())
            await ada.send("two")
            gate.set()
            await draining
            await working_on
            await until(lambda: answers(ada) == ["slow"])
        async with working(server, echo):
            await until(lambda: answers(ada) == ["slow", "two!"])


async def test_a_drain_has_a_time_after_which_the_rest_is_cancelled(server: Server):
    began = asyncio.Event()

    async def wait(run: AgentRun) -> None:
        began.set()
        await asyncio.Event().wait()

    worker = worker_of(server.url, wait)
    async with connect(server.url, "trip", participant="ada", kind="human") as ada, running(worker):
        await ada.send("wait")
        await began.wait()
        await worker.drain(timeout_seconds=0.05)
        await until(lambda: [run.status for run in ada.runs] == ["cancelled"])


async def test_one_that_waits_for_people_does_not_keep_others_waiting(server: Server):
    async def ask(run: AgentRun) -> None:
        if said(run) == "ask":
            decision = await run.ask("Book it?")
            run.text(decision.status)
        else:
            run.text("done")

    async with (
        working(server, ask, concurrency=1),
        connect(server.url, session="one", participant="ada", kind="human") as one,
        connect(server.url, session="two", participant="ada", kind="human") as two,
    ):
        await one.send("ask")
        await until(lambda: [run.status for run in one.runs] == ["suspended"])
        await two.send("other")
        await until(lambda: answers(two) == ["done"])
        [(approval, _)] = one.document.approvals
        one.vote(approval, "approved")
        await until(lambda: answers(one) == ["approved"])


async def test_a_worker_survives_a_restart_of_the_server_in_the_middle_of_its_work(server: Server):
    began, gate = asyncio.Event(), asyncio.Event()

    async def slow(run: AgentRun) -> None:
        run.text("half ")
        began.set()
        await gate.wait()
        run.text("whole")

    async with working(server, slow), connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("one")
        await began.wait()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        gate.set()
        await until(lambda: answers(ada) == ["half whole"])
        assert [(run.status, run.epoch) for run in ada.runs] == [("complete", 1)]
        await ada.send("two")
        await until(lambda: answers(ada) == ["half whole", "half whole"])


async def test_only_an_agent_gets_its_own_work(tmp_path: Path):
    server = Server(tmp_path, auth_secret="s" * 32)
    server.start()
    try:
        with pytest.raises(Disconnected, match="token") as refused:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await worker_of(server.url, echo).run()
        assert refused.value.close == 4401
    finally:
        server.close()


async def test_a_cancelled_run_of_a_handler_is_no_failure(server: Server):
    began = asyncio.Event()

    async def wait(run: AgentRun) -> None:
        if said(run) != "wait":
            return await echo(run)
        began.set()
        return await asyncio.Event().wait()

    async with working(server, wait), connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("wait")
        await began.wait()
        await until(lambda: len(list(ada.runs)) == 1)
        [run] = ada.runs
        ada.cancel(run.id, "enough")
        await until(lambda: run.status == "cancelled")
        await ada.send("go on")
        await until(lambda: answers(ada) == ["go on!"])


@pytest.mark.parametrize("fresh", [False, True], ids=["token", "function"])
async def test_a_worker_without_a_name_works_as_its_token_says(tmp_path: Path, fresh: bool):
    secret = "s" * 32
    server = Server(tmp_path, auth_secret=secret, agents='["flights"]')
    server.start()
    member, given = (
        mint(
            {"sub": sub, "kind": kind, "role": role, "sessions": ["*"], "exp": int(time.time() + 600)},
            secret_keys(secret)[0],
        )
        for sub, kind, role in (("ada", "human", "member"), ("flights", "agent", "agent"))
    )
    try:
        worker = Worker(url=server.url, token=(lambda: given) if fresh else given)
        worker.handler(echo)
        assert worker.agent == ("" if fresh else "flights")
        async with (
            running(worker),
            connect(server.url, session="trip", participant="ada", kind="human", token=member) as ada,
        ):
            await ada.send("to Oslo")
            await until(lambda: answers(ada) == ["to Oslo!"])
            assert worker.agent == "flights"
    finally:
        server.close()


@asynccontextmanager
async def joined(
    hub: Hub, errand: Errand, checkpoints: CheckpointStore | None = None
) -> AsyncIterator[ErrandSession]:
    session = ErrandSession(
        errand,
        agent="planner",
        name="Planner",
        url=hub.url,
        token=None,
        on_suspended=lambda _: None,
        checkpoints=checkpoints,
    )
    async with session.join(PATIENCE_SECONDS):
        yield session


async def test_what_a_worker_was_handed_is_taken_if_it_is_still_its_own(hub: Hub):
    parts = [{"type": "text", "text": "Where to?"}]
    for name in ("m1", "m2", "m3"):
        hub.document.messages.append("user", parts, id=name, author="anna", created_at=AT)
    hub.document.claims.grant("prompt/m1", by="planner", client=77, epoch=1, at=AT)
    hub.document.claims.grant("prompt/m3", by="planner", client=78, epoch=1, at=AT)
    hub.document.runs.start("r2", agent="planner", started_at=AT, reply_to="m2", client=79, epoch=2)
    async with joined(hub, Errand("trip", "m1", None, 77, 1)) as session:
        assert session.document.doc.client_id == 77
        assert session.take() is not None
    async with joined(hub, Errand("trip", "m3", None, 77, 1)) as session:
        assert session.take() is None
    async with joined(hub, Errand("trip", "m2", "r2", 79, 2)) as session:
        adopted = session.take()
        assert adopted is not None
        async with session.run(reply_to=adopted) as run:
            assert (run.id, run.adopted) == ("r2", True)
        assert session.take() is None


class Store:
    """A store of checkpoints, and the answer that the session had at each save."""

    def __init__(self, seen: Callable[[], str]) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.answers: list[str] = []
        self._seen = seen

    async def load(self, run: str) -> dict[str, Any] | None:
        await asyncio.sleep(0)
        return self.kept.get(run)

    async def save(self, run: str, value: dict[str, Any] | None) -> None:
        await asyncio.sleep(0)
        self.answers.append(self._seen())
        if value is None:
            self.kept.pop(run, None)
        else:
            self.kept[run] = value


async def test_a_checkpoint_is_saved_behind_the_answer_and_found_by_the_next_process(hub: Hub):
    parts = [{"type": "text", "text": "Where to?"}]
    hub.document.messages.append("user", parts, id="m1", author="anna", created_at=AT)
    record = hub.document.runs.start("r1", agent="planner", started_at=AT, reply_to="m1", client=77)
    store = Store(lambda: hub.document.messages[-1].text)
    async with joined(hub, Errand("trip", "m1", "r1", 77, 1), store) as session:
        prompt = session.take()
        async with session.run(reply_to=prompt) as run:
            assert run.checkpoint is None
            run.text("To Lisbon")
            await run.save_checkpoint({"city": "Lisbon"})
            assert run.checkpoint == {"city": "Lisbon"}
            mine = session.runs.get("r1")
            assert mine is not None
            mine.hand_over(78, [77])
            with pytest.raises(RunLost):
                await run.save_checkpoint({"city": "nowhere"})
    assert store.kept == {"r1": {"city": "Lisbon"}}
    assert store.answers == ["To Lisbon"]
    async with joined(hub, Errand("trip", "m1", "r1", 78, 2), store) as session:
        async with session.run(reply_to=session.take()) as run:
            assert (run.adopted, run.checkpoint) == (True, {"city": "Lisbon"})
            run.text("To Porto")
            await run.save_checkpoint({"city": "Porto"})
        assert store.kept == {"r1": {"city": "Porto"}}
    assert store.kept == {}
    assert record.status == "complete"


async def test_a_worker_forgets_the_checkpoint_of_a_run_that_has_ended(server: Server):
    store = Store(str)

    async def plan(run: AgentRun) -> None:
        await run.save_checkpoint({"step": 1})
        await run.save_checkpoint(None)
        with pytest.raises(InvalidValue):
            await run.save_checkpoint({"step": object()})
        await run.save_checkpoint({"step": 2})
        if said(run) == "bad":
            raise RuntimeError("no such flight")

    worker = Worker("flights", url=server.url, checkpoints=store)
    worker.handler(plan)
    async with running(worker), connect(server.url, "trip", participant="ada", kind="human") as ada:
        for text in ("good", "bad"):
            await ada.send(text)
        await until(lambda: sorted(run.status for run in ada.runs) == ["complete", "error"])
        await until(lambda: not store.kept and len(store.answers) == 8)


async def test_a_run_without_a_store_has_no_checkpoint(server: Server):
    async with connect(server.url, "trip", participant="planner") as planner, planner.run() as run:
        with pytest.raises(InvalidValue, match="store"):
            await run.save_checkpoint({})


@pytest.fixture
def process(server: Server) -> Iterator[Forked]:
    """A worker process that takes its time between two words."""
    with server.log.with_name("worker.log").open("ab") as log:
        process = Forked(TESTS / "faults" / "worker.py", server.url, "0.5", stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait()


async def test_the_first_signal_lets_a_worker_finish(server: Server, process: Forked):
    async with connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("count")
        await until(lambda: [run.status for run in ada.runs] == ["running"])
        process.send_signal(signal.SIGTERM)
        await until(lambda: answers(ada) == [ANSWER])
        await until(lambda: process.poll() == 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_the_second_signal_ends_a_worker_and_the_next_one_resumes_its_run(
    server: Server, process: Forked, number: signal.Signals
):
    async with connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("count")
        await until(lambda: ada.messages and ada.messages[-1].text == "one ")
        process.send_signal(number)
        await until(lambda: ada.messages[-1].text == "one two ")
        process.send_signal(number)
        await until(lambda: process.poll() == -number)
        assert [run.status for run in ada.runs] in (["running"], ["lost"])
        async with working(server, echo):
            await until(lambda: answers(ada) == ["count!"])
        assert [(run.status, run.epoch) for run in ada.runs] == [("complete", 2)]


def test_a_worker_has_an_address_an_agent_and_one_handler():
    with pytest.raises(ValueError, match="address"):
        Worker("flights", url="nowhere")
    with pytest.raises(ValueError, match="one prompt"):
        Worker("flights", url="http://localhost:1", concurrency=0)
    with pytest.raises(ValueError, match="Name the agent"):
        Worker(url="http://localhost:1")
    worker = Worker("flights", url="http://localhost:1")
    with pytest.raises(RuntimeError, match="no handler"):
        worker.main()
    assert worker.handler(echo) is echo
    with pytest.raises(ValueError, match="has a handler"):
        worker.raw_handler(echo_raw)
