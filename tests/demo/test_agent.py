"""The demo's agent against a real server: it answers in every session, and obeys."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import ModuleType

import pytest
from processes import Server, eventually

from cosession.client import Session, connect

pytestmark = pytest.mark.anyio


class Dictated:
    """A model that says what the test dictates, word by word, and ends an answer at None.

    Attributes:
        asked: the conversations that it was given.
        closed: how many streams were closed.
    """

    name = "dictated"

    def __init__(self) -> None:
        self.asked: list[list[dict]] = []
        self.words: asyncio.Queue[str | None] = asyncio.Queue()
        self.closed = 0

    def say(self, *words: str | None) -> None:
        for word in words:
            self.words.put_nowait(word)

    async def stream(self, messages):
        self.asked.append(list(messages))
        try:
            while (word := await self.words.get()) is not None:
                if word == "fail":
                    raise RuntimeError("The model is out of order.")
                yield word
        finally:
            self.closed += 1


class Echo:
    """A model that repeats the question at once."""

    name = "echo"

    async def stream(self, messages):
        yield messages[-1]["content"]


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server whose sessions name the agent, as that of the demo."""
    return start_server(agents="assistant")


@contextlib.asynccontextmanager
async def attending(agent: ModuleType, server: Server, model: object) -> AsyncIterator[None]:
    """The agent at work beside the test."""
    task = asyncio.create_task(agent.make_worker(server.url, model).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def person(server: Server, session: str, name: str = "Ada"):
    return connect(server.url, session=session, participant=name.lower(), name=name, kind="human")


async def answer_of(session: Session, status: str, text: str | None = None):
    """Wait for an assistant's message of a status, and a text."""

    def found():
        for message in session.messages:
            if message.role == "assistant" and message.status == status and text in (None, message.text):
                return message
        return None

    return await eventually(found, f"an answer that is {status} and says {text}")


async def test_a_prompt_is_answered_in_every_session(agent: ModuleType, server: Server):
    async with person(server, "one") as one, person(server, "two") as two, attending(agent, server, Echo()):
        await one.send("first")
        await two.send("second")

        await answer_of(one, "complete", "first")
        await answer_of(two, "complete", "second")


async def test_a_stop_ends_the_model_at_once_and_keeps_what_was_written(agent: ModuleType, server: Server):
    model = Dictated()
    model.say("Once ", "upon ")
    async with person(server, "story") as session, attending(agent, server, model):
        await session.send("Tell me a story.")
        await answer_of(session, "streaming", "Once upon ")
        (run,) = session.runs.active()

        session.cancel(run.id)

        await answer_of(session, "cancelled", "Once upon ")
        await eventually(lambda: model.closed == 1, "the model's stream closed")
        assert not session.runs.active()


async def test_a_steer_reaches_the_model_with_what_it_had_said(agent: ModuleType, server: Server):
    model = Dictated()
    model.say("Lisbon ")
    async with person(server, "trip") as session, attending(agent, server, model):
        await session.send("Where to?")
        await answer_of(session, "streaming", "Lisbon ")
        (run,) = session.runs.active()

        session.steer(run.id, "somewhere cold")
        await eventually(lambda: model.say("or ") or len(model.asked) == 2, "the model asked again")
        model.say("Oslo", None)

        said, then = (await answer_of(session, "complete")).text.split("\n\n")
        assert said.startswith("Lisbon or ")
        assert then.endswith("Oslo")
        assert model.asked[1][-2] == {"role": "assistant", "content": said}
        assert model.asked[1][-1]["content"].endswith("Ada: somewhere cold")
        assert run.seen == [run.steers[0]["id"]]


async def test_a_model_that_fails_is_said_and_the_next_prompt_is_answered(agent: ModuleType, server: Server):
    model = Dictated()
    model.say("Well ", "fail")
    async with person(server, "broken") as session, attending(agent, server, model):
        await session.send("one")
        await answer_of(session, "error", "Well ")
        (run,) = list(session.runs)
        assert run.error == "The model is out of order."

        model.say("Better.", None)
        await session.send("two")
        await answer_of(session, "complete", "Better.")


async def test_names_are_told_where_several_people_write(agent: ModuleType, server: Server):
    async with person(server, "both") as ada, person(server, "both", "Bo") as bo:
        await ada.send("I like trains.")
        await eventually(lambda: len(bo.messages) == 1, "Ada's message at Bo's")
        model = Dictated()
        model.say(None, None)
        async with attending(agent, server, model):
            await eventually(lambda: len(model.asked) == 1, "Ada's prompt")
            await bo.send("I like ships.")
            await eventually(lambda: len(model.asked) == 2, "Bo's prompt")

    assert [message["content"] for message in model.asked[1][1:]] == ["Ada: I like trains.", "Bo: I like ships."]


async def test_a_second_process_of_the_agent_leaves_the_work_of_the_first_alone(agent: ModuleType, server: Server):
    model = Dictated()
    model.say("Once ")
    async with person(server, "both") as session, attending(agent, server, model):
        await session.send("one")
        await answer_of(session, "streaming", "Once ")
        async with attending(agent, server, model):
            await session.send("two")
            model.say("upon a time.", None, "The end.", None)
            await answer_of(session, "complete", "Once upon a time.")
            await answer_of(session, "complete", "The end.")
            assert [run.status for run in session.runs] == ["complete", "complete"]


async def test_a_run_that_an_earlier_process_left_open_is_taken_up_by_the_next(agent: ModuleType, server: Server):
    async with person(server, "left") as session:
        question = await session.send("Is anybody there?")
        async with connect(server.url, session="left", participant=agent.PARTICIPANT, kind="agent") as earlier:
            run = earlier.run(reply_to=await anext(earlier.prompts()))
            await run.__aenter__()  # and never left, as by a process that died
            run.text("Half an ans")
            await earlier.wait_saved()
        await answer_of(session, "error", "Half an ans")
        assert [run.status for run in session.runs] == ["lost"]

        async with attending(agent, server, Echo()):
            await answer_of(session, "complete", "Is anybody there?")
        [adopted] = session.runs
        assert (adopted.id, adopted.epoch, adopted.reply_to) == (run.id, 2, question.id)
        assert [message.text for message in session.messages] == ["Is anybody there?"] * 2
