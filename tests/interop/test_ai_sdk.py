"""The AI SDK's own Chat over its own HTTP transport, against a real server and a real agent."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from people import SECRET, token
from processes import NodeClient, Server, eventually

from cosession.client import AgentRun, connect

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def answering(
    server: Server, handle: Callable[[AgentRun], Any], secret: str | None = None
) -> AsyncIterator[None]:
    """An agent that answers each prompt of the session by a function."""

    async def work() -> None:
        async with connect(server.url, "trip", participant="bot", token=secret) as session:
            ready.set()
            async for prompt in session.prompts():
                async with session.run(reply_to=prompt) as run:
                    await handle(run)

    ready = asyncio.Event()
    task = asyncio.create_task(work())
    try:
        await asyncio.wait_for(ready.wait(), 30)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def chatting(server: Server, secret: str = "") -> AsyncIterator[NodeClient]:
    """A stock Chat of the session."""
    config = {"base": server.url, "session": "trip", "token": secret}
    async with NodeClient.running("chat.mjs", config) as chat:
        yield chat


async def shown(chat: NodeClient, text: str, status: str = "ready") -> dict[str, Any]:
    """Wait until the last message of a chat is this text, and return what the chat shows."""

    async def look() -> dict[str, Any] | None:
        seen = await chat.ask("shown")
        assert seen["error"] is None, seen
        last = seen["messages"][-1] if seen["messages"] else {"parts": []}
        words = "".join(part.get("text", "") for part in last["parts"])
        return seen if (words, seen["status"]) == (text, status) else None

    try:
        return await eventually(look, f"{text!r} in the chat")
    except AssertionError as error:
        raise AssertionError(f"{error}; it shows {await chat.ask('shown')}") from error


async def test_a_stock_chat_sends_and_reads_the_answer(server: Server) -> None:
    async def handle(run: AgentRun) -> None:
        run.reasoning("They want a city.")
        for word in ("Let us ", "go to ", "Lyon."):
            run.text(word)
            await run.session.wait_saved()

    async with answering(server, handle), chatting(server) as chat:
        await chat.ask("send", text="Where to?")
        seen = await shown(chat, "They want a city.Let us go to Lyon.")
        assert [message["role"] for message in seen["messages"]] == ["user", "assistant"]
        assert seen["messages"][1]["metadata"]["author"] == "bot"
        async with httpx.AsyncClient() as http:
            document = (await http.get(f"{server.url}/sessions/trip")).json()["document"]
        assert [message["id"] for message in document["messages"]] == [message["id"] for message in seen["messages"]]


async def test_another_device_resumes_and_stop_leaves_the_run_alone(server: Server) -> None:
    go_on = asyncio.Event()

    async def handle(run: AgentRun) -> None:
        run.text("half ")
        await go_on.wait()
        run.text("whole")

    async with answering(server, handle), chatting(server) as first, chatting(server) as second:
        await first.ask("send", text="Write.")
        await shown(first, "half ", "streaming")
        await second.ask("resume")
        await shown(second, "half ", "streaming")
        await first.ask("stop")
        go_on.set()
        await shown(second, "half whole")


async def test_nothing_to_resume_is_204(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        await http.post("/sessions", json={"id": "trip"})
        assert (await http.get("/ai/trip/stream")).status_code == 204


async def test_a_cancelled_run_ends_the_stream(server: Server) -> None:
    async def handle(run: AgentRun) -> None:
        run.text("never done")
        await asyncio.Event().wait()

    async with answering(server, handle), chatting(server) as chat:
        await chat.ask("send", text="Write.")
        await shown(chat, "never done", "streaming")
        async with httpx.AsyncClient(base_url=server.url) as http:
            runs = (await http.get("/sessions/trip")).json()["document"]["runs"]
            (run,) = runs
            assert (await http.post(f"/sessions/trip/runs/{run}/cancel")).status_code == 202
        await shown(chat, "never done")


async def test_a_vote_in_the_chat_decides_an_approval(start_server: Callable[..., Server]) -> None:
    server = start_server(auth_secret=SECRET)

    async def handle(run: AgentRun) -> None:
        call = run.tool("book", {"nights": 2})
        decision = await call.ask("Book it?")
        if decision.approved:
            call.output({"booked": decision.value["nights"]})
        run.text("Booked." if decision.approved else "Not booked.")

    agent = token("bot", "agent")
    async with answering(server, handle, agent), chatting(server, token("ann", "member")) as chat:
        await chat.ask("send", text="Book a room.")

        async def asked() -> str | None:
            messages = (await chat.ask("shown"))["messages"]
            parts = messages[-1]["parts"] if messages else []
            return next((part["approval"]["id"] for part in parts if part.get("state") == "approval-requested"), None)

        await chat.ask("vote", id=await eventually(asked, "the question"), approved=True)
        seen = await shown(chat, "Booked.")
        (call,) = [part for part in seen["messages"][-1]["parts"] if part["type"] == "tool-book"]
        assert (call["state"], call["output"], call["approval"]["approved"]) == (
            "output-available",
            {"booked": 2},
            True,
        )
        assert seen["called"] == [], "the agent's own call, which no page runs"


async def test_a_killed_server_loses_no_word_of_a_resumed_stream(server: Server) -> None:
    go_on = asyncio.Event()

    async def handle(run: AgentRun) -> None:
        run.text("before ")
        await go_on.wait()
        run.text("after")

    async with answering(server, handle), chatting(server) as chat:
        await chat.ask("send", text="Write.")
        await shown(chat, "before ", "streaming")
        server.kill()
        server.start()
        async with chatting(server) as again:
            await again.ask("resume")
            await shown(again, "before ", "streaming")
            go_on.set()
            await shown(again, "before after")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"messages": []}, 422),
        ({"id": "trip", "messages": [{"role": "user", "id": "m"}]}, 422),
        ({"id": "trip", "messages": [{"role": "user", "parts": []}]}, 422),
        ({"messages": [{"role": "user", "id": "m", "parts": []}]}, 422),
        ({"id": "trip", "trigger": "regenerate-message", "messages": [{}]}, 422),
        ({"id": "trip", "messages": [{"role": "assistant", "parts": []}]}, 404),
    ],
)
async def test_a_request_that_can_not_be_answered_says_why(server: Server, body: Any, status: int) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        await http.post("/sessions", json={"id": "trip"})
        answer = await http.post("/ai", json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["detail"]


async def test_each_event_is_sent_after_its_commit_and_ends_with_done(server: Server) -> None:
    async def handle(run: AgentRun) -> None:
        run.text("words")

    prompt = {"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    async with answering(server, handle), httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        async with http.stream("POST", "/ai/trip", json={"messages": [prompt]}) as answer:
            assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
            lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
        assert lines[-1] == "data: [DONE]"
        kinds = [json.loads(line[6:])["type"] for line in lines[:-1]]
        assert (kinds[0], kinds[-1]) == ("start", "finish")
        again = await http.post("/ai/trip", json={"messages": [prompt]})
        assert '"delta": "words"' in again.text
        document = (await http.get("/sessions/trip")).json()["document"]
        assert document["messages"][0]["id"] == "m-1"
        assert len(document["messages"]) == 2
