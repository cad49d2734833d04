"""What foreign clients write may be anything: a page shows what it can, and never stops telling the truth."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect
from processes import Server
from pycrdt import Array, Map

if TYPE_CHECKING:
    from conftest import Foreigner, Person

    Join = Callable[..., Person]
    Foreigners = Callable[[int], list[Foreigner]]

HOSTILE = {"toString": 5}
"""What throws where JavaScript makes a text of it."""

PARTS: list[Any] = [
    {},
    None,
    "a plain text",
    7,
    [],
    {"type": 5},
    {"type": None, "text": "x"},
    {"type": "text"},
    {"type": "text", "text": 5},
    {"type": "text", "text": HOSTILE},
    {"type": "reasoning", "text": []},
    {"type": "data-steer"},
    {"type": "data-steer", "data": "steer"},
    {"type": "data-steer", "data": {"id": HOSTILE, "by": 5, "text": 5}},
    {"type": "dynamic-tool", "toolName": HOSTILE, "state": "constructor", "errorText": 5},
    {"type": "file", "url": 5},
    {"type": "file", "url": "https://example.org/", "title": HOSTILE},
    {"type": "constructor"},
]

METADATA: list[Any] = [
    None,
    "text",
    [],
    {},
    {"author": 5},
    {"author": HOSTILE, "created_at": HOSTILE, "edited_at": HOSTILE},
    {"author": "constructor", "status": "constructor"},
    {"author": "__proto__", "status": HOSTILE},
    {"author": "somebody", "status": "streaming", "run": 5},
    {"author": "somebody", "status": "streaming", "run": "odd-0"},
    {"author": "somebody", "status": "error", "run": "odd-1"},
    {"author": "somebody", "status": "cancelled", "run": "odd-1"},
]

RUNS: list[Any] = [
    {"status": "running", "agent": 5, "steers": "no list", "messages": 7, "seen": {}, "progress": "half"},
    {"agent": HOSTILE, "error": HOSTILE, "cancel": True, "started_at": HOSTILE, "messages": ["odd-message-9"]},
    {
        "status": "running",
        "agent": "constructor",
        "steers": [None, 5, "x", {}, {"id": HOSTILE, "by": 5, "text": HOSTILE}],
        "progress": {"label": 5, "done": "x", "total": "much"},
        "messages": [5, "odd-message-10"],
        "seen": 3,
    },
    {"status": 5, "progress": {"label": HOSTILE, "done": None, "total": 3}},
    "no run",
    None,
]

STATES: list[Any] = [
    {"user": {"id": 1}},
    {"user": {"id": 1, "name": 5, "color": 7, "kind": []}, "typing": HOSTILE},
    {"user": {"id": HOSTILE, "name": HOSTILE}},
    {"user": {"id": "x", "name": "  ", "color": "red; --person: url(x)"}},
    {"user": "a name"},
    {"user": None},
    {"user": ["list"]},
    {},
    [],
    "text",
    5,
]


def write_odd_things(doc: Any) -> None:
    """Fill the roots of a document with what nobody expects there."""
    messages = doc.get("messages", type=Array)
    for number, metadata in enumerate(METADATA):
        message = {"role": "assistant", "parts": Array([{"type": "text", "text": f"odd {number}"}])}
        messages.append(Map({"id": f"odd-message-{number}", **message, "metadata": metadata}))
    for part in PARTS:
        messages.append(Map({"id": f"part-{part}", "role": "user", "parts": Array([part]), "metadata": Map()}))
    for parts in ("text", None, 5, {}):
        messages.append(Map({"id": f"parts-{parts}", "role": "assistant", "parts": parts, "metadata": Map()}))
    for odd in (None, 5, "message", {"id": 5}, Map(), Map({"id": "x", "role": 5})):
        messages.append(odd)
    runs = doc.get("runs", type=Map)
    for number, run in enumerate(RUNS):
        runs[f"odd-{number}"] = Map(run) if isinstance(run, dict) else run
    agents = doc.get("agents", type=Map)
    agents["constructor"] = Map({"name": 5, "task": HOSTILE, "status": 5})
    agents["odd"] = Map({"name": HOSTILE})
    agents["none"] = None


def test_a_page_survives_whatever_a_foreign_client_writes(
    chat: Server, join: "Join", foreigners: "Foreigners"
) -> None:
    ann = join(chat.url, "trip", "Ann")
    others = foreigners(len(STATES))
    others[0].writes(write_odd_things)
    for foreigner, state in zip(others, STATES, strict=True):
        foreigner.is_here_as(state)
    expect(ann.page.locator("[data-message-id=odd-message-4]")).to_contain_text("odd 4")

    ben = join(chat.url, "trip", "Ben")
    for sender, reader in ((ann, ben), (ben, ann)):
        sender.sends("still here 🐙")
        expect(reader.testid("message").last).to_contain_text("still here 🐙")
        expect(reader.testid("people")).to_contain_text("Ben")
        sender.is_("saved")
    for number in range(3, len(METADATA)):
        expect(ben.page.locator(f"[data-message-id=odd-message-{number}]")).to_contain_text(f"odd {number}")
    expect(ben.page.locator("[data-message-id=odd-message-8]")).to_contain_text("Someone")


def test_the_status_is_told_also_while_odd_things_are_there(
    chat: Server, join: "Join", foreigners: "Foreigners"
) -> None:
    ann = join(chat.url, "trip", "Ann")
    foreigners(1)[0].writes(write_odd_things)
    expect(ann.page.locator("[data-message-id=odd-message-4]")).to_be_visible()
    chat.kill()
    ann.is_("offline")
    ann.sends("while nobody listens")
    expect(ann.testid("saved-state")).to_contain_text("not sent")
    chat.start()
    ann.is_("saved")
