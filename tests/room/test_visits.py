"""Many open one session in turn, which changes between them: each gets all of it, at a cost of what is new."""

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, merge_updates
from room.scene import AT
from room.test_work import calls

from cosession.auth import Participant
from cosession.document import SessionDocument
from cosession.errors import MalformedFrame, Unreadable
from cosession.protocol import (
    EMPTY_VECTOR,
    Encoded,
    KeptValues,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_frame,
    decode_state_vector,
    encode_frame,
    read_update_header,
    split_update,
)
from cosession.protocol.lib0 import uint
from cosession.room import sync_reply
from cosession.room.effects import AnswerSync, Append, Effect
from cosession.room.peer import Peer
from cosession.room.room import Room
from cosession.room.sync_reply import Openings, Reply, SharedFrame
from cosession.settings import Settings


def opened(effects: Iterable[Effect]) -> Reply:
    """The reply among the effects of a sync step 1."""
    [sync_reply] = [effect.reply for effect in effects if isinstance(effect, AnswerSync)]
    return sync_reply


def updates(frames: list[bytes]) -> list[bytes]:
    """What a reply brings; only the last of its frames is the step 2."""
    found = [decode_frame(frame) for frame in frames if frame]
    assert [type(frame) for frame in found] == [SyncUpdate] * (len(found) - 1) + [SyncStep2]
    return [frame.update for frame in found if isinstance(frame, SyncUpdate | SyncStep2)]


def taken_in(brought: list[bytes]) -> Doc:
    """A document that took in updates, each of which fits when it comes."""
    doc: Doc = Doc()
    vector: dict[int, int] = {}
    for update in brought:
        header = read_update_header(update)
        assert header.fits(vector)
        vector |= {span.client: max(span.end, vector.get(span.client, 0)) for span in header.brings}
        doc.apply_update(update)
    return doc


def deleted(doc: Doc) -> list[tuple[int, int, int]]:
    """The delete set of a document."""
    spans = read_update_header(doc.get_update(doc.get_state())).deletes
    return sorted((span.client, span.clock, span.length) for span in spans)


def large_session() -> bytes:
    """A document that is large enough to be kept."""
    seed: Doc = Doc(client_id=1)
    text = seed.get("text:t", type=Text)
    for number in range(12):
        text += f"{number} " + "some words of a session " * 70
    return seed.get_update()


class House:
    """A room with many visitors.

    Attributes:
        rows: the updates that it logged.
        visitors: those that came, each with what it was sent.
    """

    def __init__(self, settings: Settings, *updates: bytes) -> None:
        self.room = Room(settings, updates, len(updates))
        self.rows: list[bytes] = []
        self.visitors: list[Visitor] = []
        self.kept = KeptValues(updates)
        self._writers: dict[int, Doc] = {}

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Append):
                self.kept.learn(effect.update)
                self.kept.forget(read_update_header(effect.update).deletes)
                self.rows.append(effect.update)
                for visitor in self.visitors:
                    visitor.later.append(effect.update)

    def join(self, number: int) -> None:
        """Let a connection in."""
        who = Participant(f"p{number}", f"Visitor {number}")
        self.do(self.room.join(number, Peer(who, extended=True), AT))

    def open(self, number: int, vector: bytes = EMPTY_VECTOR) -> Reply:
        """The reply to a connection that has come."""
        return opened(self.room.receive(number, encode_frame(SyncStep1(vector)), AT))

    def write(self, number: int, act: Callable[[Doc], object]) -> None:
        """Write as a client whose replica has everything."""
        if number not in self._writers:
            self.join(number)
            self._writers[number] = Doc(client_id=1000 + number)
        doc, made = self._writers[number], list[bytes]()
        doc.apply_update(self.room.diff(doc.get_state()))
        subscription = doc.observe(lambda event: made.append(event.update))
        with doc.transaction():
            act(doc)
        doc.unobserve(subscription)
        for update in made:
            self.do(self.room.receive(number, encode_frame(SyncUpdate(update)), AT))


@dataclass
class Visitor:
    """What a visitor has taken of its reply, what is still to come of it, and what was written meanwhile."""

    frames: list[bytes]
    rest: Iterator[bytes]
    later: list[bytes] = field(default_factory=list[bytes])


def visit(house: House, number: int) -> int:
    """Come, get everything, write a little, leave; returns how many calls the answer took."""
    house.join(number)
    frames: list[bytes] = []
    work = calls(lambda: frames.extend(house.open(number)))
    doc: Doc = Doc(client_id=number)
    doc.get("state", type=Map)[f"visit {number}"] = {"of": number, "at": AT, "by": "a visitor"}
    house.do(house.room.receive(number, encode_frame(SyncUpdate(doc.get_update())), AT))
    house.do(house.room.leave(number, AT))
    if not number % 10:
        house.do(house.room.attend(AT))
    return work


