"""What a stock client can rely on: its echo is a receipt, one message in a frame, one exchange to catch up."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from processes import NodeClient, Server, eventually
from pycrdt import Map
from wire import Wire

from cosession.protocol import Awareness, SyncStep1, SyncStep2, read_update_header

pytestmark = pytest.mark.anyio


async def wait_for_echo(client: NodeClient) -> None:
    """Wait until a client has been sent back all that it wrote."""

    async def echoed() -> bool:
        status = await client.ask("status")
        name = "vector" if "wants" not in status else "digest"
        answer = await client.ask(name)
        vector = answer if name == "vector" else answer["vector"]
        known = 0
        for frame in await client.ask("frames"):
            if frame["direction"] == "in" and frame.get("type") == 0 and frame.get("kind") == 2:
                header = read_update_header(base64.b64decode(frame["body"]))
                known = max([known, *(span.end for span in header.brings if span.client == status["client"])])
        return known == vector[str(status["client"])]

    await eventually(echoed, "the echo of all that the client wrote")


async def text_of(client: NodeClient, root: str) -> str:
    """The text of a client's document."""
    return await client.ask("text", root=root)


@pytest.mark.parametrize("major", [1, 3, 4])
async def test_what_was_echoed_survives_a_kill_of_everything(server: Server, major: int) -> None:
    async with NodeClient.open(server, "saved", provider=major) as ann:
        for piece in "kept 🐙 for good":
            await ann.ask("insert", root="text:note", index=-1, text=piece)
        await wait_for_echo(ann)
        server.kill()
        await ann.kill()
    server.start()
    async with NodeClient.open(server, "saved") as ben:
        assert await text_of(ben, "text:note") == "kept 🐙 for good"


async def test_a_client_with_fences_gets_no_echo(server: Server) -> None:
    async with Wire.open(server, "fenced", ext=1) as ann:
        update = await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
        await ann.fence()
        assert update not in [getattr(frame, "update", b"") for frame in ann.frames]


async def test_a_client_that_was_away_catches_up_in_one_exchange(server: Server) -> None:
    async with NodeClient.open(server, "away") as ann, NodeClient.open(server, "away") as ben:
        await ann.ask("disconnect")
        await ben.ask("burst", root="text:note", count=1000, text="🐙")
        await wait_for_echo(ben)
        await ann.ask("clearFrames")
        await ann.ask("connect")
        await ann.synced()

        assert await text_of(ann, "text:note") == "🐙" * 1000
        came: list[dict[str, Any]] = [frame for frame in await ann.ask("frames") if frame["direction"] == "in"]
        synced = [frame for frame in came if frame.get("type") == 0 and frame.get("kind") == 1]
        assert len(synced) == 1, "one sync step 2 holds all"
        assert not [frame for frame in came if frame.get("type") == 0 and frame.get("kind") == 2]
        assert all(frame["left"] == 0 for frame in came)


async def test_silence_is_broken_before_a_stock_client_hangs_up(start_server: Callable[..., Server]) -> None:
    server = start_server(keep_alive_seconds=0.3)
    async with Wire.open(server, "quiet") as ann:
        before, began = len(ann.frames), time.monotonic()
        await eventually(lambda: len(ann.frames) >= before + 3, "something to hear in the silence")
        assert time.monotonic() - began < 30
        assert all(isinstance(frame, Awareness) for frame in ann.frames[before:])


async def test_the_server_asks_and_answers_with_one_message_in_a_frame(server: Server) -> None:
    async with Wire.open(server, "first") as ann:  # Wire refuses a frame with two messages
        await eventually(lambda: ann.count(SyncStep1) and ann.count(SyncStep2), "both halves of the handshake")
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
        await eventually(lambda: ann.count(SyncStep1) == 1 or None, "no second question")
        async with Wire.open(server, "first") as ben:
            assert ben.doc.get("state", type=Map).to_py() == {"a": 1}
