"""A chapter gives back its rows, or says that it can't; a range is never cut in two by it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.rows import at, by_tens, by_turns, update, updates

from cosession.storage import LoggedUpdate, Thin
from cosession.storage.segments import (
    LZMA,
    MOST_BYTES,
    MOST_ROWS,
    PLAIN,
    UnknownCodec,
    compress,
    decompress,
    pack,
    split,
    unpack,
)

ROWS = st.lists(
    st.tuples(
        st.integers(1, 3) | st.just(0),
        st.sampled_from(["ada", "bo/1", "🐙", ""]),
        st.none() | st.integers(0, 2**53),
        st.binary(max_size=40),
    ),
    min_size=1,
    max_size=20,
)
NOISE = bytes(number * 97 % 251 for number in range(40))
"""What doesn't become smaller."""


def log(drawn: list[tuple[int, str, int | None, bytes]]) -> list[LoggedUpdate]:
    rows: list[LoggedUpdate] = []
    version = 7
    for number, (versions, participant, client, data) in enumerate(drawn):
        versions = versions if rows else max(versions, 1)
        version += versions
        rows.append(LoggedUpdate("trip", version, at(number), participant, client, data, versions))
    return rows


@given(ROWS)
def test_rows_come_back_as_they_went_in(drawn: list[tuple[int, str, int | None, bytes]]) -> None:
    rows = log(drawn)
    chapter = pack(rows)
    assert (chapter.session, chapter.first, chapter.version) == ("trip", 8, rows[-1].version)
    assert unpack(chapter) == rows


@pytest.mark.parametrize("rows", [updates("trip", 1, 50), [update("trip", 1, NOISE)]], ids=["compressed", "plain"])
def test_whatever_of_a_chapter_is_changed_is_noticed(rows: list[LoggedUpdate]) -> None:
    chapter = pack(rows)
    assert chapter.codec == (LZMA if len(rows) > 1 else PLAIN)
    flipped = [
        replace(chapter, data=chapter.data[:at] + bytes([chapter.data[at] ^ 4]) + chapter.data[at + 1 :])
        for at in range(len(chapter.data))
    ]
    for changed in (
        *flipped,
        replace(chapter, session="other"),
        replace(chapter, first=chapter.first + 1),
        replace(chapter, version=chapter.version + 1),
        replace(chapter, codec=LZMA - chapter.codec),
        replace(chapter, data=chapter.data + b"\0"),
        replace(chapter, data=chapter.data[:-1]),
    ):
        with pytest.raises(ValueError, match="not what was saved"):
            unpack(changed)


def test_bytes_that_were_cut_off_or_go_on_are_not_decompressed() -> None:
    codec, data = compress(b"words " * 100)
    assert decompress(codec, data) == b"words " * 100
    for damaged in (data[:-1], data + b"\0", data[:20], b""):
        with pytest.raises(ValueError, match="can't be decompressed"):
            decompress(codec, damaged)
    with pytest.raises(UnknownCodec):
        decompress(9, data)


@pytest.mark.parametrize("thin", [by_tens, by_turns])
def test_chapters_are_divided_between_ranges_and_go_on_from_the_last(thin: Thin) -> None:
    rows = [replace(row, update=bytes(50_000)) for row in thin([], updates("trip", 1, 300))]
    chapters = list(split(rows[4:], rows[:4]))
    assert [row for chapter in chapters for row in chapter] == rows
    assert all(chapter[0].versions for chapter in chapters), "none begins in the middle of a range"
    assert all(sum(len(row.update) for row in chapter) <= MOST_BYTES + 50_000 for chapter in chapters)
    assert len(chapters) >= 5


def test_a_chapter_takes_the_place_of_so_many_rows_at_most() -> None:
    rows = [replace(row, update=b"") for row in updates("trip", 1, MOST_ROWS + 1)]
    assert [len(chapter) for chapter in split(rows)] == [MOST_ROWS, 1]
    assert list(split([], rows[:3])) == [], "what has nothing new is left as it is"
