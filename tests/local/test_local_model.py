"""A real language model on this machine, streamed by the demo's agent to a stock Yjs client that watches."""

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from processes import ROOT, NodeClient, Server, eventually

pytestmark = pytest.mark.anyio

FIRST_WORDS_SECONDS = 120.0
"""Loading the weights and reading the prompt, on a slow machine."""


@pytest.fixture
def anyio_backend() -> str:
    """asyncio: it is what the agent and the clients run on."""
    return "asyncio"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server whose sessions name the demo's agent, as `cosession demo` does."""
    return start_server(agents="assistant")


@contextlib.asynccontextmanager
async def local_agent(server: Server) -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo's agent with the local model, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chat.agent", "--url", server.url, "--model", "local"), cwd=ROOT / "demo"
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


async def test_a_real_model_answers_word_by_word_in_a_stock_client(server: Server) -> None:
    async with local_agent(server) as agent, NodeClient.open(server, "local", user="ann", name="Ann") as ann:
        await ann.ask("setPresence", state={"user": {}})
        await ann.ask(
            "message", id="m1", role="user", text="Tell me in three sentences what an octopus eats.", author="ann"
        )
        states: list[tuple[str, str]] = []

        async def answered() -> dict[str, Any] | None:
            assert agent.returncode is None, "the agent has ended"
            messages = await ann.ask("array", root="messages")
            if len(messages) < 2:
                return None
            message = messages[1]
            text = "".join(part["text"] for part in message["parts"] if part["type"] == "text")
            if not states or states[-1][0] != text:
                states.append((text, message["metadata"]["status"]))
            return message if message["metadata"]["status"] != "streaming" else None

        message = await eventually(answered, "the model's answer", FIRST_WORDS_SECONDS)

        assert message["role"] == "assistant"
        assert message["metadata"]["status"] == "complete"
        grown = [text for text, _status in states]
        assert len(grown) >= 5, "it came in many pieces"
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(grown)), "it only grew"
        assert len(grown[-1].split()) >= 5
        print(f"\n{message['metadata']['author']}: {grown[-1]}")
        runs = await ann.ask("map", root="runs")
        (run,) = runs.values()
        assert run["status"] == "complete"
        assert run["reply_to"] == "m1"
        assert run["messages"] == [message["id"]]


async def test_a_real_model_is_stopped_while_it_writes(server: Server) -> None:
    async with local_agent(server), NodeClient.open(server, "local", user="ann", name="Ann") as ann:
        await ann.ask("setPresence", state={"user": {}})
        await ann.ask("message", id="m1", role="user", text="Count from one to two hundred, in words.", author="ann")

        async def writing() -> str | None:
            messages = await ann.ask("array", root="messages")
            text = messages[1]["parts"][0]["text"] if len(messages) > 1 and messages[1]["parts"] else ""
            return messages[1]["metadata"]["run"] if len(text.split()) >= 3 else None

        run = await eventually(writing, "the first words", FIRST_WORDS_SECONDS)
        await ann.ask("set", root="requests", key=f"cancel/{run}/ann", value={"reason": "enough"})

        async def stopped() -> bool:
            runs = await ann.ask("map", root="runs")
            return runs[run]["status"] == "cancelled"

        await eventually(stopped, "the end of the run")
        runs = await ann.ask("map", root="runs")
        assert runs[run]["cancel"]["by"] == "ann"
        assert runs[run]["cancel"]["reason"] == "enough"
        assert await ann.ask("map", root="requests") == {}
