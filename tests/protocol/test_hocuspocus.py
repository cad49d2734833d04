"""hocuspocus' messages: every message comes back from its bytes, and other bytes are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosession.errors import MalformedFrame
from cosession.protocol import Awareness, Fence, QueryAwareness, SyncStep1, SyncUpdate, encode_frame
from cosession.protocol.hocuspocus import (
    Authenticate,
    Authenticated,
    Close,
    Denied,
    DocumentFrame,
    Message,
    Ping,
    Pong,
    Stateless,
    SyncStatus,
    TokenRequest,
    decode_message,
    document_name,
    encode_message,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))

BODIES = st.one_of(
    st.binary().map(lambda data: DocumentFrame(encode_frame(SyncUpdate(data)))),
    st.binary().map(lambda data: DocumentFrame(encode_frame(SyncStep1(data)))),
    st.binary().map(lambda data: DocumentFrame(encode_frame(Awareness(data)))),
    st.just(DocumentFrame(encode_frame(QueryAwareness()))),
    st.builds(Authenticate, TEXTS, st.none() | TEXTS),
    st.just(TokenRequest()),
    st.builds(Denied, TEXTS),
    st.builds(Authenticated, st.sampled_from(["readonly", "read-write"])),
    st.builds(Stateless, TEXTS),
    st.builds(Close, st.none() | TEXTS),
    st.builds(SyncStatus, st.booleans()),
    st.sampled_from([Ping(), Pong()]),
)


@given(TEXTS, BODIES)
def test_a_message_comes_back_from_its_bytes(address, body):
    message = Message(address, body)

    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize("body", [Ping(), Pong()])
def test_a_ping_of_the_socket_has_no_address(body):
    data = encode_message(Message(None, body))

    assert len(data) == 1
    assert decode_message(data) == Message(None, body)


@given(st.binary())
def test_any_bytes_are_one_message_or_malformed(data):
    try:
        message = decode_message(data)
    except MalformedFrame:
        return
    assert encode_message(message) == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x04note", id="an address alone"),
        pytest.param(b"\x09note", id="an address that is cut"),
        pytest.param(b"\x04note\x02", id="an auth message without its kind"),
        pytest.param(b"\x04note\x02\x03", id="an unknown auth message"),
        pytest.param(b"\x04note\x02\x02\x01x", id="an unknown scope"),
        pytest.param(b"\x04note\x04\x00\x00", id="a reply of one server to another"),
        pytest.param(b"\x04note\x06\x01x", id="a broadcast of one server to others"),
        pytest.param(b"\x04note\x08\x02", id="an unknown sync status"),
        pytest.param(b"\x04note\x09\x00", id="more than one message"),
        pytest.param(b"\x02\xff\xfe\x09", id="an address that is not UTF-8"),
        pytest.param(b"\x04note" + encode_frame(Fence(b"1")), id="a frame of our own"),
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(MalformedFrame):
        decode_message(data)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), TEXTS)
def test_the_id_behind_a_name_is_no_part_of_it(name, session_id):
    assert document_name(name) == document_name(f"{name}\0{session_id}") == name


def test_what_version_4_of_the_provider_sends_is_understood():
    sent = b"\x04note\x02\x00\x03abc\x054.8.0"

    assert decode_message(sent) == Message("note", Authenticate("abc", "4.8.0"))
