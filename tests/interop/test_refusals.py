"""Whoever is refused for good hears why, and a stock client then stops trying."""

import httpx
import pytest
from processes import NodeClient, Server, eventually

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
