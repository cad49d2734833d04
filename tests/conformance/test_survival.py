"""What users of any Yjs server would want: data that outlives the process, and a server that outlives its input.

The cases come from public bug reports of Yjs servers and from faults that were found in ours. None is asked of the
y-websocket server in the test run; `scoreboard.py` asks all servers all of them.
"""

import asyncio
import struct
from contextlib import suppress
from urllib.parse import quote

import pytest
from conformance import codec
from conformance.peer import NOTES, Peer, until
from conformance.subject import Subject
from pycrdt import Array, Doc, Map, Text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

pytestmark = [pytest.mark.anyio, pytest.mark.survival]

MEGABYTE = 2**20


def any_string(text: str) -> bytes:
    """A plain string, as updates hold it."""
    return b"\x77" + codec.sized(text.encode())


def entry(client: int, clock: int, root: str, key: str, content: bytes) -> bytes:
    """An update that sets a key of a root to a plain value, which is given as its bytes."""
    return (
        b"\x01\x01"
        + codec.number(client)
        + codec.number(clock)
        + b"\x28\x01"
        + codec.sized(root.encode())
        + codec.sized(key.encode())
        + b"\x01"
        + content
        + b"\x00"
    )


async def send_alone(subject: Subject, room: str, frame: bytes) -> None:
    """Send a frame on a connection of its own, and wait until the server has dealt with it, however it does."""
    async with subject.endpoint.join(room) as mal:
        with suppress(ConnectionClosed, AssertionError):
            await mal.send(frame)
            await mal.settle()


async def check_room_works(subject: Subject, room: str) -> None:
    """Check that two who come now see each other's words."""
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        await ann.write("works")
        await until(lambda: str(ben.notes).endswith("works"), "the others see a word")


def told(peer: Peer) -> bytes:
    """All that came of the document: some servers read it from their store after their first answer."""
    return b"".join(peer.bodies(codec.STEP2) + peer.bodies(codec.UPDATE))


async def wait_a_second(*peers: Peer) -> None:
    """Let a second pass: this is about time, and the others' way of telling that something is saved differs."""
    await asyncio.sleep(1)
    assert all(peer.closed is None for peer in peers)


async def test_edits_survive_a_restart(subject: Subject, room: str) -> None:
    async with subject.endpoint.join(room) as ann:
        await ann.write("kept")
        await ann.settle()
    await asyncio.to_thread(subject.restart, kill=False)
    async with subject.endpoint.join(room) as ben:
        await ben.until_reads("kept")


async def test_edits_of_a_second_ago_survive_a_kill(subject: Subject, room: str) -> None:
    async with subject.endpoint.join(room) as ann:
        await ann.write("kept")
        await ann.settle()
        await wait_a_second(ann)
        await asyncio.to_thread(subject.restart, kill=True)
    async with subject.endpoint.join(room) as ben:
        await ben.until_reads("kept")


async def test_an_update_that_panics_the_crdt_library_harms_no_other_client(subject: Subject, room: str) -> None:
    async with subject.endpoint.join(room) as ann:
        await ann.write("before")
        await ann.settle()
        await send_alone(subject, room, codec.update(bytes.fromhex("0101071ba807010000")))
        await check_room_works(subject, room)
    assert subject.runs


async def test_a_deleted_range_of_billions_of_clocks_blocks_no_client(subject: Subject, room: str) -> None:
    length = 2**31 - 2
    gone = b"\x01\x01\x07\x00\x01\x01" + codec.sized(b"messages") + codec.number(length) + b"\x00"
    deletes = b"\x00\x01\x07\x01\x00" + codec.number(length)
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        await send_alone(subject, room, codec.update(gone))
        await send_alone(subject, room, codec.update(deletes))
        await ann.write("still here")
        await ben.until_reads("still here")


@pytest.mark.parametrize("clock", [2**31 - 1, 2**32 - 1, 2**53 - 1])
async def test_a_clock_at_the_upper_limit_leaves_the_room_usable(subject: Subject, room: str, clock: int) -> None:
    async with subject.endpoint.join(room) as ann:
        await ann.write("before")
        await ann.settle()
        await send_alone(subject, room, codec.update(b"\x01\x01\x07\x00\x00" + codec.number(clock) + b"\x00"))
        await send_alone(subject, room, codec.update(entry(7, clock, "state", "key", b"\x7e")))
    await asyncio.to_thread(subject.restart, kill=False)
    await check_room_works(subject, room)