def test_the_first_sync_of_a_visitor_takes_as_much_work_after_four_times_as_many() -> None:
    house = House(Settings())
    work = [visit(house, number) for number in range(1, 801)]
    assert sum(work[400:]) / 400 <= 1.5 * sum(work[100:200]) / 100
    house.join(801)
    brought = updates(list(house.open(801)))
    assert brought == [house.kept.restore(update) for update in brought], "values are as they came"
    document = taken_in(brought)
    assert len(SessionDocument(document).state.to_json()) == 800


def held() -> int:
    """The bytes of all frames that are kept for several."""
    gc.collect()
    return sum(len(one) for one in gc.get_objects() if isinstance(one, SharedFrame))


def test_what_is_kept_for_visitors_is_bounded_by_the_document() -> None:
    house, before = House(Settings()), held()
    for number in range(1, 401):
        visit(house, number)
    assert held() - before < 2 * len(house.room.diff(EMPTY_VECTOR))


def test_a_first_sync_is_made_anew_when_much_of_it_was_deleted() -> None:
    house = House(Settings(), large_session())
    for number in range(10, 30):
        house.join(number)
        frames = list(house.open(number))
        house.write(1, lambda doc: doc.get("state", type=Map).__setitem__("k", "replaced again " * 200))
    assert len(b"".join(frames)) < 1.3 * len(house.room.diff(EMPTY_VECTOR))


def test_what_a_participant_deleted_is_in_no_first_sync_for_long() -> None:
    house = House(Settings(), large_session())
    house.write(1, lambda doc: doc.get("state", type=Map).__setitem__("secret", "the words"))

    def has_it(number: int) -> bool:
        house.join(number)
        return b"the words" in b"".join(house.open(number))

    assert [has_it(10), has_it(11)] == [True, True]
    house.write(1, lambda doc: doc.get("state", type=Map).pop("secret"))
    found: list[bool] = []
    for number in range(12, 22):
        found.append(has_it(number))
        house.do(house.room.remind("opened", AT))
    assert not found[-1]


def test_a_first_sync_that_can_not_be_made_is_made_anew_for_the_next_reader() -> None:
    openings = Openings(KeptValues(), 1024)
    broken = large_session()[:-1] + b"\x05"
    first, _ = openings.reply(lambda: Encoded.of(broken))
    with pytest.raises(MalformedFrame):
        list(first)
    second, _ = openings.reply(lambda: Encoded.of(large_session()))
    assert taken_in(updates(list(second))).get_state()


def test_a_reader_beside_one_whose_first_sync_failed_is_not_told_that_it_has_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(update: bytes, size: int) -> Iterator[bytes]:
        yield from list(split_update(update, size))[:3]
        raise MemoryError("in the middle")

    house = House(Settings(max_piece_bytes=4096), large_session())
    with monkeypatch.context() as patch:
        patch.setattr(sync_reply, "split_update", fails)
        house.join(1)
        one = iter(house.open(1))
        next(one)
        house.write(5, lambda doc: doc.get("m", type=Map).__setitem__("k", 1))
        house.join(2)
        other = iter(house.open(2))
        next(other)
        with pytest.raises(MemoryError):
            list(one)
        with pytest.raises(Unreadable):
            list(other)


def test_a_reader_that_stands_still_keeps_nothing_that_was_deleted_for_later_ones() -> None:
    house = House(Settings(max_piece_bytes=4096), large_session())
    house.join(1)
    stalled = iter(house.open(1))
    next(stalled)
    house.join(2)
    list(house.open(2))
    house.write(5, lambda doc: doc.get("text:t", type=Text).insert(0, "secret"))
    house.join(3)
    assert any(b"secret" in frame for frame in house.open(3))
    house.write(5, lambda doc: doc.get("text:t", type=Text).__delitem__(slice(0, 6)))
    while house.room.remind("opened", AT):
        pass
    house.join(4)
    assert not any(b"secret" in frame for frame in house.open(4))
    assert list(stalled)


def test_a_large_update_makes_the_first_sync_anew() -> None:
    house = House(Settings(max_piece_bytes=2048), large_session())
    for number in range(10, 14):
        house.write(1, lambda doc: doc.get("text:t", type=Text).insert(0, "x" * 5000))
        house.join(number)
        frames = list(house.open(number))
        assert max(map(len, frames)) < 2 * 2048
        assert deleted(taken_in(updates(frames))) == deleted(house.room.document.doc)


