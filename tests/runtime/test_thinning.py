"""Thinned rows replay to the same document, whatever was written, deleted and where the log is cut."""

from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from admission.forge import forge, value
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, TransactionEvent, UndoManager

from cosession.errors import StorageError
from cosession.protocol import EMPTY_UPDATE
from cosession.runtime.thinning import thin
from cosession.storage import LoggedUpdate

WRITERS = 3
KINDS = ["type", "type", "type", "insert", "delete", "set", "unset", "push", "pull", "sync", "sync", "undo"]
ACTS = st.lists(
    st.tuples(
        st.integers(0, WRITERS - 1),
        st.sampled_from(KINDS),
        st.integers(0, 50),
        st.integers(0, 40),
    ),
    max_size=60,
)


def moment(second: int) -> str:
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z"


class Scribe:
    """A writer whose updates are logged, as a room logs them: none before what it builds on."""

    def __init__(self, name: str, log: list[LoggedUpdate]) -> None:
        self.doc: Doc[Any] = Doc()
        self.name = name
        self.log = log
        self.text = self.doc.get("text", type=Text)
        self.map = self.doc.get("map", type=Map)
        self.list = self.doc.get("list", type=Array)
        self.undo = UndoManager(scopes=[self.text], capture_timeout_millis=0)

    def do(self, act: str, place: int, second: int) -> None:
        made: list[bytes] = []

        def note(event: TransactionEvent) -> None:
            made.append(event.update)

        watch = self.doc.observe(note)
        length = len(str(self.text).encode())
        if act == "type":
            self.text += ("word ", "é", "🐙", "x")[place % 4]
        elif act == "insert":
            self.text.insert(0, "in")
        elif act == "delete" and str(self.text).isascii() and length:
            start = place % length
            del self.text[start : min(start + 3, length)]
        elif act == "set":
            self.map["abc"[place % 3]] = (1, "z", Map({"deep": Text("t")}))[place % 3]
        elif act == "unset" and "a" in self.map:
            del self.map["a"]
        elif act == "push":
            self.list.append(Map({"text": Text("s")}))
        elif act == "pull" and len(self.list):
            del self.list[place % len(self.list)]
        elif act == "undo":
            self.undo.undo()
        self.doc.unobserve(watch)
        for update in made:
            if update != b"\0\0":
                row = LoggedUpdate("s", len(self.log) + 1, moment(second), self.name, self.doc.client_id, update)
                self.log.append(row)

    def sync(self) -> None:
        for row in self.log:
            self.doc.apply_update(row.update)


def played(acts: list[tuple[int, str, int, int]]) -> list[LoggedUpdate]:
    """The log of a session in which this was done, with the seconds that passed before each."""
    log: list[LoggedUpdate] = []
    scribes = [Scribe(f"writer {number}", log) for number in range(WRITERS)]
    second = 0
    for number, act, place, passed in acts:
        second += passed
        if act == "sync":
            scribes[number].sync()
        else:
            scribes[number].do(act, place, second)
    return log


def replayed(log: list[LoggedUpdate]) -> bytes:
    """What a log replays to, as a document that loads it writes it."""
    doc: Doc[Any] = Doc()
    for row in log:
        doc.apply_update(row.update)
    copy: Doc[Any] = Doc()
    copy.apply_update(doc.get_update())
    return copy.get_update()


def check(log: list[LoggedUpdate], thinned: list[LoggedUpdate], grain: float) -> None:
    """Check that a thinned log stands for the log."""
    versions = {row.version: row for row in log}
    end = 0
    for _, group in groupby(thinned, key=lambda row: row.version):
        rows = list(group)
        assert rows[0].first == end + 1
        end = rows[0].version
        covered = [versions[version] for version in range(rows[0].first, end + 1)]
        assert {(one.participant, one.client) for one in covered} == {(row.participant, row.client) for row in rows}
        assert {row.at for row in rows} == {covered[-1].at}
        assert [row.versions for row in rows[1:]] == [0] * (len(rows) - 1)
        assert _seconds(covered[-1].at) - _seconds(covered[0].at) <= grain
        upto = [one for one in log if one.version <= end]
        assert replayed([one for one in thinned if one.version <= end]) == replayed(upto), "as of this version"
    assert end == len(log)


