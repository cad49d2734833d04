"""What participants do every day is admitted, and how much of it needs the shadow."""

import pytest
from admission.forge import forge, string, value
from admission.scene import AT, LIMITS, Client, Scene, participant, say, session, text_of, updates_of
from pycrdt import Array, Doc, Map, XmlElement, XmlText

from cosession.admission import Admission, AdmissionLimits
from cosession.auth import EVERYTHING, Participant
from cosession.document import SessionDocument
from cosession.errors import NotAllowed, TooLarge
from cosession.protocol import read_update_header

MEMBER = [
    lambda d: say(d, "m-new", "eve"),
    lambda d: d.messages.get("m-eve").edit("better", at=AT, by="ada"),
    lambda d: d.messages.get("m-eve").delete(at=AT),
    lambda d: d.messages.shared.__delitem__(2),
    lambda d: d.messages.shared.append(
        Map(
            {"id": "m-plain", "role": "user", "metadata": {"author": "eve"}, "parts": [{"type": "text", "text": "x"}]}
        )
    ),
    lambda d: d.meta.set_title("Journey"),
    lambda d: d.state.set("trip.hotel.name", "Adlon"),
    lambda d: d.state.set("new.branch", [1, {"a": None}]),
    lambda d: d.state.set("trip", {"hotel": {}}),
    lambda d: d.state.delete("trip"),
    lambda d: d.selections.set("eve", "row", 1),
    lambda d: d.counters.add("likes", "eve"),
    lambda d: d.counters.add("likes", "eve", device="phone"),
    lambda d: d.requests.ask_cancel("r-bot", "eve"),
    lambda d: d.requests.ask_steer("r-bot", "2", "eve", "slower"),
    lambda d: d.requests.ask_vote("p-bot", "eve", "yes"),
    lambda d: d.messages.append("user", [{"type": "text"}], id="m-new", author="eve", created_at=AT, to=["bot"]),
    lambda d: d.requests.ask_claim("window", d.doc.client_id, "eve", seconds=20, wait=True),
    lambda d: d.requests.ask_release("window", d.doc.client_id, "eve"),
    lambda d: d.requests.ask_answer("m-bot", "c1", d.doc.client_id, "eve", output={"row": 3}),
    lambda d: d.requests.ask_policy("eve", "interrupt"),
    lambda d: d.approvals.shared["p-bot"]["value"].update({"limit": 150, "note": "by train"}),
    lambda d: d.surfaces.get("s-bot").update_data("/nights", 3),
    lambda d: d.queue.append("x", id="q-new", author="eve", created_at=AT),
    lambda d: d.queue.get("q-eve").text.append("!"),
    lambda d: d.queue.move("q-bob", 1),
    lambda d: d.queue.remove("q-bob"),
    lambda d: d.text("notes").insert(3, "🦊"),
    lambda d: d.text("notes").shared.format(0, 3, {"bold": True}),
    lambda d: d.text("other").append("new"),
    lambda d: d.xml("page").children.append(XmlElement("h1", {"level": "1"}, [XmlText("Hi")])),
    lambda d: d.xml("page").children.__delitem__(0),
]

AGENT = [
    lambda d: d.runs.start("r-new", agent="bot", started_at=AT, reply_to="m-eve"),
    lambda d: say(d, "m-new", "bot", role="assistant", run="r-bot"),
    lambda d: text_of(d, "m-bot").insert(4, " then"),
    lambda d: d.messages.get("m-bot").append_part({"type": "reasoning", "text": "hm", "state": "streaming"}),
    lambda d: d.messages.get("m-bot").append_part(
        {"type": "tool-pay", "toolCallId": "1", "state": "input-available", "input": {"a": [1]}}
    ),
    lambda d: d.messages.get("m-bot").set_status("complete"),
    lambda d: d.runs.get("r-bot").end("complete", at=AT),
    lambda d: d.runs.get("r-bot").set_progress("half", 1, 2),
    lambda d: d.runs.get("r-bot").add_step("1", "look"),
    lambda d: d.runs.get("r-bot").mark_seen("1"),
    lambda d: d.agents.get("bot").set(status="working", task="reads"),
    lambda d: d.runs.start("r-new", agent="bot", started_at=AT, client=d.doc.client_id),
    lambda d: d.requests.ask_claim("window", d.doc.client_id, "bot"),
    lambda d: d.requests.ask_adopt("r-bot", d.doc.client_id, "bot"),
    lambda d: d.requests.ask_steer("r-bot", "1", "bot", "slower"),
    lambda d: d.approvals.ask("p-new", question="Sure?", created_at=AT, run="r-bot", who=["ada"]),
    lambda d: d.approvals.ask("p-new", question="Sure?", created_at=AT, value={"limit": 200, "items": ["flight"]}),
    lambda d: d.surfaces.create("s-new", catalog_id="basic", components=[{"id": "root"}]),
    lambda d: d.surfaces.create("s-new", catalog_id="basic", agent="bot"),
    lambda d: d.surfaces.get("s-bot").update_components([{"id": "root", "x": 1}]),
    lambda d: d.surfaces.delete("s-bot"),
]


