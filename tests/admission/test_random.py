"""Random updates by a member never change what a member may not change, and never raise anything of their own.

What must not change is read from the session's plain JSON, and knows nothing of the table or of how it is applied.
"""

from typing import Any

from admission.forge import Id, Item, forge, nothing, shared, string, value
from admission.scene import AT, LIMITS, participant, session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycrdt import Doc

from cosession.admission import Admission
from cosession.document import SessionDocument
from cosession.document.session import ROOTS
from cosession.errors import CosessionError
from cosession.protocol import decode_state_vector, read_update_header
from cosession.protocol.structs import read_structs
from cosession.protocol.update_format import ANY, GC, TYPE

EVE = participant("eve", role="member")
STATE = session().doc.get_update()
STRUCTS = [struct for struct in read_structs(STATE) if struct.kind != GC]
IDS: list[Id] = [
    (struct.client, struct.clock + offset)
    for struct in STRUCTS
    for offset in {0, struct.length // 2, struct.length - 1}
]
TYPES: list[Id] = [(struct.client, struct.clock) for struct in STRUCTS if struct.kind == TYPE]
KEYS = [
    *("id", "role", "stamp", "author", "status", "agent", "cancel", "text", "parts", "metadata", "title", "schema"),
    *("decision", "r-bot", "eve", "bot", "type", "data", "eve/x", "bob/row", "vote/p-bot/bob", "vote/p-bot/eve"),
]
VALUES = ["eve", "bob", "user", "assistant", "m-bob", "m-new", "x", "r-bot"]
NAMES = [*ROOTS, "text:notes", "xml:page", "config"]
CLIENT = 7

near = st.sampled_from(IDS) | st.tuples(st.just(CLIENT), st.integers(0, 12))
inside = st.sampled_from(TYPES) | st.sampled_from(NAMES) | st.tuples(st.just(CLIENT), st.integers(0, 12))


@st.composite
def places(draw: st.DrawFn) -> dict[str, Any]:
    match draw(st.integers(0, 4)):
        case 0:
            return {"left": draw(near)}
        case 1:
            return {"right": draw(near)}
        case 2:
            return {"left": draw(near), "right": draw(near)}
        case 3:
            return {"parent": draw(inside), "key": draw(st.sampled_from(KEYS))}
        case _:
            return {"parent": draw(inside)}


@st.composite
def items(draw: st.DrawFn) -> Item:
    where = draw(places())
    match draw(st.integers(0, 5)):
        case 0:
            return string(draw(st.sampled_from(["x", "🦊", "long text"])), **where)
        case 1:
            return shared(draw(st.integers(0, 2)), **where)
        case 2:
            return nothing(draw(st.integers(1, 3)), **where)
        case 3:
            return Item(ANY, b"\x01\x76\x01\x02by\x77\x03eve", **where)
        case _:
            return value(draw(st.sampled_from(VALUES)), **where)


@st.composite
def messages(draw: st.DrawFn) -> list[Item]:
    """Something that is almost a message, so that not all is refused at once."""
    keys = draw(st.lists(st.sampled_from(["id", "role", "metadata", "parts", "stamp"]), min_size=2, max_size=4))
    words = st.sampled_from(["user", "m-new", "eve", "assistant"])
    made = [value("user" if key == "role" else draw(words), parent=(CLIENT, 0), key=key) for key in keys]
    return [shared(1, parent="messages"), *made, *draw(st.lists(items(), max_size=2))]


deletions = st.lists(
    st.tuples(st.sampled_from(IDS), st.integers(1, 30)).map(lambda one: (*one[0], one[1])), max_size=2
).map(tuple)
updates = st.tuples(st.lists(items(), max_size=4) | messages(), st.just(()) | deletions)


def fresh() -> SessionDocument:
    document = SessionDocument(Doc())
    document.doc.apply_update(STATE)
    return document


def protected(document: SessionDocument) -> dict[str, Any]:
    """All that a member may not change."""
    whole = document.to_json()
    raw = {name: getattr(document, name).shared.to_py() or {} for name in ("selections", "counters", "requests")}
    return {
        "meta": {key: item for key, item in whole["meta"].items() if key != "title"},
        "messages": [item for item in whole["messages"] if item["id"] in ("m-ada", "m-bob", "m-bot")],
        "mine": [
            (item["id"], item["role"], item.get("stamp"), item["metadata"].get("author") or "eve")
            for item in whole["messages"]
            if item["id"] == "m-eve"
        ],
        "surfaces": {
            key: {name: item for name, item in one.items() if name != "data"}
            for key, one in whole["surfaces"].items()
        },
        "queue": [(item.get("id"), item.get("author")) for item in whole["queue"]],
        "selections": {key: item for key, item in raw["selections"].items() if not key.startswith("eve/")},
        "counters": {key: item for key, item in raw["counters"].items() if not key.endswith("/eve")},
        "requests": {key: item for key, item in raw["requests"].items() if not key.endswith("/eve")},
        "approvals": {  # people edit what they approve, and only inside
            key: {**one, "value": type(one.get("value"))} for key, one in whole["approvals"].items()
        },
        **{name: whole[name] for name in ("runs", "agents", "participants", "claims")},
        "roots": sorted(
            name for name in tuple(document.doc) if name.startswith("cosession") or name in ("", "text:", "xml:")
        ),
    }


def new_messages(document: SessionDocument) -> list[dict[str, Any]]:
    known = ("m-ada", "m-bob", "m-eve", "m-bot")
    return [item for item in document.messages.to_json() if item["id"] not in known]


BEFORE = protected(fresh())


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(updates, min_size=1, max_size=4))
def test_a_member_changes_nothing_that_is_not_theirs_to_change(
    tried: list[tuple[list[Item], tuple[tuple[int, int, int], ...]]],
) -> None:
    document, keeper = fresh(), SessionDocument(Doc(skip_gc=True))
    keeper.doc.apply_update(STATE)
    admission, admitted = Admission(document, LIMITS), 0
    for structs, deletes in tried:
        vector = decode_state_vector(document.doc.get_state())
        update = forge(CLIENT, vector.get(CLIENT, 0), *structs, deletes=deletes)
        try:
            header = read_update_header(update)
            if not header.fits(vector):
                continue
            accepted = admission.judge(update, header, EVE)
        except CosessionError:
            continue
        document.doc.apply_update(accepted.update)
        keeper.doc.apply_update(accepted.update)
        admitted += 1

    after = protected(document)
    gone = {item[0] for item in BEFORE["queue"]} - {item[0] for item in after["queue"]}
    assert {**after, "queue": 0, "mine": 0} == {**BEFORE, "queue": 0, "mine": 0}
    assert after["mine"] in (BEFORE["mine"], [])
    assert all(item in after["queue"] for item in BEFORE["queue"] if item[0] not in gone)
    for message in new_messages(document):
        assert message["role"] == "user"
        assert message["metadata"].get("author") in (None, "eve")
        assert "stamp" not in message
    assert keeper.to_json() == document.to_json()
    assert SessionDocument(_copy(document)).to_json() == document.to_json()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3), min_size=4, max_size=4))
