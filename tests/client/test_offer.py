"""Tools that Python programs offer to agents, against the real server, beside one another and beside a page."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from client.hub import Hub, until
from processes import PATIENCE_SECONDS, Server, node_program

from cosession.client import Session, connect
from cosession.client import offering as offering_module
from cosession.document import tool_key
from cosession.errors import Disconnected, InvalidValue, NotAllowed, ToolFailed
from cosession.protocol import Granted

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[1] / "node" / "offer.mjs"
CALL = {
    "type": "tool-where",
    "toolCallId": "c1",
    "state": "input-available",
    "input": {"about": "you"},
    "callProviderMetadata": {"cosession": {"client": True, "who": []}},
}


def device(server: Server, user: str) -> Any:
    return connect(server.url, session="trip", participant=user, kind="human")


async def offers(session: Session, count: int) -> None:
    await until(lambda: len(session.tools) == count, PATIENCE_SECONDS)


async def test_of_two_processes_that_offer_a_tool_exactly_one_does_a_call(server: Server):
    calls: list[str] = []
    grants: set[int] = set()
    async with (
        device(server, "anna") as laptop,
        device(server, "anna") as desktop,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):

        async def where(given: dict[str, Any]) -> dict[str, Any]:
            calls.append(given["about"])
            await asyncio.sleep(0)
            return {"city": "Lisbon 🌊", "about": given["about"]}

        schema = {"type": "object", "properties": {"about": {"type": "string"}}}
        for each in (laptop, desktop):
            each.offer_tool("where", where, description="Where are you?", schema=schema)
        await offers(planner, 2)
        offered = planner.tools[0]
        assert (offered.name, offered.description, offered.schema) == ("where", "Where are you?", schema)
        assert offered.participant == "anna"
        abouts = [f"call {number}" for number in range(5)]

        def note(_: object) -> None:
            grants.update(claim["epoch"] for claim in planner.claims.to_json().values())

        with planner.document.observe(note, "claims"):
            for about in abouts:
                assert await run.call("where", {"about": about}) == {"city": "Lisbon 🌊", "about": about}
            await until(lambda: not planner.claims.to_json() and not len(planner.document.requests))
            for each in (laptop, desktop):
                await each.wait_saved()
            await planner.wait_saved()
        assert calls == abouts
        assert len(grants) == 5  # who waited in line for nothing doesn't ask again


async def test_of_a_page_and_a_process_exactly_one_does_a_call(server: Server):
    calls: list[str] = []
    page = await asyncio.create_subprocess_exec(
        node_program(), str(PAGE), server.url, "trip", "page", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert page.stdin is not None
    assert page.stdout is not None
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        device(server, "anna") as desktop,
        connect(server.url, session="trip", participant="planner") as planner,
    ):
        assert await page.stdout.readline() == b"ready\n"

        def where(given: dict[str, Any]) -> dict[str, Any]:
            calls.append("anna")
            return {**given, "by": "anna"}

        desktop.offer_tool("where", where, description="Where are you?")
        await offers(planner, 2)
        assert len({(tool.name, tool.description, json.dumps(tool.schema)) for tool in planner.tools}) == 1
        async with planner.run() as run:
            given = [{"about": str(number)} for number in range(6)]
            given_back = [await run.call("where", one) for one in given]
            assert [{"about": one["about"]} for one in given_back] == given
            by_page = await run.call("where", {"about": "page"}, participants=["page"])
            by_desktop = await run.call("where", {"about": "desktop"}, participants=["anna"])
            assert (by_page["by"], by_desktop["by"]) == ("page", "anna")
        page.stdin.close()
        said = (await page.stdout.read()).split()
        assert len(said) + len(calls) == 8
        assert len(calls) == [one["by"] for one in (*given_back, by_desktop)].count("anna")
        await page.wait()
    page._transport.close()  # type: ignore[attr-defined]


async def test_what_a_tool_raises_or_gives_that_is_no_json_is_told_to_the_agent(server: Server):
    async def cancels(_: Any) -> None:
        raise asyncio.CancelledError

    def fails(_: Any) -> None:
        raise OSError("the disk is \ud800 full")

    async with (
        device(server, "anna") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        anna.offer_tool("fails", fails)
        anna.offer_tool("cancels", cancels)
        anna.offer_tool("odd", lambda _: {"a": object()})
        anna.offer_tool("nothing", lambda given: None)
        for tool, said in (("fails", "the disk is . full"), ("cancels", "was cancelled"), ("odd", "JSON")):
            with pytest.raises(ToolFailed, match=said):
                await run.call(tool)
        assert await run.call("nothing") is None


async def test_a_call_that_waits_already_is_done_when_the_tool_is_offered_and_none_afterwards(
    server: Server,
):
    async with (
        device(server, "anna") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        take_back = anna.offer_tool("where", lambda _: "never")
        take_back()
        take_back()
        calling = asyncio.ensure_future(run.call("where"))
        await until(lambda: anna.messages[0].parts if len(anna.messages) else None)
        assert not calling.done()
        off = anna.offer_tool("where", lambda _: "here")
        assert await calling == "here"
        with pytest.raises(InvalidValue, match="already"):
            anna.offer_tool("where", lambda _: "there")
        off()
        await offers(planner, 0)
        with pytest.raises(ToolFailed, match="No client answered"):
            await run.call("where", seconds=0.2)


async def test_the_next_in_line_does_a_call_when_the_one_at_it_goes(server: Server):
    async with (
        device(server, "ben") as ben,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):
        begun, cancelled = asyncio.Event(), asyncio.Event()
        async with device(server, "anna") as anna:

            async def where(_: Any) -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

            anna.offer_tool("where", where)
            calling = asyncio.ensure_future(run.call("where"))
            await begun.wait()
            ben.offer_tool("where", lambda _: "at Ben's")
            await until(lambda: [claim for claim in planner.claims.to_json().values() if claim.get("waiting")])
        assert cancelled.is_set()
        assert await calling == "at Ben's"


async def test_of_many_calls_a_few_are_done_at_a_time_and_all_in_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(offering_module, "MOST_CALLS", 2)
    at_work, most = 0, 0
    async with (
        device(server, "anna") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
        planner.run() as run,
    ):

        async def double(number: int) -> int:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            await anna.wait_saved()
            at_work -= 1
            return 2 * number

        anna.offer_tool("double", lambda given: double(given["number"]))
        calls = [run.call("double", {"number": number}) for number in range(7)]
        assert await asyncio.gather(*calls) == [2 * number for number in range(7)]
        assert most <= 2


async def test_a_tool_is_called_once_although_a_refusal_comes_between(hub: Hub):
    hub.forbidden = lambda document: "secret" in document.state
    calls: list[Any] = []
    async with connect(hub.url, session="trip", participant="anna") as anna:
        anna.on("refused", lambda _: None)
        first = anna.document

        async def where(given: Any) -> str:
            calls.append(given)
            anna.state.set("secret", 1)
            await until(lambda: anna.document is not first)
            hub.document.claims.release(tool_key("c1"))  # as the server does: the Yjs client that held it is gone
            return "here"

        anna.offer_tool("where", where)
        hub.document.messages.append("assistant", [CALL], id="m", author="planner", created_at="t")
        await until(lambda: hub.document.requests.to_json())
        [(key, asked)] = hub.document.requests.to_json().items()
        assert key == f"answer/m/c1/{anna.document.doc.client_id}/anna"
        assert (asked, calls) == ({"output": "here"}, [{"about": "you"}])
        for request in list(hub.document.requests.items()):
            hub.document.requests.remove(request.key)


async def test_who_may_not_answer_is_told_when_offering(hub: Hub):
    hub.grant = Granted("anna", "Anna", "human", ("read", "prompt"), None)
    async with connect(hub.url, session="trip", participant="anna") as anna:
        await until(lambda: anna.me.capabilities is not None)
        with pytest.raises(NotAllowed, match="claim"):
            anna.offer_tool("where", lambda _: "here")
        assert hub.said[anna.document.doc.client_id].state.count("tools") == 0
    with pytest.raises(Disconnected):
        anna.offer_tool("where", lambda _: "here")
