"""Dispatch: what waits is handed to workers that take more, once, and only when it is committed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from runtime.channels import open_hub, until

from cosession.auth import Participant
from cosession.document import Policy, SessionDocument
from cosession.errors import CosessionError
from cosession.room.decisions import Job
from cosession.runtime import Hub, RoomRuntime
from cosession.settings import Settings

pytestmark = pytest.mark.anyio

FLIGHTS = Participant("flights", "Flights", "agent")


class Worker:
    """A post whose jobs are looked at."""

    def __init__(self, credits: int = 0, *, sessions: str = "") -> None:  # noqa: A002 - the field's name
        self.agent = FLIGHTS
        self.credits = credits
        self.jobs: asyncio.Queue[Job] = asyncio.Queue()
        self.error: CosessionError | None = None
        self._sessions = sessions

    def may_work_in(self, session: str) -> bool:
        return session.startswith(self._sessions)

    def give(self, job: Job) -> None:
        self.jobs.put_nowait(job)

    def end(self, error: CosessionError) -> None:
        self.error = error

    async def next(self) -> Job:
        async with asyncio.timeout(60):
            return await self.jobs.get()


@pytest.fixture
async def hub(tmp_path: Path, settings: Settings) -> AsyncIterator[Hub]:
    async with open_hub(tmp_path, settings.model_copy(update={"lease_grace_seconds": 0.1})) as hub:
        yield hub


async def ask(hub: Hub, session: str, *ids: str) -> None:
    """Ask the agent something, in a session that is made for it."""
    await hub.create(session, policy=Policy(("flights",)))
    async with hub.room(session) as live:
        for id_ in ids:
            say(live, id_)
        await live.flush()


def say(live: RoomRuntime, id_: str) -> None:
    """Write a prompt into a session."""

    def write(document: SessionDocument) -> None:
        part = {"type": "text", "text": "hi"}
        document.messages.append("user", [part], id=id_, author="ada", created_at=live.now())

    live.edit(write, Participant("ada", "Ada"))


async def answer(hub: Hub, job: Job, *, status: str = "complete") -> None:
    async with hub.room(job.session) as live:

        def begin(document: SessionDocument) -> None:
            document.runs.start(
                job.message + ".r",
                agent="flights",
                started_at=live.now(),
                reply_to=job.message,
                client=job.client,
                status=status,
            )

        live.edit(begin, FLIGHTS)
        await live.flush()


@asynccontextmanager
async def all_unloaded(hub: Hub) -> AsyncIterator[None]:
    await until(lambda: not hub._slots)
    yield


async def test_what_arrives_is_handed_to_a_worker_that_takes_more_and_is_on_the_disk_by_then(hub: Hub):
    worker = Worker(credits=2)
    with hub.dispatch.open(worker):
        await ask(hub, "trip", "m1")
        job = await worker.next()
        assert (job.session, job.message, job.run) == ("trip", "m1", None)
        assert worker.credits == 1
        async with hub.room("trip") as live:
            claim = live.room.document.claims.get("prompt/m1")
            assert claim is not None
            assert (claim["by"], claim["client"], claim["epoch"]) == ("flights", job.client, job.epoch)
            assert live.room.committed_version >= job.epoch
        assert await hub.storage.work("flights") == ("trip",)


async def test_without_credits_nothing_is_handed_out(hub: Hub):
    worker = Worker()
    with hub.dispatch.open(worker) as queue:
        await ask(hub, "trip", "m1")
        async with hub.room("trip") as live:
            assert live.room.document.claims.to_json() == {}
        worker.credits = 1
        queue.ring()
        assert (await worker.next()).message == "m1"


async def test_sessions_that_sleep_are_found_when_a_worker_comes(tmp_path: Path, settings: Settings):
    async with open_hub(tmp_path, settings) as hub:  # whose grace outlasts the test: no job is handed out twice
        for number in range(20):
            await ask(hub, f"trip{number}", "m1")
        async with all_unloaded(hub):
            worker = Worker(credits=100)
            with hub.dispatch.open(worker):
                jobs = [await worker.next() for _ in range(20)]
    assert {job.session for job in jobs} == {f"trip{number}" for number in range(20)}
    assert worker.credits == 80


async def test_what_arrived_before_the_worker_and_is_not_committed_yet_is_handed_out(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    """A room says once that something can be taken, and the storage may hear of it later than it is asked."""

    async def nothing_yet(*_: object, **__: object) -> tuple[str, ...]:
        return ()

    await hub.create("trip", policy=Policy(("flights",)))
    async with hub.room("trip") as live:
        say(live, "m1")
        monkeypatch.setattr(hub.storage, "work", nothing_yet)
        worker = Worker(credits=1)
        with hub.dispatch.open(worker):
            assert (await worker.next()).message == "m1"


async def test_one_session_is_worked_in_by_one_at_a_time_and_many_by_many(hub: Hub):
    one, two = Worker(credits=1), Worker(credits=1)
    with hub.dispatch.open(one), hub.dispatch.open(two):
        await ask(hub, "trip", "m1", "m2")
        await ask(hub, "tour", "m1")
        jobs = [await one.next(), await two.next()]
        assert {(job.session, job.message) for job in jobs} == {("trip", "m1"), ("tour", "m1")}
        job = next(job for job in jobs if job.session == "trip")
        one.credits = 1
        await answer(hub, job)
        assert (await one.next()).message == "m2"


async def test_what_was_answered_is_nobodys_work_any_more(hub: Hub):
    worker = Worker(credits=1)
    with hub.dispatch.open(worker):
        await ask(hub, "trip", "m1")
        await answer(hub, await worker.next())
        assert await hub.storage.work("flights") == ()


async def test_what_a_worker_was_given_and_never_began_is_another_ones_when_it_goes(hub: Hub):
    one, two = Worker(credits=1), Worker()
    with hub.dispatch.open(two) as queue:
        with hub.dispatch.open(one):
            await ask(hub, "trip", "m1")
            first = await one.next()
        two.credits = 1
        queue.ring()
        again = await two.next()
        assert (again.session, again.message) == ("trip", "m1")
        assert again.client != first.client
        assert again.epoch > first.epoch


async def test_what_a_worker_gives_back_is_offered_again_after_a_rest(hub: Hub):
    worker = Worker(credits=1)
    with hub.dispatch.open(worker) as queue:
        await ask(hub, "trip", "m1")
        first = await worker.next()
        assert queue.was_given(worker, first.client, "trip")
        worker.credits = 1
        await queue.give_back({first.client: "trip"}, refused=True)
        assert (await worker.next()).client != first.client


async def test_a_run_whose_process_died_is_handed_on(hub: Hub):
    worker = Worker(credits=2)
    with hub.dispatch.open(worker):
        await ask(hub, "trip", "m1")
        job = await worker.next()
        await answer(hub, job, status="running")
        again = await worker.next()
        assert (again.message, again.run, again.epoch) == ("m1", "m1.r", 2)


async def test_a_worker_is_only_asked_where_it_may_work(hub: Hub):
    here, there = Worker(credits=9, sessions="here"), Worker(credits=1, sessions="there")
    with hub.dispatch.open(here), hub.dispatch.open(there):
        await ask(hub, "there", "m1")
        assert (await there.next()).session == "there"
        assert here.jobs.empty()


async def test_an_agent_with_workers_is_online_in_the_sessions_that_name_it(hub: Hub):
    await ask(hub, "trip", "m1")
    async with hub.room("trip") as live:
        worker = Worker()

        def is_online() -> bool:
            known = live.room.document.participants.get("flights")
            return known is not None and known.online

        assert not is_online()
        with hub.dispatch.open(worker):
            await until(is_online)
            agent = live.room.document.agents.get("flights")
            assert agent is not None
            assert agent.name == "Flights"
        await until(lambda: not is_online())


async def test_a_room_that_is_loaded_knows_of_the_workers_that_were_there_before(hub: Hub):
    await hub.create("trip", policy=Policy(("flights",)))
    async with all_unloaded(hub):
        with hub.dispatch.open(Worker()):
            async with hub.room("trip") as live:
                await until(lambda: live.room.document.participants.get("flights") is not None)


async def test_a_server_that_stops_sends_its_workers_away(tmp_path: Path, settings: Settings):
    async with open_hub(tmp_path, settings) as hub:
        worker = Worker(credits=1)

        async def work() -> None:
            with hub.dispatch.open(worker):
                await until(lambda: worker.error is not None)

        working = asyncio.create_task(work())
        await asyncio.sleep(0)
    assert worker.error is not None
    assert worker.error.code == "server.shutting_down"
    await working


async def test_a_prompt_that_no_agent_hears_is_in_the_log(hub: Hub, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "cosession"):
        await ask(hub, "trip", "m1")
        async with all_unloaded(hub):
            (record,) = [record for record in caplog.records if record.getMessage() == "prompt.unheard"]
    assert (vars(record)["session"], vars(record)["prompt"], vars(record)["agent"]) == ("trip", "m1", "flights")
