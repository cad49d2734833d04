"""Joining a session, leaving it, and coming back."""

import base64
import json

import pytest
from client.hub import Hub, until

from cosession import Disconnected, InvalidValue, connect

pytestmark = pytest.mark.anyio


def token_of(subject: object) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).rstrip(b"=").decode()
    return f"e30.{claims}.signature"


async def test_the_participant_is_that_of_the_token(hub: Hub):
    async with connect(hub.url, "trip", token=token_of("ann")) as session:
        assert (session.me.id, session.me.name) == ("ann", "ann")
    async with connect(hub.url, "trip", token=lambda: token_of("ben"), name="Ben") as session:
        assert (session.me.id, session.me.name) == ("ben", "Ben")


@pytest.mark.parametrize("token", [None, "opaque"])
async def test_without_a_participant_and_a_token_that_names_one_it_says_what_to_give(hub: Hub, token: str | None):
    with pytest.raises(InvalidValue, match="Name the `participant`") as invalid:
        await connect(hub.url, "trip", token=token).__aenter__()
    assert invalid.value.path == "participant"


async def test_the_rollup_goes_to_the_server_and_has_bounds(hub: Hub):
    async with connect(hub.url, "trip", participant="ann", rollup_ms=250):
        assert "rollup=250" in hub.paths[-1]
    async with connect(hub.url, "trip", participant="ann"):
        assert "rollup" not in hub.paths[-1]
    for rollup_ms in (-1, 1001):
        with pytest.raises(InvalidValue, match="0 to 1000"):
            await connect(hub.url, "trip", participant="ann", rollup_ms=rollup_ms).__aenter__()


async def test_a_kind_that_there_is_not_is_an_invalid_value(hub: Hub):
    with pytest.raises(InvalidValue, match="human, agent, operator"):
        await connect(hub.url, "trip", participant="ann", kind="robot").__aenter__()  # type: ignore[call-overload,arg-type]  # pyright: ignore


async def test_others_see_the_color_that_was_given_and_else_the_same_one_everywhere(hub: Hub):
    async with (
        connect(hub.url, "trip", participant="ann", color="#123456") as ann,
        connect(hub.url, "trip", participant="ben") as ben,
    ):
        await until(lambda: {person.id for person in ben.people} == {"ann", "ben"})
        await until(lambda: {person.id for person in ann.people} == {"ann", "ben"})
        colors = [{person.id: person.color for person in session.people} for session in (ann, ben)]
        assert colors[0] == colors[1]
        assert (colors[0]["ann"], ann.me.color, ben.me.color) == ("#123456", "#123456", colors[0]["ben"])


async def test_a_closed_session_takes_nothing_more_and_saves_what_was_written(hub: Hub):
    async with connect(hub.url, "trip", participant="ann") as session:
        await session.send("last words")
        session.close()
        assert (session.status, session.error is not None) == ("closed", True)
        with pytest.raises(Disconnected, match="close"):
            await session.send("too late")
        assert await session.wait_closed() is session.error
        with pytest.raises(Disconnected):
            session.reconnect()
    assert [message.text for message in hub.document.messages] == ["last words"]


async def test_a_session_that_the_server_has_ended_comes_back_with_another_token(hub: Hub):
    async with connect(hub.url, "trip", participant="ann", token=token_of("ann")) as session:
        await session.send("before")
        await session.wait_saved()
        hub.refusal = (4401, "The token has expired.")
        hub.cut()
        await until(lambda: session.status == "closed")
        assert session.error is not None
        assert session.error.close == 4401
        hub.refusal = None
        session.reconnect(token=token_of("ann"))
        await session.wait_synced(timeout_seconds=60)
        assert session.error is None
        await session.send("after")
        await session.wait_saved()
    assert [message.text for message in hub.document.messages] == ["before", "after"]


async def test_a_new_token_is_used_at_once(hub: Hub):
    async with connect(hub.url, "trip", participant="ann", token=token_of("ann")) as session:
        session.reconnect(token="second")
        await until(lambda: hub.headers[-1] == "Bearer second" and session.synced)
