"""A worker against the real server: it is handed prompts of sessions that it isn't in, does them and leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from client.hub import until
from processes import PATIENCE_SECONDS, Server
from websockets.asyncio.server import ServerConnection, serve

from cosession.client import Handler, Session, Worker, connect
from cosession.client import worker as worker_module
from cosession.document import Message
from cosession.errors import Disconnected

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path, lease_grace_seconds=1, begin_seconds=2, unload_after_seconds=1, agents='["flights"]')
    server.start()
    yield server
    server.close()


@asynccontextmanager
async def working(server: Server, handler: Handler, **more: int) -> AsyncIterator[Worker]:
    """A worker that is there for the length of a block."""
    worker = Worker("flights", handler, url=server.url, **more)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(PATIENCE_SECONDS):
        running = tasks.create_task(worker.run())
        yield worker
        running.cancel()


async def echo(session: Session, prompt: Message) -> None:
    async with session.run(reply_to=prompt) as run:
        run.text(f"{prompt.text}!")


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

    async def count(session: Session, prompt: Message) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await gate.wait()
        await echo(session, prompt)
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
    async def fail(session: Session, prompt: Message) -> None:
        async with session.run(reply_to=prompt) as run:
            if prompt.text == "bad":
                raise RuntimeError("no such flight")
            run.text("good")

    async with working(server, fail), connect(server.url, session="trip", participant="ada", kind="human") as ada:
        await ada.send("bad")
        await until(lambda: [run.status for run in ada.runs] == ["error"])
        await ada.send("good")
        await until(lambda: sorted(run.status for run in ada.runs) == ["complete", "error"])


async def test_a_handler_that_fails_before_it_has_begun_a_run_has_failed_once_as_well(server: Server):
    calls: list[str] = []

    async def fail(session: Session, prompt: Message) -> None:
        calls.append(prompt.text)
        if prompt.text == "bad":
            raise RuntimeError("no such flight")
        await echo(session, prompt)

    async with working(server, fail), connect(server.url, session="trip", participant="ada", kind="human") as ada:
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
            await echo(session, prompt)

    async with (
        working(server, pass_twice),
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
        running = tasks.create_task(Worker("flights", echo, url=f"http://127.0.0.1:{port}").run())
        await seen.wait()
        running.cancel()
    assert attempts[:5] == ([0, 1, 2, 3, 4] if growing else [0] * 5)


def test_a_program_that_the_server_refuses_says_why(tmp_path: Path):
    server = Server(tmp_path, auth_secret="s" * 32)
    server.start()
    try:
        with pytest.raises(Disconnected, match="token"):
            Worker("flights", echo, url=server.url).main()
    finally:
        server.close()


async def test_who_drains_finishes_what_it_has_and_leaves_the_rest_to_others(server: Server):
    began, gate = asyncio.Event(), asyncio.Event()

    async def slow(session: Session, prompt: Message) -> None:
        async with session.run(reply_to=prompt) as run:
            began.set()
            await gate.wait()
            run.text("slow")

    async with connect(server.url, session="trip", participant="ada", kind="human") as ada:
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(PATIENCE_SECONDS):
            worker = Worker("flights", slow, url=server.url)
            running = tasks.create_task(worker.run())
            await ada.send("one")
            await began.wait()
            draining = tasks.create_task(worker.drain())
            await ada.send("two")
            gate.set()
            await draining
            await running
            await until(lambda: answers(ada) == ["slow"])
        async with working(server, echo):
            await until(lambda: answers(ada) == ["slow", "two!"])


async def test_one_that_waits_for_people_does_not_keep_others_waiting(server: Server):
    async def ask(session: Session, prompt: Message) -> None:
        async with session.run(reply_to=prompt) as run:
            if prompt.text == "ask":
                decision = await run.ask("Book it?")
                run.text(decision.decision)
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

    async def slow(session: Session, prompt: Message) -> None:
        async with session.run(reply_to=prompt) as run:
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
                await Worker("flights", echo, url=server.url).run()
        assert refused.value.close == 4401
    finally:
        server.close()


def test_a_worker_needs_an_address_and_does_one_thing_at_least():
    with pytest.raises(ValueError, match="address"):
        Worker("flights", echo, url="nowhere")
    with pytest.raises(ValueError, match="one prompt"):
        Worker("flights", echo, url="http://localhost:1", concurrency=0)
