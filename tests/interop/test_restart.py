"""A session outlives its server: clients come back by themselves, and nothing that was acknowledged is lost."""

import asyncio
import contextlib

import pytest
from processes import NodeClient, Server, eventually
from pycrdt import Array, Map
from wire import Wire

from cosession.protocol import SyncStep1

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("major", [1, 2, 3])
async def test_connected_clients_come_back_and_nothing_is_lost(server: Server, how: str, major: int) -> None:
    async with (
        NodeClient.open(server, "trip", provider=major) as ann,
        NodeClient.open(server, "trip", provider=3) as ben,
    ):
        await ann.ask("insert", root="text:note", index=0, text="before 🐙 ")
        await asyncio.to_thread(getattr(server, how))
        await ann.ask("insert", root="text:note", index=-1, text="during 🦊 ")
        await ben.ask("set", root="state", key="ben", value="also during")
        await asyncio.to_thread(server.start)
        await ann.ask("insert", root="text:note", index=-1, text="after")

        async def agree() -> bool:
            one, two = [await client.ask("digest", texts=["text:note"], maps=["state"]) for client in (ann, ben)]
            return one == two and one["maps"] == [{"ben": "also during"}]

        await eventually(agree, "the same document on both sides")
        assert await ben.ask("text", root="text:note") == "before 🐙 during 🦊 after"

    async with NodeClient.open(server, "trip") as carl:
        assert await carl.ask("text", root="text:note") == "before 🐙 during 🦊 after"
        assert await carl.ask("map", root="state") == {"ben": "also during"}


async def test_what_was_fenced_survives_without_any_client(server: Server) -> None:
    async with Wire.open(server, "trip", ext=1) as ann:
        for number in range(50):
            await ann.edit(lambda doc, number=number: doc.get("list", type=Array).append(number))
        await ann.fence()
        server.kill()
    server.start()
    async with Wire.open(server, "trip") as ben:
        assert [int(number) for number in ben.doc.get("list", type=Array).to_py()] == list(range(50))


async def test_the_address_and_the_data_stay_the_same_over_many_restarts(server: Server) -> None:
    url = server.url
    for number in range(4):
        async with Wire.open(server, "many", ext=1) as ann:
            await ann.edit(lambda doc, number=number: doc.get("state", type=Map).update({str(number): number}))
            await ann.fence()
        await asyncio.to_thread(server.restart)
    assert server.url == url
    async with Wire.open(server, "many") as ben:
        assert sorted(ben.doc.get("state", type=Map).to_py()) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("major", [1, 3])
async def test_reconnecting_at_once_and_often_loses_and_doubles_nothing(server: Server, major: int) -> None:
    async with NodeClient.open(server, "flaky", provider=major) as ann, NodeClient.open(server, "flaky") as ben:
        for _ in range(25):
            await ann.ask("disconnect")
            await ann.ask("insert", root="text:note", index=-1, text="🐙")
            await ann.ask("connect")
            await ann.ask("insert", root="text:note", index=-1, text="🦊")

        async def arrived() -> bool:
            return await ben.ask("text", root="text:note") == "🐙🦊" * 25

        await eventually(arrived, "every character, once")


async def test_a_deletion_alone_is_acknowledged_when_it_is_kept(server: Server) -> None:
    async with Wire.open(server, "trip", ext=1) as ann:
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": 1, "b": 2}))
        await ann.fence()
        await ann.edit(lambda doc: doc.get("state", type=Map).pop("a"))
        await ann.fence()
        server.kill()
    server.start()
    async with Wire.open(server, "trip") as ben:
        assert ben.doc.get("state", type=Map).to_py() == {"b": 2}


async def test_ten_clients_that_open_a_cold_session_at_once_are_all_served(server: Server) -> None:
    async with Wire.open(server, "cold", ext=1) as ann:
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"here": "🐙"}))
        await ann.fence()
    await asyncio.to_thread(server.restart)

    async with contextlib.AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(stack.enter_async_context(Wire.open(server, "cold", ext=1)) for _ in range(10))
        )
        assert all(client.doc.get("state", type=Map).to_py() == {"here": "🐙"} for client in clients)
        await asyncio.gather(
            *(
                client.edit(lambda doc, number=number: doc.get("state", type=Map).update({f"from {number}": number}))
                for number, client in enumerate(clients)
            )
        )
        for client in clients:
            await eventually(
                lambda client=client: len(client.doc.get("state", type=Map)) == 11, "what the others wrote"
            )


async def test_ten_clients_that_open_a_new_session_at_once_make_one_document(server: Server) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(stack.enter_async_context(Wire.open(server, "new", ext=1)) for _ in range(10))
        )
        await eventually(lambda: all(client.count(SyncStep1) for client in clients), "the server's question to each")
        assert all(client.doc.get("meta", type=Map).to_py() == {} for client in clients), "nobody uses the schema yet"
        await asyncio.gather(
            *(
                client.edit(lambda doc, number=number: doc.get("state", type=Map).update({f"from {number}": number}))
                for number, client in enumerate(clients)
            )
        )
        for client in clients:
            await eventually(lambda client=client: len(client.doc.get("state", type=Map)) == 10, "what all wrote")
            await eventually(lambda client=client: len(client.doc.get("meta", type=Map)) > 0, "the session's facts")
        metas = [client.doc.get("meta", type=Map).to_py() for client in clients]
        assert metas[0]
        assert metas[0]["schema"] == 1
        assert all(meta == metas[0] for meta in metas)
