"""A shared session among participants who don't trust each other, over real sockets: who may what, and who lies."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from people import SECRET, token
from processes import Server, eventually
from pycrdt import Map
from wire import Wire

from cosession.client import Session, connect
from cosession.document import SessionDocument
from cosession.protocol import Notice

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server that knows people by tokens, with a session in it."""
    return start_server(auth_secret=SECRET)


async def message(wire: Wire, id_: str, author: str) -> None:
    """Write a message as any Yjs client could."""
    document = SessionDocument(wire.doc)
    parts = [{"type": "text", "text": f"I am {author}"}]
    await wire.edit(lambda _: document.messages.append("user", parts, id=id_, author=author, created_at=AT))


async def test_who_lies_is_closed_with_the_reason_and_nobody_sees_it(server: Server) -> None:
    async with (
        Wire.open(server, "trip", ext=1, token=token("ada", "member")) as ada,
        Wire.open(server, "trip", ext=1, token=token("eve", "member")) as eve,
        Wire.open(server, "trip", ext=1, token=token("vi", "viewer")) as viewer,
    ):
        await message(ada, "m1", "ada")
        await ada.fence()
        await message(eve, "e1", "ada")
        code, reason = await eve.wait_closed()
        assert code == 4403
        assert "messages/*/metadata/author" in reason
        (notice,) = [frame for frame in eve.frames if isinstance(frame, Notice)]
        assert (notice.code, notice.touched) == ("auth.forbidden", "messages/*/metadata/author")
        await message(viewer, "v1", "vi")
        assert (await viewer.wait_closed())[0] == 4403
        await ada.fence()
        async with Wire.open(server, "trip", ext=1, token=token("late", "viewer")) as late:
            seen = SessionDocument(late.doc).messages
            assert [found.id for found in seen] == ["m1"]
            assert [(found.stamp or {}).get("by") for found in seen] == ["ada"]


@asynccontextmanager
async def answered(
    server: Server, words: list[str], after: Callable[[int], Awaitable[None]]
) -> AsyncGenerator[tuple[Session, Session, Session]]:
    """A member, an agent that has answered them in these words, all saved, and a viewer."""
    async with (
        connect(server.url, session="trip", participant="ada", token=token("ada", "member")) as ada,
        connect(server.url, session="trip", participant="bot", kind="agent", token=token("bot", "agent")) as bot,
        connect(server.url, session="trip", participant="vi", token=token("vi", "viewer")) as viewer,
    ):
        await ada.send("Tell me")
        async for prompt in bot.prompts():
            async with bot.run(reply_to=prompt) as run:
                for number, word in enumerate(words):
                    run.text(word)
                    await after(number)
            break
        await bot.wait_saved()
        yield ada, bot, viewer


async def test_an_agent_answers_a_member_and_a_viewer_reads_along(server: Server) -> None:
    words = [f"word{number} " for number in range(200)]
    async with answered(server, words, lambda _: asyncio.sleep(0)) as (_, _, viewer):

        def answer() -> Any:
            return next((found for found in viewer.messages if found.role == "assistant"), None)

        found = await eventually(lambda: answer() and answer().status == "complete" and answer(), "the whole answer")
        assert found.text == "".join(words)
        assert [(each.stamp or {}).get("by") for each in viewer.messages] == ["ada", "bot"]


async def test_a_killed_server_loses_no_words_of_those_who_may_not_write_everything(server: Server) -> None:
    words = [f"word{number} " for number in range(300)]

    async def kill_now_and_then(number: int) -> None:
        await asyncio.sleep(0.005)
        if number in (100, 200):
            server.kill()
            server.start()

    async with answered(server, words, kill_now_and_then) as people:

        def whole(session: Session) -> bool:
            answers = [found for found in session.messages if found.role == "assistant"]
            return [found.text for found in answers] == ["".join(words)] and answers[0].status == "complete"

        for session in people:
            await eventually(lambda session=session: whole(session), "the whole answer, once")
            assert [found.text for found in session.messages if found.role == "user"] == ["Tell me"]


async def test_a_title_of_megabytes_is_short_in_a_list(start_server: Callable[..., Server]) -> None:
    server = start_server()
    async with Wire.open(server, "trip", ext=1) as wire:
        await wire.edit(lambda doc: doc.get("meta", type=Map).update({"title": "Oslo " * 400_000}))
        await wire.fence()
        for query in ({}, {"occupied": "1"}):
            async with httpx.AsyncClient(base_url=server.url, params=query) as http:

                async def listed(http: httpx.AsyncClient = http) -> str:
                    return (await http.get("/sessions")).json()["sessions"][0]["title"]

                await eventually(listed, "a title in the list")
                assert await listed() == ("Oslo " * 400_000)[:1000]
