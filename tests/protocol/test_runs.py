"""Values in a row that are read as one: what comes of them is what comes of them one by one."""

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from cosession.errors import MalformedFrame, TooLarge
from cosession.protocol import kept_values, update_format
from cosession.protocol.lib0 import Reader, buffer, uint

single = st.one_of(
    st.sampled_from([b"\x7e", b"\x7f", b"\x78", b"\x79", b"\x7d\x05", b"\x7d\x45", b"\x7d\x81\x01", b"\x7d\xc1\x01"]),
    st.sampled_from(
        [b"\x7c?\x80\x00\x00", b"\x7b" + b"\x00" * 8, b"\x77\x00", b"\x77\x05words", b"\x77" + buffer(b"a" * 16)]
    ),
)
RARE = [
    b"\x7d\x40",
    b"\x7d\xc0\x01",
    b"\x7d\x81\x00",
    b"\x7a" + b"\x01" * 8,
    b"\x77" + buffer(b"a" * 200),
    b"\x77\x02\xc3\xa9",
    b"\x77\x01\xff",
    b"\x75\x01\x78",
    b"\x76\x02\x01b\x78\x01a\x78",
    b"\x74\x01a",
    b"\x10",
    b"\x78\x7d",
]
rare = st.sampled_from(RARE)
KEYS = [b"\x01a", b"\x00", b"\x09__proto__", b"\x09123456789", b"\x02\xc3\xa9", b"\x01\xff", buffer(b"k" * 200)]
keys = st.sampled_from(KEYS)


@st.composite
def any_values(draw: st.DrawFn) -> bytes:
    """A list or an object, in which the same few values are many times, and rare ones at some places."""
    is_object = draw(st.booleans())
    few = draw(st.lists(single, min_size=1, max_size=4))
    found = (few * 200)[: draw(st.integers(0, 400))]
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), rare), max_size=3)):
        found.insert(place, value)
    common = [b"\x02%02d" % number for number in range(20)]
    entries = [common[number % 20] + value if is_object else value for number, value in enumerate(found)]
    if is_object:
        for place, key in draw(st.lists(st.tuples(st.integers(0, 400), keys), max_size=2)):
            entries.insert(place, key + b"\x78")
    promised = max(0, len(entries) + draw(st.sampled_from([0, 0, 0, 0, 1, -1])))
    return (b"\x76" if is_object else b"\x75") + uint(promised) + b"".join(entries)


def outcome(data: bytes, strict: bool) -> Any:
    reader = Reader(data)
    try:
        update_format.skip_any(reader, 0, strict=strict)
    except (MalformedFrame, TooLarge) as error:
        return type(error)
    return reader.at, reader.counted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(any_values(), st.booleans(), st.binary(max_size=3))
def test_they_are_passed_over_alike(
    monkeypatch: pytest.MonkeyPatch, data: bytes, strict: bool, behind: bytes
) -> None:
    fast = outcome(data + behind, strict)
    with monkeypatch.context() as patch:
        patch.setattr(update_format, "RUN", 10**9)
        assert fast == outcome(data + behind, strict)
    event("read" if isinstance(fast, tuple) else "refused")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(any_values())
def test_it_is_told_alike_whether_they_come_back_as_they_came(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    fast = kept_in(data)
    with monkeypatch.context() as patch:
        patch.setattr(kept_values, "RUN", 10**9)
        assert fast == kept_in(data)
    event("kept" if fast else "not kept")


PLACES = (0, 1, 63, 64, 127, 128, 199)


@pytest.mark.parametrize("value", RARE)
@pytest.mark.parametrize("strict", [False, True])
def test_each_rare_value_is_found_wherever_it_is_in_a_run(
    monkeypatch: pytest.MonkeyPatch, value: bytes, strict: bool
) -> None:
    for place in PLACES:
        found = [b"\x78"] * 200
        found[place] = value
        data = b"\x75" + uint(200) + b"".join(found)
        read, kept = outcome(data, strict), kept_in(data)
        with monkeypatch.context() as patch:
            patch.setattr(update_format, "RUN", 10**9)
            patch.setattr(kept_values, "RUN", 10**9)
            assert (read, kept) == (outcome(data, strict), kept_in(data))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("strict", [False, True])
def test_each_rare_key_is_found_wherever_it_is_in_a_run(
    monkeypatch: pytest.MonkeyPatch, key: bytes, strict: bool
) -> None:
    for place in PLACES:
        found = [b"\x02ab\x78"] * 200
        found[place] = key + b"\x78"
        data = b"\x76" + uint(200) + b"".join(found)
        read = outcome(data, strict)
        with monkeypatch.context() as patch:
            patch.setattr(update_format, "RUN", 10**9)
            assert read == outcome(data, strict)


def kept_in(data: bytes) -> Any:
    """What is kept of a value, if it can be read."""
    if not isinstance(outcome(data, strict=True), tuple):
        return None
    return kept_values.KeptValues([b"\x01\x01\x07\x00\x08\x01" + buffer(b"list") + b"\x01" + data + b"\x00"]).ids()
