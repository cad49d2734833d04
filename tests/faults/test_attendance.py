"""What the document says of who is here: after reloads, after a crash, and to who comes late."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from processes import Server, eventually
from pycrdt import Map
from wire import Wire

from cosession.protocol import Awareness, AwarenessEntry, decode_awareness, encode_awareness

pytestmark = pytest.mark.anyio

StartServer = Callable[..., Server]


async def read(server: Server) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.url) as http:
        return (await http.get("/sessions/trip")).json()


async def people(server: Server) -> dict[str, Any]:
    return (await read(server))["document"]["participants"]


async def test_a_crash_leaves_nobody_online(start_server: StartServer) -> None:
    server = start_server(attendance_seconds=0.1)
    async with (
        Wire.open(server, "trip", ext=1, user="ann") as ann,
        Wire.open(server, "trip", ext=1, user="bot", kind="agent") as bot,
    ):
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
        await ann.fence()
        await bot.fence()
        server.kill()
    server.start()
    known = await people(server)
    for who in ("ann", "bot"):
        said = {key: known[who][key] for key in ("online", "devices", "looking")}
        assert said == {"online": False, "devices": 0, "looking": False}
        assert known[who]["last_seen"] >= known[who]["since"]
    async with Wire.open(server, "trip", ext=1, user="bot", kind="agent"):

        async def is_back() -> bool:
            return (await people(server))["bot"]["online"]

        await eventually(is_back, "the agent, online again")
        assert (await people(server))["ann"]["online"] is False


async def test_a_server_that_stops_says_that_everybody_has_left(start_server: StartServer) -> None:
    server = start_server()
    async with Wire.open(server, "trip", ext=1, user="ann") as ann:
        await ann.fence()
        server.stop()
    server.start()
    assert (await people(server))["ann"]["online"] is False


async def test_reloads_write_nothing_and_devices_are_counted(start_server: StartServer) -> None:
    server = start_server(attendance_seconds=2)  # longer than a reload takes on a busy machine

    async def devices() -> int:
        return (await people(server))["ann"]["devices"]

    async with Wire.open(server, "trip", ext=1, user="ann"):
        async with Wire.open(server, "trip", ext=1, user="ann"):
            await eventually(lambda: _is(devices, 2), "two devices")
        await eventually(lambda: _is(devices, 1), "one device")
        before = (await read(server))["version"]
        for _ in range(5):
            async with Wire.open(server, "trip", ext=1, user="ann"):
                pass
        assert (await read(server))["version"] == before
    await eventually(lambda: _is(devices, 0), "nobody")
    assert (await read(server))["version"] == before + 1


async def _is(count: Callable[[], Any], wanted: int) -> bool:
    return await count() == wanted


async def test_a_late_joiner_is_told_of_everybody_and_who_left_is_told_of_no_more(start_server: StartServer) -> None:
    server = start_server()
    async with Wire.open(server, "trip", user="ann") as ann, Wire.open(server, "trip", user="bob") as bob:
        for client, wire in ((1, ann), (2, bob)):
            await wire.send(Awareness(encode_awareness([AwarenessEntry(client, 1, '{"visible":true}')])))
        async with Wire.open(server, "trip", user="eve") as eve:
            await eventually(lambda: _here(eve) == {1, 2}, "both")
            bob.socket.transport.abort()
            await eventually(lambda: _here(eve) == {1}, "ann alone")
        async with Wire.open(server, "trip", user="zoe") as zoe:
            await eventually(lambda: _here(zoe) == {1}, "ann alone")


def _here(viewer: Wire) -> set[int]:
    here: set[int] = set()
    for frame in viewer.frames:
        if isinstance(frame, Awareness):
            for entry in decode_awareness(frame.payload):
                (here.discard if entry.gone else here.add)(entry.client)
    return here
