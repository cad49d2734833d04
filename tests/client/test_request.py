"""Requests: what the server decides is an outcome, and a no that nothing waits for is told."""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import Refusal, Session, connect, request
from cosession.errors import BadRequest, NoSuchApproval, NoSuchRun, NotAllowed, RunEnded, TimedOut, WriteRefused
from cosession.protocol import Granted, Notice, encode_frame

pytestmark = pytest.mark.anyio

SECRET = secrets.token_hex(32)


def token(subject: str, role: str, **claims: Any) -> str:
    said = {"sub": subject, "role": role, "sessions": ["trip"], "exp": int(time.time() + 600), **claims}
    return mint(said, secret_keys(SECRET)[0])


async def test_the_server_s_decisions_are_outcomes_and_those_nobody_reads_are_told(
    start_server: Callable[..., Server],
):
    server = start_server(auth_secret=SECRET)
    told: list[Refusal] = []
    ann = connect(server.url, session="trip", participant="ann", token=token("ann", "member"))
    bot = connect(server.url, session="trip", participant="bot", token=token("bot", "agent", kind="agent"))
    async with ann as ann, bot as bot, asyncio.timeout(2 * PATIENCE_SECONDS):
        ann.on("refused", told.append)
        with pytest.raises(NoSuchRun, match="no run or prompt 'r0'"):
            (await ann.cancel("r0").outcome()).check()
        assert isinstance((await ann.vote("a0", "approved").outcome()).error, NoSuchApproval)
        assert (await ann.set_policy("parallel").outcome()).accepted
        async with bot.run() as run:
            await until(lambda: ann.runs.get(run.id))
            steer = ann.steer(run.id, "by train")
            assert (await steer.outcome()).accepted
            assert (await run.next_steer()).id == steer.id
            assert isinstance((await ann.steer(run.id, "").outcome()).error, BadRequest)
            assert isinstance((await ann.cancel(run.id).outcome()).error, NotAllowed)  # it answers nothing of hers
        assert isinstance((await ann.steer(run.id, "too late").outcome()).error, RunEnded)
        assert told == []
        ann.cancel("r0")
        await until(lambda: told)
        assert (told[0].code, told[0].final, told[0].lost) == ("run.unknown", False, ())
        assert ann.status == "online"


@pytest.mark.parametrize(
    "attempt",
    [
        lambda session: session.cancel("r1"),
        lambda session: session.steer("r1", "by train"),
        lambda session: session.vote("a1", "approved"),
        lambda session: session.set_policy("queue"),
        lambda session: session.claim("x"),
    ],
)
async def test_what_the_grant_cannot_include_is_refused_at_once_and_nothing_is_written(
    hub: Hub, attempt: Callable[[Session], object]
):
    hub.grant = Granted("vic", "Vic", "human", ("read", "presence"), None)
    async with connect(hub.url, session="trip", participant="vic") as vic:
        await until(lambda: vic.me.capabilities is not None)
        with pytest.raises(NotAllowed, match="ask for a token") as refused:
            attempt(vic)
        assert refused.value.needs
        assert len(vic.document.requests) == 0


async def test_an_outcome_is_waited_for_over_a_break_and_the_facts_tell_what_was_not_heard(hub: Hub):
    async with connect(hub.url, session="trip", participant="ann") as ann:
        hub.document.runs.start("r1", agent="bot", started_at="t")
        hub.document.runs.start("r2", agent="bot", started_at="t")
        await until(lambda: ann.runs.get("r2"))
        asked = [ann.cancel("r1"), ann.cancel("r2")]
        await until(lambda: len(hub.document.requests) == 2)
        with pytest.raises(TimedOut, match="hasn't decided"):
            await asked[0].outcome(timeout_seconds=0.01)
        await hub.stop()
        await until(lambda: ann.status == "offline")
        run = hub.document.runs.get("r1")
        assert run is not None
        run.record_cancel(by="ann", at="t")
        for request in list(hub.document.requests.items()):
            hub.document.requests.remove(request.key)
        await hub.start()
        outcomes = [await asyncio.wait_for(each.outcome(), 60) for each in asked]
        assert [outcome.accepted for outcome in outcomes] == [True, False]
        assert isinstance(outcomes[1].error, RunEnded)


async def test_a_request_that_was_lost_with_something_refused_is_not_called_accepted(hub: Hub):
    hub.forbidden = lambda document: any("forbidden" in message.text for message in document.messages)
    async with connect(hub.url, session="trip", participant="ann") as ann:
        ann.on("refused", lambda _: None)
        with ann.document.transaction():
            await ann.send("forbidden")
            asked = ann.steer("r1", "by train")
        outcome = await asyncio.wait_for(asked.outcome(), 60)
        assert isinstance(outcome.error, WriteRefused)


async def test_presence_that_the_server_does_not_take_is_told_and_costs_nothing_else(hub: Hub):
    told: list[Refusal] = []
    async with connect(hub.url, session="trip", participant="ann") as ann:
        ann.on("refused", told.append)
        before = ann.document
        for socket in hub.sockets:
            await socket.send(encode_frame(Notice("limit.too_large", "Too large.", "presence", final=False)))
        await until(lambda: told)
        assert (told[0].code, told[0].touched, told[0].final) == ("limit.too_large", "presence", False)
        assert ann.document is before
        await ann.send("and on")
        await ann.wait_saved()


async def test_more_requests_than_are_tracked_have_true_outcomes(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(request, "_MOST_WAITING", 1)
    server = start_server(auth_secret=SECRET)
    ann = connect(server.url, session="trip", participant="ann", token=token("ann", "member"))
    bot = connect(server.url, session="trip", participant="bot", token=token("bot", "agent", kind="agent"))
    async with ann as ann, bot as bot, asyncio.timeout(2 * PATIENCE_SECONDS), bot.run() as run:
        await until(lambda: ann.runs.get(run.id))
        evicted = ann.cancel(run.id)  # it answers nothing of hers
        ann.set_policy("parallel")
        assert not (await evicted.outcome()).accepted
