"""The other roots: runs, agents, participants, requests and what the server decides, each read as it was written."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from document.samples import AT, copy_of, exchange, keys, said, texts
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, XmlFragment

from cosession.document import RUN_STATUSES, Policy, SessionDocument, join_key, prompt_key, split_key, tool_key
from cosession.errors import BadDocument


def test_a_session_is_initialised_once(session: SessionDocument) -> None:
    session.initialise(created_at="later", title="Other")
    session.meta.set_title("Zürich 🛫")
    session.meta.set_policy(Policy(("bot",), "steer"))
    meta = copy_of(session).meta
    assert (meta.schema, meta.title, meta.created_at, meta.forked_from) == (1, "Zürich 🛫", AT, None)
    assert meta.rules == Policy(("bot",), "steer")
    fork = SessionDocument()
    fork.initialise(created_at=AT, forked_from={"session": "trip", "version": 7})
    assert fork.meta.forked_from == {"session": "trip", "version": 7}


@pytest.mark.parametrize("client", range(1, 7))
def test_a_title_given_before_the_first_sync_is_kept(client: int) -> None:
    early, server = SessionDocument(client_id=client), SessionDocument(client_id=7 - client)
    early.meta.set_title("Lisbon")
    server.initialise(created_at=AT)
    exchange(early, server)
    assert early.meta.title == server.meta.title == "Lisbon"


def test_a_steer_that_two_lives_of_the_server_have_recorded_is_one(session: SessionDocument) -> None:
    """A server was killed before its record was saved, and the next one recorded the wish again; then replicas
    brought the first record back."""
    run = session.runs.start("r1", agent="bot", started_at=AT)
    other = copy_of(session)
    first, second = (document.runs.get("r1") for document in (session, other))
    assert first is not None
    assert second is not None
    assert first.record_steer("s1", by="ada", text="By train", at=AT)
    assert second.record_steer("s1", by="ada", text="By train", at="2026-01-01T00:00:09.000Z")
    exchange(session, other)
    assert len(run.steers) == 1
    assert run.steers == second.steers, "and it is the same one for everybody"


def test_a_steer_that_is_none_is_passed_over(session: SessionDocument) -> None:
    run = session.runs.start("r1", agent="agent", started_at=AT)
    steer = {"id": "s1", "by": "ada", "text": "By train", "at": AT}
    for written in (7, {}, {**steer, "id": None}, {**steer, "id": ""}, {**steer, "text": ["x"]}, {"id": "s0"}, steer):
        run.shared["steers"].append(written)
    assert run.steers == [steer]


def test_a_run_that_was_removed_takes_in_what_it_is_given(session: SessionDocument) -> None:
    run = session.runs.start("r1", agent="agent", started_at=AT)
    del session.runs.shared["r1"]
    before = session.doc.get_update()
    run.add_message("m1")
    run.set_progress("Looking")
    run.end("complete", at=AT)
    assert run.gone
    assert session.doc.get_update() == before


def test_a_document_that_nobody_wrote_to_reads_as_empty() -> None:
    shown = SessionDocument().to_json()
    assert list(shown) == [
        *("meta", "messages", "runs", "agents", "participants", "selections", "state", "counters"),
        *("surfaces", "approvals", "claims", "requests", "queue", "text", "xml", "roots"),
    ]
    assert not any(shown.values())


def test_a_run_from_its_start_to_its_end(session: SessionDocument) -> None:
    run = session.runs.start("r1", agent="agent", started_at=AT, reply_to="m1", epoch=2)
    run.add_message("m2")
    run.set_progress("Looking for hotels", 1, 4)
    run.add_step("s1", "search", attempt=1)
    run.add_step("s1", "search", "done", attempt=2, detail={"hits": 3})
    assert run.record_steer("t1", by="ada", text="By the lake", at=AT)
    assert not run.record_steer("t1", by="ada", text="By the lake", at=AT)
    run.mark_seen("t1")
    run.mark_seen("t1")
    assert run.record_cancel(by="ada", at=AT, reason="too dear")
    assert not run.record_cancel(by="bob", at=AT)
    run.add_usage(input_tokens=10, cost={"USD": 0.5}, model="small")
    run.add_usage(input_tokens=2, output_tokens=3, cost={"USD": 0.25}, model="large")
    assert [active.id for active in session.runs.active()] == ["r1"]
    run.end("cancelled", at=AT, error={"why": "asked"})
    seen = copy_of(session).runs.get("r1")
    assert seen is not None
    assert seen.to_json() == {
        "id": "r1",
        "agent": "agent",
        "status": "cancelled",
        "reply_to": "m1",
        "messages": ["m2"],
        "started_at": AT,
        "ended_at": AT,
        "epoch": 2,
        "error": {"why": "asked"},
        "progress": {"label": "Looking for hotels", "done": 1, "total": 4},
        "steps": [{"id": "s1", "name": "search", "status": "done", "attempt": 2, "detail": {"hits": 3}}],
        "cancel": {"by": "ada", "at": AT, "reason": "too dear"},
        "steers": [{"id": "t1", "by": "ada", "text": "By the lake", "at": AT}],
        "seen": ["t1"],
        "usage": {"input_tokens": 12, "output_tokens": 3, "cost": {"USD": 0.75}, "model": "large"},
    }
    assert seen.ended
    assert session.runs.active() == []
    assert not seen.record_cancel(by="ada", at=AT)


def test_a_lost_run_is_handed_over(session: SessionDocument) -> None:
    run = session.runs.start("r1", agent="bot", started_at=AT, client=7)
    assert (run.client, run.former, run.epoch) == (7, [], 1)
    run.end("lost", at=AT)
    run.hand_over(8, [7])
    seen = copy_of(session).runs.get("r1")
    assert seen is not None
    assert (seen.client, seen.former, seen.epoch, seen.status, seen.ended_at) == (8, [7], 2, "running", None)
    run.end("complete", at=AT)
    run.write_back("suspended")
    assert (run.status, run.ended_at) == ("suspended", None)
    assert session.runs.start("r2", agent="bot", started_at=AT).client == 0


def test_runs_come_in_the_order_of_their_start(session: SessionDocument) -> None:
    for name, at in (("b", "2026-01-01T00:00:00Z"), ("a", "2026-01-02T00:00:00Z"), ("c", "2025-01-01T00:00:00Z")):
        session.runs.start(name, agent="agent", started_at=at)
    assert [run.id for run in session.runs] == ["c", "b", "a"]
    assert len(session.runs) == 3


def test_wrong_use_of_a_run_is_refused(session: SessionDocument) -> None:
    run = session.runs.start("r1", agent="agent", started_at=AT)
    before = session.doc.get_update()
    for change in (
        lambda: session.runs.start("r1", agent="agent", started_at=AT),
        lambda: session.runs.start("r2", agent="", started_at=AT),
        lambda: session.runs.start("r2", agent="agent", started_at=AT, status="sleeping"),
        lambda: run.set_status("sleeping"),
        lambda: run.end("running", at=AT),
        lambda: run.end("error", at=AT, error=object()),
        lambda: run.add_message(""),
    ):
        with pytest.raises(BadDocument):
            change()
    assert session.doc.get_update() == before
    for status in RUN_STATUSES:
        run.set_status(status)


def test_an_agent_speaks_of_itself(session: SessionDocument) -> None:
    assert session.agents.get("agent") is None
    agent = session.agents.declare("agent", name="Trip planner")
    agent.set(status="working", task="Looking for hotels", run="r1", progress={"label": "hotels", "done": 1})
    again = session.agents.declare("agent", name="Other")
    assert (again.name, again.status, again.task, again.run) == (
        "Trip planner",
        "working",
        "Looking for hotels",
        "r1",
    )
    assert again.progress == {"label": "hotels", "done": 1}
    agent.set(status="idle", task=None, run=None)
    assert [(name, item.status, item.task, item.run) for name, item in session.agents] == [
        ("agent", "idle", None, None)
    ]
    for wrong in ({"status": "asleep"}, {"mood": "good"}, {"task": object()}):
        with pytest.raises(BadDocument):
            agent.set(**wrong)


def test_participants_are_kept(session: SessionDocument) -> None:
    session.participants.set("ada", name="Ada", kind="human", online=True, since=AT, devices=2)
    session.participants.set("ada", devices=1)
    ada = copy_of(session).participants.get("ada")
    assert ada is not None
    assert (ada.name, ada.kind, ada.online, ada.since, ada.devices) == ("Ada", "human", True, AT, 1)
    assert [name for name, _ in session.participants] == ["ada"]
    session.participants.remove("ada")
    session.participants.remove("ada")
    assert session.participants.get("ada") is None


def test_selections_are_each_participants_own(session: SessionDocument) -> None:
    session.selections.set("ada/1", "hotel", {"id": 7})
    session.selections.set("ada/1", "day", 2.0)
    session.selections.set("bob", "hotel", None)
    seen = copy_of(session).selections
    assert seen.of("ada/1") == {"hotel": {"id": 7}, "day": 2}
    assert seen.get("ada/1", "hotel") == {"id": 7}
    session.selections.clear("ada/1", "hotel")
    session.selections.clear("ada/1", "hotel")
    assert session.selections.of("ada/1") == {"day": 2}
    assert session.selections.to_json() == {"ada%2F1/day": 2, "bob/hotel": None}


def test_a_selection_under_a_key_that_is_none_is_nobodys(session: SessionDocument) -> None:
    session.selections.set("ada", "hotel", 7)
    for key in ("ada", "ada/", "ada/hotel/more", "/hotel", ""):
        session.selections.shared[key] = "foreign"
    assert session.selections.of("ada") == {"hotel": 7, "": "foreign"}


def test_nothing_that_is_added_to_a_counter_is_lost(session: SessionDocument) -> None:
    other = copy_of(session)
    for _ in range(3):
        session.counters.add("likes", "ada", 2)
        other.counters.add("likes", "bob", 1.5)
    exchange(session, other)
    assert session.counters.value("likes") == other.counters.value("likes") == 10.5
    session.counters.add("likes", "ada", -0.5)
    session.counters.add("likes", "ada", 2, device="phone")
    session.counters.add("likes", "ada", -2, device="tablet")
    assert session.counters.to_json() == {"likes": 10}
    assert session.counters.value("dislikes") == 0
    for wrong in (True, float("nan"), "3"):
        with pytest.raises(BadDocument):
            session.counters.add("likes", "ada", wrong)  # type: ignore[arg-type]


@given(st.lists(keys.filter(bool), min_size=1, max_size=4))
def test_a_key_comes_apart_as_it_was_put_together(segments: list[str]) -> None:
    key = join_key(*segments)
    assert split_key(key) == tuple(segments)
    assert key == "/".join(quote(segment, safe="-_.!~*'()") for segment in segments)


def test_requests_wait_until_they_are_decided(session: SessionDocument) -> None:
    session.requests.ask_cancel("r/1", "ada", "enough")
    session.requests.ask_steer("r/1", "t1", "bob", "By the lake")
    session.requests.ask_claim("call-1", 7, "ada", seconds=20.0, wait=True)
    session.requests.ask_claim("call-2", 2**53 - 1, "ada")
    session.requests.ask_release("call-1", 7, "ada")
    session.requests.ask_adopt("r/1", 7, "bot")
    session.requests.ask_answer("m1", "c/1", 7, "ada", output=[1.0])
    session.requests.ask_answer("m1", "c/2", 7, "ada", error="gone")
    session.requests.ask_policy("ada", "steer")
    session.requests.ask_vote("a1", "ada", "approved", {"price": 3.0})
    session.requests.ask_vote("a1", "bob", "rejected")
    session.requests.shared["odd"] = 7
    seen = copy_of(session).requests
    assert [(item.kind, item.subject, item.participant, item.value) for item in seen.items()] == [
        ("adopt", ("r/1", "7"), "bot", {}),
        ("answer", ("m1", "c/1", "7"), "ada", {"output": [1]}),
        ("answer", ("m1", "c/2", "7"), "ada", {"error": "gone"}),
        ("cancel", ("r/1",), "ada", {"reason": "enough"}),
        ("claim", ("call-1", "7"), "ada", {"seconds": 20, "wait": True}),
        ("claim", ("call-2", str(2**53 - 1)), "ada", {}),
        ("odd", (), "", {}),
        ("policy", (), "ada", {"double_texting": "steer"}),
        ("release", ("call-1", "7"), "ada", {}),
        ("steer", ("r/1", "t1"), "bob", {"text": "By the lake"}),
        ("vote", ("a1",), "ada", {"decision": "approved", "value": {"price": 3}}),
        ("vote", ("a1",), "bob", {"decision": "rejected"}),
    ]
    clients = [7, 7, 7, None, 7, 2**53 - 1, None, None, 7, None, None, None]
    assert [item.client for item in seen.items()] == clients
    for request in list(session.requests.items()):
        session.requests.remove(request.key)
        session.requests.remove(request.key)
    assert len(session.requests) == 0
    with pytest.raises(BadDocument):
        session.requests.put("cancel", "", participant="ada")
    with pytest.raises(BadDocument):
        session.requests.ask_steer("r1", "t1", "ada", "\ud83d")


@pytest.mark.parametrize("named", ["", "x", "-7", "1.5", "٣", "9" * 17])
def test_a_client_that_is_none_is_none(session: SessionDocument, named: str) -> None:
    session.requests.shared[f"claim/door/{named}/ada"] = {}
    session.requests.shared["claim/ada"] = {}
    assert [request.client for request in session.requests.items()] == [None, None]


def test_an_approval_is_decided_once(session: SessionDocument) -> None:
    approval = session.approvals.ask(
        "a1",
        question="Book it?",
        created_at=AT,
        schema={"type": "object"},
        run="r1",
        who=["ada"],
        quorum=2,
        expires_at=AT,
        value={"price": 3.0, "items": ["flight"]},
    )
    assert approval.decision is None
    approval.record_vote("ada", "rejected", None, AT)
    approval.record_vote("bob", "approved", {"price": 3}, AT)
    approval.record_vote("ada", "approved", {"price": 3}, AT)
    assert approval.decide("approved", by=["ada", "bob"], at=AT, value={"price": 3})
    assert not approval.decide("rejected", by=["bob"], at=AT)
    seen = copy_of(session).approvals.get("a1")
    assert seen is not None
    assert (seen.question, seen.schema, seen.run, seen.who, seen.quorum, seen.created_at, seen.expires_at) == (
        *("Book it?", {"type": "object"}, "r1", ["ada"], 2, AT, AT),
    )
    assert seen.value == {"price": 3, "items": ["flight"]}
    vote = {"decision": "approved", "value": {"price": 3}, "at": AT}
    assert seen.votes == {"ada": vote, "bob": vote}
    assert seen.decision == {"by": ["ada", "bob"], "decision": "approved", "value": {"price": 3}, "at": AT}
    assert [name for name, _ in session.approvals] == ["a1"]
    for wrong in ({}, {"schema": {"type": "objekt"}}, {"value": object()}):
        with pytest.raises(BadDocument):
            session.approvals.ask("a2" if wrong else "a1", question="Again?", created_at=AT, **wrong)  # type: ignore[arg-type]


def test_people_edit_together_what_they_approve(session: SessionDocument) -> None:
    approval = session.approvals.ask(
        "a1", question="Book?", created_at=AT, value={"limit": 200, "to": {"city": "Rome"}}
    )
    other = copy_of(session)
    approval.shared["value"]["limit"] = 150
    other.approvals.shared["a1"]["value"]["to"]["city"] = "Turin"
    exchange(session, other)
    assert approval.value == {"limit": 150, "to": {"city": "Turin"}}


def test_votes_that_two_lives_of_the_server_record_are_both_kept(session: SessionDocument) -> None:
    approval = session.approvals.ask("a1", question="Book?", created_at=AT)
    other = copy_of(session)
    approval.record_vote("ada", "approved", None, AT)
    other.approvals.get("a1").record_vote("bob", "rejected", None, AT)
    exchange(session, other)
    assert {who: vote["decision"] for who, vote in approval.votes.items()} == {"ada": "approved", "bob": "rejected"}


def test_votes_on_what_a_foreign_agent_asked_are_kept_as_well(session: SessionDocument) -> None:
    session.approvals.shared["a1"] = Map({"question": "Book?", "votes": {"ada": {"decision": "approved"}}})
    approval = session.approvals.get("a1")
    approval.record_vote("bob", "rejected", None, AT)
    assert approval.votes.keys() == {"ada", "bob"}


def test_a_claim_has_one_holder(session: SessionDocument) -> None:
    session.claims.grant("call-1", by="ada", client=7, epoch=1, at=AT)
    assert copy_of(session).claims.get("call-1") == {"by": "ada", "client": 7, "epoch": 1, "at": AT}
    line = [{"by": "bob", "client": 8}]
    session.claims.grant("call-1", by="ada", client=9, epoch=5, at=AT, until=AT, waiting=line, former=[7])
    more = {"until": AT, "waiting": line, "former": [7]}
    assert copy_of(session).claims.get("call-1") == {"by": "ada", "client": 9, "epoch": 5, "at": AT, **more}
    session.claims.release("call-1")
    session.claims.release("call-1")
    assert session.claims.get("call-1") is None


def test_keys_of_claims_hold_any_id() -> None:
    assert prompt_key("m/1") == "prompt/m%2F1"
    assert prompt_key("m/1", "fly er") == "prompt/m%2F1/fly%20er"
    assert tool_key("c/1") == "tool/c%2F1"


def test_a_queued_prompt_names_who_is_asked(session: SessionDocument) -> None:
    session.queue.append("fly", id="q1", author="ada", created_at=AT, to=["flights", "hotels"])
    session.queue.append("go", id="q2", author="ada", created_at=AT)
    assert [entry.to for entry in copy_of(session).queue] == [("flights", "hotels"), ()]
    with pytest.raises(BadDocument):
        session.queue.append("x", id="q3", author="ada", created_at=AT, to=[""])


def test_the_queue_is_edited_and_reordered(session: SessionDocument) -> None:
    for name in "abcd":
        session.queue.append(f"prompt {name}", id=name, author="ada", created_at=AT)
    other = copy_of(session)
    session.queue.move("d", 0)
    session.queue.move("a", 2)
    moved = other.queue.get("d")
    assert moved is not None
    assert moved.text is not None
    moved.text.append(", please")
    exchange(session, other)
    assert [entry.id for entry in session.queue] == [entry.id for entry in other.queue] == ["d", "b", "a", "c"]
    assert next(str(entry.text) for entry in session.queue) == "prompt d, please"
    assert session.queue.remove("b")
    assert not session.queue.remove("b")
    assert len(session.queue) == 3
    with pytest.raises(BadDocument):
        session.queue.move("b", 0)
    with pytest.raises(BadDocument):
        session.queue.append("again", id="a", author="ada", created_at=AT)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-1, 5)), max_size=80))
def test_a_moved_prompt_is_where_it_was_put(moves: list[tuple[str, int]]) -> None:
    session = SessionDocument()
    order = list("abcd")
    for name in order:
        session.queue.append(name, id=name, author="ada", created_at=AT)
    for name, index in moves:
        session.queue.move(name, index)
        order.remove(name)
        order.insert(max(0, index), name)
        assert [entry.id for entry in session.queue] == order


def test_a_place_between_two_that_have_no_room_is_made(session: SessionDocument) -> None:
    for name in "abc":
        session.queue.append(name, id=name, author="ada", created_at=AT)
    for _ in range(80):
        last = list(session.queue)[-1].id
        session.queue.move(last, 1)
        assert [entry.id for entry in session.queue][1] == last


@pytest.mark.parametrize("kind", [Map, Array, Text, XmlFragment])
def test_roots_of_another_type_are_read_without_error(kind: Any) -> None:
    foreign = Doc[Any]()
    for name in SessionDocument().to_json():
        root = foreign.get(name, type=kind)
        if kind is Map:
            root["x"] = Map({"id": 1, "text": 3, "place": "far"})
            root["y"] = [1]
        elif kind is Array:
            root.append(Map({"id": 1, "text": 3, "place": "far"}))
            root.append("x")
        elif kind is Text:
            root.insert(0, "hello")
    session = SessionDocument()
    session.doc.apply_update(foreign.get_update())
    look_at_everything(session)


def look_at_everything(session: SessionDocument) -> None:
    """Read every property of every view."""
    views: list[Any] = [session.meta, *session.messages, *session.runs, *session.queue]
    for pairs in (session.agents, session.participants, session.surfaces, session.approvals):
        views += [view for _, view in pairs]
    views += [part for message in session.messages for part in message.parts]
    for view in views:
        for name in dir(type(view)):
            if isinstance(getattr(type(view), name), property):
                getattr(view, name)
        view.to_json()
    session.runs.active()
    list(session.requests.items())
    session.selections.of("ada")
    session.counters.to_json()
    assert list(session.to_json()) == list(SessionDocument().to_json())


values_of_a_foreign_client = st.recursive(
    st.none() | st.booleans() | st.floats() | texts | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(Array)
        | st.dictionaries(st.sampled_from(["id", "role", "parts", "text", "type"]), inner, max_size=3).map(Map)
        | texts.map(Text)
    ),
    max_leaves=5,
)
NAMES = ["id", "role", "parts", "metadata", "stamp", "status", "steers", "messages", "progress", "decision", "cancel"]


def usable(value: Any) -> Any:
    """A shared type can't stand in a plain list: replace those."""
    if isinstance(value, list):
        return [item if not isinstance(item, Map | Array | Text) else None for item in value]
    return value


