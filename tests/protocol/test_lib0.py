"""Numbers, lengths and counts are read up to their limits, and refused one beyond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosession.errors import MalformedFrame, TooLarge
from cosession.protocol import lib0

LARGEST = 2**53 - 1
"""What a browser's number holds exactly, and the clients of Yjs with it."""


@given(st.integers(0, LARGEST), st.binary(max_size=3))
def test_a_number_is_read_as_it_was_written_and_no_further(number: int, rest: bytes) -> None:
    reader = lib0.Reader(lib0.uint(number) + rest)
    assert reader.uint() == number
    assert reader.rest() == rest


@pytest.mark.parametrize(
    "data",
    [
        lib0.uint(LARGEST + 1),
        lib0.uint(2**56),
        b"\x80" * 8 + b"\x01",
        b"\xff" * 1000,
        b"\x80",
        b"\x80\x00",
        b"\x81\x80\x00",
        b"",
    ],
    ids=lambda data: data[:9].hex() or "nothing",
)
def test_a_number_that_is_too_large_too_long_or_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        lib0.Reader(data).uint()


def test_a_length_may_reach_the_end_and_not_beyond() -> None:
    assert lib0.Reader(b"\x03abc").buffer() == b"abc"
    for read in (lib0.Reader.buffer, lib0.Reader.string):
        with pytest.raises(MalformedFrame):
            read(lib0.Reader(b"\x04abc"))
    with pytest.raises(MalformedFrame):
        lib0.Reader(b"").byte()


def test_all_counts_together_keep_to_the_limit() -> None:
    reader = lib0.Reader(bytes([2, 3, 1]), limit=5)
    assert (reader.count(), reader.count()) == (2, 3)
    with pytest.raises(TooLarge):
        reader.count()
