"""A lie for every row of the table, by a raw Yjs client; each is refused, and says what was touched."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from admission.scene import AT, Client, Scene, participant, say, text_of
from pycrdt import Array, Map, Text, XmlElement

from cosession.admission.rules import RULES
from cosession.auth import ROLES
from cosession.document import Policy, SessionDocument
from cosession.errors import NotAllowed

Act = Callable[[SessionDocument], object]


@dataclass(frozen=True)
class Lie:
    """What somebody tries, and which row of the table it runs into."""

    row: str
    act: Act
    touched: str
    who: str = "eve"
    role: str = "member"
    without: str | None = None


def message(document: SessionDocument, name: str) -> Map:
    return document.messages.get(name).shared


def metadata(document: SessionDocument, name: str) -> Map:
    return message(document, name)["metadata"]


def take_out(document: SessionDocument, name: str) -> None:
    ids = [item.id for item in document.messages]
    del document.messages.shared[ids.index(name)]


def queued(document: SessionDocument, name: str) -> Map:
    return document.queue.get(name).shared


def forged(**more: object) -> Act:
    """A message with one thing wrong."""
    fields = {"id": "m-new", "role": "user", "metadata": Map({"author": "eve"}), "parts": Array([]), **more}
    return lambda document: document.messages.shared.append(Map(fields))


def run(key: str = "r-new", **more: object) -> Act:
    fields = {"id": key, "agent": "eve", "status": "running", "steers": Array([]), **more}
    return lambda document: document.runs.shared.update({key: Map(fields)})


def part(**more: object) -> Act:
    return forged(parts=Array([Map(more)]))


LIES = [
    Lie("meta/title", lambda d: d.meta.set_title("Mine"), "meta/title", without="title"),
    Lie("meta/title", lambda d: d.meta.shared.update({"title": Map({})}), "meta/title"),
    Lie("meta/title", lambda d: d.meta.shared.pop("title"), "meta/title"),
    Lie("meta/**", lambda d: d.meta.shared.update({"schema": 2}), "meta/schema"),
    Lie("meta/**", lambda d: d.meta.set_policy(Policy(("eve",))), "meta/policy"),
    Lie("messages/*", lambda d: say(d, "m-new", "eve"), "messages/*", without="prompt"),
    Lie("messages/*", lambda d: d.messages.shared.append({"id": "m-new", "role": "user"}), "messages/*"),
    Lie("messages/*", forged(extra=1), "messages/*/extra"),
    Lie("messages/*", lambda d: d.messages.shared.append(Map({"id": "m-new"})), "messages/*"),
    Lie("messages/*", lambda d: take_out(d, "m-bob"), "messages/*"),
    Lie("messages/*", lambda d: take_out(d, "m-eve"), "messages/*", without="edit-own"),
    Lie("messages/*/id", forged(id="m-bob"), "messages/*/id"),
    Lie("messages/*/id", lambda d: message(d, "m-eve").update({"id": "m-2"}), "messages/*/id"),
    Lie("messages/*/role", forged(role="assistant"), "messages/*/role"),
    Lie("messages/*/role", forged(role="system"), "messages/*/role"),
    Lie("messages/*/role", lambda d: say(d, "m-new", "eve"), "messages/*/role", role="agent"),
    Lie("messages/*/role", lambda d: message(d, "m-eve").update({"role": "assistant"}), "messages/*/role"),
    Lie("messages/*/stamp", forged(stamp={"by": "bob", "at": AT, "seq": 1}), "messages/*/stamp"),
    Lie("messages/*/stamp", lambda d: message(d, "m-eve").update({"stamp": {"by": "bob"}}), "messages/*/stamp"),
    Lie("messages/*/stamp", lambda d: message(d, "m-bob").pop("stamp"), "messages/*/stamp"),
    Lie("messages/*/stamp", lambda d: message(d, "m-bob").pop("stamp"), "messages/*/stamp", role="operator"),
    Lie("messages/*/metadata", lambda d: message(d, "m-bob").update({"metadata": {}}), "messages/*/metadata"),
    Lie("messages/*/metadata/author", forged(metadata=Map({"author": "bob"})), "messages/*/metadata/author"),
    Lie("messages/*/metadata/author", forged(metadata={"author": "bob"}), "messages/*/metadata"),
    Lie(
        "messages/*/metadata/author",
        lambda d: message(d, "m-eve").update({"metadata": Map({"author": "bob"})}),
        "messages/*/metadata/author",
    ),
    Lie(
        "messages/*/metadata/author",
        lambda d: metadata(d, "m-eve").update({"author": "bob"}),
        "messages/*/metadata/author",
    ),
    Lie(
        "messages/*/metadata/run", forged(metadata=Map({"author": "eve", "run": "r-bot"})), "messages/*/metadata/run"
    ),
    Lie(
        "messages/*/metadata/run",
        lambda d: say(d, "m-new", "eve", role="assistant", run="r-bot"),
        "messages/*/metadata/run",
        role="agent",
    ),
    Lie(
        "messages/*/metadata/created_at",
        lambda d: metadata(d, "m-eve").update({"created_at": "1999"}),
        "messages/*/metadata/created_at",
    ),
    Lie(
        "messages/*/metadata/parent",
        lambda d: metadata(d, "m-eve").update({"parent": "m-bob"}),
        "messages/*/metadata/parent",
    ),
    Lie("messages/*/metadata/to", forged(metadata=Map({"to": "bot"})), "messages/*/metadata/to"),
    Lie(
        "messages/*/metadata/to",
        forged(metadata=Map({"to": [f"agent-{number}" for number in range(1000)]})),
        "messages/*/metadata/to",
    ),
    Lie("messages/*/metadata/to", forged(metadata={"author": "eve", "to": ["x"] * 33}), "messages/*/metadata"),
    Lie("messages/*/metadata/to", forged(metadata=Map({"to": Array(["bot"])})), "messages/*/metadata/to"),
    Lie("messages/*/metadata/to", lambda d: metadata(d, "m-eve").update({"to": ["bot"]}), "messages/*/metadata/to"),
    Lie(
        "messages/*/metadata/**",
        lambda d: metadata(d, "m-bob").update({"deleted": True}),
        "messages/*/metadata/deleted",
    ),
    Lie(
        "messages/*/metadata/**", lambda d: metadata(d, "m-bot").update({"status": "x"}), "messages/*/metadata/status"
    ),
    Lie("messages/*/parts", lambda d: message(d, "m-bob").update({"parts": Array([])}), "messages/*/parts"),
    Lie("messages/*/parts/*", lambda d: message(d, "m-bob")["parts"].clear(), "messages/*/parts/*"),
    Lie("messages/*/parts/*", lambda d: message(d, "m-bob")["parts"].append(Map({})), "messages/*/parts/*"),
    Lie("messages/*/parts/*/type", part(type="tool-pay", state="output-available"), "messages/*/parts/*/type"),
    Lie("messages/*/parts/*/type", forged(parts=[{"type": "tool-pay"}]), "messages/*/parts"),
    Lie(
        "messages/*/parts/*/type",
        lambda d: message(d, "m-eve")["parts"][0].update({"type": "reasoning"}),
        "messages/*/parts/*/type",
    ),
    Lie("messages/*/parts/**", lambda d: text_of(d, "m-bob").insert(0, "x"), "messages/*/parts/*/text"),
    Lie("messages/*/parts/**", lambda d: text_of(d, "m-bot").clear(), "messages/*/parts/*/text"),
    Lie("messages/*/parts/**", lambda d: text_of(d, "m-bob").insert(0, "x"), "messages/*/parts/*/text", role="agent"),
    Lie(
        "messages/*/parts/**",
        lambda d: text_of(d, "m-eve").insert(0, "x"),
        "messages/*/parts/*/text",
        without="edit-own",
    ),
    Lie("runs/*", run(), "runs/r-new"),
    Lie("runs/*", run("r-bot"), "runs/r-bot", role="agent"),
    Lie("runs/*", lambda d: d.runs.shared.update({"r": {"id": "r", "agent": "eve"}}), "runs/r", role="agent"),
    Lie("runs/*", lambda d: d.runs.shared.update({"r": Map({"id": "r"})}), "runs/r", role="agent"),
    Lie("runs/*", lambda d: d.runs.shared.pop("r-bot"), "runs/r-bot", who="bot", role="agent"),
    Lie("runs/*/id", run("r-new", id="r-bot"), "runs/r-new/id", role="agent"),
    Lie("runs/*/agent", run(agent="bot"), "runs/r-new/agent", role="agent"),
    Lie("runs/*/agent", lambda d: d.runs.shared["r-bot"].update({"agent": "eve"}), "runs/r-bot/agent", role="agent"),
    Lie(
        "runs/*/agent", lambda d: d.runs.shared["r-bot"].update({"agent": "eve"}), "runs/r-bot/agent", "bot", "agent"
    ),
    Lie("runs/*/status", run(status="lost"), "runs/r-new/status", role="agent"),
    Lie("runs/*/status", lambda d: d.runs.get("r-bot").set_status("complete"), "runs/r-bot/status", role="agent"),
    Lie("runs/*/cancel", lambda d: d.runs.get("r-bot").record_cancel(by="ada", at=AT), "runs/r-bot/cancel"),
    Lie("runs/*/cancel", run(cancel={"by": "ada"}), "runs/r-new/cancel", role="agent"),
    Lie("runs/*/steers", run(steers=["x"]), "runs/r-new/steers", role="agent"),
    Lie("runs/*/steers/**", run(steers=Array(["x"])), "runs/r-new/steers/*", role="agent"),
    Lie(
        "runs/*/steers/**",
        lambda d: d.runs.get("r-bot").record_steer("1", by="ada", text="x", at=AT),
        "runs/r-bot/steers/*",
        "bot",
        "agent",
    ),
    Lie("runs/*/client", run(client=7), "runs/r-new/client", role="agent"),
    Lie("runs/*/client", run(client=True), "runs/r-new/client", role="agent"),
    Lie("runs/*/client", lambda d: d.runs.shared["r-bot"].update({"client": 7}), "runs/r-bot/client", "bot", "agent"),
    Lie("runs/*/epoch", run(epoch="1"), "runs/r-new/epoch", role="agent"),
    Lie("runs/*/epoch", lambda d: d.runs.shared["r-bot"].update({"epoch": 9}), "runs/r-bot/epoch", "bot", "agent"),
    Lie("runs/*/former", run(former=[7]), "runs/r-new/former", role="agent"),
    Lie(
        "runs/*/former", lambda d: d.runs.shared["r-bot"].update({"former": []}), "runs/r-bot/former", "bot", "agent"
    ),
    Lie("runs/*/**", lambda d: d.runs.get("r-bot").add_step("1", "x"), "runs/r-bot/steps/*", role="agent"),
    Lie("agents/*", lambda d: d.agents.declare("eve", name="Eve"), "agents/eve"),
    Lie("agents/*", lambda d: d.agents.declare("other", name="Eve"), "agents/other", role="agent"),
    Lie("agents/*/**", lambda d: d.agents.get("bot").set(task="evil"), "agents/bot/task", role="agent"),
    Lie("participants/**", lambda d: d.participants.set("eve", kind="operator"), "participants/eve/kind"),
    Lie("participants/**", lambda d: d.participants.remove("bob"), "participants/bob", role="operator"),
    Lie("selections/*", lambda d: d.selections.set("bob", "row", 4), "selections/bob/row"),
    Lie("selections/*", lambda d: d.selections.clear("bob", "row"), "selections/bob/row"),
    Lie("selections/*", lambda d: d.selections.set("eve", "row", 4), "selections/eve/row", without="select"),
    Lie("selections/*", lambda d: d.selections.shared.update({"eve/x": Map({})}), "selections/eve/x"),
    Lie("selections/*", lambda d: d.selections.shared.update({"eve": 1}), "selections/eve"),
    Lie("state/**", lambda d: d.state.set("trip.hotel.name", "x"), "state/trip/hotel/name", without="state:*"),
    Lie("counters/*", lambda d: d.counters.add("likes", "bob", -1), "counters/likes/bob"),
    Lie("counters/*", lambda d: d.counters.shared.update({"likes/eve": "many"}), "counters/likes/eve"),
    Lie("surfaces/*", lambda d: d.surfaces.create("s-new", catalog_id="basic"), "surfaces/s-new"),
    Lie("surfaces/*", lambda d: d.surfaces.delete("s-bot"), "surfaces/s-bot", role="agent"),
    Lie(
        "surfaces/*/agent",
        lambda d: d.surfaces.shared.update({"s-new": Map({"agent": "bot"})}),
        "surfaces/s-new/agent",
        role="agent",
    ),
    Lie("surfaces/*/data", lambda d: d.surfaces.shared["s-bot"].update({"data": {}}), "surfaces/s-bot/data"),
    Lie(
        "surfaces/*/data/**",
        lambda d: d.surfaces.get("s-bot").update_data("/nights", 3),
        "surfaces/s-bot/data/nights",
        without="surface",
    ),
    Lie(
        "surfaces/*/**",
        lambda d: d.surfaces.get("s-bot").update_components([{"id": "root", "x": 1}]),
        "surfaces/s-bot/components/root",
    ),
    Lie("approvals/*", lambda d: d.approvals.ask("p-new", question="?", created_at=AT), "approvals/p-new"),
    Lie(
        "approvals/*/run",
        lambda d: d.approvals.ask("p-new", question="?", created_at=AT, run="r-bot"),
        "approvals/p-new/run",
        role="agent",
    ),
    Lie(
        "approvals/*/asked_by",
        lambda d: d.approvals.shared.update({"p-new": Map({"asked_by": "ada"})}),
        "approvals/p-new/asked_by",
        role="agent",
    ),
    Lie(
        "approvals/*/decision",
        lambda d: d.approvals.get("p-bot").decide("yes", by="ada", at=AT),
        "approvals/p-bot/decision",
        role="operator",
    ),
    Lie(
        "approvals/*/decision",
        lambda d: d.approvals.shared.update({"p-new": Map({"decision": {"by": "ada"}})}),
        "approvals/p-new/decision",
        role="agent",
    ),
    Lie(
        "approvals/*/value",
        lambda d: d.approvals.shared["p-bot"].update({"value": 900}),
        "approvals/p-bot/value",
        "bot",
        "agent",
    ),
    Lie(
        "approvals/*/value/**",
        lambda d: d.approvals.shared["p-bot"]["value"].update({"limit": 900}),
        "approvals/p-bot/value/limit",
        without="approve",
    ),
    Lie(
        "approvals/*/votes",
        lambda d: d.approvals.shared["p-bot"].update({"votes": Map({})}),
        "approvals/p-bot/votes",
        "bot",
        "agent",
    ),
    Lie(
        "approvals/*/votes",
        lambda d: d.approvals.shared.update({"p-new": Map({"votes": {"ada": {"decision": "approved"}}})}),
        "approvals/p-new/votes",
        role="agent",
    ),
    Lie(
        "approvals/*/votes/**",
        lambda d: d.approvals.get("p-bot").record_vote("ada", "approved", None, AT),
        "approvals/p-bot/votes/ada",
        role="operator",
    ),
    Lie(
        "approvals/*/votes/**",
        lambda d: d.approvals.shared.update({"p-new": Map({"votes": Map({"ada": {}})})}),
        "approvals/p-new/votes/ada",
        role="agent",
    ),
    Lie(
        "approvals/*/**",
        lambda d: d.approvals.shared["p-bot"].update({"question": "Tea?"}),
        "approvals/p-bot/question",
        "bot",
        "agent",
    ),
    Lie("claims/**", lambda d: d.claims.grant("door", by="eve", client=2, epoch=2, at=AT), "claims/door"),
    Lie("requests/*", lambda d: d.requests.ask_vote("p-bot", "bob", "yes"), "requests/vote/p-bot/bob"),
    Lie("requests/*", lambda d: d.requests.remove("steer/r-bot/1/bob"), "requests/steer/r-bot/1/bob"),
    Lie("requests/*", lambda d: d.requests.ask_vote("p", "eve", "yes"), "requests/vote/p/eve", without="approve"),
    Lie("requests/*", lambda d: d.requests.ask_adopt("r", 7, "eve"), "requests/adopt/r/7/eve"),
    Lie(
        "requests/*",
        lambda d: d.requests.ask_answer("m", "c", 7, "eve", output=1),
        "requests/answer/m/c/7/eve",
        without="prompt",
    ),
    Lie("requests/*", lambda d: d.requests.ask_policy("eve", "steer"), "requests/policy/eve", without="queue"),
    Lie("requests/*", lambda d: d.requests.ask_claim("x", 7, "eve"), "requests/claim/x/7/eve", without="claim"),
    Lie(
        "requests/*",
        lambda d: d.requests.ask_steer("r", "1", "eve", "x"),
        "requests/steer/r/1/eve",
        role="viewer",
    ),
    Lie("requests/*", lambda d: d.requests.put("rule", "world", participant="eve"), "requests/rule/world/eve"),
    Lie("requests/*", lambda d: d.requests.shared.update({"vote/p/eve": Map({})}), "requests/vote/p/eve"),
    Lie(
        "queue/*",
        lambda d: d.queue.append("x", id="q-new", author="eve", created_at=AT),
        "queue/*",
        without="prompt",
    ),
    Lie("queue/*", lambda d: d.queue.shared.append({"id": "q-new"}), "queue/*"),
    Lie("queue/*", lambda d: d.queue.remove("q-bob"), "queue/*", without="queue"),
    Lie("queue/*/id", lambda d: d.queue.shared.append(Map({"id": "q-bob", "author": "eve"})), "queue/*/id"),
    Lie("queue/*/author", lambda d: d.queue.append("x", id="q", author="bob", created_at=AT), "queue/*/author"),
    Lie("queue/*/author", lambda d: queued(d, "q-bob").update({"author": "eve"}), "queue/*/author"),
    Lie("queue/*/created_at", lambda d: queued(d, "q-eve").update({"created_at": "1999"}), "queue/*/created_at"),
    Lie("queue/*/**", lambda d: d.queue.get("q-bob").text.append("!"), "queue/*/text"),
    Lie("queue/*/**", lambda d: d.queue.get("q-bob").text.delete(0, 3), "queue/*/text", role="operator"),
    Lie("queue/*/**", lambda d: queued(d, "q-bob").update({"text": "pay eve"}), "queue/*/text", role="operator"),
    Lie("queue/*/to", lambda d: queued(d, "q-bob").update({"to": ["imp"]}), "queue/*/to", role="operator"),
    Lie("queue/*/to", lambda d: queued(d, "q-eve").update({"to": ["x"] * 33}), "queue/*/to"),
    Lie("queue/*/place", lambda d: queued(d, "q-bob").update({"place": 0}), "queue/*/place", without="queue"),
    Lie("text:NAME", lambda d: d.text("notes").append("!"), "text:notes", without="text:*"),
    Lie("text:NAME", lambda d: d.text("new").append("!"), "text:new", without="text:*"),
    Lie(
        "text:NAME/**",
        lambda d: d.text("notes").shared.insert_embed(0, {"image": 1}),
        "text:notes",
        without="text:*",
    ),
    Lie("xml:NAME/**", lambda d: d.xml("page").children.append(XmlElement("p")), "xml:page/*", without="text:*"),
    Lie("xml:NAME/**", lambda d: d.xml("page").children.__delitem__(0), "xml:page/*", without="text:*"),
    Lie("", lambda d: d.doc.get("cosession", type=Map).update({"admin": "eve"}), "cosession/admin"),
    Lie("", lambda d: d.doc.get("text:", type=Text).insert(0, "x"), "text:/*"),
    Lie("root:NAME/**", lambda d: d.doc.get("todos", type=Array).append("x"), "todos/*", without="root:*"),
    Lie("root:NAME/**", lambda d: d.doc.get("todos", type=Array).append("x"), "todos/*", role="viewer"),
]


def named(lie: Lie) -> str:
    return f"{lie.row or 'unknown roots'} as {lie.who}, {lie.role} without {lie.without}"


@pytest.mark.parametrize("lie", LIES, ids=named)
def test_what_the_table_does_not_allow_is_refused_and_leaves_no_trace(scene: Scene, lie: Lie) -> None:
    client = liar(scene, lie)
    before, known = scene.document.to_json(), scene.known()

    with pytest.raises(NotAllowed) as refusal:
        client.write(lie.act)

    assert refusal.value.touched == lie.touched
    assert lie.touched in str(refusal.value)
    assert scene.document.to_json() == before
    assert scene.known() == known
    innocent = scene.client(participant("ada", role="member"))
    innocent.write(lambda d: say(d, "m-after", "ada"))
    assert scene.document.messages.get("m-after").stamp["by"] == "ada"


def test_a_refusal_is_read_by_somebody_who_knows_no_paths(scene: Scene) -> None:
    eve = participant("eve", role="member")
    told: dict[str, Callable[[SessionDocument], object]] = {
        "You may not change a message, at messages/*/parts/*/text: it is bob's, and your access to this session "
        "doesn't include that; ask the person who gave it to you for edit-any.": lambda d: text_of(d, "m-bob").insert(
            0, "x"
        ),
        "You may not write into a message, at messages/*/metadata/author: author must be the id of the message's "
        'owner (you are eve), not "bob".': lambda d: say(d, "m-new", "bob"),
        "You may not change a run, at runs/r-bot/status: it is bot's.": lambda d: d.runs.get("r-bot").end(
            "complete", at=AT
        ),
        "You may not change the application's own data, at cosession/a: this name is reserved; give the root another "
        "one.": lambda d: d.doc.get("cosession", type=Map).update({"a": Map({"b": 1})}),
        "You may not remove a message, at messages/*: it is bob's, and your access to this session doesn't include "
        "that; ask the person who gave it to you for edit-any.": lambda d: d.messages.shared.__delitem__(1),
    }
    told_others = {
        "You may not change the shared state, at state/trip/hotel/name: your access to this session doesn't include "
        "that; ask the person who gave it to you for state:trip/hotel/name.": lambda d: d.state.set(
            "trip.hotel.name", "x"
        ),
        "You may not change a shared text, at text:notes: your access to this session doesn't include that; ask "
        "the person who gave it to you for text:notes.": lambda d: d.text("notes").append("!"),
        "You may not change a request, at requests/vote/p-bot/vi: your access to this session doesn't include that; "
        "ask the person who gave it to you for approve.": lambda d: d.requests.ask_vote("p-bot", "vi", "yes"),
    }
    for sentence, act in told_others.items():
        with pytest.raises(NotAllowed) as refusal:
            scene.client(participant("vi", role="viewer")).write(act)
        assert str(refusal.value) == sentence
    for sentence, act in told.items():
        with pytest.raises(NotAllowed) as refusal:
            scene.client(eve).write(act)
        assert str(refusal.value) == sentence


def test_every_row_of_the_table_has_a_lie() -> None:
    assert {rule.where for rule in RULES} <= {lie.row for lie in LIES}


def test_nobody_without_capabilities_changes_anything(scene: Scene) -> None:
    for lie in LIES:
        with pytest.raises(NotAllowed):
            scene.client(participant("eve", "read", "presence")).write(lie.act)


def liar(scene: Scene, lie: Lie) -> Client:
    granted = [one for one in ROLES[lie.role] if one != lie.without]
    return scene.client(participant(lie.who, *granted))