def _seconds(at: str) -> float:
    hours, minutes, seconds = at[11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


@settings(max_examples=150, deadline=None)
@given(acts=ACTS, cut=st.integers(0, 60), grain=st.sampled_from([0.0, 10.0, 60.0, 1e9]))
def test_a_thinned_log_replays_to_the_same_at_every_version_that_it_names(
    acts: list[tuple[int, str, int, int]], cut: int, grain: float
) -> None:
    log = played(acts)
    early = list(thin([], log[:cut], grain_seconds=grain))
    check(log, [*early, *thin(early, log[cut:], grain_seconds=grain)], grain)


def test_a_streamed_message_becomes_one_row_little_larger_than_its_text() -> None:
    log = played([(0, "type", 0, 0)] * 500)
    (row,) = thin([], log, grain_seconds=60)
    assert (row.first, row.version) == (1, 500)
    assert len(row.update) < 500 * len("word ") + 40


def test_two_who_stream_by_turns_become_two_rows_that_share_a_range() -> None:
    log = played([(number % 2, "type", 0, 0) for number in range(500)])
    thinned = list(thin([], log, grain_seconds=60))
    check(log, thinned, 60)
    assert [(row.participant, row.versions) for row in thinned] == [("writer 0", 500), ("writer 1", 0)]
    assert all(len(row.update) < 250 * len("word ") + 40 for row in thinned)


def test_a_range_ends_where_all_have_seen_it_and_go_on_from_there() -> None:
    by_turns = [(number % 2, "type", 0, 0) for number in range(20)]
    answers = [(1, "push", 0, 0), (0, "sync", 0, 0), (0, "push", 0, 0), (1, "sync", 0, 0), (1, "push", 0, 0)]
    log = played([*by_turns, *answers, *by_turns])
    thinned = list(thin([], log, grain_seconds=60))
    check(log, thinned, 60)
    assert [row.first for row in thinned if row.versions] == [1, 22], "as of version 21 it can be seen again"


def test_what_stands_on_another_ones_words_does_not_come_before_them() -> None:
    """The same one writes before and after, in one grain: its rows would be one, but for what is between."""
    ada, bo = [(0, "push", 0, 0)] * 3, [(1, "push", 0, 0)] * 3
    log = played([*ada, (1, "sync", 0, 0), *bo, (0, "sync", 0, 0), *ada])
    thinned = list(thin([], log, grain_seconds=60))
    check(log, thinned, 60)
    assert [row.versions for row in thinned] == [3, 3, 3]


def test_what_deletes_another_ones_words_does_not_come_before_them() -> None:
    ada, bo = [(0, "push", 0, 0)] * 3, [(1, "push", 0, 0)] * 3
    log = played([*ada, (1, "sync", 0, 0), *bo, (0, "sync", 0, 0), *[(0, "pull", 3, 0)] * 3])
    thinned = list(thin([], log, grain_seconds=60))
    check(log, thinned, 60)
    assert [row.versions for row in thinned] == [3, 3, 3]


def test_what_another_one_brought_of_ones_words_does_not_come_after_the_next() -> None:
    """A Yjs client's words follow each other, also where two participants sent them and nothing else binds them."""
    log = played([*[(0, "push", 0, 0)] * 3, (0, "set", 0, 0), (0, "set", 1, 0)])
    log[3] = replace(log[3], participant="who relays")
    thinned = list(thin([], log, grain_seconds=60))
    check(log, thinned, 60)
    assert [row.versions for row in thinned] == [3, 1, 1]


def test_rows_that_delete_what_was_deleted_already_become_an_empty_one() -> None:
    """Two who delete the same at once are both logged; the second changes nothing."""
    typed = [*[(0, "push", 0, 0)] * 4, (1, "sync", 0, 0)]
    deleted = [(who, "pull", 0, 0) for who in (0, 0, 1, 1)]
    log = played([*typed, *deleted])
    thinned = list(thin([], log, grain_seconds=60))
    check(log, thinned, 60)
    assert [row.update for row in thinned] == [thinned[0].update, EMPTY_UPDATE]


def test_a_clock_set_back_ends_a_row() -> None:
    log = [replace(row, at=moment(100 - row.version)) for row in played([(0, "type", 0, 0)] * 10)]
    assert list(thin([], log, grain_seconds=60)) == log


def test_an_update_that_builds_on_what_is_missing_is_not_lost() -> None:
    """The gate of a room lets none in; in a log that has one all the same, the rows stay as they are."""
    log = played([(0, "type", 0, 0)] * 20)
    gapped = [replace(row, version=number) for number, row in enumerate(log[:5] + log[10:], 1)]
    thinned = list(thin([], gapped, grain_seconds=60))
    assert replayed([*thinned, *log[5:10]]) == replayed(log)


def test_what_can_only_be_replayed_one_by_one_is_said_not_to_be_thinned() -> None:
    """Something in a value that was overwritten: what it stands in is gone, unless all comes at once."""
    log: list[bytes] = []
    doc: Doc = Doc(client_id=5)
    watch = doc.observe(lambda event: log.append(event.update))
    for setting in (1, 2):
        doc.get("state", type=Map)["key"] = setting
    doc.unobserve(watch)
    log.append(forge(9, 0, value("lost", parent=(5, 0), key="inside")))
    rows = [LoggedUpdate("s", version, moment(version), "eve", 5, one) for version, one in enumerate(log, 1)]
    with pytest.raises(StorageError, match="was not thinned"):
        thin([], rows, grain_seconds=60)
