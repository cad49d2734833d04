"""Reads never raise: whatever any Yjs client wrote under any root, all of it reads as JSON."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

from document.samples import AT, copy_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from cosession.document import SessionDocument
from cosession.document.record import Record
from cosession.document.session import ROOTS

# fmt: off
NUMBERS = [
    0, -1, 1, 2**53, 2**63 - 1, -(2**63), 1.5, 1e308, 1.7e308, -1.7e308,
    float("nan"), float("inf"), -float("inf"),
]
FIELDS = [
    "id", "role", "parts", "metadata", "stamp", "author", "by", "at", "to", "text", "type", "state", "status", "run",
    "messages", "steps", "steers", "seen", "cancel", "error", "usage", "epoch", "client", "former", "question",
    "schema", "who", "quorum", "expires_at", "value", "votes", "decision", "data", "components", "theme", "catalogId",
    "agent", "title", "policy", "agents", "double_texting", "name", "kind", "online", "looking", "devices", "since",
    "place",
]
KEYS = [
    "a", "r1", "", "/", "//", "x", "x/ada/1", "x/ada/2", "x/ada/3",
    "%", "%E0%A4/%ff", "__proto__", "vote/a1/ada", "🐙",
]
# fmt: on


def nested(depth: int, of: Any) -> Any:
    for number in range(depth):
        of = [of] if number % 2 else {"k": of}
    return of


def shared_nested(depth: int, of: Any) -> Any:
    for number in range(depth):
        of = Array([of]) if number % 2 else Map({"k": of})
    return of


def _rich(text: str) -> XmlFragment:
    return XmlFragment([XmlElement("p", {"class": text}, [XmlText(text)])])


texts = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(
    ["", "ada", "user", AT, "9999-99-99", "lost"]
)
plain_values = st.recursive(
    st.sampled_from([None, True, False, b"", b"\x00\xff", *NUMBERS]) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | texts, inner, max_size=3),
    max_leaves=6,
) | st.builds(nested, st.sampled_from([3, 70, 99]), st.sampled_from(NUMBERS))
_makers = st.deferred(lambda: values)
values = st.one_of(
    plain_values.map(lambda value: lambda: value),
    texts.map(lambda text: lambda: Text(text)),
    texts.map(lambda text: lambda: _rich(text)),
    st.just(lambda: Doc()),
    st.builds(lambda depth, of: lambda: shared_nested(depth, of), st.sampled_from([1, 70, 99]), plain_values),
    st.dictionaries(st.sampled_from(FIELDS), _makers, max_size=6).map(
        lambda fields: lambda: Map({key: make() for key, make in fields.items()})
    ),
    st.lists(_makers, max_size=3).map(lambda items: lambda: Array([make() for make in items])),
)
"""Each makes a value, which is in one document once."""


def write(document: SessionDocument, root: str, key: str, value: Any) -> None:
    shared = document.doc.get(root, type=ROOTS[root])
    if isinstance(shared, Map):
        shared[key] = value
    else:
        shared.append(value)


def views(document: SessionDocument) -> Iterator[Any]:
    """Every view over the document, and over each record in it."""
    for name in ROOTS:
        root = getattr(document, name)
        yield root
        if hasattr(root, "__iter__"):
            for item in root:
                record = item[1] if isinstance(item, tuple) else item
                yield record
                yield from getattr(record, "parts", ())


def read(document: SessionDocument) -> None:
    """Read all that can be read."""
    for view in views(document):
        for name, _ in inspect.getmembers(type(view), lambda member: isinstance(member, property)):
            getattr(view, name)
        if isinstance(view, Record):
            assert view == view
            repr(view)
        if hasattr(view, "__len__"):
            len(view)
        if hasattr(view, "to_json"):
            json.dumps(view.to_json(), allow_nan=False, ensure_ascii=False).encode()
    for key in KEYS:
        for name in ("messages", "runs", "agents", "participants", "surfaces", "approvals", "queue", "claims"):
            getattr(document, name).get(key)
        document.selections.of(key)
        document.counters.value(key)
    list(document.requests.items())
    json.dumps(document.to_json(), allow_nan=False, ensure_ascii=False).encode()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(ROOTS)), st.sampled_from(KEYS), values), min_size=1, max_size=12))
@example([("counters", f"x/ada/{number}", lambda: 1.7e308) for number in range(3)])
@example([("counters", f"x/ada/{number}", lambda: -1.7e308) for number in range(3)])
@example([("surfaces", "s", lambda: Map({"data": 5})), ("surfaces", "t", lambda: Map())])
def test_whatever_a_client_writes_reads_as_json(written: list[tuple[str, str, Any]]) -> None:
    document = SessionDocument()
    for root, key, make in written:
        write(document, root, key, make())
    read(document)
    read(copy_of(document))
