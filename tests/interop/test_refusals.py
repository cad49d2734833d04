"""Stock clients and refusals: a connection that is refused is told why; a write that is refused doesn't end one."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import NodeClient, Server, eventually
from pycrdt import Doc, Map, Provider, Text
from websockets.asyncio.client import connect
from websockets.protocol import State

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint

from .test_stock_clients import SocketChannel

pytestmark = pytest.mark.anyio

REFUSED: dict[str, tuple[str, Any]] = {
    "a record of an agent": ("runs", "forged"),
    "a key that freezes pages": ("state", {"__proto__": {"a": 1}}),
}
"""Writes that no member may make: a root with the value of one of its keys."""


def token(sub: str, role: str) -> dict[str, Any]:
    """The parameter of the address that lets a participant in."""
    return {"token": mint(good(exp=time.time() + 300, sub=sub, role=role), secret_keys(SECRET)[0])}


async def test_a_stock_client_with_a_bad_session_name_is_told_and_stops(server: Server) -> None:
    async with NodeClient.open(server, "bad%20name%2F..", synced=False) as ann:

        async def final() -> dict[str, object] | None:
            return (await ann.ask("status"))["finalClose"]

        close = await eventually(final, "the final close")
        assert close["code"] == 4404
        assert close["reason"]
        status = await ann.ask("status")
        assert not status["wants"]
        assert len(status["closes"]) == 1, "it tried once"


async def test_clients_of_a_deleted_session_are_told_and_stop(server: Server) -> None:
    async with NodeClient.open(server, "gone") as ann, NodeClient.open(server, "gone") as ben:
        await ann.ask("insert", root="text:note", index=0, text="for a while")
        async with httpx.AsyncClient() as http:
            answer = await http.delete(f"{server.url}/sessions/gone")
        assert answer.status_code == 204
        for client in (ann, ben):

            async def final(client: NodeClient = client) -> dict[str, object] | None:
                return (await client.ask("status"))["finalClose"]

            close = await eventually(final, "the final close")
            assert close["code"] == 4410
            assert close["reason"]


@pytest.mark.parametrize("major", [1, 2, 3])
@pytest.mark.parametrize("role", ["member", "viewer"])
@pytest.mark.parametrize("write", REFUSED)
async def test_a_stock_client_whose_write_is_refused_stays_and_reads_on(
    start_server: Callable[..., Server], major: int, role: str, write: str
) -> None:
    server = start_server(auth_secret=SECRET)
    root, value = REFUSED[write]
    async with (
        NodeClient.open(server, "trip", **token("ann", "member")) as ann,
        NodeClient.open(server, "trip", provider=major, **token("ben", role)) as ben,
    ):
        await ben.ask("set", root=root, key="forged", value=value)
        await ben.ask("insert", root="text:note", index=0, text="mine ")

        async def told() -> bool:
            return bool((await ben.ask("status"))["denials"])

        await eventually(told, "the word of the server")
        await ann.ask("insert", root="text:note", index=0, text="hers ")
        expected = {"hers ", "hers mine ", "mine hers "}

        async def same() -> bool:
            if await ben.ask("map", root=root) != {}:
                return False
            texts = {await client.ask("text", root="text:note") for client in (ann, ben)}
            return len(texts) == 1 and texts <= expected and ("mine" in texts.pop()) == (role == "member")

        await eventually(same, "the same text on both sides")
        assert await ann.ask("map", root=root) == {}
        status = await ben.ask("status")
        assert (status["closes"], status["connected"], status["wants"]) == ([], True, True)


@pytest.mark.parametrize("role", ["member", "viewer"])
@pytest.mark.parametrize("write", REFUSED)
async def test_a_pycrdt_provider_whose_write_is_refused_stays_and_reads_on(
    start_server: Callable[..., Server], role: str, write: str
) -> None:
    server = start_server(auth_secret=SECRET)
    root, value = REFUSED[write]
    async with (
        NodeClient.open(server, "trip", **token("ann", "member")) as ann,
        connect(server.ws_url("trip", **token("ben", role)), max_size=None) as socket,
    ):
        doc: Doc[Any] = Doc()
        text, refused = doc.get("text:note", type=Text), doc.get(root, type=Map)
        async with Provider(doc, SocketChannel(socket, "trip")) as provider:
            await provider.synced.wait()
            refused["forged"] = value
            text += "mine "
            await eventually(lambda: refused.to_py() == {}, "what is refused vanishes")
            await ann.ask("insert", root="text:note", index=0, text="hers ")

            async def same() -> bool:
                words = str(text)
                is_same = words == await ann.ask("text", root="text:note")
                return is_same and "hers" in words and ("mine" in words) == (role == "member")

            await eventually(same, "the same text on both sides")
            assert await ann.ask("map", root=root) == {}
            assert socket.state is State.OPEN
