"""What remains of a session becomes a whole one again: as much as the bytes give, and never a word more."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from admission.forge import forge, nothing, string
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Text, TransactionEvent, merge_updates

from cosession.document import SessionDocument
from cosession.errors import SessionDamaged
from cosession.protocol import EMPTY_UPDATE, update_format
from cosession.room.room import Room
from cosession.runtime.log_repair import find_damage, mend
from cosession.runtime.thinning import thin
from cosession.settings import Settings
from cosession.storage import LoggedUpdate, Snapshot, StoredSession
from cosession.storage.repair import Mended, Remains

AT = "2026-01-01T00:00:00.000Z"
PANIC = bytes.fromhex("0101071ba807010000")
WRITERS = 3
WORDS = 12


def make_log() -> list[bytes]:
    """A session of several writers, each on a client id of its own, who see each other's words."""
    docs: list[Doc] = [Doc() for _ in range(WRITERS)]
    log: list[bytes] = []
    first = SessionDocument(docs[0])

    def note(event: TransactionEvent) -> None:
        log.append(event.update)

    watch = docs[0].observe(note)
    first.initialise(created_at=AT, title="Porto")
    docs[0].unobserve(watch)
    for number in range(WRITERS * WORDS):
        doc = docs[number % WRITERS]
        for other in log:
            doc.apply_update(other)
        watch = doc.observe(note)
        text = doc.get(f"text:{number % WRITERS}", type=Text)
        text += f"{number} "
        doc.unobserve(watch)
    return log


LOG = make_log()


def remains(log: list[bytes] = LOG, *, snapshot: int = 0, without: set[int] | None = None) -> Remains:
    """What is left of a session of this log, without some versions, with a snapshot at one."""
    without = without or set()
    rows = [LoggedUpdate("trip", version, AT, "ada", None, update) for version, update in enumerate(log, 1)]
    left = tuple(row for row in rows if row.version not in without)
    info = StoredSession("trip", "Porto", AT, AT, len(log))
    kept = Snapshot("trip", snapshot, content(log[:snapshot]).get_update()) if snapshot else None
    damage = tuple(f"update {version} is missing" for version in sorted(without))
    return Remains("trip", info, kept, left, max([snapshot, *(row.version for row in left)]), damage)


def content(log: list[bytes]) -> Doc:
    doc: Doc = Doc()
    for update in log:
        doc.apply_update(update)
    return doc


def texts(doc: Doc) -> list[str]:
    return [str(doc.get(f"text:{writer}", type=Text)) for writer in range(WRITERS)]


def loaded(mended: Mended, *, from_snapshot: bool) -> list[str]:
    """The texts that a server would show of a mended session."""
    updates = [row.update for row in mended.updates]
    assert [row.first for row in mended.updates] == [1, *(row.version + 1 for row in mended.updates[:-1])]
    if from_snapshot and mended.snapshot:
        tail = [row.update for row in mended.updates if row.version > mended.snapshot.version]
        updates = [mended.snapshot.update, *tail]
    return texts(Room(Settings(), updates, mended.updates[-1].version).document.doc)


def test_a_whole_session_is_left_as_it_is() -> None:
    whole = remains(snapshot=10)
    assert find_damage(whole) == ()
    assert mend(whole) == Mended("Porto", AT, whole.updates, whole.snapshot, ())


@given(lost=st.sets(st.integers(1, len(LOG)), min_size=1, max_size=8), snapshot=st.integers(0, len(LOG)))
def test_what_is_mended_is_whole_has_no_word_twice_and_heals_from_any_replica(lost: set[int], snapshot: int) -> None:
    mended = mend(remains(snapshot=snapshot, without=lost))
    shown = loaded(mended, from_snapshot=True)
    assert shown == loaded(mended, from_snapshot=False), "the log alone tells the same"
    again = Remains("trip", None, mended.snapshot, mended.updates, mended.updates[-1].version, ())
    assert find_damage(again) == ()
    for text, whole, covered in zip(shown, texts(content(LOG)), texts(content(LOG[:snapshot])), strict=True):
        assert whole.startswith(text), "in order, nothing twice"
        assert text.startswith(covered), "what the snapshot had is there"
    replica, server = content(LOG), content([row.update for row in mended.updates])
    server.apply_update(replica.get_update(server.get_state()))
    assert texts(server) == texts(replica)


@given(kept=st.sets(st.integers(0, 5)), snapshot=st.integers(0, len(LOG)), cut=st.integers(1, len(LOG)))
def test_ranges_of_a_thinned_log_are_kept_or_lost_as_wholes(kept: set[int], snapshot: int, cut: int) -> None:
    whole = remains(snapshot=snapshot)
    ranges = [whole.updates[first : first + 7] for first in range(0, cut, 7)]
    thinned = [
        replace(rows[-1], update=merge_updates(*(row.update for row in rows)), versions=len(rows)) for rows in ranges
    ]
    rest = whole.updates[sum(map(len, ranges)) :]
    left = (*(row for number, row in enumerate(thinned) if number in kept), *rest)
    end = max([snapshot, *(row.version for row in left)])
    mended = mend(replace(whole, updates=left, version=end, damage=("some of it is missing",)))
    if not end:
        assert mended.updates == ()
        return
    assert loaded(mended, from_snapshot=True) == loaded(mended, from_snapshot=False)
    assert mended.updates[-1].version >= end
    again = Remains("trip", None, mended.snapshot, mended.updates, mended.updates[-1].version, ())
    assert find_damage(again) == ()
    for text, all_of_it in zip(loaded(mended, from_snapshot=True), texts(content(LOG)), strict=True):
        assert all_of_it.startswith(text), "in order, nothing twice"


