"""The published Yjs clients, unchanged, edit one session together and end with the same document."""

import asyncio
import contextlib
from typing import Any

import pytest
from processes import NodeClient, Server, eventually
from pycrdt import Doc, Provider, Text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from cosession.client import connect as open_session

pytestmark = pytest.mark.anyio

TRICKY = "añ👩🏽‍🚀e\u0301 👍🏿🇪🇺 z\u0323\u0307 שלום ﷽ 𝕏 \U0001f9d1\u200d\U0001f91d\u200d\U0001f9d1"
"""Characters of two UTF-16 units, of two to four UTF-8 bytes, combining ones, joined ones, right to left."""


class SocketChannel:
    """A websockets connection as pycrdt's `Channel`."""

    def __init__(self, socket: ClientConnection, path: str) -> None:
        self._socket = socket
        self.path = path

    def __aiter__(self) -> "SocketChannel":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, message: bytes) -> None:
        await self._socket.send(message)

    async def recv(self) -> bytes:
        message = await self._socket.recv()
        assert isinstance(message, bytes)
        return message


async def same_everywhere(*clients: NodeClient, root: str) -> dict[str, Any]:
    """Wait until all clients hold the same document, and return what it is."""

    async def agree() -> dict[str, Any] | None:
        digests = [await client.ask("digest", texts=[root], maps=["state"], arrays=["list"]) for client in clients]
        return digests[0] if all(digest == digests[0] for digest in digests) else None

    digest = await eventually(agree, "the same document everywhere")
    assert not digest["pending"]
    return digest


@pytest.mark.parametrize("major", [1, 2, 3])
async def test_two_clients_of_one_version_end_with_the_same_document(server: Server, major: int) -> None:
    async with (
        NodeClient.open(server, "pair", provider=major) as ann,
        NodeClient.open(server, "pair", provider=major) as ben,
    ):
        await asyncio.gather(
            ann.ask("type", root="text:note", text=TRICKY, seed=3),
            ben.ask("type", root="text:note", text=TRICKY, seed=8),
        )
        await ann.ask("set", root="state", key="who", value="Ann 🦊")
        await ben.ask("push", root="list", values=[1, {"two": [2.5, None, True]}])

        digest = await same_everywhere(ann, ben, root="text:note")

        assert digest["maps"] == [{"who": "Ann 🦊"}]
        assert digest["arrays"] == [[1, {"two": [2.5, None, True]}]]
        assert digest["texts"][0]


async def test_every_version_and_pycrdt_edit_one_session_at_once(server: Server) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(NodeClient.open(server, "all", provider=n)) for n in (1, 2, 3, 3)]
        socket = await stack.enter_async_context(connect(server.ws_url("all"), max_size=None))
        doc: Doc = Doc()
        text = doc.get("text:note", type=Text)
        await stack.enter_async_context(Provider(doc, SocketChannel(socket, "all")))

        async def type_in_pycrdt() -> None:
            for piece in TRICKY:
                text.insert(len(str(text).encode()), piece)
                await asyncio.sleep(0)

        await asyncio.gather(
            type_in_pycrdt(),
            *(client.ask("type", root="text:note", text=TRICKY, seed=i + 1) for i, client in enumerate(clients)),
        )
        digest = await same_everywhere(*clients, root="text:note")
        await eventually(lambda: str(text) == digest["texts"][0], "the same text in pycrdt")

        for client in clients:
            for frame in await client.ask("frames"):
                assert frame.get("left", 0) == 0, f"a frame holds more than one message: {frame}"
                assert "broken" not in frame


async def test_a_client_that_joins_later_gets_all_of_it(server: Server) -> None:
    async with NodeClient.open(server, "late") as ann:
        await ann.ask("type", root="text:note", text=TRICKY)
        async with NodeClient.open(server, "late", provider=1) as ben:
            await same_everywhere(ann, ben, root="text:note")


async def test_sessions_do_not_mix(server: Server) -> None:
    async with NodeClient.open(server, "one") as ann, NodeClient.open(server, "two") as ben:
        await ann.ask("insert", root="text:note", index=0, text="only in one")
        async with NodeClient.open(server, "one") as carl:
            await same_everywhere(ann, carl, root="text:note")
        assert await ben.ask("text", root="text:note") == ""


async def test_pycrdt_provider_sees_what_a_browser_types_and_back(server: Server) -> None:
    async with (
        NodeClient.open(server, "mixed") as ann,
        connect(server.ws_url("mixed"), max_size=None) as socket,
    ):
        doc: Doc = Doc()
        text = doc.get("text:note", type=Text)
        async with Provider(doc, SocketChannel(socket, "mixed")):
            await ann.ask("insert", root="text:note", index=0, text="🦊 and ")
            await eventually(lambda: str(text) == "🦊 and ", "what Node typed")
            text += "🐙"

            async def arrived() -> bool:
                return await ann.ask("text", root="text:note") == "🦊 and 🐙"

            await eventually(arrived, "what pycrdt typed")


@pytest.mark.parametrize("major", [1, 3])
@pytest.mark.parametrize("act", ["delete", "insert"])
async def test_a_page_that_cuts_an_emoji_in_two_goes_on_and_all_read_the_same(
    server: Server, major: int, act: str
) -> None:
    expected = "a\ufffdbc" if act == "delete" else "a\ufffdx\ufffdbc"
    async with (
        NodeClient.open(server, "emoji") as ann,
        NodeClient.open(server, "emoji", provider=major) as ben,
        open_session(server.url, session="emoji", participant="bot") as bot,
    ):
        await ann.ask("insert", root="text:note", index=0, text="a🐙b")

        async def reads(client: NodeClient, text: str) -> bool:
            return await client.ask("text", root="text:note") == text

        await eventually(lambda: reads(ben, "a🐙b"), "the text")
        await ben.ask(act, root="text:note", index=2, length=1, text="x")
        await ben.ask("insert", root="text:note", index=-1, text="c")
        for client in (ann, ben):
            await eventually(lambda client=client: reads(client, expected), "the same text")
        async with NodeClient.open(server, "emoji") as late:
            assert await reads(late, expected)
        await eventually(lambda: str(bot.document.text("note")) == expected, "the same text in Python")
        assert not (await ben.ask("status"))["closes"]
    server.restart()
    async with NodeClient.open(server, "emoji") as late:
        assert await reads(late, expected)
