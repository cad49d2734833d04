"""Stock clients and refusals: a connection that is refused is told why; a write that is refused doesn't end one."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import NodeClient, Server, eventually

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint

pytestmark = pytest.mark.anyio


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
async def test_a_stock_client_whose_write_is_refused_stays_and_reads_on(
    start_server: Callable[..., Server], major: int, role: str
) -> None:
    server = start_server(auth_secret=SECRET)

    def token(sub: str, role: str) -> dict[str, Any]:
        return {"token": mint(good(exp=time.time() + 300, sub=sub, role=role), secret_keys(SECRET)[0])}

    async with (
        NodeClient.open(server, "trip", **token("ann", "member")) as ann,
        NodeClient.open(server, "trip", provider=major, **token("ben", role)) as ben,
    ):
        await ben.ask("set", root="participants", key="ben", value="forged")
        await ben.ask("insert", root="text:note", index=0, text="mine ")

        async def told() -> bool:
            return bool((await ben.ask("status"))["denials"])

        await eventually(told, "the word of the server")
        await ann.ask("insert", root="text:note", index=0, text="hers ")
        expected = {"hers ", "hers mine ", "mine hers "}

        async def same() -> bool:
            texts = {await client.ask("text", root="text:note") for client in (ann, ben)}
            return len(texts) == 1 and texts <= expected and ("mine" in texts.pop()) == (role == "member")

        await eventually(same, "the same text on both sides")
        status = await ben.ask("status")
        assert (status["closes"], status["connected"], status["wants"]) == ([], True, True)
