"""What says "saved": the fence to who asks for it, the echo to who doesn't."""

from typing import Any

import pytest
from conformance import codec
from conformance.peer import NOTES, Endpoint, until
from pycrdt import Doc, Text

pytestmark = [pytest.mark.anyio, pytest.mark.extended]


@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b"f" * 1000], ids=["nothing", "binary", "a kilobyte"])
async def test_a_fence_comes_back_as_it_was_sent(endpoint: Endpoint, room: str, payload: bytes) -> None:
    async with endpoint.join(room, ext=1) as ann:
        await ann.write("before it")
        await ann.send(codec.fence(payload))
        await until(lambda: ann.bodies(codec.FENCE) == [payload], "the fence")


async def test_a_fence_with_nothing_before_it_comes_back(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1, synced=False) as ann:
        await ann.fence()


async def test_fences_come_back_in_order(endpoint: Endpoint, room: str) -> None:
    payloads = [b"%d" % place for place in range(100)]
    async with endpoint.join(room, ext=1) as ann:
        for payload in payloads:
            if int(payload) % 3:
                await ann.write("word ")
            await ann.send(codec.fence(payload))
        await until(lambda: ann.count(codec.FENCE) == 100, "every fence")
        assert ann.bodies(codec.FENCE) == payloads


async def test_a_fence_returns_to_its_sender_only(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann, endpoint.join(room, ext=1) as ben:
        await ann.write("word")
        await ann.fence()
        await ben.settle()
        assert ben.count(codec.FENCE) == 0


async def test_fenced_edits_reach_the_next_client(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann:
        await ann.write("fenced")
        await ann.fence()
    async with endpoint.join(room) as ben:
        assert str(ben.notes) == "fenced"


async def test_a_fence_covers_deletions(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann:
        await ann.write("keep, drop")
        await ann.edit(lambda doc: doc.get(NOTES, type=Text).__delitem__(slice(4, 10)))
        await ann.fence()
    async with endpoint.join(room) as ben:
        assert str(ben.notes) == "keep"


async def test_a_client_with_fences_gets_no_echo(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann:
        for word in ("one ", "two ", "three"):
            await ann.write(word)
        await ann.fence()
        await ann.settle()
        assert _read(ann.bodies(codec.UPDATE)) == ""


async def test_a_client_without_fences_gets_its_own_updates_back(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("one ")
        await ann.write("two")
        await until(lambda: _read(ann.bodies(codec.UPDATE)) == "one two", "the echo of all of it")


async def test_deletions_are_echoed(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("keep, drop")
        await until(lambda: _read(ann.bodies(codec.UPDATE)), "the echo")
        update = await ann.edit(lambda doc: doc.get(NOTES, type=Text).__delitem__(slice(4, 10)))
        await until(lambda: update in ann.bodies(codec.UPDATE), "the echo of the deletion")


async def test_a_fence_on_a_connection_without_fences_is_ignored(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.send(codec.fence(b"no"))
        await ann.write("still here")
        await ben.until_reads("still here")
        await ann.settle()
        assert ann.count(codec.FENCE) == 0
        assert ann.closed is None


async def test_a_fence_does_not_wait_for_a_stalled_reader(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann, endpoint.join(room) as ben:
        ben.socket.transport.pause_reading()
        for _ in range(20):
            await ann.write("x" * 100_000)
        await ann.fence()
        ben.socket.transport.resume_reading()
        await ben.until_reads("x" * 2_000_000)


def _read(updates: list[bytes]) -> str:
    """What the notes are to a replica that has only these updates."""
    doc: Doc[Any] = Doc()
    for update in updates:
        doc.apply_update(update)
    return str(doc.get(NOTES, type=Text))