def test_of_a_range_of_several_rows_what_can_be_used_is_kept() -> None:
    whole = remains()
    by_turns = [replace(row, participant=str(number % WRITERS)) for number, row in enumerate(whole.updates)]
    thinned = list(thin([], by_turns, grain_seconds=60))
    assert [row.versions for row in thinned] == [len(LOG), *[0] * (WRITERS - 1)]
    thinned[1] = replace(thinned[1], update=b"no update")
    broken = replace(whole, updates=tuple(thinned))
    mended = mend(broken)
    assert [(row.first, row.version) for row in mended.updates] == [(row.first, row.version) for row in thinned]
    kept = texts(content(LOG))
    kept[0] = ""
    assert loaded(mended, from_snapshot=False) == loaded(mended, from_snapshot=True) == kept
    assert mended.changes == (
        f"another row of the updates up to {len(LOG)} of its log can't be replayed",
        f"{len(LOG)} of {len(LOG)} updates can't be used, because they build on what is lost",
    )


def test_what_others_wrote_after_a_lost_word_stays() -> None:
    mended = mend(remains(without={8}))  # writer 0's third word
    shown = loaded(mended, from_snapshot=True)
    whole = texts(content(LOG))
    assert shown[1:] == whole[1:]
    assert shown[0] == "0 3 "
    assert any("updates are lost" in change for change in mended.changes)
    assert any("build on what is lost" in change for change in mended.changes)


def test_a_damaged_snapshot_costs_nothing() -> None:
    left = replace(remains(), damage=("its snapshot is not what was saved",))
    mended = mend(left)
    assert loaded(mended, from_snapshot=True) == texts(content(LOG))
    assert mended.snapshot is not None
    assert mended.changes[-1] == "nothing of its document is lost"


def test_a_snapshot_alone_gives_the_document_back() -> None:
    mended = mend(remains(snapshot=len(LOG), without=set(range(1, len(LOG) + 1))))
    assert loaded(mended, from_snapshot=False) == texts(content(LOG))
    assert mended.changes[-1] == "nothing of its document is lost"


def test_a_session_that_left_the_list_has_its_title_again() -> None:
    mended = mend(replace(remains(), info=None, damage=("it is gone from the list of sessions",)))
    assert (mended.title, mended.created_at) == ("Porto", AT)
    assert loaded(mended, from_snapshot=True) == texts(content(LOG))


def test_a_cut_off_log_says_how_much_it_lost() -> None:
    info = StoredSession("trip", "Porto", AT, AT, len(LOG) + 5)
    mended = mend(replace(remains(), info=info, damage=("its log should end later",)))
    assert f"5 of {len(LOG) + 5} updates are lost" in mended.changes


def test_a_session_of_which_nothing_is_left_is_said_to_be_empty() -> None:
    mended = mend(remains(without=set(range(1, len(LOG) + 1))))
    assert mended.updates == ()
    assert "nothing of it could be saved" in mended.changes[-1]


@pytest.mark.parametrize(
    "spoil",
    [lambda _: b"no update", lambda _: b"", lambda update: update[:-1], lambda update: update + b"\x01"],
    ids=["noise", "empty", "cut", "longer"],
)
def test_an_update_that_can_not_be_replayed_is_found_and_given_up(spoil: Callable[[bytes], bytes]) -> None:
    left = remains([*LOG[:20], spoil(LOG[20]), *LOG[21:]])
    assert any("update 21 of its log can't be replayed" in what for what in find_damage(left))
    mended = mend(left)
    assert mended.updates[20].update == EMPTY_UPDATE
    assert find_damage(replace(left, updates=mended.updates, snapshot=mended.snapshot)) == ()


BROKEN = {
    "panics": PANIC,
    "stops in the middle": forge(8, 0, string("x", parent="text:0"), string("y", parent=(7, 0))),  # in no shared type
}


@pytest.mark.parametrize("update", BROKEN.values(), ids=BROKEN)
def test_an_update_that_breaks_a_document_is_found_and_costs_nothing_else(update: bytes) -> None:
    start: Doc = Doc(client_id=7)
    start.get("text:0", type=Text).insert(0, "abc")
    left = remains([start.get_update(), update, *LOG])
    assert find_damage(left) == ("update 2 of its log can't be replayed",)
    mended = mend(left)
    assert sorted(loaded(mended, from_snapshot=True)[1:]) == sorted(texts(content(LOG))[1:])
    with pytest.raises(SessionDamaged, match="can't be replayed"):
        Room(Settings(), [start.get_update(), update], 2)


WRAPS = [forge(605, 0, nothing(2**32 - 1, parent="text:x")), forge(605, 2**32 - 1, string("zz", parent="text:x"))]
"""Clocks beyond what the library counts: it applies them, and panics when the document is encoded."""


def test_a_document_that_can_not_be_opened_is_found_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the reader takes each update: the library knows of more that it can't encode than we do."""
    left = remains([*LOG[:20], *WRAPS, *LOG[20:]])
    assert any("can't be replayed" in what for what in find_damage(left))
    assert sorted(loaded(mend(left), from_snapshot=True)) == sorted(texts(content(LOG)))

    monkeypatch.setattr(update_format, "MAX_CLOCK", 2**53)
    assert any("can't be opened" in what for what in find_damage(left))
    mended = mend(left)
    assert mended.updates[21].update == EMPTY_UPDATE
    assert sorted(loaded(mended, from_snapshot=True)) == sorted(texts(content(LOG)))
    assert find_damage(replace(left, updates=mended.updates, snapshot=mended.snapshot)) == ()


def test_a_room_is_not_loaded_from_what_can_not_be_encoded() -> None:
    with pytest.raises(SessionDamaged, match="cosession check"):
        Room(Settings(), [*LOG, *WRAPS], len(LOG) + 2)
