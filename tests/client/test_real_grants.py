"""The SDK against a server that knows people by tokens: what one may, what a refusal costs, renewals."""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from client.hub import until
from processes import PATIENCE_SECONDS, Server

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import Refusal, connect
from cosession.errors import Disconnected

pytestmark = pytest.mark.anyio

SECRET = secrets.token_hex(32)


def token(subject: str, role: str, seconds: float = 600, **claims: Any) -> str:
    said = {"sub": subject, "role": role, "sessions": ["trip"], "exp": int(time.time() + seconds), **claims}
    return mint(said, secret_keys(SECRET)[0])


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server that knows people by tokens, and gives them no second more than they have."""
    return start_server(auth_secret=SECRET, auth_leeway_seconds=0)


async def test_a_member_and_an_agent_work_together_and_the_server_vouches_for_both(server: Server):
    ann = connect(
        server.url, session="trip", participant="ann", kind="human", token=token("ann", "member", name="Ann L.")
    )
    async with ann as ann, asyncio.timeout(PATIENCE_SECONDS):
        await until(lambda: ann.me.capabilities is not None)
        assert (ann.me.name, ann.may("prompt"), ann.may("run")) == ("Ann L.", True, False)
        async with connect(
            server.url, session="trip", participant="bot", token=token("bot", "agent", kind="agent")
        ) as bot:
            question = await ann.send("Where to?")
            prompt = await anext(bot.prompts())
            async with bot.run(reply_to=prompt) as run:
                run.text("To Lisbon 🌊")
            await until(lambda: len(ann.messages) == 2 and all(message.verified for message in ann.messages))
            assert [message.author for message in ann.messages] == ["ann", "bot"]
            assert question.verified
            await until(lambda: bot.someone_is_watching)
            assert {who.id for who in bot.people if who.online} == {"ann", "bot"}
            assert bot.who("ann").name == "Ann L."


async def test_what_is_refused_is_told_and_the_session_goes_on(server: Server):
    told: list[Refusal] = []
    async with (
        connect(
            server.url, session="trip", participant="ann", token=token("ann", "member"), on_refused=told.append
        ) as ann,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await ann.send("fine")
        await ann.wait_saved()
        await ann.send("I am the assistant 🦑", role="assistant")
        await until(lambda: told)
        assert (told[0].code, told[0].error, told[0].lost) == (4403, "auth.forbidden", ("I am the assistant 🦑",))
        assert told[0].touched == "messages/*/role"
        assert [message.text for message in ann.messages] == ["fine"]
        await ann.send("and on")
        await ann.wait_saved()


async def test_a_viewer_who_writes_anyway_changes_nothing(server: Server):
    async with (
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        with pytest.raises(Disconnected) as ended:  # noqa: PT012 - the block's end raises
            async with connect(server.url, session="trip", participant="vic", token=token("vic", "viewer")) as vic:
                await until(lambda: vic.me.capabilities is not None)
                assert not vic.may("prompt")
                await vic.send("anyway")
                await until(lambda: vic.status == "closed")
        assert (ended.value.close, ended.value.lost) == (4403, ("anyway",))
        await ann.send("unmoved")
        await ann.wait_saved()
        assert [message.text for message in ann.messages] == ["unmoved"]


async def test_a_token_is_renewed_on_the_open_socket_and_outlives_its_first_end(server: Server):
    given: list[str] = []

    def give() -> str:
        given.append(token("ann", "member", 3.5))
        return given[-1]

    async with (
        connect(server.url, session="trip", participant="ann", token=give) as ann,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await until(lambda: ann.me.expires_at is not None)
        first = ann.me.expires_at
        assert first is not None
        await until(lambda: (ann.me.expires_at or 0) > first + 2, PATIENCE_SECONDS)
        assert ann.status == "online"
        await ann.send("still here")
        await ann.wait_saved()
    assert len(given) >= 2


async def test_a_token_that_is_not_renewed_ends_the_session_which_says_so(server: Server):
    async with connect(server.url, session="trip", participant="ann", token=token("ann", "member", 2)) as ann:
        await until(lambda: ann.status == "closed", PATIENCE_SECONDS)
        with pytest.raises(Disconnected, match="expired") as ended:
            await ann.send("too late")
        assert ended.value.close == 4401