@pytest.mark.parametrize(("is_deleted", "left"), [(False, "a\ufffdx\ufffdb"), (True, "axb")])
def test_a_replica_that_takes_in_a_first_sync_at_once_agrees_on_a_pair_that_was_cut(
    is_deleted: bool, left: str
) -> None:
    house = House(Settings(), large_session())
    house.write(1, lambda doc: doc.get("text:t", type=Text).insert(0, "a😀b"))
    for number in (10, 11):
        house.join(number)
        list(house.open(number))
    if is_deleted:
        house.write(1, lambda doc: doc.get("text:t", type=Text).__delitem__(slice(1, 5)))
    house.join(12)
    between = b"\x01\x01" + uint(5) + b"\x00\xc4" + uint(1001) + b"\x01" + uint(1001) + b"\x02\x01x\x00"
    house.do(house.room.receive(12, encode_frame(SyncUpdate(between)), AT))
    house.join(13)
    doc = taken_in([merge_updates(*updates(list(house.open(13))))])
    assert decode_state_vector(doc.get_state()) == house.room.vector
    assert str(doc.get("text:t", type=Text)).startswith(left)
    assert SessionDocument(doc).to_json() == house.room.document.to_json()


def test_a_client_that_has_only_words_of_its_own_is_sent_what_all_are() -> None:
    house = House(Settings(), large_session())
    own: Doc = Doc(client_id=7)
    own.get("state", type=Map)["mine"] = 1
    house.join(10)
    house.join(11)
    assert house.open(10, EMPTY_VECTOR) is (sync_reply := house.open(11, own.get_state()))
    assert list(sync_reply)


TEXTS = st.sampled_from(["a", "word ", "é👩‍🚀", "many words " * 20, "very many words " * 90])
PLACES = st.integers(0, 2**16)
VALUES = st.sampled_from([1, -0.0, "x", [1, {"b": 1, "a": 2}], {"zebra": 1, "ant": 2, "cat": 3}, None, True])
ACTS = st.one_of(
    st.tuples(st.just("insert"), PLACES, TEXTS),
    st.tuples(st.just("delete"), PLACES, st.integers(1, 30)),
    st.tuples(st.just("set"), PLACES, VALUES),
    st.tuples(st.just("unset"), PLACES, VALUES),
    st.tuples(st.just("append"), PLACES, VALUES),
    st.tuples(st.just("remove"), PLACES, VALUES),
    st.tuples(st.just("server"), PLACES, VALUES),
    st.tuples(st.just("open"), PLACES, st.booleans()),
    st.tuples(st.just("open"), PLACES, st.booleans()),
    st.tuples(st.just("rest"), PLACES, VALUES),
)


def change(act: str, place: int, what: Any, doc: Doc) -> None:
    """Do something in a document, where it is possible."""
    text, state, items = doc.get("text:t", type=Text), doc.get("state", type=Map), doc.get("list", type=Array)
    whole = str(text)
    match act:
        case "insert":
            at = place % (len(whole) + 1)
            text.insert(len(whole[:at].encode()), what)
        case "delete" if whole:
            at = place % len(whole)
            del text[len(whole[:at].encode()) : len(whole[: at + what].encode())]
        case "set":
            state[f"k{place % 5}"] = what
        case "unset":
            state.pop(f"k{place % 5}", None)
        case "append":
            items.append(what)
        case "remove" if len(items):
            del items[place % len(items)]
        case _:
            pass


@settings(deadline=None, max_examples=120)
@given(st.lists(ACTS, min_size=5, max_size=80))
def test_each_visitor_gets_the_document_of_the_room_whatever_was_written_between(acts: list[Any]) -> None:
    house = House(Settings(max_piece_bytes=2048), large_session())
    for number, (act, place, what) in enumerate(acts, 10):
        if act == "open":
            house.join(number)
            rest = iter(house.open(number))
            house.visitors.append(Visitor(list(rest) if what else [next(rest)], rest))
        elif act == "server":
            value = {"b": what, "a": 1}
            house.do(house.room.edit(lambda document, to=value: document.state.set("of the server", to), AT))
        elif act == "rest":
            house.do(house.room.remind("opened", AT))
        else:
            house.write(1 + place % 3, partial(change, act, place, what))
    document = house.room.document
    for visitor in house.visitors:
        brought = updates([*visitor.frames, *visitor.rest])
        assert brought == [house.kept.restore(update) for update in brought], "values are as they came"
        doc = taken_in(brought)
        for update in visitor.later:
            doc.apply_update(update)
        assert decode_state_vector(doc.get_state()) == house.room.vector
        assert deleted(doc) == deleted(document.doc)
        assert SessionDocument(doc).to_json() == document.to_json()
        assert str(doc.get("text:t", type=Text)) == str(document.doc.get("text:t", type=Text))