async def test_a_value_that_freezes_yjs_pages_is_not_passed_on(subject: Subject, room: str) -> None:
    value = b"\x76\x01" + codec.sized(b"__proto__") + b"\x74\x01\xff"
    async with subject.endpoint.join(room) as ann:
        await send_alone(subject, room, codec.update(entry(7, 0, "state", "trip", value)))
        await ann.settle()
        assert b"__proto__" not in told(ann)
    async with subject.endpoint.join(room) as ben:
        assert b"__proto__" not in told(ben)


async def test_a_late_client_reads_a_plain_object_unchanged(subject: Subject, room: str) -> None:
    keys = [f"key-{7 * i % 23}" for i in range(23)]
    value = b"\x76" + codec.number(len(keys)) + b"".join(codec.sized(key.encode()) + any_string(key) for key in keys)
    async with subject.endpoint.join(room) as ann:
        await ann.send(codec.update(entry(7, 0, "state", "trip", value)))
        await ann.settle()
    for _ in range(2):
        async with subject.endpoint.join(room) as ben:
            await until(lambda: value in told(ben), "the same bytes")


async def test_large_integers_keep_their_type(subject: Subject, room: str) -> None:
    numbers = b"".join(b"\x7a" + struct.pack(">q", number) for number in (5, -(2**63), 2**63 - 1))
    value = b"\x75\x03" + numbers
    async with subject.endpoint.join(room) as ann:
        await ann.send(codec.update(entry(7, 0, "state", "sizes", value)))
        await ann.settle()
    async with subject.endpoint.join(room) as ben:
        await until(lambda: value in told(ben), "the same bytes")


async def test_a_paste_of_nine_megabytes_arrives(subject: Subject, room: str) -> None:
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        await ann.write("x" * (9 * MEGABYTE))
        await until(lambda: len(str(ben.notes)) == 9 * MEGABYTE, "the paste on the other side")


async def test_an_afternoon_of_offline_edits_arrives(subject: Subject, room: str) -> None:
    offline: Doc[object] = Doc()
    text = offline.get(NOTES, type=Text)
    with offline.transaction():
        for at in range(20_000):
            text.insert(0, "ab"[at % 2])
        for at in range(5_000):
            del text[at : at + 1]
    update, wanted = offline.get_update(), str(text)
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        await ann.send(codec.update(update))
        await ben.until_reads(wanted)
        assert ann.closed is None


def list_of_which_half_is_deleted(client: int, start: int, pairs: int) -> bytes:
    """An update that appends pairs of a value and a deleted value to a list; `start` is its first clock."""
    of = codec.number(client)
    structs = []
    for clock in range(start, start + 2 * pairs):
        content = b"\x01\x01" if clock % 2 else b"\x08\x01\x78"
        left = b"\x80" + of + codec.number(clock - 1) if clock else b"\x00\x01" + codec.sized(b"list")
        structs.append(bytes([left[0] | content[0]]) + left[1:] + content[1:])
    return b"\x01" + codec.number(2 * pairs) + of + codec.number(start) + b"".join(structs)


async def test_a_client_with_every_deletion_of_a_long_session_can_reconnect(subject: Subject, room: str) -> None:
    size, step = 260_000, 13_000
    async with subject.endpoint.join(room) as ann:
        for start in range(0, size, step):
            structs = list_of_which_half_is_deleted(7, 2 * start, step)
            ranges = b"".join(codec.number(2 * at + 1) + b"\x01" for at in range(start, start + step))
            await ann.send(codec.update(structs + b"\x01\x07" + codec.number(step) + ranges))
        values = ann.doc.get("list", type=Array)
        await until(lambda: ann.closed or len(values) == size, "the whole list", seconds=120)
        assert ann.closed is None
        ranges = b"".join(codec.number(2 * at + 1) + b"\x01" for at in range(size))
        deletes = b"\x01\x07" + codec.number(size) + ranges
        await ann.send(codec.step2(b"\x00" + deletes))  # what a replica that lacks nothing answers when it comes back
        await ann.settle()
        assert ann.closed is None


