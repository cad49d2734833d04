"""A page of the JavaScript client against a server that knows people by tokens: the words that a refusal costs."""

import asyncio
import json
import secrets
import subprocess
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from client.hub import until
from client.relay import Relay
from processes import PATIENCE_SECONDS, Server, node_program

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import connect

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[1] / "node" / "lost.mjs"
SECRET = secrets.token_hex(32)

Ask = Callable[..., Any]


def token(subject: str, role: str) -> str:
    claims = {"sub": subject, "role": role, "sessions": ["trip"], "exp": int(time.time() + 600)}
    return mint(claims, secret_keys(SECRET)[0])


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(auth_secret=SECRET)


@asynccontextmanager
async def page(server: Server | Relay, subject: str, role: str) -> AsyncGenerator[Ask]:
    """A page; what it is asked is done in one turn, and answered by what it was told as refused."""
    process = await asyncio.create_subprocess_exec(
        node_program(),
        str(PAGE),
        server.url,
        "trip",
        token(subject, role),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def ask(*calls: list[Any]) -> Any:
        stdin.write(json.dumps(calls).encode() + b"\n")
        return json.loads(await stdout.readline())

    try:
        yield ask
    finally:
        process.kill()
        await process.wait()


async def test_a_page_is_told_only_the_words_that_were_refused_and_keeps_the_others(server: Server):
    async with asyncio.timeout(PATIENCE_SECONDS), page(server, "ann", "member") as ask:
        forged = {"role": "assistant"}
        told = await ask(["send", "before 🌊"], ["send", "forged 🦑", forged], ["send", "behind"])
        assert (told["close"], told["touched"], told["lost"]) == (4403, "messages/*/role", ["forged 🦑"])
        assert told["texts"] == ["before 🌊", "behind"]
        told = await ask(["setTitle", "A title"], ["send", "again", forged], ["state.set", "city", "Faro"])
        assert told["lost"] == ["again"]
        async with connect(server.url, session="trip", participant="ben", token=token("ben", "member")) as ben:
            assert [message.text for message in ben.messages] == ["before 🌊", "behind"]
            assert (ben.title, ben.state.get("city")) == ("A title", "Faro")


async def test_whatever_a_viewer_writes_in_a_page_is_told_with_its_words(server: Server):
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
    ):
        await ann.send("Anna's own", id="m1")
        await ann.wait_saved()
        async with page(server, "vic", "viewer") as ask:
            tries: list[tuple[list[Any], str, list[str]]] = [
                (["messages.edit", "m1", "Anna's own, and mine 🐙"], "messages", [", and mine 🐙"]),
                (["raw", "meta", "title", "Mine"], "meta", ["Mine"]),
                (["raw", "state", "trip", {"city": "Porto"}], "state", ["Porto"]),
            ]
            for call, root, lost in tries:
                told = await ask(call)
                assert (told["close"], told["touched"].split("/")[0], told["lost"]) == (4403, root, lost)
                assert told["texts"] == ["Anna's own"]


async def test_of_a_text_a_page_is_told_only_what_was_refused_and_not_what_was_taken_back(server: Server):
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
    ):
        await ann.send("Anna's", id="m1")
        await ann.wait_saved()
        async with page(server, "ben", "member") as ask:
            told = await ask(
                ["send", "mine", {"id": "m2"}],
                ["messages.edit", "m2", "mine 🌊, saved"],
                ["messages.edit", "m1", "Anna's, of Ben"],
                ["messages.edit", "m1", "Anna's, Ben"],
                ["state.set", "city", "Faro"],
            )
            assert (told["close"], told["lost"]) == (4403, [", Ben"])
            assert told["texts"] == ["Anna's", "mine 🌊, saved"]
            assert (ann.messages.get("m1") or ann.messages[0]).text == "Anna's"


async def test_a_refusal_whose_notice_was_lost_with_its_connection_is_told_at_the_next_one(server: Server):
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        Relay.open(server) as line,
        connect(server.url, session="trip", participant="ben", token=token("ben", "member")) as ben,
        page(line, "ann", "member") as ask,
    ):
        forged = {"role": "assistant"}
        assert (await ask(["send", "forged 🐙", forged]))["lost"] == ["forged 🐙"]
        line.is_deaf = True
        asking = asyncio.create_task(ask(["send", "fine"], ["send", "forged 🦑", forged]))
        await until(lambda: [message.text for message in ben.messages] == ["fine"])
        line.cut()
        line.is_deaf = False
        told = await asking
        assert (told["close"], told["touched"], told["lost"]) == (4403, "messages/*/role", ["forged 🦑"])
        assert told["texts"] == ["fine"]