def test_a_mutated_update_raises_nothing_but_our_own_errors(mutations: list[list[tuple[int, int]]]) -> None:
    document = fresh()
    admission = Admission(document, LIMITS)
    replica = SessionDocument(Doc(client_id=CLIENT))
    replica.doc.apply_update(STATE)
    seen: list[bytes] = []
    watch = replica.doc.observe(lambda event: seen.append(event.update))
    replica.messages.append("user", [{"type": "text", "text": "hi 🦊"}], id="m-new", author="eve", created_at=AT)
    replica.text("notes").insert(2, "🦊")
    replica.text("notes").delete(1, 4)
    replica.state.set("trip.hotel.name", "Adlon")
    replica.doc.unobserve(watch)
    for update, places in zip(seen, mutations, strict=False):
        mutated = bytearray(update)
        for place, byte in places:
            mutated[place % len(mutated)] = byte
        try:
            header = read_update_header(bytes(mutated))
            if header.fits(decode_state_vector(document.doc.get_state())):
                document.doc.apply_update(admission.judge(bytes(mutated), header, EVE).update)
        except CosessionError:
            continue

    after = protected(document)
    assert {**after, "queue": 0, "mine": 0} == {**BEFORE, "queue": 0, "mine": 0}


def _copy(document: SessionDocument) -> Doc[Any]:
    copy: Doc[Any] = Doc()
    copy.apply_update(document.doc.get_update())
    return copy