async def test_large_presence_ends_no_connection(subject: Subject, room: str) -> None:
    selected = {f"element-{i:04}": True for i in range(2000)}
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        await ann.say({"user": {"name": "Ann"}, "selected": selected})
        await ann.write("goes on")
        await ben.until_reads("goes on")
        await until(lambda: ben.others, "the others see the presence")


async def test_a_stalled_reader_uses_bounded_memory(subject: Subject, room: str) -> None:
    chunk = "x" * (256 * 1024)
    async with subject.endpoint.join(room) as ann:
        await ann.write(chunk)
        await ann.settle()
        sleepers = [connect(subject.endpoint.address(room), max_size=None, max_queue=1) for _ in range(4)]
        sockets = [await sleeper for sleeper in sleepers]
        prefix = ann.prefix
        for socket in sockets:
            if prefix:
                await socket.send(prefix + codec.login("token"))
            await socket.send(prefix + codec.step1(b"\x00"))
        await ann.settle()
        before = subject.memory
        for _ in range(120):  # 30 MB are written and deleted: the document stays small, what waits doesn't
            await ann.edit(lambda doc: _replace(doc, chunk))
            await ann.settle()
        grown = subject.memory - before
        for socket in sockets:
            socket.transport.abort()
        assert grown < 60 * MEGABYTE, f"{grown / MEGABYTE:.0f} MB more for four readers of which none reads"


def _replace(doc: Doc[object], text: str) -> None:
    notes = doc.get(NOTES, type=Text)
    del notes[0 : len(notes)]
    notes += text


@pytest.mark.parametrize("name", ["org/doc", "a b", "doc:1", "ana@example.org", "_private", "1+1", "日本語"])
async def test_a_room_may_have_any_name(subject: Subject, name: str, room: str) -> None:
    name = f"{name}{room}"
    path = name if subject.endpoint.is_hocuspocus else quote(name, safe="/:@+")
    async with subject.endpoint.join(path) as ann, subject.endpoint.join(path) as ben:
        await ann.write("here")
        await ben.until_reads("here")


async def test_a_client_that_offers_a_subprotocol_can_connect(subject: Subject, room: str) -> None:
    async with connect(subject.endpoint.address(room), subprotocols=["my-app"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol in (None, "my-app")


@pytest.mark.parametrize("frame", [b"\x66\x01", b"\x65hello", b"\x7f\x00"], ids=["type-102", "type-101", "type-127"])
async def test_an_unknown_message_type_ends_no_connection(subject: Subject, room: str, frame: bytes) -> None:
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        await ann.send(frame)
        await ann.write("goes on")
        await ben.until_reads("goes on")
        assert ann.closed is None


async def test_a_text_message_ends_no_connection(subject: Subject, room: str) -> None:
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        await ann.socket.send("ping")
        await ann.write("goes on")
        await ben.until_reads("goes on")
        assert ann.closed is None


async def test_a_client_that_writes_at_full_speed_is_not_disconnected(subject: Subject, room: str) -> None:
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:
        for number in range(20_000):
            if number % 100 == 0:
                await asyncio.sleep(0)  # so that pings are answered meanwhile
            await ann.edit(lambda doc, at=number: doc.get(NOTES, type=Text).__iadd__("ab"[at % 2]))
        await until(lambda: ann.closed or len(str(ben.notes)) == 20_000, "every edit on the other side", seconds=600)
        assert ann.closed is None


async def test_shared_types_arrive_under_the_names_of_the_application(subject: Subject, room: str) -> None:
    async with subject.endpoint.join(room) as ann, subject.endpoint.join(room) as ben:

        def fill(doc: Doc[object]) -> None:
            doc.get("todos", type=Array).append(Map({"title": "é 😀", "done": False}))
            doc.get("prefs", type=Map)["theme"] = "dark"

        await ann.edit(fill)
        await ann.write("and words")
        await ben.until_reads("and words")
        assert ben.doc.get("todos", type=Array).to_py() == [{"title": "é 😀", "done": False}]
        assert ben.doc.get("prefs", type=Map).to_py() == {"theme": "dark"}
