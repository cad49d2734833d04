"""Yjs 14 with `@y/websocket` 4 beside Yjs 13: what both can express, both see."""

import pytest
from processes import NodeClient, Server, eventually

pytestmark = pytest.mark.anyio


async def test_yjs_14_and_13_write_one_text(server: Server) -> None:
    async with (
        NodeClient.open(server, "both", provider=4) as new,
        NodeClient.open(server, "both", provider=3) as old,
    ):
        await new.ask("insert", root="text:note", index=0, text="from fourteen 👩🏽‍🚀 ")

        async def old_has() -> bool:
            return await old.ask("text", root="text:note") == "from fourteen 👩🏽‍🚀 "

        await eventually(old_has, "Yjs 13 to see it")
        await old.ask("insert", root="text:note", index=-1, text="and thirteen 🐙")
        await old.ask("delete", root="text:note", index=0, length=5)

        async def new_has() -> bool:
            return await new.ask("text", root="text:note") == "fourteen 👩🏽‍🚀 and thirteen 🐙"

        await eventually(new_has, "Yjs 14 to see it")
        assert all(frame["left"] == 0 for frame in await new.ask("frames"))
