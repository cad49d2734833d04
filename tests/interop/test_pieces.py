"""A large document reaches stock clients in pieces that Yjs takes in one by one."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from interop.test_stock_clients import SocketChannel
from processes import NodeClient, Server, eventually, run_node
from pycrdt import Array, Doc, Map, Provider, Text, XmlElement, XmlFragment, XmlText
from websockets.asyncio.client import connect
from wire import Wire

from cosession.protocol import EMPTY_UPDATE, SyncStep2, SyncUpdate, split_update

pytestmark = pytest.mark.anyio

WORDS = ["plain ", "é", "👩🏽‍🚀", "𝕏" * 40, "שלום", "\n", "long " * 30]
LARGE = "añ👩🏽‍🚀 𝕏 and plain words " * 120_000
"""A little over 5 MB."""


def written(dice: random.Random, steps: int = 60) -> Doc[Any]:
    """A document by three writers who hear of each other now and then."""
    docs: list[Doc[Any]] = [Doc(client_id=client) for client in (3, 2**31 + 7, 170_000_001)]
    for _ in range(steps):
        doc = dice.choice(docs)
        text, array, root = doc.get("t", type=Text), doc.get("a", type=Array), doc.get("m", type=Map)
        word, points = dice.choice(WORDS), str(text)
        first, last = (len(points[:at].encode()) for at in sorted(dice.choices(range(len(points) + 1), k=2)))
        match dice.randrange(8):
            case 0 | 1 | 2:
                text.insert(first, word)
            case 3 if last > first:
                del text[first:last]
            case 4:
                root[word[:3]] = Map({"text": Text(word), "list": Array([1, None, {"deep": [word]}])})
            case 5:
                array.extend([dice.random(), word, b"bytes", *range(10)])
            case 6 if len(array):
                del array[dice.randrange(len(array))]
            case _:
                doc.get("x", type=XmlFragment).children.append(XmlElement("p", {"k": word}, [XmlText(word)]))
        if dice.random() < 0.3:
            dice.choice(docs).apply_update(doc.get_update())
    for other in docs[1:]:
        docs[0].apply_update(other.get_update())
    return docs[0]


def test_yjs_has_nothing_pending_after_any_piece_and_ends_with_the_same_document() -> None:
    dice = random.Random(7)
    lines: list[str] = []
    for _ in range(150):
        whole = written(dice).get_update()
        pieces = [piece for piece in split_update(whole, dice.choice([1, 10, 100, 1000])) if piece != EMPTY_UPDATE]
        encoded = [base64.b64encode(update).decode() for update in (whole, *pieces)]
        lines.append(json.dumps({"whole": encoded[0], "pieces": encoded[1:]}))
    results = run_node("pieces.mjs", lines)
    assert len(results) == len(lines)
    for line, result in zip(lines, results, strict=True):
        assert (result["pieces"], result["merged"], result["pending"]) == (True, True, 0), line
    assert any(result["text"] for result in results)


@asynccontextmanager
async def slow_line(server: Server, bytes_per_second: int) -> AsyncIterator[Server]:
    """The server behind a line that carries so much to its clients, and takes all that they send."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: int | None) -> None:
        try:
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
                if pace:
                    await asyncio.sleep(len(data) / pace)  # the line's own pace
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
        async with asyncio.TaskGroup() as group:
            group.create_task(carry(reader, to_server, None))
            group.create_task(carry(from_server, writer, bytes_per_second))

    line = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4096)
    behind = Server(server.data.parent)
    behind.port = line.sockets[0].getsockname()[1]
    behind.url = f"http://127.0.0.1:{behind.port}"
    async with line:
        yield behind


async def fill(server: Server, session: str) -> None:
    async with Wire.open(server, session, ext=1) as writer:
        await writer.edit(lambda doc: doc.get("text:note", type=Text).insert(0, LARGE))
        await writer.edit(lambda doc: doc.get("state", type=Map).update({"who": "Ann"}))
        await writer.fence()


@pytest.mark.parametrize("provider", [1, 3, 4])
async def test_stock_clients_sync_five_megabytes_from_pieces(server: Server, provider: int) -> None:
    await fill(server, "large")
    async with NodeClient.open(server, "large", provider=provider) as client:
        assert await client.ask("text", root="text:note") == LARGE
        frames = [frame for frame in await client.ask("frames") if frame["direction"] == "in" and frame["type"] == 0]
        assert max(frame["bytes"] for frame in frames) < 300_000
        kinds = [frame["kind"] for frame in frames]
        assert kinds.count(2) >= 18
        assert kinds.index(1) > max(at for at, kind in enumerate(kinds) if kind == 2), "synced with the last piece"
        if provider != 4:
            digest = await client.ask("digest", texts=["text:note"], maps=["state"])
            assert not digest["pending"]
            assert digest["maps"] == [{"who": "Ann"}]


async def test_pycrdts_provider_syncs_five_megabytes_from_pieces(server: Server) -> None:
    await fill(server, "large")
    async with connect(server.ws_url("large"), max_size=None) as socket:
        doc: Doc[Any] = Doc()
        text = doc.get("text:note", type=Text)
        async with Provider(doc, SocketChannel(socket, "large")):
            await eventually(lambda: len(str(text)) == len(LARGE), "all of the text")
            assert str(text) == LARGE


async def test_on_a_slow_line_many_small_frames_come_and_a_living_reader_is_not_closed(start_server) -> None:
    server = start_server(max_piece_bytes=16_384, slow_reader_seconds=2, keep_alive_seconds=1)
    async with Wire.open(server, "slow", ext=1) as writer:
        await writer.edit(lambda doc: doc.get("text:note", type=Text).insert(0, "word " * 400_000))
        await writer.fence()
        async with (
            slow_line(server, 400_000) as line,
            Wire.open(line, "slow", synced=False, ext=1) as reader,
        ):
            syncing = asyncio.create_task(reader.sync())
            await eventually(lambda: reader.count(SyncUpdate) > 3, "the first pieces")
            await writer.edit(lambda doc: doc.get("text:note", type=Text).insert(0, "meanwhile "))
            await syncing
            await eventually(
                lambda: str(reader.doc.get("text:note", type=Text)).startswith("meanwhile "), "what came meanwhile"
            )
            assert reader.closed is None
            assert max(reader.sizes) < 20_000
            assert reader.count(SyncUpdate) > 100
            assert reader.count(SyncStep2) == 1
            assert str(reader.doc.get("text:note", type=Text)) == "meanwhile " + "word " * 400_000
