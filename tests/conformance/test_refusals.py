"""How a server says no: it accepts the handshake, tells why, and closes with a code that a client understands."""

import pytest
from conformance import codec
from conformance.codec import Presence
from conformance.peer import Endpoint, until

pytestmark = [pytest.mark.anyio, pytest.mark.extended]

REASON_BYTES = 123
"""What a close frame has room for."""

MALFORMED = {
    "nothing": b"",
    "a sync message of an unknown kind": b"\x00\x03\x00",
    "a sync message without a body": b"\x00\x00",
    "a length that is larger than the frame": b"\x00\x02\x05\x01",
    "a number that does not end": b"\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "bytes after the end of a step 1": codec.step1(b"\x00") + b"\x00",
    "bytes after the end of a question": codec.query() + b"\x00",
    "two messages": codec.step1(b"\x00") + codec.step1(b"\x00"),
    "a vector that is not one": codec.step1(b"\x02\x01"),
    "bytes after the end of a vector": codec.step1(b"\x00\x00"),
    "an update that is not one": codec.update(b"\x01\x01"),
    "no bytes as an update": codec.update(b""),
    "bytes after the end of an update": codec.update(b"\x00\x00\x00"),
    "an update with content of an unknown type": codec.update(b"\x01\x01\x05\x00\x0f\x01\x01\x61\x00\x00"),
    "a step 2 that is not an update": codec.step2(b"\xff"),
    "a permission denied": codec.denied("no"),
    "a notice": b"\x67\x02{}",
    "an awareness state that is not JSON": b"\x01\x05\x01\x07\x01\x01{",
    "an awareness state that is a list": b"\x01\x06\x01\x07\x01\x02[]",
    "an awareness message that is cut off": b"\x01\x02\x01\x07",
}


@pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_frame_is_refused_for_good(endpoint: Endpoint, room: str, frame: bytes) -> None:
    async with endpoint.join(room, ext=1) as ann:
        await ann.send(frame)
        code, reason = await ann.until_closed()
        assert code == 4400
        assert 0 < len(reason.encode()) <= REASON_BYTES


@pytest.mark.parametrize("ext", [0, 1])
async def test_unknown_messages_and_text_are_ignored(endpoint: Endpoint, room: str, ext: int) -> None:
    foreign = [b"\x7f", b"\xff\x01", b"\x2a\x01\x02", "ping", "\x00\x00\x01\x00"]
    ours = [codec.fence(b""), b"\x67\x02{}", codec.renewal("anything")]
    async with endpoint.join(room, ext=ext) as ann:
        for message in foreign if ext else foreign + ours:
            await ann.socket.send(message)
        await ann.settle()
        await ann.send(b"")
        assert (await ann.until_closed())[0] == 4400, "what came before it was passed over"


async def test_a_notice_gives_the_reason_before_the_close(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann:
        await ann.send(b"\x00\x03\x00")
        code, reason = await ann.until_closed()
        assert code == 4400
        assert ann.came[-1].kind == codec.NOTICE
        notice = codec.read_json(ann.came[-1].body)
        assert notice["code"] == "frame.malformed"
        assert str(notice["reason"]).startswith(reason.rstrip("\ufffd")[:60])


async def test_a_client_without_extensions_gets_no_notice(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.send(b"\x00\x03\x00")
        assert (await ann.until_closed())[0] == 4400
        assert ann.count(codec.NOTICE) == 0


async def test_a_refusal_ends_no_other_connection(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        async with endpoint.join(room) as vandal:
            await vandal.send(b"\x00\x03\x00")
            assert (await vandal.until_closed())[0] == 4400
        await ann.write("undisturbed")
        await ben.until_reads("undisturbed")
        assert ann.closed is None


async def test_no_client_sees_a_part_of_a_refused_frame(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann, endpoint.join(room) as ben, endpoint.join(room) as vandal:
        update = vandal.changed(lambda _: vandal.notes.insert(0, "refused"))
        await vandal.send(codec.update(update + b"\x00"))
        assert (await vandal.until_closed())[0] == 4400
        await ann.write("seen")
        await ann.fence()
        await ben.until_reads("seen")


@pytest.mark.parametrize(
    "name", ["%00", "a%0Ab", "%E2%80%A8", "a%2A", "%2Fa", "tr%C3%AFp%2F", "a%2F..%2Fb", "x" * 513]
)
async def test_a_name_that_no_session_can_have_is_refused_after_the_handshake(endpoint: Endpoint, name: str) -> None:
    async with endpoint.join(name, synced=False, ext=1) as ann:
        code, reason = await ann.until_closed()
        assert code == 4404
        assert 0 < len(reason.encode()) <= REASON_BYTES
        assert [message.kind for message in ann.came] == [codec.NOTICE]


@pytest.mark.parametrize("who", [{"user": "x" * 200}, {"user": "server"}, {"user": "ann", "kind": "king"}])
async def test_an_identity_that_cannot_be_is_refused_after_the_handshake(
    endpoint: Endpoint, room: str, who: dict[str, str]
) -> None:
    async with endpoint.join(room, synced=False, ext=1, **who) as ann:
        code, reason = await ann.until_closed()
        assert code == 4401
        assert 0 < len(reason.encode()) <= REASON_BYTES


async def test_a_frame_that_is_too_large_is_refused_for_good(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1) as ann, endpoint.join(room) as ben:
        await until(lambda: ann.count(codec.GRANT), "the limits of the server")
        limits = codec.read_json(ann.bodies(codec.GRANT)[0])["limits"]
        await ann.send(codec.update(bytes(limits["frame_bytes"])))
        code, reason = await ann.until_closed()
        assert code == 4413
        assert 0 < len(reason.encode()) <= REASON_BYTES
        await ben.settle()
        assert ben.closed is None


async def test_an_awareness_state_that_is_too_large_is_dropped_and_its_connection_stays(
    endpoint: Endpoint, room: str
) -> None:
    async with endpoint.join(room, ext=1) as ann, endpoint.join(room) as ben:
        await ann.send(codec.awareness(Presence(ann.client, 1, {"much": "x" * 2**20})))
        await until(lambda: ann.count(codec.NOTICE), "the word of the server")
        (notice,) = [codec.read_json(body) for body in ann.bodies(codec.NOTICE)]
        assert {**notice, "reason": None} == {
            "code": "too-large",
            "reason": None,
            "touched": "presence",
            "final": False,
        }
        assert notice["reason"]
        await ann.send(codec.awareness(Presence(ann.client, 2, {"much": "little"})))
        await until(lambda: (ben.present.get(ann.client) or Presence(0, 0, None)).clock == 2, "the small state")
        assert ben.present[ann.client].state == {"much": "little"}
        said = [entry for body in ben.bodies(codec.AWARENESS) for entry in codec.read_awareness(body)]
        assert max(len(str(entry.state)) for entry in said) < 1000
        assert ann.closed is None


async def test_the_server_breaks_a_silence(endpoint: Endpoint, room: str) -> None:
    """A stock client hangs up when nothing came for 30 s; what comes must be harmless to it."""
    async with endpoint.join(room) as ann:
        await ann.settle()
        before = len(ann.came)
        await until(lambda: len(ann.came) > before, "a sign of life", seconds=29)
        for message in ann.came[before:]:
            assert message.kind == codec.AWARENESS
            assert codec.read_awareness(message.body) == []