@pytest.mark.parametrize("number", range(len(MEMBER)))
def test_a_member_does_what_members_do(scene: Scene, number: int) -> None:
    eve = scene.client(participant("eve", role="member"))

    eve.write(MEMBER[number])
    eve.sync()

    assert scene.document.to_json() == eve.document.to_json()


@pytest.mark.parametrize("number", range(len(AGENT)))
def test_an_agent_does_what_agents_do(scene: Scene, number: int) -> None:
    bot = scene.client(participant("bot", role="agent"))

    bot.write(AGENT[number])
    bot.sync()

    assert scene.document.to_json() == bot.document.to_json()


def test_an_operator_edits_everybodys_messages(scene: Scene) -> None:
    olga = scene.client(participant("olga", role="operator"))

    olga.write(lambda d: d.messages.get("m-bob").edit("tidied", at=AT, by="ada"))
    olga.write(lambda d: d.messages.get("m-bot").delete(at=AT))
    olga.write(lambda d: d.messages.shared.__delitem__(0))

    assert [message.id for message in scene.document.messages] == ["m-bob", "m-eve", "m-bot"]


def test_a_path_of_the_state_is_granted_with_what_is_below_it(scene: Scene) -> None:
    narrow = participant("eve", "state:trip/hotel")

    scene.client(narrow).write(lambda d: d.state.set("trip.hotel.name", "Adlon"))
    scene.client(narrow).write(lambda d: d.state.set("trip.hotel.rooms", [1, 2]))
    scene.client(narrow).write(lambda d: d.state.set("trip.hotel.rooms.0", 3))
    with pytest.raises(NotAllowed, match="state/trip/flight/from"):
        scene.client(narrow).write(lambda d: d.state.set("trip.flight.from", "BER"))
    with pytest.raises(NotAllowed, match="state/trip:"):
        scene.client(narrow).write(lambda d: d.state.set("trip", {"hotel": {}}))
    with pytest.raises(NotAllowed, match="state/trip:"):
        scene.client(narrow).write(lambda d: d.state.delete("trip"))


@pytest.mark.parametrize("key", ["hotel", "a/b", "~", "~1", "/"])
def test_what_a_refusal_says_to_ask_for_is_what_lets_one_in(scene: Scene, key: str) -> None:
    def act(document: SessionDocument) -> None:
        document.doc.get("state", type=Map)[key] = 1

    with pytest.raises(NotAllowed) as refusal:
        scene.client(participant("eve", "read")).write(act)
    [needed] = refusal.value.needs
    assert needed in str(refusal.value)
    scene.client(participant("eve", needed)).write(act)


def test_one_text_is_granted_by_its_name(scene: Scene) -> None:
    narrow = participant("eve", "text:notes")

    scene.client(narrow).write(lambda d: d.text("notes").append("!"))
    with pytest.raises(NotAllowed, match="text:plan"):
        scene.client(narrow).write(lambda d: d.text("plan").append("!"))


def test_a_message_has_its_stamp_before_anybody_sees_it(scene: Scene) -> None:
    scene.client(participant("eve", role="member")).write(lambda d: say(d, "m-new", "eve"))

    assert scene.document.messages.get("m-new").stamp == {"by": "eve", "at": AT, "seq": 1}


