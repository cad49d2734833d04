"""A connection that sends too much: slowed first, then refused, and others don't notice."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from processes import Server
from pycrdt import Doc, Text
from websockets.asyncio.client import connect

from cosession.protocol import Fence, SyncUpdate, decode_frame, encode_frame

pytestmark = pytest.mark.anyio


def updates(count: int) -> list[bytes]:
    """Frames of so many small edits of one document."""
    frames: list[bytes] = []
    doc: Doc = Doc()
    text = doc.get("text:notes", type=Text)
    watch = doc.observe(lambda event: frames.append(encode_frame(SyncUpdate(event.update))))
    for _ in range(count):
        text += "x"
    doc.unobserve(watch)
    return frames


async def fenced(url: str, frames: list[bytes]) -> None:
    """Send frames, and return when all of them are on the disk."""
    async with connect(url) as socket:
        for frame in [*frames, encode_frame(Fence(b"end"))]:
            await socket.send(frame)
        async for data in socket:
            if decode_frame(bytes(data)) == Fence(b"end"):  # type: ignore[arg-type]
                return


async def test_a_burst_is_taken_whole(start_server: Callable[..., Server]) -> None:
    server = start_server(max_frames_per_second=100, flood_seconds=30)
    async with asyncio.timeout(60):
        await fenced(server.ws_url("room", ext=1), updates(300))


async def test_a_flood_is_read_slowly_while_others_are_served(start_server: Callable[..., Server]) -> None:
    server = start_server(max_frames_per_second=100, flood_seconds=1)
    async with asyncio.timeout(60):
        async with connect(server.ws_url("room", ext=1, user="eve")) as flooder:

            async def flood() -> None:
                for frame in updates(20_000):
                    await flooder.send(frame)

            async def listen() -> None:
                async for _ in flooder:
                    pass

            flooding = asyncio.gather(flood(), listen())
            for _ in range(5):
                await fenced(server.ws_url("room", ext=1, user="ada"), updates(10))
            assert not flooding.done(), "the flood is neither taken at once nor cut off"
            flooding.cancel()
            with suppress(asyncio.CancelledError):
                await flooding
