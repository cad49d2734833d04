"""A reader chooses how often it hears: `?rollup=MILLISECONDS`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from processes import Server
from pycrdt import Doc, Text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from cosession.protocol import Fence, SyncStep1, SyncStep2, SyncUpdate, decode_frame, encode_frame

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def read_until(socket: ClientConnection, ending: str, synced: asyncio.Barrier) -> int:
    """Follow a session until its text ends so; how many frames with updates it took."""
    doc: Doc = Doc()
    await socket.send(encode_frame(SyncStep1(doc.get_state())))
    frames = 0
    async for data in socket:
        assert isinstance(data, bytes)
        match decode_frame(data):
            case SyncStep2(update):
                doc.apply_update(update)
                await synced.wait()
            case SyncUpdate(update):
                frames += 1
                doc.apply_update(update)
            case _:
                pass
        if str(doc.get("text:notes", type=Text)).endswith(ending):
            break
    return frames


async def test_a_slow_device_gets_fewer_frames_and_all_of_the_text(server: Server) -> None:
    doc: Doc = Doc()
    text = doc.get("text:notes", type=Text)
    async with (
        asyncio.timeout(60),
        connect(server.ws_url("room", ext=1)) as writer,
        connect(server.ws_url("room", ext=1)) as at_once,
        connect(server.ws_url("room", ext=1, rollup=300)) as gathered,
        asyncio.TaskGroup() as group,
    ):
        synced = asyncio.Barrier(3)
        many = group.create_task(read_until(at_once, "end", synced))
        few = group.create_task(read_until(gathered, "end", synced))
        await synced.wait()
        began = asyncio.get_running_loop().time()
        for word in [*(f"{number} " for number in range(50)), "end"]:
            before = doc.get_state()
            text += word
            await writer.send(encode_frame(SyncUpdate(doc.get_update(before))))
            await asyncio.sleep(0.01)  # a word now and then, as a model writes
        await many
        await few
        seconds = asyncio.get_running_loop().time() - began
    assert few.result() <= 3 + seconds / 0.3
    assert few.result() < many.result()


@pytest.mark.parametrize("rollup", ["-1", "1001", "soon", "", "١"])
async def test_a_rollup_that_can_not_be_is_refused_for_good(server: Server, rollup: str) -> None:
    async with connect(server.ws_url("room", rollup=rollup)) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400
    assert "rollup" in closed.value.rcvd.reason


async def test_after_a_refusal_nothing_more_is_taken_in_and_nothing_called_saved(start_server) -> None:
    server = start_server(max_frame_bytes=2048)
    doc: Doc = Doc()
    text = doc.get("text:notes", type=Text)
    text += "x" * 4000
    async with connect(server.ws_url("room", ext=1, rollup=500)) as socket:
        await socket.send(encode_frame(SyncUpdate(doc.get_update())))
        await socket.send(encode_frame(Fence(b"saved?")))
        frames = [decode_frame(data) async for data in until_closed(socket)]
    assert not [frame for frame in frames if isinstance(frame, Fence)]
    assert socket.close_code == 4413


async def until_closed(socket: ClientConnection) -> AsyncIterator[bytes]:
    """What comes until the socket is closed."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            data = await asyncio.wait_for(socket.recv(), 60)
            assert isinstance(data, bytes)
            yield data
