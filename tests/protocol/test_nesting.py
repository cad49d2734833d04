"""What would end the process, or hold it for seconds, is refused by its bytes, before it is applied."""

import pytest
from pycrdt import Array, Doc, Map, Text

from cosession.errors import MalformedFrame, TooLarge
from cosession.protocol import decode_awareness, decode_state_vector, read_update_header
from cosession.protocol.lib0 import uint
from cosession.protocol.nesting import MAX_TYPES_DEEP, check_nesting
from cosession.settings import Settings

VALUE, MAP, TEXT = b"\x08", b"\x07\x01", b"\x04"
ROOT = uint(1) + b"\x01r"


def section(client: int, *structs: bytes) -> bytes:
    """The structs of one client, from its first clock on."""
    return uint(len(structs)) + uint(client) + uint(0) + b"".join(structs)


def update(*sections: bytes) -> bytes:
    return uint(len(sections)) + b"".join(sections) + uint(0)


def map_in(client: int, clock: int) -> bytes:
    """A map under a key of another one."""
    return b"\x27" + uint(0) + uint(client) + uint(clock) + b"\x01k" + uint(1)


def map_beside(client: int, clock: int) -> bytes:
    """A map beside something, in the same parent."""
    return b"\x87" + uint(client) + uint(clock) + uint(1)


def value_in(client: int, clock: int) -> bytes:
    """An item of a list: one value in a type."""
    return b"\x08" + uint(0) + uint(client) + uint(clock) + uint(1) + b"\x7e"


def map_in_root() -> bytes:
    return b"\x27" + ROOT + b"\x01k" + uint(1)


def chain(levels: int) -> bytes:
    """Maps in each other."""
    return update(section(7, map_in_root(), *(map_in(7, clock) for clock in range(levels - 1))))


def hidden_chain(levels: int) -> bytes:
    """The same, where each type says only what it is beside: its parent is that one's."""
    structs = [map_in_root()]
    for level in range(levels - 1):
        structs += [value_in(7, 2 * level), map_beside(7, 2 * level + 1)]
    return update(section(7, *structs))


def braided_chain(levels: int) -> bytes:
    """The same, written by two clients in turns, so that each stands on what comes later in the update."""
    first = [map_in_root(), *(map_in(9, clock) for clock in range(levels // 2 - 1))]
    second = [map_in(7, clock) for clock in range(levels // 2)]
    return update(section(7, *first), section(9, *second))


@pytest.mark.parametrize("build", [chain, hidden_chain, braided_chain])
def test_types_are_nested_up_to_a_depth_and_no_deeper(build):
    fits, too_deep = build(MAX_TYPES_DEEP), build(MAX_TYPES_DEEP + 2)
    check_nesting(fits)
    Doc().apply_update(fits)
    assert read_update_header(too_deep).types == MAX_TYPES_DEEP + 2
    with pytest.raises(MalformedFrame, match="deeper"):
        check_nesting(too_deep)
    with pytest.raises(MalformedFrame, match="deeper"):
        check_nesting(build(100_000))


def test_what_the_library_nests_is_seen_as_deep_as_it_is():
    doc = Doc(client_id=7)
    inner = doc.get("r", type=Array)
    for level in range(MAX_TYPES_DEEP):
        inner.append(level)
        inner.append(Map({"list": Array([1])}))
        inner = inner[1]["list"]
        inner.clear()
        if level == MAX_TYPES_DEEP // 2 - 2:
            check_nesting(doc.get_update())
    with pytest.raises(MalformedFrame, match="deeper"):
        check_nesting(doc.get_update())


def test_many_types_beside_each_other_are_not_deep():
    doc = Doc(client_id=7)
    messages = doc.get("messages", type=Array)
    for number in range(1000):
        messages.append(Map({"parts": Array([Map({"text": Text(f"{number}")})])}))
    assert read_update_header(doc.get_update()).types > 10 * MAX_TYPES_DEEP
    check_nesting(doc.get_update())


def test_structs_that_stand_on_themselves_are_not_followed_for_ever():
    check_nesting(update(section(7, map_beside(9, 0)), section(9, map_beside(7, 0))))
    check_nesting(update(section(7, map_in(7, 0))))


@pytest.mark.parametrize("kind", [5, 7, 8, 10, 15, 127])
def test_a_type_that_not_every_client_can_read_is_malformed(kind):
    with pytest.raises(MalformedFrame, match="shared type"):
        read_update_header(update(section(7, b"\x07" + ROOT + uint(kind) + b"\x01z")))


def test_json_content_that_the_library_reads_in_another_way_is_malformed():
    with pytest.raises(MalformedFrame, match="old versions"):
        read_update_header(update(section(7, b"\x02" + ROOT + uint(1) + b"\x01" + b"1", TEXT + ROOT + b"\x01x")))


def test_a_client_is_named_once():
    doubled = update(section(7, map_in_root()), section(7, value_in(7, 0)))
    with pytest.raises(MalformedFrame, match="twice"):
        read_update_header(doubled)


@pytest.mark.parametrize(
    "many",
    [
        pytest.param(update(section(7, VALUE + ROOT + uint(50_000) + b"\x7e" * 50_000)), id="values"),
        pytest.param(
            update(section(7, VALUE + ROOT + uint(1) + b"\x75" + uint(50_000) + b"\x7e" * 50_000)), id="list"
        ),
        pytest.param(update(section(7, *([b"\x00\x01"] * 50_000))), id="structs"),
        pytest.param(uint(0) + uint(1) + uint(7) + uint(50_000) + b"\x01\x01" * 50_000, id="deletions"),
        pytest.param(
            uint(50_000) + b"".join(uint(0) + uint(n) + uint(0) for n in range(50_000)) + b"\0", id="clients"
        ),
    ],
)
def test_what_takes_long_to_read_is_too_large_before_it_is_read(many):
    read_update_header(many, 60_000)
    with pytest.raises(TooLarge, match="smaller"):
        read_update_header(many, 40_000)


def test_a_state_vector_and_a_presence_of_more_clients_than_there_are_is_too_large():
    vector = uint(3000) + b"".join(uint(client) + b"\x01" for client in range(3000))
    assert len(decode_state_vector(vector, 3000)) == 3000
    with pytest.raises(TooLarge):
        decode_state_vector(vector, 2999)
    with pytest.raises(TooLarge):
        decode_awareness(uint(100_000) + b"".join(uint(client) + b"\x01\x04null" for client in range(100_000)))


def test_fifty_thousand_edits_made_offline_are_no_limit():
    """Each costs at most a struct, another one that it splits, and a deleted range."""
    edits = 2000
    doc = Doc(client_id=7)
    text = doc.get("r", type=Text)
    with doc.transaction():
        for number in range(edits):
            text.insert(number * 7919 % (number + 1), "ab")
            del text[number // 3]
    assert read_update_header(doc.get_update(), 4 * edits).brings
    assert Settings().max_structs_per_frame >= 4 * 50_000