@given(st.dictionaries(st.sampled_from(NAMES), values_of_a_foreign_client, max_size=6), st.data())
def test_whatever_a_foreign_client_writes_is_read_without_error(fields: dict[str, Any], data: st.DataObject) -> None:
    session = SessionDocument()
    fields = {key: usable(value) for key, value in fields.items()}
    where = data.draw(
        st.sampled_from(["messages", "queue", "runs", "agents", "participants", "surfaces", "approvals"])
    )
    shared: Any = getattr(session, where).shared
    if isinstance(shared, Array):
        shared.append(Map(fields))
    else:
        shared["x"] = Map(fields)
    look_at_everything(copy_of(session))


def test_equal_records_are_equal(session: SessionDocument) -> None:
    message = said(session, "hello")
    other = copy_of(session).messages[0]
    assert message == other
    other.edit("bye", at=AT, by="ada")
    assert message != other
    assert "hello" in repr(message)


def test_true_is_written_over_one_and_what_is_there_already_leaves_no_trace(session: SessionDocument) -> None:
    """Python's True equals 1; in a document, and in every browser, they are two things."""
    session.selections.set("ada", "shown", {"layers": [1, 0]})
    run = session.runs.start("r", agent="bot", started_at=AT)
    run.add_step("s", "search", attempt=1, detail={"pages": [1]})
    message = said(session, "hello")
    message.append_part({"type": "data-map", "data": {"open": 1}})
    session.selections.set("ada", "shown", {"layers": [True, False]})
    run.add_step("s", "search", attempt=1, detail={"pages": [True]})
    message.parts[1].update(data={"open": True})
    written = (session.selections.get("ada", "shown"), run.steps[0]["detail"], message.parts[1].get("data"))
    assert json.dumps(written) == '[{"layers": [true, false]}, {"pages": [true]}, {"open": true}]'
    before = session.doc.get_update()
    session.selections.set("ada", "shown", {"layers": [True, False]})
    run.add_step("s", "search", attempt=1, detail={"pages": [True]})
    message.parts[1].update(data={"open": True})
    assert session.doc.get_update() == before
