"""What of a delete set is new: compared with a reader that looks up every clock, for many pairs of sets."""

import random

import pytest

from cosession.errors import MalformedFrame, TooLarge
from cosession.protocol import KnownDeletions, read_update_header
from cosession.protocol.deletions import Span, encode_deletions
from cosession.protocol.lib0 import MAX_NUMBER, uint

Clocks = dict[int, set[int]]


def spans_of(clocks: Clocks) -> list[Span]:
    """The ranges of a set of clocks, in order, neighbours joined, as documents write them."""
    return [
        (client, clock, next(end for end in range(clock, 10**9) if end not in own) - clock)
        for client, own in clocks.items()
        for clock in sorted(own)
        if clock - 1 not in own
    ]


def clocks_of(spans: list[Span]) -> set[tuple[int, int]]:
    return {(client, clock + i) for client, clock, length in spans for i in range(length)}


def some_clocks(dice: random.Random, clients: int) -> Clocks:
    most, density = dice.choice([20, 300, 40_000]), dice.random()
    return {client: {dice.randrange(most) for _ in range(int(300 * density))} for client in range(1, clients + 1)}


def update_of(spans: list[Span]) -> bytes:
    """An update that deletes ranges, long enough that it is compared."""
    return b"\x00" + encode_deletions([*spans, *((MAX_NUMBER, 5000 + 2 * i, 1) for i in range(2000))])


def new_in(update: bytes, known: Clocks, limit: int = 10**9) -> list[Span]:
    header = read_update_header(update, limit, lambda: KnownDeletions(b"\x00" + encode_deletions(spans_of(known))))
    assert read_update_header(update if header.rest is None else header.rest).deletes == header.deletes
    return [(span.client, span.clock, span.length) for span in header.deletes if span.client != MAX_NUMBER]


@pytest.mark.parametrize("seed", range(60))
def test_all_that_is_new_is_kept_and_no_range_that_is_known(seed: int) -> None:
    dice = random.Random(seed)
    known = some_clocks(dice, 3)
    told = {client: {clock for clock in own if dice.random() < 0.9} for client, own in known.items() if own}
    for client, own in some_clocks(dice, 4).items():
        if dice.random() < 0.5:
            told[client] = told.get(client, set()) | own
    spans = spans_of(told)
    if seed % 3 == 0:
        dice.shuffle(spans)
    new = new_in(update_of(spans), known)
    held = clocks_of(spans_of(known))
    wanted = [span for span in spans if not clocks_of([span]) <= held]
    assert [span for span in new if not clocks_of([span]) <= held] == sorted(wanted, key=new.index)
    if seed % 3:
        assert new == wanted, "in order, all that is known is seen to be"


def test_what_is_known_is_not_counted_and_what_is_new_is() -> None:
    known: Clocks = {7: set(range(0, 10_000, 2)), 8: set(range(1, 10_000, 2))}
    told: Clocks = {7: known[7] | {10_001}, 8: known[8]}
    assert new_in(b"\x00" + encode_deletions(spans_of(told)), known, limit=2) == [(7, 10_001, 1)]
    with pytest.raises(TooLarge):
        new_in(b"\x00" + encode_deletions([*spans_of(told), (9, 1, 1), (9, 3, 1)]), known, limit=2)


def test_parts_of_known_ranges_are_taken_up_to_a_multiple_of_the_limit() -> None:
    known: Clocks = {7: set(range(100_000))}
    parts = [(7, clock, 1) for clock in range(0, 8000, 2)]
    assert new_in(b"\x00" + encode_deletions(parts), known, limit=1000) == []
    with pytest.raises(TooLarge):
        new_in(b"\x00" + encode_deletions([*parts, (7, 9000, 1)]), known, limit=1000)


def test_a_client_that_is_named_again_and_again_is_counted() -> None:
    section = uint(7) + b"\x01" + uint(0) + uint(1)
    with pytest.raises(TooLarge):
        new_in(b"\x00" + uint(5000) + 5000 * section, {7: {0}}, limit=1000)


@pytest.mark.parametrize("cut", [1, 2, 3, 4000])
def test_a_delete_set_that_ends_early_is_malformed(cut: int) -> None:
    known: Clocks = {7: set(range(0, 10_000, 2))}
    update = b"\x00" + encode_deletions(spans_of(known))
    with pytest.raises(MalformedFrame):
        new_in(update[:-cut], known)


def test_an_empty_range_is_malformed_also_among_known_ones() -> None:
    known: Clocks = {7: set(range(0, 10_000, 2))}
    with pytest.raises(MalformedFrame):
        new_in(b"\x00" + encode_deletions([*spans_of(known), (7, 10_002, 0)]), known)
