"""Whatever bytes a client sends: it is answered or closed with a final code, and the others are served on."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import Server, eventually
from pycrdt import Doc, Map, Text
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from wire import Wire

from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    Fence,
    Notice,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_frame,
    encode_awareness,
    encode_frame,
)


def _real_update() -> bytes:
    doc: Doc = Doc()
    doc.get("text:note", type=Text).insert(0, "words 🐙 and")
    doc.get("state", type=Map)["list"] = [1, None, {"deep": ["x"]}]
    return doc.get_update()


UPDATE = _real_update()
REAL = [
    encode_frame(SyncUpdate(UPDATE)),
    encode_frame(SyncStep2(UPDATE)),
    encode_frame(SyncStep1(b"\x01\x05\x07")),
    encode_frame(Awareness(b"\x01\x05\x01\x02{}")),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real frame with some bytes changed, cut out or doubled."""
    frame = bytearray(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(frame) - 1)))
        match draw(st.integers(0, 2)):
            case 0 if frame:
                frame[place] = draw(st.integers(0, 255))
            case 1:
                del frame[place : place + draw(st.integers(1, 6))]
            case _:
                frame[place:place] = draw(st.binary(min_size=1, max_size=6))
    return bytes(frame)


NEWLINE = "a%0Ab"

FRAMES = st.one_of(
    st.binary(max_size=200),
    damaged(),
    st.builds(
        lambda head, tail: head + tail,
        st.sampled_from([b"\x00\x00", b"\x00\x01", b"\x00\x02", b"\x01"]),
        st.binary(max_size=80),
    ),
)


@pytest.fixture
def bystander(server: Server) -> Iterator[ClientConnection]:
    """Somebody in the same session who does nothing wrong."""
    with connect(server.ws_url("garbage", ext=1), max_size=None) as socket:
        yield socket


def is_served(socket: ClientConnection, mark: bytes) -> None:
    """Check that a connection's fence comes back."""
    socket.send(encode_frame(Fence(mark)))
    while decode_frame(socket.recv(timeout=20)) != Fence(mark):
        pass


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(garbage=st.lists(FRAMES, min_size=1, max_size=5))
def test_garbage_is_answered_or_refused_and_harms_nobody(
    server: Server, bystander: ClientConnection, garbage: list[bytes]
) -> None:
    with connect(server.ws_url("garbage", ext=1), max_size=None) as vandal:
        with contextlib.suppress(ConnectionClosed):
            for frame in garbage:
                vandal.send(frame)
            is_served(vandal, b"vandal")
        if vandal.close_code is not None:
            assert vandal.close_code in (4400, 4409, 4413, 4503), (vandal.close_code, vandal.close_reason)
            assert vandal.close_reason
    assert server.process is not None
    assert server.process.poll() is None, server.tail()
    with connect(server.ws_url("garbage", ext=1), max_size=None) as newcomer:
        is_served(newcomer, b"newcomer")
    with contextlib.suppress(ConnectionClosed):
        is_served(bystander, b"bystander")
        return
    pytest.fail(f"A bystander was closed with {bystander.close_code} {bystander.close_reason}:\n{server.tail()}")


@pytest.mark.anyio
async def test_a_refusal_is_announced_before_it_closes(server: Server) -> None:
    async with Wire.open(server, "trip", ext=1) as ann:
        await ann.send(b"\x00\x03\x00")
        code, reason = await ann.wait_closed()
        assert code == 4400
        assert ann.frames[-1] == Notice("frame.malformed", reason)


@pytest.mark.anyio
@pytest.mark.parametrize("ext", [0, 1])
async def test_a_frame_over_the_limit_is_refused_for_good(start_server: Callable[..., Server], ext: int) -> None:
    server = start_server(max_frame_bytes=4096)
    async with Wire.open(server, "trip", **({"ext": 1} if ext else {})) as ann:
        await ann.send(encode_frame(SyncUpdate(b"\x00" * 5000)))
        code, reason = await ann.wait_closed()
        assert code == 4413
        assert "4096" in reason


