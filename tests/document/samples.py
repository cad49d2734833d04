"""What the tests of the document share: parts of every type and state, and JSON-like values."""

from typing import Any

from hypothesis import strategies as st

from cosession.document import SessionDocument

AT = "2026-11-21T08:00:00Z"

CALL = {"toolCallId": "call-1", "title": "Find a hotel", "providerExecuted": False}
INPUT = {"city": "Zürich", "nights": 2, "wishes": [{"sauna": True}, None]}
TOOL_FIELDS: dict[str, dict[str, Any]] = {
    "input-streaming": {"rawInput": '{"city": "Zü'},
    "input-available": {"input": INPUT},
    "approval-requested": {"input": INPUT, "approval": {"id": "a1"}},
    "approval-responded": {"input": INPUT, "approval": {"id": "a1", "approved": True, "reason": "fine"}},
    "output-available": {"input": INPUT, "output": {"hotels": ["Krone"], "price": 120.5}},
    "output-error": {"input": INPUT, "errorText": "No such city."},
    "output-denied": {"input": INPUT, "approval": {"id": "a1", "approved": False}},
}
PLAIN_PARTS: list[dict[str, Any]] = [
    {"type": "text", "text": "Hello 👩‍👩‍👧 é", "state": "done"},
    {"type": "text", "text": "", "state": "streaming"},
    {"type": "reasoning", "text": "Let me think.", "state": "streaming"},
    {"type": "reasoning", "text": "Done.", "state": "done", "providerMetadata": {"openai": {"itemId": "r1"}}},
    {"type": "custom", "kind": "openai.compaction"},
    {"type": "source-url", "sourceId": "s1", "url": "https://example.org", "title": "Example"},
    {
        "type": "source-document",
        "sourceId": "s2",
        "mediaType": "application/pdf",
        "title": "Map",
        "filename": "map.pdf",
    },
    {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA==", "filename": "dot.png"},
    {"type": "reasoning-file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="},
    {"type": "steering-message", "id": "m9", "parts": [{"type": "text", "text": "By train, please."}]},
    {"type": "data-weather", "id": "w1", "data": {"celsius": 21, "sky": None}},
    {"type": "step-start"},
]
TOOL_PARTS: list[dict[str, Any]] = [
    {"type": kind, **({"toolName": "hotel"} if kind == "dynamic-tool" else {}), **CALL, "state": state, **fields}
    for kind in ("tool-hotel", "dynamic-tool")
    for state, fields in TOOL_FIELDS.items()
]
CLIENT_CALL = {"callProviderMetadata": {"cosession": {"client": True, "who": ["ada"]}}}
TOOL_PARTS.append({"type": "tool-selected", **CALL, "state": "input-available", "input": INPUT, **CLIENT_CALL})
EVERY_PART = PLAIN_PARTS + TOOL_PARTS

texts = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("é😀👩‍👩‍👧e\u0301🇨🇭\r\n")), max_size=12
)
keys = texts.filter(lambda key: key != "__proto__")
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def said(document: SessionDocument, text: str, id: str = "m1") -> Any:  # noqa: A002
    """Append a user's message with one text part."""
    return document.messages.append("user", [{"type": "text", "text": text}], id=id, author="ada", created_at=AT)


def copy_of(document: SessionDocument) -> SessionDocument:
    """Another replica that knows all that this one does."""
    replica = SessionDocument()
    replica.doc.apply_update(document.doc.get_update())
    return replica


def exchange(*replicas: SessionDocument) -> None:
    """Give every replica what the others have."""
    for receiver in replicas:
        for sender in replicas:
            if sender is not receiver:
                receiver.doc.apply_update(sender.doc.get_update(receiver.doc.get_state()))