def test_the_stamp_says_whose_a_message_is_and_not_its_author(scene: Scene) -> None:
    anonymous = scene.client(participant("eve", "prompt"))
    anonymous.write(lambda d: d.messages.shared.append(Map({"id": "m", "role": "user", "parts": Array([])})))
    scene = Scene(scene.document)  # as after a restart

    scene.client(participant("eve", role="member")).write(lambda d: d.messages.get("m").edit("mine", at=AT, by="ada"))
    with pytest.raises(NotAllowed):
        scene.client(participant("bob", role="member")).write(
            lambda d: d.messages.get("m").edit("ours", at=AT, by="ada")
        )


def test_a_removed_message_may_come_back_by_its_writer_alone(scene: Scene) -> None:
    eve, bob = (scene.client(participant(who, role="member")) for who in ("eve", "bob"))
    eve.write(lambda d: d.messages.shared.__delitem__(2))

    with pytest.raises(NotAllowed, match="no other record has"):
        bob.write(lambda d: say(d, "m-eve", "bob"))
    eve.write(lambda d: say(d, "m-eve", "eve"))

    assert scene.document.messages.get("m-eve").stamp["by"] == "eve"


def test_what_was_written_offline_comes_in_one_piece(scene: Scene) -> None:
    """Made, changed, overwritten and deleted before it was sent: the library that collects and the one that keeps."""
    for keep in (False, True):
        bot = Client(scene, participant("bot", role="agent"))
        bot.document = SessionDocument(Doc(skip_gc=keep))
        bot.sync()
        vector = bot.document.doc.get_state()
        run = bot.document.runs.start(f"r-{keep}", agent="bot", started_at=AT)
        for status in ("suspended", "running", "complete"):
            run.set_status(status)
        say(bot.document, f"m-{keep}", "bot", role="assistant", run=f"r-{keep}")
        text_of(bot.document, f"m-{keep}").insert(2, "XX")
        bot.document.messages.get(f"m-{keep}").edit("done", at=AT, by="ada")
        bot.document.messages.get(f"m-{keep}").delete(at=AT)
        say(bot.document, "m-gone", "bot", role="assistant")
        del bot.document.messages.shared[len(bot.document.messages.shared) - 1]

        scene.receive(bot.document.doc.get_update(vector), bot.who)
        bot.sync()

        assert scene.document.to_json() == bot.document.to_json()


def test_a_replica_that_sends_all_it_knows_is_welcome(scene: Scene) -> None:
    eve = scene.client(participant("eve", role="member"))
    scene.client(participant("bob", role="member")).write(lambda d: d.messages.get("m-bob").delete(at=AT))
    eve.sync()
    updates_of(eve.document, lambda d: say(d, "m-new", "eve"))

    admitted = scene.receive(eve.document.doc.get_update(), eve.who)

    assert scene.document.messages.get("m-new").stamp["by"] == "eve"
    assert len(admitted.update) < 400


def test_deletions_that_concurrency_made_are_nobodys(scene: Scene) -> None:
    """Of two concurrent writes one is deleted without a word; a replica that names it did nothing."""
    ones, others = (scene.client(participant("eve", "state:*")) for _ in range(2))
    updates = [
        update
        for client, color in ((ones, "red"), (others, "blue"))
        for update in updates_of(client.document, lambda d, color=color: d.state.set("color", color))
    ]
    for update in updates:
        scene.receive(update, ones.who)
    ada = scene.client(participant("ada", role="viewer"))

    scene.receive(ada.document.doc.get_update(), ada.who)
    scene.receive(ada.document.doc.get_update(ada.document.doc.get_state()), ada.who)


def test_an_agent_that_has_not_heard_that_its_message_is_gone_goes_on(scene: Scene) -> None:
    bot = scene.client(participant("bot", role="agent"))
    scene.client(participant("olga", role="operator")).write(lambda d: d.messages.shared.__delitem__(3))

    bot.write(lambda d: text_of(d, "m-bot").insert(4, " then"))
    bot.write(lambda d: text_of(d, "m-bot").insert(9, " more"))
    Scene(scene.document).receive(bot.document.doc.get_update(), bot.who)

    assert scene.document.messages.get("m-bot") is None


