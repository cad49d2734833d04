"""The Python SDK and real Yjs agree on every position: one counts code points, the other UTF-16 units."""

import random

import pytest
from processes import NodeClient, Server, eventually

from cosession.client import Session, connect

pytestmark = pytest.mark.anyio

PIECES = ["a", "é", "e\u0301", "🐙", "👩🏽‍🚀", "🇪🇺", "שלום", "𝕏", "﷽", "\n", "中文", "z\u0323\u0307"]
EDITS = 120


def _edit(session: Session, model: str, dice: random.Random) -> str:
    """Make one random edit to the shared text and to a plain string alike."""
    text = session.document.text("note")
    at = dice.randint(0, len(model))
    end = dice.randint(at, min(len(model), at + 4))
    piece = "".join(dice.choices(PIECES, k=dice.randint(1, 3)))
    match dice.randint(0, 3):
        case 0:
            text.delete(at, end)
            return model[:at] + model[end:]
        case 1:
            text.replace(at, end, piece)
            return model[:at] + piece + model[end:]
        case 2:
            text.append(piece)
            return model + piece
        case _:
            text.insert(at, piece)
            return model[:at] + piece + model[at:]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("major", [1, 3, 4])
async def test_edits_of_the_sdk_mean_the_same_in_yjs(server: Server, seed: int, major: int) -> None:
    dice = random.Random(seed)
    model = ""
    async with (
        NodeClient.open(server, "note", provider=major) as yjs,
        connect(server.url, session="note", participant="writer") as session,
    ):
        for _ in range(EDITS):
            model = _edit(session, model, dice)
            assert str(session.document.text("note")) == model

        async def same() -> bool:
            return await yjs.ask("text", root="text:note") == model

        await eventually(same, "the same text in Yjs")


async def test_a_place_in_a_text_stays_where_it_is_while_yjs_writes_before_it(server: Server) -> None:
    async with (
        NodeClient.open(server, "note") as yjs,
        connect(server.url, session="note", participant="writer") as session,
    ):
        text = session.document.text("note")
        text.append("👩🏽‍🚀 to 🇪🇺 and back")
        place = text.position(str(text).index("and"))
        await session.wait_saved()

        async def arrived() -> bool:
            return str(await yjs.ask("text", root="text:note")).endswith("back")

        await eventually(arrived, "the text in Yjs")
        await yjs.ask("insert", root="text:note", index=0, text="🐙🐙 e\u0301 ")
        await eventually(lambda: str(text).startswith("🐙"), "what Yjs wrote")
        at = text.index_of(place)
        assert at is not None
        assert str(text)[at:] == "and back"


async def test_an_edit_of_a_message_merges_with_what_yjs_writes_at_the_same_time(server: Server) -> None:
    async with (
        NodeClient.open(server, "chat") as yjs,
        connect(server.url, session="chat", participant="ann") as session,
    ):
        message = await session.send("Befor 🐙 the tunnel")
        await session.wait_saved()

        async def there() -> bool:
            return len(await yjs.ask("array", root="messages")) == 1

        await eventually(there, "the message in Yjs")
        await yjs.ask("disconnect")
        await yjs.ask("appendToMessage", index=0, text=" 🚇")
        message.edit("Before 🐙 the tunnel", at="2026-01-01T00:00:00Z", by="ada")
        await session.wait_saved()
        await yjs.ask("connect")

        async def merged() -> bool:
            (shown,) = await yjs.ask("array", root="messages")
            return shown["parts"][0]["text"] == "Before 🐙 the tunnel 🚇" == message.text

        await eventually(merged, "both edits, merged")
