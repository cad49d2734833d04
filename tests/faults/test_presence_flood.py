"""Presence that comes faster than anybody can look: late and merged, never refused, and no trouble for the others."""

import asyncio
import json
import time
from collections.abc import Callable

import pytest
from processes import Server, eventually
from pycrdt import Map
from wire import Wire

from cosession.protocol import Awareness, AwarenessEntry, decode_awareness, encode_awareness

pytestmark = pytest.mark.anyio

STATES = 1500


def states(wire: Wire, client: int) -> list[dict[str, object]]:
    """What a client's presence said, each time that it came."""
    entries = [
        entry for frame in wire.frames if isinstance(frame, Awareness) for entry in decode_awareness(frame.payload)
    ]
    return [json.loads(entry.state) for entry in entries if entry.client == client and not entry.gone]


async def test_a_flood_of_presence_reaches_the_others_merged_and_ends_with_its_last_word(
    start_server: Callable[..., Server],
) -> None:
    server = start_server()
    async with Wire.open(server, "trip", user="ann") as ann, Wire.open(server, "trip", ext=1, user="bob") as bob:
        began = time.monotonic()
        for number in range(1, STATES + 1):
            state = json.dumps({"at": number})
            await ann.send(Awareness(encode_awareness([AwarenessEntry(7, number, state)])))
            if number % 50 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: (states(bob, 7) or [{}])[-1].get("at") == STATES, "the last word")
        seconds = time.monotonic() - began
        assert len(states(bob, 7)) <= 3 + seconds / 0.05, "twenty a second"
        assert ann.closed is None
        await bob.edit(lambda doc: doc.get("state", type=Map).update({"bob": "works"}))
        await bob.fence()


async def test_the_first_word_after_a_silence_and_the_last_one_are_not_late(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(presence_seconds=3000)
    async with Wire.open(server, "trip", user="bob") as bob, Wire.open(server, "trip", user="ann") as ann:
        await ann.send(Awareness(encode_awareness([AwarenessEntry(7, 1, '{"at":1}')])))
        await eventually(lambda: states(bob, 7), "the first word")


@pytest.mark.parametrize("lie", ["another's user", "another's client", "many clients"])
async def test_a_lie_in_presence_is_nobodys_word(start_server: Callable[..., Server], lie: str) -> None:
    server = start_server()
    async with (
        Wire.open(server, "trip", user="ann") as ann,
        Wire.open(server, "trip", user="bob") as bob,
        Wire.open(server, "trip", user="eve") as eve,
    ):
        await ann.send(Awareness(encode_awareness([AwarenessEntry(7, 1, '{"mood":"calm"}')])))
        await eventually(lambda: states(bob, 7), "ann")
        forged = json.dumps({"mood": "forged", "user": {"id": "ann", "name": "Ann", "kind": "operator"}})
        clients = {"another's user": [9], "another's client": [7], "many clients": [9, 10, 11]}[lie]
        await eve.send(Awareness(encode_awareness([AwarenessEntry(client, 99, forged) for client in clients])))
        await eve.send(Awareness(encode_awareness([AwarenessEntry(13, 1, '{"mood":"honest"}')])))
        await eventually(lambda: states(bob, 13), "eve's own word")
        heard = {client: states(bob, client) for client in (7, 9, 10, 11, 13)}
        assert [state["mood"] for state in heard[7]] == ["calm"] * len(heard[7])
        for client in set(heard) - {7}:
            assert all(state["user"]["id"] == "eve" for state in heard[client])  # type: ignore[index]
        assert {client for client in heard if heard[client]} == {7, 13, *clients}
