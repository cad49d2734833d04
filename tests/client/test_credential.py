"""Tokens in the SDK: a fresh one for each connection, and a plain word when there is none."""

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from client.hub import Hub, until

from cosession.client import connect
from cosession.errors import Disconnected
from cosession.protocol import Granted, Renewal

pytestmark = pytest.mark.anyio


def token_of(subject: object) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).rstrip(b"=").decode()
    return f"e30.{claims}.signature"


async def test_a_function_gives_a_fresh_token_at_each_connection(hub: Hub):
    given = iter(["first", "second"])
    async with connect(hub.url, session="trip", participant="bot", token=lambda: next(given)) as session:
        hub.cut()
        await until(lambda: len(hub.headers) == 2 and session.status == "online")
    assert hub.headers == ["Bearer first", "Bearer second"]


async def test_a_function_may_be_async(hub: Hub):
    async def give() -> str:
        await asyncio.sleep(0)
        return "awaited"

    async with connect(hub.url, session="trip", participant="bot", token=give):
        assert hub.headers == ["Bearer awaited"]


async def test_when_a_token_expires_on_an_open_socket_the_next_one_is_asked_for_and_nothing_is_lost(hub: Hub):
    given = iter(["old", "new"])
    async with connect(hub.url, session="trip", participant="bot", token=lambda: next(given)) as session:
        for socket in list(hub.sockets):
            await socket.close(4401, "The token has expired.")
        await session.send("said meanwhile", id="m1")
        await until(lambda: session.status == "online" and session.saved)
    assert hub.headers == ["Bearer old", "Bearer new"]
    assert hub.document.messages.get("m1") is not None


async def test_a_token_that_cannot_be_renewed_ends_the_session_when_it_expires(hub: Hub):
    async with connect(hub.url, session="trip", participant="bot", token="only") as session:
        for socket in list(hub.sockets):
            await socket.close(4401, "The token has expired.")
        await until(lambda: session.status == "closed")
    assert hub.headers == ["Bearer only"]


async def test_a_fresh_token_that_is_refused_is_not_tried_for_ever(hub: Hub):
    hub.refusal = (4401, "The token has expired.")
    with pytest.raises(Disconnected, match="expired"):
        async with connect(hub.url, session="trip", participant="bot", token=lambda: "refused"):
            pytest.fail("the block must not be entered")
    assert len(hub.headers) == 1


GRANT = Granted("bot", "Bot", "agent", ("read", "run", "state:trip"), None)


async def test_what_the_server_verified_takes_the_place_of_what_was_asked_for(hub: Hub):
    async with connect(hub.url, session="trip", participant="bot", name="Asked for") as session:
        assert (session.me.name, session.me.capabilities, session.may("approve")) == ("Asked for", None, True)
    hub.grant = GRANT
    async with connect(hub.url, session="trip", participant="bot") as session:
        await until(lambda: session.me.name == "Bot")
        asked = ("run", "prompt", "state:trip/hotel", "state:trips", "text:notes")
        assert [session.may(one) for one in asked] == [True, False, True, False, False]


async def test_a_grant_is_renewed_on_the_open_socket_before_it_ends(hub: Hub):
    hub.grant = replace(GRANT, expires_at=1.4)
    given = iter(["first", "second", "third", "fourth"])
    async with connect(hub.url, session="trip", participant="bot", token=lambda: next(given)):
        await until(lambda: Renewal("second") in hub.frames)
    assert hub.headers == ["Bearer first"]


async def test_a_renewal_that_fails_is_tried_again_until_the_server_ends_it_and_then_the_session_says_why(hub: Hub):
    hub.grant = replace(GRANT, expires_at=1.2)
    calls: list[int] = []

    def give() -> str:
        calls.append(1)
        if len(calls) > 1:
            raise OSError("signed out")
        return "first"

    with pytest.raises(Disconnected, match=r"has expired.*signed out"):  # noqa: PT012 - the block's end raises
        async with connect(hub.url, session="trip", participant="bot", token=give) as session:
            await until(lambda: len(calls) > 2)
            assert session.status == "online"
            for socket in list(hub.sockets):
                await socket.close(4401, "The token has expired.")
            await until(lambda: session.status == "closed")
            await session.wait_saved()
            await session.send("too late")


async def test_after_an_expiry_a_function_that_fails_ends_the_session(hub: Hub):
    given = iter(["first", None])
    async with connect(hub.url, session="trip", participant="bot", token=lambda: next(given)) as session:  # type: ignore[arg-type,return-value]
        for socket in list(hub.sockets):
            await socket.close(4401, "The token has expired.")
        await until(lambda: session.status == "closed")
        with pytest.raises(Disconnected, match=r"has expired.*function that gives the token") as ended:
            session.prompts()
        assert ended.value.close == 4401


@pytest.mark.parametrize("bad", [lambda: 1 / 0, lambda: None, lambda: b"bytes"], ids=["raises", "none", "bytes"])
async def test_a_function_that_fails_at_first_is_said_at_once(hub: Hub, bad):
    with pytest.raises(Disconnected, match="function that gives the token"):
        async with connect(hub.url, session="trip", participant="bot", token=bad):
            pytest.fail("the block must not be entered")
    assert hub.headers == []


async def test_a_function_that_fails_later_is_tried_again(hub: Hub):
    given = iter(["first", None, "third"])
    async with connect(hub.url, session="trip", participant="bot", token=lambda: next(given)) as session:  # type: ignore[arg-type,return-value]
        hub.cut()
        await until(lambda: len(hub.headers) == 2 and session.status == "online")
    assert hub.headers == ["Bearer first", "Bearer third"]


@pytest.mark.parametrize("token", ["opaque\n", " opaque\r\n", lambda: "opaque\n"])
async def test_the_end_of_a_line_is_no_part_of_a_token(hub: Hub, token: Any):
    async with connect(hub.url, session="trip", participant="bot", token=token):
        pass
    assert hub.headers == ["Bearer opaque"]


@pytest.mark.parametrize("token", ["two words", "two\nlines", "a\x00b"])
async def test_a_token_that_no_header_can_hold_is_said_and_not_shown(hub: Hub, token: str):
    with pytest.raises(Disconnected, match="can't be sent") as refused:
        async with connect(hub.url, session="trip", participant="bot", token=token):
            pytest.fail("the block must not be entered")
    assert token not in str(refused.value)


async def test_a_token_of_somebody_else_is_said_before_anything_is_refused(hub: Hub):
    with pytest.raises(Disconnected, match="Give the token's `sub`"):
        async with connect(hub.url, session="trip", participant="bot", token=token_of("ada")):
            pytest.fail("the block must not be entered")
    async with connect(hub.url, session="trip", participant="ada", token=token_of("ada")) as session:
        assert session.status == "online"
    for unreadable in (token_of(7), "a.b.c", "e30..", "opaque"):
        async with connect(hub.url, session="trip", participant="ada", token=unreadable):
            pass
