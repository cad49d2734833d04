"""The order of neighbours, by what each was written behind: against the plain definition, and with honest writers."""

import random

import pytest
from admission.forge import Item, forge, string, value
from admission.scene import Scene, participant
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Text

from cosession.admission.origins import Origins
from cosession.errors import MalformedFrame
from cosession.protocol import read_update_header
from cosession.protocol.lib0 import uint
from cosession.protocol.structs import Id, read_structs
from cosession.protocol.update_format import ANY

EVE = participant("eve", role="member")
LIAR = 7


def above(origins: dict[Id, Id | None], id_: Id | None) -> list[Id]:
    """An entry, and all that it was written behind, by way of others."""
    found: list[Id] = []
    while id_ is not None:
        found.append(id_)
        id_ = origins[id_]
    return found


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(-3, 40)), max_size=25), st.booleans())
def test_neighbours_are_what_the_definition_says(structs: list[tuple[int, int, int]], is_cut: bool) -> None:
    origins, known = Origins(), dict[Id, Id | None]()
    ends = dict.fromkeys(range(4), 0)
    cuts = dict.fromkeys(range(4), 0)
    for number, (client, length, place) in enumerate(structs):
        clock, ids = ends[client], list(known)
        before = (client, clock - 1)
        left = before if place < 0 and before in known else ids[place % len(ids)] if ids and place > 0 else None
        origins.add(client, clock, length, left)
        for at in range(clock, clock + length):
            known[client, at] = left
            left = (client, at)
        ends[client] += length
        if number == len(structs) // 2:
            cuts = ends.copy()
    if is_cut:
        for client, end in cuts.items():
            origins.cut(client, end)
        known = {id_: left for id_, left in known.items() if id_[1] < cuts[id_[0]]}
    for right in known:
        for left in (None, *known):
            behind = known[right]
            holds = right not in above(known, left) and (behind is None or behind in above(known, left))
            expected = behind is None if left is None else holds
            assert origins.are_neighbours(left, right) == expected


@pytest.mark.parametrize("seed", range(20))
def test_whoever_writes_between_what_is_there_is_never_refused(seed: int) -> None:
    """Three writers insert and delete anywhere in one text, and hear of each other late."""
    luck = random.Random(seed)
    scene = Scene()
    docs = [Doc(client_id=client) for client in (5, 70, 900)]
    for doc in docs:
        doc.apply_update(scene.document.doc.get_update())
    for _ in range(150):
        doc = luck.choice(docs)
        text = doc.get("text:notes", type=Text)
        if luck.random() < 0.3:
            doc.apply_update(scene.document.doc.get_update(doc.get_state()))
            continue
        updates: list[bytes] = []
        subscription = doc.observe(lambda event, updates=updates: updates.append(event.update))
        at = luck.randrange(len(text) + 1)
        if luck.random() < 0.3 and at < len(text):
            del text[at : min(at + luck.randrange(1, 4), len(text))]
        else:
            text.insert(at, luck.choice(("x", "word ", "ab")))
        doc.unobserve(subscription)
        for update in updates:
            scene.receive(update, EVE)


def test_neighbours_in_the_wrong_order_are_refused_and_leave_no_trace() -> None:
    scene = Scene()
    scene.receive(forge(LIAR, 0, string("abcdef", parent="text:plan")), EVE)
    known = scene.known()
    for left in range(6):
        for right in range(6):
            update = forge(LIAR, 6, string("Z", left=(LIAR, left), right=(LIAR, right)))
            if right != left + 1:
                with pytest.raises(MalformedFrame, match="next to each other"):
                    scene.receive(update, EVE)
    with pytest.raises(MalformedFrame, match="next to each other"):
        scene.receive(forge(LIAR, 6, string("Z", right=(LIAR, 3))), EVE)
    assert scene.known() == known
    scene.receive(forge(LIAR, 6, string("Z", left=(LIAR, 2), right=(LIAR, 3))), EVE)
    assert str(scene.document.text("plan").shared) == "abcZdef"


def test_the_order_holds_in_lists_too_and_a_key_has_no_right_neighbour() -> None:
    scene = Scene()
    values = Item(ANY, b"\x03" + b"\x7e" * 3, parent=(LIAR, 0))
    scene.receive(forge(LIAR, 0, Item(7, uint(0), parent="state", key="list"), values), EVE)
    with pytest.raises(MalformedFrame, match="next to each other"):
        scene.receive(forge(LIAR, 4, Item(ANY, b"\x01\x7e", left=(LIAR, 3), right=(LIAR, 1))), EVE)
    scene.receive(forge(LIAR, 4, value("one", parent="state", key="k"), value("two", left=(LIAR, 4))), EVE)
    for where in (
        {"left": (LIAR, 5), "right": (LIAR, 5)},
        {"left": (LIAR, 4), "right": (LIAR, 5)},
        {"right": (LIAR, 4)},
    ):
        with pytest.raises(MalformedFrame, match="right neighbour"):
            scene.receive(forge(LIAR, 6, value("three", **where)), EVE)


def test_a_token_that_jumps_in_its_text_keeps_the_order_too() -> None:
    """It takes the short way through admission, which looks at the neighbours all the same."""
    scene = Scene()
    scene.receive(forge(LIAR, 0, string("abc", parent="text:plan")), EVE)
    scene.receive(forge(LIAR, 3, string("d", left=(LIAR, 2))), EVE)
    scene.receive(forge(LIAR, 4, string("e", left=(LIAR, 3))), EVE)
    with pytest.raises(MalformedFrame, match="next to each other"):
        scene.receive(forge(LIAR, 5, string("Z", left=(LIAR, 4), right=(LIAR, 1))), EVE)
    scene.receive(forge(LIAR, 5, string("Z", left=(LIAR, 1), right=(LIAR, 2))), EVE)
    assert str(scene.document.text("plan").shared) == "abZcde"


def test_deep_texts_cost_the_logarithm_of_their_depth() -> None:
    """Two clients in turn, each behind the other: as deep as it is long, and looked up in a few steps."""
    origins, left = Origins(), None
    for number in range(200_000):
        id_ = (number % 2, number // 2)
        origins.add(*id_, 1, left)
        left = id_
    assert origins.are_neighbours((1, 50_000), (0, 50_001))
    assert not origins.are_neighbours((0, 50_001), (1, 50_000))
    assert not origins.are_neighbours(left, (0, 0))
    run, steps = origins._find(left), 0
    while run.depth > 5:
        run = run.jump if run.jump is not None and run.jump.depth >= 5 else run.parent
        steps += 1
    assert steps < 60


def test_what_was_loaded_is_known_by_its_origins() -> None:
    first: Doc = Doc(client_id=5)
    text = first.get("text:plan", type=Text)
    text += "abcdef"
    text.insert(3, "X")
    scene = Scene()
    scene.document.doc.apply_update(first.get_update())
    (x,) = (one for one in read_structs(first.get_update()) if one.client == 5 and one.left and one.right)
    update = forge(LIAR, 0, string("Z", left=(5, x.clock), right=x.right))
    assert read_update_header(update).fits({5: 7})
    scene.receive(update, EVE)
    assert str(scene.document.text("plan").shared) == "abcXZdef"
