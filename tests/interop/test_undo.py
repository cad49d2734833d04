"""Undo and redo in Yjs, by somebody who may not write everything, through a real server."""

import pytest
from processes import NodeClient, Server, eventually

pytestmark = pytest.mark.anyio


async def test_a_message_that_was_undone_is_redone_with_its_true_stamp(server: Server) -> None:
    async with (
        NodeClient.open(server, "trip", user="eve", role="member") as eve,
        NodeClient.open(server, "trip", user="ada") as ada,
    ):

        async def seen(count: int) -> list[dict[str, object]]:
            """What both have, once they have so many messages, each with its stamp."""

            async def both() -> bool:
                ones, others = await eve.ask("array", root="messages"), await ada.ask("array", root="messages")
                return ones == others and len(ones) == count and all("stamp" in message for message in ones)

            await eventually(both, f"{count} messages with both")
            return await ada.ask("array", root="messages")

        await eve.ask("keepUndo", root="messages")
        await eve.ask("message", id="m-1", role="user", text="hello 🦊", author="eve")
        [said] = await seen(1)
        await eve.ask("appendToMessage", index=0, text=" and bye")

        for _ in range(2):
            assert await eve.ask("undo")
            assert await eve.ask("undo")
            assert await seen(0) == []
            assert await eve.ask("redo")
            [back] = await seen(1)
            assert back == said
            assert await eve.ask("redo")

        await eventually(lambda: _text_is(ada, "hello 🦊 and bye"), "what was redone last")
        assert (await eve.ask("status"))["closes"] == []


async def _text_is(client: NodeClient, text: str) -> bool:
    messages = await client.ask("array", root="messages")
    return messages[0]["parts"][0]["text"] == text
