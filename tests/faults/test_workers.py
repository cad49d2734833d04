"""Workers and their server are killed under load: no prompt is lost, and none is answered twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.worker import ANSWER
from forks import Forked
from processes import TESTS, Server, eventually

from cosession.client import connect
from cosession.document.values import JsonObject

pytestmark = pytest.mark.anyio

SESSIONS = 10
PROMPTS = 6


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, lease_grace_seconds=1, begin_seconds=5, max_attempts=50, agents='["flights"]')
    server.start()
    yield server
    server.close()


@pytest.fixture
def workers(server: Server) -> Iterator[list[Forked]]:
    """Three worker processes."""
    running = [_start(server) for _ in range(3)]
    yield running
    for worker in running:
        worker.kill()
        worker.wait()


def _start(server: Server) -> Forked:
    with server.log.with_name("workers.log").open("ab") as log:
        return Forked(TESTS / "faults" / "worker.py", server.url, "0.03", stdout=log, stderr=log)


async def _ask(server: Server, number: int) -> None:
    """Ask something again and again, as a person who doesn't wait for the answer."""
    async with connect(server.url, session=f"trip{number}", participant="ada", kind="human") as ada:
        for _ in range(PROMPTS):
            await ada.send("count")
            await asyncio.sleep(random.Random(number).random() / 2)
        await ada.wait_saved()


async def _kill_some(server: Server, workers: list[Forked], seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(6):
        await asyncio.sleep(0.3 + chance.random())
        victim = chance.randrange(len(workers))
        workers[victim].kill()
        await asyncio.to_thread(workers[victim].wait)
        workers[victim] = _start(server)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def _outcome(server: Server, number: int) -> JsonObject:
    async with connect(server.url, session=f"trip{number}", participant="ada", kind="human") as ada:
        return ada.document.to_json()


async def test_every_prompt_has_one_answer_whichever_worker_dies_and_the_server_too(
    server: Server, workers: list[Forked]
):
    async with asyncio.TaskGroup() as tasks:
        for number in range(SESSIONS):
            tasks.create_task(_ask(server, number))
        tasks.create_task(_kill_some(server, workers, 7))

    for number in range(SESSIONS):

        async def is_done(number: int = number) -> JsonObject | None:
            found = await _outcome(server, number)
            prompts = {message["id"] for message in found["messages"] if message["role"] == "user"}
            answered = {run["reply_to"] for run in found["runs"].values() if run["status"] == "complete"}
            return found if len(prompts) == PROMPTS and prompts == answered else None

        found = await eventually(is_done, f"all prompts of trip{number} answered", seconds=60)
        runs = [run for run in found["runs"].values() if run["status"] != "cancelled"]
        assert Counter(run["reply_to"] for run in runs) == Counter({run["reply_to"] for run in runs})
        assert {run["status"] for run in runs} == {"complete"}
        for message in found["messages"]:
            assert message["metadata"]["status"] == "complete" or message["metadata"].get("deleted")
        words = {message["id"]: _text(message) for message in found["messages"] if message["role"] == "assistant"}
        assert {words[id_] for run in runs for id_ in run["messages"] if id_ in words} == {ANSWER}


def _text(message: JsonObject) -> str:
    return "".join(part.get("text", "") for part in message["parts"] if part["type"] == "text")