@pytest.mark.anyio
@pytest.mark.parametrize(("size", "codes"), [(150_000, {4413}), (40 * 2**20, {4413, 1009})])
async def test_a_frame_far_over_the_limit_is_not_taken_in(
    start_server: Callable[..., Server], size: int, codes: set[int]
) -> None:
    """Beyond four times the limit the WebSocket library refuses it with its own code, before it is in memory."""
    server = start_server(max_frame_bytes=65536)
    async with Wire.open(server, "trip", ext=1) as ann, Wire.open(server, "trip", ext=1) as ben:
        before = server.memory_bytes()
        with contextlib.suppress(ConnectionClosed):
            await ann.send(encode_frame(SyncUpdate(b"\x00" * size)))
        code, reason = await ann.wait_closed()
        assert code in codes, (code, reason)
        await ben.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
        await ben.fence()
        assert server.memory_bytes() - before < 20 * 2**20


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["", "a%2A", "%2Fa", "..", "x" * 513, "%00", NEWLINE, "tr%C3%AFp%2F"])
async def test_a_name_that_cannot_be_a_sessions_is_refused_for_good(server: Server, name: str) -> None:
    async with Wire.open(server, name, synced=False, ext=1) as ann:
        code, reason = await ann.wait_closed()
        assert code == 4404
        assert reason


@pytest.mark.anyio
async def test_a_session_that_must_be_created_first_is_refused_for_good(start_server: Callable[..., Server]) -> None:
    server = start_server(create_on_connect=False)
    async with Wire.open(server, "trip", synced=False, ext=1) as ann:
        code, reason = await ann.wait_closed()
        assert code == 4404
        assert reason


@pytest.mark.anyio
async def test_an_update_that_panics_the_library_costs_nobody_anything(server: Server) -> None:
    async with Wire.open(server, "trip", ext=1) as ann, Wire.open(server, "trip", ext=1) as vandal:
        await vandal.send(bytes.fromhex("00 02 0e 01 01 9b 50 00 04 01 01 74 03 61 62 63 00".replace(" ", "")))
        await vandal.fence()
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": "kept"}))
        await ann.fence()
        panic = bytes.fromhex("0101071ba807010000")
        for update in (panic, b"\x01\x01\x9b\x50" + panic[4:]):
            with contextlib.suppress(ConnectionClosed):
                await vandal.send(SyncUpdate(update))
        with contextlib.suppress(AssertionError):
            await vandal.fence()
    async with Wire.open(server, "trip", ext=1) as ben:
        assert ben.doc.get("state", type=Map).to_py() == {"a": "kept"}
        await ben.edit(lambda doc: doc.get("state", type=Map).update({"b": 2}))
        await ben.fence()


@pytest.mark.anyio
async def test_a_gap_is_asked_for_and_never_applied(server: Server) -> None:
    """An update that skips earlier clocks: the server asks for sync, and others see all or nothing."""
    async with Wire.open(server, "trip", ext=1) as ann, Wire.open(server, "trip", ext=1) as ben:
        text = ann.doc.get("text:note", type=Text)
        before = ann.count(SyncStep1)
        text.insert(0, "never sent by itself, ")
        state = ann.doc.get_state()
        text.insert(len(str(text)), "only this")
        await ann.send(SyncUpdate(ann.doc.get_update(state)))
        await ann.fence()
        await eventually(lambda: ann.count(SyncStep1) > before, "the question for what is missing")
        await eventually(
            lambda: str(ben.doc.get("text:note", type=Text)) == "never sent by itself, only this", "all of it"
        )


@pytest.mark.anyio
async def test_what_is_written_under_anothers_client_id_is_seen_by_no_one(server: Server) -> None:
    """Two writers under one id differ silently for ever, even after a full sync: the id's owner brings its words."""
    async with (
        Wire.open(server, "trip", ext=1, user="ann") as ann,
        Wire.open(server, "trip", ext=1, user="eve") as eve,
    ):
        await ann.send(Awareness(encode_awareness([AwarenessEntry(ann.doc.client_id, 1, "{}")])))
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
        await ann.fence()
        double: Doc = Doc(client_id=ann.doc.client_id)
        await eventually(lambda: eve.doc.get("state", type=Map).to_py() == {"a": 1}, "what Ann wrote")
        double.apply_update(eve.doc.get_update())
        before = double.get_state()
        double.get("state", type=Map)["b"] = "eve, as ann"
        await eve.send(SyncUpdate(double.get_update(before)))
        await ann.edit(lambda doc: doc.get("state", type=Map).update({"c": 2}))
        await ann.fence()
        async with Wire.open(server, "trip", ext=1, user="ben") as ben:
            for reader in (ann, ben):
                state = reader.doc.get("state", type=Map)
                await eventually(lambda state=state: state.to_py() == {"a": 1, "c": 2}, "what Ann wrote, and no more")
