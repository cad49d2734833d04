"""The agent of the guide, as a process: it streams, asks people, and says that it was stopped."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import ROOT, Server, eventually

pytestmark = pytest.mark.anyio

GUIDE = (ROOT / "src/docs/pages/guides/agents.md").read_text()

MODEL = """
import asyncio
from collections.abc import AsyncIterator
from typing import Any


def fresh_token() -> str:
    return ""


async def stream_answer(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    yield f"You asked: {messages[-1]['parts'][0]['text']}"
    while "wait" in messages[-1]["parts"][0]["text"]:
        await asyncio.sleep(0.05)
        yield "."


async def book(wanted: dict[str, Any]) -> str:
    return f"room 7 for {wanted['nights']} nights"
"""


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(agents="planner")


@asynccontextmanager
async def agent(server: Server, folder: Path) -> AsyncIterator[None]:
    code = re.findall(r"```python.*?\n(.*?)```", GUIDE, re.DOTALL)[0]
    (folder / "planner.py").write_text(code.replace("http://127.0.0.1:8765", server.url))
    (folder / "model.py").write_text(MODEL)
    process = await asyncio.create_subprocess_exec(sys.executable, folder / "planner.py")
    try:
        yield
    finally:
        process.kill()
        await process.wait()


class Trip:
    """The session, as a person without an SDK sees it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def say(self, text: str) -> None:
        (await self._http.post("/sessions/trip/messages", json={"text": text})).raise_for_status()

    async def post(self, path: str, **body: Any) -> None:
        (await self._http.post(f"/sessions/trip/{path}", json=body)).raise_for_status()

    async def see(self) -> dict[str, Any]:
        return (await self._http.get("/sessions/trip")).json()["document"]

    async def wait(self, condition: Callable[[dict[str, Any]], Any], what: str) -> Any:
        async def holds() -> Any:
            return condition(await self.see())

        return await eventually(holds, what)


@pytest.fixture
async def trip(server: Server) -> AsyncIterator[Trip]:
    async with httpx.AsyncClient(base_url=server.url) as http:
        await http.post("/sessions", json={"id": "trip"})
        yield Trip(http)


async def test_the_agent_of_the_guide_books_what_people_approve(server: Server, trip: Trip, tmp_path: Path) -> None:
    async with agent(server, tmp_path):
        await trip.say("Paris")
        [question] = await trip.wait(lambda document: list(document["approvals"]), "the question")
        await trip.post(f"approvals/{question}", decision="approved", value={"hotel": "Lutetia", "nights": 3})
        await trip.wait(
            lambda document: [run["status"] for run in document["runs"].values()] == ["complete"], "its end"
        )
    text, call = (await trip.see())["messages"][-1]["parts"]
    assert text["text"].startswith("You asked: ")
    assert text["text"].endswith(": Paris")
    assert (call["state"], call["output"]) == ("output-available", "room 7 for 3 nights")


async def test_the_agent_of_the_guide_takes_in_steers_and_says_that_it_was_stopped(
    server: Server, trip: Trip, tmp_path: Path
) -> None:
    async with agent(server, tmp_path):
        await trip.say("wait")
        [run] = await trip.wait(lambda document: list(document["runs"]), "the run")
        await trip.post(f"runs/{run}/steer", text="by train")
        await trip.wait(lambda document: "Noted: by train" in str(document["messages"]), "the steer")
        await trip.post(f"runs/{run}/cancel")
        await trip.wait(lambda document: document["runs"][run]["status"] == "cancelled", "its end")
    [part] = (await trip.see())["messages"][-1]["parts"]
    assert "Stopped by " in part["text"]