def test_plain_tokens_skip_the_shadow(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = scene.client(participant("bot", role="agent"))
    bot.write(lambda d: text_of(d, "m-bot").insert(4, " one"))
    monkeypatch.setattr(scene.admission, "_looked", None)

    for token in (" two", " drei", " 🦊", " fünf"):
        bot.write(lambda d, token=token: d.messages.get("m-bot").parts[0].grow(token))

    assert str(text_of(scene.document, "m-bot")) == "well one two drei 🦊 fünf"


def test_typing_in_the_middle_of_a_text_skips_the_shadow(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    eve = scene.client(participant("eve", "text:*"))
    eve.write(lambda d: d.text("notes").insert(5, "old "))
    monkeypatch.setattr(scene.admission, "_looked", None)

    for place, letter in enumerate("and 🦊 "):
        eve.write(lambda d, place=place, letter=letter: d.text("notes").insert(9 + place, letter))

    assert str(scene.document.text("notes")) == "dear old and 🦊 notes"


def test_a_caret_that_jumps_in_ones_text_is_tried_but_not_judged_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = scene.client(participant("bot", role="agent"))
    bot.write(lambda d: text_of(d, "m-bot").insert(4, " one"))
    monkeypatch.setattr(scene.admission, "_looked", None)
    tried: list[bytes] = []
    try_out = scene.admission._shadow.try_out
    monkeypatch.setattr(scene.admission._shadow, "try_out", lambda update: (tried.append(update), try_out(update)))

    for place in (0, 5, 1, 9):
        bot.write(lambda d, place=place: text_of(d, "m-bot").insert(place, "so "))

    bot.sync()
    assert str(text_of(scene.document, "m-bot")) == str(text_of(bot.document, "m-bot"))
    assert len(tried) == 4
    bot.write(lambda d: text_of(d, "m-bot").insert(12, "on "))
    assert len(tried) == 4, "behind the last one"


def test_a_token_of_somebody_whose_rights_changed_is_judged_anew(scene: Scene) -> None:
    eve = scene.client(participant("eve", "text:notes"))
    eve.write(lambda d: d.text("notes").append("a"))
    eve.write(lambda d: d.text("notes").append("b"))
    eve.who = participant("eve", "prompt")

    with pytest.raises(NotAllowed):
        eve.write(lambda d: d.text("notes").append("c"))


def test_to_make_a_message_is_not_to_edit_it(scene: Scene) -> None:
    eve = scene.client(participant("eve", "prompt"))
    eve.write(lambda d: say(d, "m-new", "eve", text=""))

    with pytest.raises(NotAllowed, match="edit-own"):
        eve.write(lambda d: text_of(d, "m-new").insert(0, "x"))


def test_a_token_after_the_message_was_given_to_another_is_judged_anew(scene: Scene) -> None:
    eve = scene.client(participant("eve", role="member"))
    for letter in "ab":
        eve.write(lambda d, letter=letter: d.messages.get("m-eve").parts[0].grow(letter))
    scene.by_server(lambda d: d.messages.get("m-eve").set_stamp(by="bob", at=AT, seq=1))

    with pytest.raises(NotAllowed):
        eve.write(lambda d: d.messages.get("m-eve").parts[0].grow("c"))


def test_unjudged_updates_cost_nothing_until_somebody_is_judged() -> None:
    scene = Scene()
    for number in range(20):
        scene.by_server(lambda d, number=number: d.text("notes").append(f"{number} "))
    eve = scene.client(participant("eve", role="member"))
    eve.write(lambda d: d.text("notes").append("!"))
    for number in range(20):
        scene.by_server(lambda d, number=number: say(d, f"m{number}", "ada"))

    eve.sync()
    eve.write(lambda d: d.text("notes").append("?"))
    with pytest.raises(NotAllowed):
        eve.write(lambda d: text_of(d, "m7").insert(0, "x"))


def test_what_comes_after_the_index_was_prepared_is_known() -> None:
    scene = Scene()
    assert list(scene.admission.prepare())
    scene.by_server(lambda d: d.text("notes").append(" and more"))

    scene.client(participant("eve", role="member")).write(lambda d: d.text("notes").append("!"))

    assert str(scene.document.text("notes")) == "dear notes and more!"


def test_more_than_a_megabyte_of_unjudged_updates_is_let_go() -> None:
    scene = Scene()
    eve = scene.client(participant("eve", role="member"))
    eve.write(lambda d: d.text("notes").append("!"))
    for _ in range(3):
        scene.by_server(lambda d: d.text("big").append("x" * 500_000))
    assert scene.admission._index is None
    assert not scene.admission._waiting

    eve.sync()
    eve.write(lambda d: d.text("notes").append("?"))

    assert str(scene.document.text("notes")) == "dear notes!?"


def test_a_full_session_takes_no_more_but_lets_go() -> None:
    scene = Scene(limits=AdmissionLimits(max_document_bytes=40_000, max_depth=32))
    eve = scene.client(participant("eve", role="member"))
    eve.write(lambda d: d.text("notes").append("x" * 15_000))

    with pytest.raises(TooLarge, match="full"):
        eve.write(lambda d: d.text("plan").append("y" * 10_000))
    eve = scene.client(eve.who)
    for _ in range(140):
        eve.write(lambda d: d.text("notes").delete(0, 100))
    eve.write(lambda d: d.text("plan").append("y" * 10_000))


def test_a_full_session_does_not_grow_token_by_token() -> None:
    scene = Scene(limits=AdmissionLimits(max_document_bytes=40_000, max_depth=32))
    eve = scene.client(participant("eve", role="member"))

    def write_on() -> None:
        for _ in range(2000):
            eve.write(lambda d: d.text("notes").append("sixteen letters "))

    with pytest.raises(TooLarge):
        write_on()

    assert len(scene.document.doc.get_update()) < 25_000


@pytest.mark.parametrize("at_once", [1, 100])
def test_a_session_does_not_grow_without_end_by_deletions(at_once: int) -> None:
    scene = Scene(limits=AdmissionLimits(max_document_bytes=400_000, max_depth=32))
    eve = scene.client(participant("eve", role="member"))
    eve.write(lambda d: d.text("notes").append("x" * 60_000))
    deletions = 0

    def scatter(document: SessionDocument) -> None:
        for place in range(deletions, deletions + at_once):
            document.text("notes").delete(place, place + 1)

    def go_on() -> None:
        nonlocal deletions
        while deletions < 20_000:
            eve.write(scatter)
            deletions += at_once

    with pytest.raises(TooLarge, match="full"):
        go_on()

    assert 3_000 < deletions < 8_000


@pytest.mark.parametrize("where", ["state", "text:"])
def test_a_session_of_many_tiny_things_is_full_long_before_its_bytes(where: str) -> None:
    scene = Scene(limits=AdmissionLimits(max_document_bytes=200_000, max_depth=32))
    eve, count = participant("eve", role="member"), 0

    def write_on() -> None:
        nonlocal count
        for count in range(10_000):
            key = {"parent": "state", "key": str(count)} if where == "state" else {"parent": f"text:{count}"}
            scene.receive(forge(7, count, (value if where == "state" else string)("x", **key)), eve)

    with pytest.raises(TooLarge, match="full"):
        write_on()

    assert 1_000 < count < 200_000 // 128


def test_nesting_has_a_bottom(scene: Scene) -> None:
    eve = scene.client(participant("eve", role="member"))
    deep: object = "bottom"
    for _ in range(LIMITS.max_depth + 1):
        deep = {"down": deep}

    with pytest.raises(TooLarge, match="deeper"):
        eve.write(lambda d: d.state.set("deep", deep))


def test_keys_have_an_end(scene: Scene) -> None:
    with pytest.raises(TooLarge, match="longer"):
        scene.client(participant("eve", role="member")).write(lambda d: d.selections.set("eve", "x" * 2000, 1))
    with pytest.raises(TooLarge, match="longer"):
        scene.client(participant("eve", role="member")).write(lambda d: d.text("x" * 2000).append("x"))


def test_everything_goes_for_who_may_do_everything() -> None:
    """A room need not ask; if it does, nothing but the server's own hand is kept from them."""
    document = session()
    admission = Admission(document, LIMITS)
    root = SessionDocument(Doc())
    root.doc.apply_update(document.doc.get_update())
    (update,) = updates_of(root, lambda d: text_of(d, "m-bob").insert(0, "x"))

    who = Participant("root", "Root", capabilities=EVERYTHING)
    assert admission.judge(update, read_update_header(update), who).update == update
