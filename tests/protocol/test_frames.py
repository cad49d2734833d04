"""Frames: every one survives a round trip, and no bytes do anything but decode or raise MalformedFrame."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosession.errors import MalformedFrame
from cosession.protocol import (
    KEEP_ALIVE,
    Awareness,
    AwarenessEntry,
    Fence,
    Foreign,
    Granted,
    Limits,
    Notice,
    PermissionDenied,
    QueryAwareness,
    Renewal,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    decode_state_vector,
    encode_awareness,
    encode_frame,
    encode_state_vector,
)

texts = st.lists(st.text()).map(tuple)
clocks = st.integers(0, 2**31)
sizes = st.integers(1, 2**32)
frames = st.one_of(
    st.builds(SyncStep1, st.binary()),
    st.builds(SyncStep2, st.binary()),
    st.builds(SyncUpdate, st.binary()),
    st.builds(Awareness, st.binary()),
    st.builds(PermissionDenied, st.text()),
    st.just(QueryAwareness()),
    st.builds(Fence, st.binary()),
    st.builds(Notice, st.text(), st.text(), st.text()),
    st.builds(Renewal, st.text().filter(lambda token: not token.startswith("{"))),
    st.builds(
        Granted,
        st.text(),
        st.text(),
        st.text(),
        texts,
        st.none() | st.floats(0, 2**53) | clocks,
        st.builds(Limits, *[sizes] * 3),
    ),
)
keys = st.text().filter(lambda key: key != "__proto__")
states = st.dictionaries(keys, st.integers() | st.text()).map(json.dumps)


@given(frames)
def test_a_frame_survives_a_round_trip(frame):
    assert decode_frame(encode_frame(frame)) == frame


@given(st.binary())
def test_any_bytes_decode_or_are_refused(data):
    with suppress(MalformedFrame):
        decode_frame(data)


@given(frames, st.data())
def test_a_truncated_frame_is_refused_or_another_whole_frame(frame, data):
    encoded = encode_frame(frame)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    try:
        decoded = decode_frame(cut)
    except MalformedFrame:
        return
    assert isinstance(decoded, Fence), "only a fence, whose payload is free, may be cut short"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x03\x00",
        b"\x02\x01\x00",
        b"\x03\x00",
        b"\x00\x02\x05ab",
        b"\xff" * 12,
        b"\x67\x01x",
        b"\x68\x01{",
        b"\x68\x01\xff",
        b"\x68\x05ab",
    ],
)
def test_malformed_frames_are_refused(data):
    with pytest.raises(MalformedFrame):
        decode_frame(data)


@given(st.lists(st.builds(AwarenessEntry, clocks, clocks, states | st.just("null"))))
def test_awareness_survives_a_round_trip(entries):
    assert decode_awareness(encode_awareness(entries)) == tuple(entries)


def test_an_awareness_state_must_be_an_object_or_null():
    with pytest.raises(MalformedFrame):
        decode_awareness(encode_awareness([AwarenessEntry(1, 1, "[]")]))
    with pytest.raises(MalformedFrame):
        decode_awareness(encode_awareness([AwarenessEntry(1, 1, "{")]))


def test_awareness_counts_bytes_not_characters():
    entry = AwarenessEntry(1, 2, '{"name":"Zoë 👩‍👩‍👧"}')
    assert decode_awareness(encode_awareness([entry])) == (entry,)


def test_keep_alive_is_awareness_about_nobody():
    frame = decode_frame(KEEP_ALIVE)
    assert isinstance(frame, Awareness)
    assert decode_awareness(frame.payload) == ()


@given(st.dictionaries(clocks, clocks))
def test_a_state_vector_survives_a_round_trip(vector):
    assert decode_state_vector(encode_state_vector(vector)) == vector


@pytest.mark.parametrize("limits", ["", ',"limits":3', ',"limits":{"structs":0,"frame_bytes":true}'])
def test_a_grant_whose_limits_are_none_has_the_defaults(limits):
    said = '{"id":"a","name":"A","kind":"human","capabilities":[],"expires_at":null' + limits + "}"
    frame = b"\x68" + bytes([len(said)]) + said.encode()
    assert decode_frame(frame) == Granted("a", "A", "human", (), None, Limits())


@pytest.mark.parametrize("data", [b"\x04", b"\x2a\x01\x02", b"\x7fping", b"\x80\x01", b"\x69"])
def test_frames_of_other_types_are_foreign_and_come_back_as_they_were(data):
    frame = decode_frame(data)
    assert isinstance(frame, Foreign)
    assert encode_frame(frame) == data


@pytest.mark.parametrize("kind", [102, 103, 104])
def test_our_own_types_are_foreign_to_a_client_that_did_not_ask_for_them(kind):
    assert decode_frame(bytes((kind, 1, 1)), extended=False) == Foreign(kind, b"\1\1")
