"""Claims: one process at a time, against the real server."""

import asyncio
from collections.abc import Callable

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server

from cosession.client import Session, connect, find_session
from cosession.errors import ClaimHeld, ClaimLost

pytestmark = pytest.mark.anyio


async def in_line(session: Session) -> asyncio.Future[int]:
    """Wait in line for the inbox; the future gives the epoch of the claim that comes of it."""

    async def wait() -> int:
        async with session.claim("inbox", wait=True) as claim:
            return claim.epoch

    waiting = asyncio.ensure_future(wait())
    await until(lambda: (session.claims.get("inbox") or {}).get("waiting"))
    return waiting


async def test_one_of_two_processes_holds_it_and_the_next_epoch_is_larger(server: Server):
    planner = {"session": "trip", "participant": "planner"}
    async with (
        connect(server.url, **planner) as one,
        connect(server.url, **planner) as two,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        async with one.claim("inbox") as first:
            first.check()
            with pytest.raises(ClaimHeld, match="planner holds"):
                async with two.claim("inbox"):
                    pass
            with pytest.raises(ClaimHeld, match="Another task"):
                async with one.claim("inbox"):
                    pass
        with pytest.raises(ClaimLost):
            await until(lambda: first.check())
        async with two.claim("inbox", wait=True) as second, one.claim("other"):
            assert second.epoch > first.epoch
        async with two.claim("inbox") as third:
            assert third.epoch > second.epoch


async def test_who_waits_gets_it_when_the_holder_leaves(server: Server):
    planner = {"session": "trip", "participant": "planner"}
    async with connect(server.url, **planner) as two, asyncio.timeout(PATIENCE_SECONDS):
        async with connect(server.url, **planner) as one:
            holding = one.claim("inbox")
            await holding.__aenter__()

            waiting = await in_line(two)
        assert await waiting > holding.epoch


async def test_a_claim_ends_with_its_time(server: Server):
    async with (
        connect(server.url, session="trip", participant="planner") as one,
        asyncio.timeout(PATIENCE_SECONDS),
        one.claim("inbox", seconds=0.2) as claim,
    ):
        await until(lambda: one.claims.get("inbox") is None)
        with pytest.raises(ClaimLost):
            claim.check()


async def test_a_cancelled_wait_leaves_the_line(server: Server):
    planner = {"session": "trip", "participant": "planner"}
    async with (
        connect(server.url, **planner) as one,
        connect(server.url, **planner) as two,
        asyncio.timeout(PATIENCE_SECONDS),
        one.claim("inbox"),
    ):
        waiting = asyncio.ensure_future(two.claim("inbox", wait=True).__aenter__())
        await until(lambda: (one.claims.get("inbox") or {}).get("waiting"))
        waiting.cancel()
        await until(lambda: not (one.claims.get("inbox") or {}).get("waiting"))


async def test_who_waits_asks_again_when_nobody_of_the_line_was_there_in_time(start_server: Callable[..., Server]):
    server = start_server(lease_grace_seconds=0.05)
    planner = {"session": "trip", "participant": "planner"}
    async with (
        connect(server.url, **planner) as one,
        connect(server.url, **planner) as two,
        asyncio.timeout(2 * PATIENCE_SECONDS),
    ):
        holding = one.claim("inbox")
        await holding.__aenter__()

        waiting = await in_line(two)
        await asyncio.gather(one.wait_saved(), two.wait_saved())
        server.kill()
        await asyncio.to_thread(server.start)
        await find_session(server.url, "trip")  # loads it, and mostly they are back too late
        await asyncio.gather(one.wait_saved(), two.wait_saved())
        await holding.__aexit__(None, None, None)
        assert await waiting > holding.epoch


async def test_a_holder_without_a_connection_stops_in_time(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cosession.client.claims.AWAY_SECONDS", 0.0)
    async with (
        connect(hub.url, session="trip", participant="planner") as session,
        asyncio.timeout(60),
        session.claim("inbox") as claim,
    ):
        claim.check()
        await hub.stop()
        hub.cut()
        await until(lambda: session.status == "offline")
        with pytest.raises(ClaimLost, match="without a connection"):
            claim.check()
        await hub.start()
        await until(lambda: session.status == "online")
