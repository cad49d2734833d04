"""The hocuspocus endpoint over a raw socket: limits and refusals; `tests/interop` has the real provider."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from people import SECRET, token
from processes import PATIENCE_SECONDS, Server
from pycrdt import Doc, Text
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from cosession.protocol import EMPTY_VECTOR, SyncStep1, SyncStep2, SyncUpdate, encode_frame
from cosession.protocol.hocuspocus import (
    Authenticate,
    Authenticated,
    Body,
    Close,
    Denied,
    DocumentFrame,
    Message,
    Ping,
    Pong,
    Stateless,
    SyncStatus,
    decode_message,
    encode_message,
)

pytestmark = pytest.mark.anyio

StartServer = Callable[..., Server]


class Socket:
    """A raw socket of the endpoint."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def say(self, address: str | None, body: Body) -> None:
        await self._socket.send(encode_message(Message(address, body)))

    async def say_bytes(self, data: bytes | str) -> None:
        await self._socket.send(data)

    async def hear(self, *kinds: type[Body]) -> Message:
        """Return the next message whose body is of one of these kinds."""
        while True:
            data = await self._socket.recv()
            assert isinstance(data, bytes)
            message = decode_message(data)
            if isinstance(message.body, kinds):
                return message

    async def closed(self) -> int:
        with suppress(ConnectionClosed):
            while True:
                await self._socket.recv()
        return self._socket.close_code or 0


@asynccontextmanager
async def socket(server: Server, query: str = "") -> AsyncGenerator[Socket]:
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        open_socket(f"ws{server.url[4:]}/hocuspocus{query}", max_size=None) as opened,
    ):
        yield Socket(opened)


def update(text: str) -> bytes:
    """An update that writes a text."""
    return Doc({"text:note": Text(text)}).get_update()


@pytest.mark.parametrize("address", [None, "note"])
async def test_a_ping_is_answered_before_any_document_is_open(server: Server, address: str | None) -> None:
    async with socket(server) as client:
        await client.say(address, Ping())
        assert await client.hear(Pong) == Message(address, Pong())


@pytest.mark.parametrize("data", [b"", b"\x04note", b"\x04note\x63", "a text"])
async def test_bytes_that_are_no_message_close_the_socket(server: Server, data: bytes | str) -> None:
    async with socket(server) as client:
        await client.say_bytes(data)
        assert await client.closed() == 4400


async def test_what_comes_before_the_token_is_dropped(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET)
    async with socket(server) as client:
        await client.say("note", DocumentFrame(encode_frame(SyncUpdate(update("early")))))
        await client.say("note", Stateless("early"))
        await client.say("note", Authenticate(token("ann", "member")))
        assert (await client.hear(Authenticated)).body == Authenticated("read-write")
        await client.say("note", DocumentFrame(encode_frame(SyncStep1(EMPTY_VECTOR))))
        await client.hear(DocumentFrame)
        await client.say("note", DocumentFrame(encode_frame(SyncStep2(update("first")))))
        await client.say("note", DocumentFrame(encode_frame(SyncUpdate(update("second")))))
        for _ in range(2):
            assert (await client.hear(SyncStatus)).body == SyncStatus(is_saved=True)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token('root', 'admin')}"}) as http:
        document = (await http.get(f"{server.url}/sessions/note")).json()["document"]
    assert "first" in str(document)
    assert "second" in str(document)
    assert "early" not in str(document)


async def test_the_token_of_the_address_holds_for_documents_without_one(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET)
    async with socket(server, f"?token={token('ann', 'member')}") as client:
        await client.say("note", Authenticate(""))
        assert (await client.hear(Authenticated, Denied)).body == Authenticated("read-write")
        await client.say("other", Authenticate("nonsense"))
        assert (await client.hear(Denied)).address == "other"


async def test_a_name_that_no_session_can_have_is_denied(server: Server) -> None:
    async with socket(server) as client:
        await client.say("../secrets", Authenticate(""))
        assert (await client.hear(Authenticated, Denied)).address == "../secrets"


async def test_a_socket_opens_only_so_many_documents(server: Server) -> None:
    async with socket(server) as client:
        for number in range(257):
            await client.say(f"note-{number}", Authenticate(""))
        denied = await client.hear(Denied)
        assert denied.address == "note-256"
        assert isinstance(denied.body, Denied)
        assert "256" in denied.body.reason


async def test_a_closed_document_is_silent_and_can_be_opened_again(server: Server) -> None:
    async with socket(server) as client:
        await client.say("note", Authenticate(""))
        await client.hear(Authenticated)
        await client.say("note", Close())
        await client.say("note", DocumentFrame(encode_frame(SyncStep1(EMPTY_VECTOR))))
        await client.say(None, Ping())
        await client.hear(Pong)
        await client.say("note", Authenticate(""))
        assert (await client.hear(Authenticated)).address == "note"


async def test_a_frame_that_no_room_takes_closes_its_document_alone(server: Server) -> None:
    async with socket(server) as client:
        for address in ("note", "other"):
            await client.say(address, Authenticate(""))
            await client.hear(Authenticated)
        await client.say("note", DocumentFrame(b"\x00\x07\x00"))
        assert (await client.hear(Close)).address == "note"
        await client.say("other", DocumentFrame(encode_frame(SyncStep1(EMPTY_VECTOR))))
        assert (await client.hear(DocumentFrame)).address == "other"


async def test_a_server_that_stops_closes_the_socket_so_that_the_provider_comes_back(server: Server) -> None:
    async with socket(server) as client:
        await client.say("note", Authenticate(""))
        await client.hear(Authenticated)
        await asyncio.to_thread(server.stop)
        assert await client.closed() == 4503
