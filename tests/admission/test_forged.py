"""Updates that no Yjs client makes: each field of a struct lies in turn."""

import time

import pytest
from admission.forge import Id, Item, bold, embed, forge, nothing, shared, string, subdocument, value
from admission.scene import AT, Scene, participant, say, text_of, updates_of
from pycrdt import Doc, Map

from cosession.admission.clock_ranges import ClockSet
from cosession.admission.operations import Operation, stage
from cosession.document import SessionDocument
from cosession.errors import MalformedFrame, NotAllowed
from cosession.protocol import decode_state_vector, read_update_header
from cosession.protocol.lib0 import uint
from cosession.protocol.steps import finish
from cosession.protocol.structs import read_structs
from cosession.protocol.update_format import ANY

LIAR = 7
EVE = participant("eve", role="member")


def place_of(scene: Scene, *keys: str) -> Id:
    """The id of the shared type under these keys of a root, or of a message's text."""
    index = scene.admission._caught_up()
    return next(container.id for container in index.containers.values() if container.path == keys)


def letters_of(scene: Scene, name: str) -> Id:
    """The id of the first letter of a message's text."""
    document = SessionDocument(Doc())
    document.doc.apply_update(scene.document.doc.get_update())
    (update,) = updates_of(document, lambda d: text_of(d, name).insert(0, "?"))
    (struct,) = read_structs(update)
    return struct.right


def touches_of(scene: Scene, update: bytes) -> list[Operation]:
    """What an update does, as admission sees it."""
    index = scene.admission._caught_up()
    structs, deletes = finish(index.in_order(update)), read_update_header(update).deletes
    touches = stage(index, update, structs, deletes, [], 32, ClockSet())
    return [touch for touch in touches if touch is not None]


def vector_of(scene: Scene, client: int) -> int:
    """The first clock of a client that the session doesn't have."""
    return decode_state_vector(scene.document.doc.get_state()).get(client, 0)


def send(scene: Scene, update: bytes) -> None:
    scene.receive(update, EVE)


def test_a_left_neighbour_in_anothers_message_is_a_write_there(scene: Scene) -> None:
    with pytest.raises(NotAllowed, match="messages/"):
        send(scene, forge(LIAR, 0, string("x", left=letters_of(scene, "m-bob"))))


def test_a_right_neighbour_in_anothers_message_is_a_write_there(scene: Scene) -> None:
    with pytest.raises(NotAllowed, match="messages/"):
        send(scene, forge(LIAR, 0, string("x", right=letters_of(scene, "m-bob"))))


def test_neighbours_in_two_texts_are_refused_either_way(scene: Scene) -> None:
    mine, theirs = letters_of(scene, "m-eve"), letters_of(scene, "m-bob")

    for left, right in ((mine, theirs), (theirs, mine)):
        with pytest.raises(MalformedFrame, match="two places"):
            send(scene, forge(LIAR, 0, string("x", left=left, right=right)))


def test_a_parent_in_a_protected_record_is_a_write_there(scene: Scene) -> None:
    run = place_of(scene, "runs", "r-bot")

    with pytest.raises(NotAllowed, match="runs/r-bot/cancel"):
        send(scene, forge(LIAR, 0, value("eve", parent=run, key="cancel")))


def test_a_type_made_in_a_protected_record_is_a_write_there(scene: Scene) -> None:
    run = place_of(scene, "runs", "r-bot")

    with pytest.raises(NotAllowed, match="runs/r-bot/cancel"):
        send(scene, forge(LIAR, 0, shared(1, parent=run, key="cancel"), value("eve", parent=(LIAR, 0), key="by")))


def test_a_key_written_behind_the_stamp_writes_the_stamp(scene: Scene) -> None:
    """A neighbour under a key passes its key on, though the struct names none."""
    message = next(
        container.id
        for container in scene.admission._caught_up().containers.values()
        if container.path == ("messages", "*") and container.owner == "eve"
    )
    state = scene.document.doc.get_update()
    stamp = next(
        (struct.client, struct.clock)
        for struct in read_structs(state)
        if struct.parent == message and struct.key == "stamp"
    )
    for item in (value("eve", left=stamp), nothing(left=stamp)):
        with pytest.raises(NotAllowed, match="stamp"):
            send(scene, forge(LIAR, 0, item))
    for item in (value("eve", right=stamp), nothing(right=stamp), value("eve", left=stamp, right=stamp)):
        with pytest.raises(MalformedFrame, match="right neighbour"):
            send(scene, forge(LIAR, 0, item))


def test_a_key_in_a_list_and_an_entry_in_a_map_are_refused(scene: Scene) -> None:
    run = place_of(scene, "runs", "r-bot")

    for item in (
        value("x", parent="messages", key="0"),
        value("x", parent="state"),
        value("x", parent=run),
        string("x", parent="messages"),
        string("x", parent="state", key="x"),
        value("x", left=letters_of(scene, "m-eve")),
        subdocument(parent="state", key="x"),
    ):
        with pytest.raises((MalformedFrame, NotAllowed)):
            send(scene, forge(LIAR, 0, item))


def test_a_messages_text_takes_no_formatting_and_a_document_no_subdocument(scene: Scene) -> None:
    letter = letters_of(scene, "m-eve")

    for item in (bold(left=letter), embed(left=letter), shared(1, left=letter)):
        with pytest.raises(MalformedFrame, match="text is plain"):
            send(scene, forge(LIAR, 0, item))
    with pytest.raises(NotAllowed, match="subdocuments"):
        send(scene, forge(LIAR, 0, subdocument(parent="text:notes")))


def test_a_deletion_is_judged_by_each_thing_in_its_range(scene: Scene) -> None:
    client, clock = letters_of(scene, "m-eve")

    send(scene, forge(LIAR, 0, deletes=((client, clock, 2),)))
    assert str(text_of(scene.document, "m-eve")) == "llo"
    for start, length in ((0, clock + 5), (clock, 40), (0, 1)):
        with pytest.raises(NotAllowed):
            send(scene, forge(LIAR, 0, deletes=((client, start, length),)))
    with pytest.raises(MalformedFrame):
        send(scene, forge(LIAR, 0, deletes=((client, 10**6, 1),)))


def test_what_the_session_knows_is_not_told_again_in_another_way(scene: Scene) -> None:
    """Whoever doesn't have it yet would otherwise get the liar's version."""
    client, clock = letters_of(scene, "m-bob")

    admitted = scene.receive(forge(client, clock, string("HATE!", parent="text:notes")), EVE)

    assert admitted.update == b"\0\0"


def test_another_clients_known_clocks_are_cut_off_what_is_new(scene: Scene) -> None:
    send(scene, forge(LIAR, 0, string("abc", parent="text:notes")))

    admitted = scene.receive(forge(LIAR, 1, string("XYZ", left=(LIAR, 0))), EVE)

    assert admitted.header.brings[0].clock == 3
    assert str(scene.document.text("notes")).count("Z") == 1
    assert "XY" not in str(scene.document.text("notes"))


def test_an_update_that_stands_on_itself_is_refused(scene: Scene) -> None:
    for item in (string("x", left=(LIAR, 0)), string("x", left=(LIAR, 5)), string("x", parent=(LIAR, 0))):
        with pytest.raises(MalformedFrame):
            send(scene, forge(LIAR, 0, item))


def test_clients_that_wait_for_each_other_are_refused(scene: Scene) -> None:
    one = forge(8, 0, string("x", left=(9, 0)))[1:-1]
    two = forge(9, 0, string("x", left=(8, 0)))[1:-1]

    with pytest.raises(MalformedFrame):
        send(scene, b"\x02" + one + two + b"\0")


def test_clients_that_stand_on_each_other_in_turn_are_read_in_order(scene: Scene) -> None:
    """Deep in each other's debt, and in the order in which the first client comes last."""
    length = 2000
    ones = [string("a", parent="text:notes")] + [string("a", left=(9, at - 1)) for at in range(1, length)]
    twos = [string("b", left=(8, at)) for at in range(length)]
    update = b"\x02" + forge(9, 0, *twos)[1:-1] + forge(8, 0, *ones)[1:-1] + b"\0"
    began = time.process_time()

    send(scene, update)

    assert "ababab" in str(scene.document.text("notes"))
    assert time.process_time() - began < 2


def test_what_is_no_shared_type_takes_nothing_in(scene: Scene) -> None:
    with pytest.raises(MalformedFrame, match="no shared type"):
        send(scene, forge(LIAR, 0, value("x", parent=letters_of(scene, "m-bob"), key="x")))


def test_who_may_write_nothing_adds_nothing_though_nobody_could_see_it(scene: Scene) -> None:
    collected = Item(0, b"\x05")

    with pytest.raises(NotAllowed, match="writing"):
        scene.receive(forge(LIAR, 0, collected), participant("eve", role="viewer"))
    scene.receive(forge(LIAR, 0, collected), EVE)


def test_two_messages_with_one_id_are_refused(scene: Scene) -> None:
    fields = {"id": "m-new", "role": "user"}
    eve = scene.client(EVE)

    with pytest.raises(NotAllowed, match="no other record"):
        eve.write(lambda d: d.messages.shared.extend([Map(fields), Map(fields)]))


def test_an_id_that_hides_behind_another_is_refused(scene: Scene) -> None:
    """A key may hold several values of which the last counts."""
    twice = Item(8, b"\x02\x77\x05fresh\x77\x05m-bob", parent=(LIAR, 0), key="id")

    with pytest.raises(NotAllowed, match="messages/"):
        send(scene, forge(LIAR, 0, shared(1, parent="messages"), twice, value("user", parent=(LIAR, 0), key="role")))


def test_a_role_that_is_written_twice_must_be_allowed_twice(scene: Scene) -> None:
    made = (shared(1, parent="messages"), value("m", parent=(LIAR, 0), key="id"))
    user, assistant = (value(role, parent=(LIAR, 0), key="role") for role in ("user", "assistant"))

    for roles in ((user, assistant), (assistant, user)):
        with pytest.raises(NotAllowed, match="role"):
            send(scene, forge(LIAR, 0, *made, *roles))


def test_a_record_under_a_removed_records_key_is_a_new_one(scene: Scene) -> None:
    """The right to write into one's own old run gives none to another that stands in its place."""
    bot, mallory = (scene.client(participant(who, role="agent")) for who in ("bot", "mallory"))
    old = place_of(scene, "runs", "r-bot")
    scene.by_server(lambda d: d.runs.shared.pop("r-bot"))
    mallory.sync()
    mallory.write(lambda d: d.runs.start("r-bot", agent="mallory", started_at=AT))

    scene.receive(forge(LIAR, 0, value("complete", parent=old, key="status")), bot.who)
    assert scene.document.runs.get("r-bot").status == "running"
    new = next(
        container.id
        for container in scene.admission._caught_up().containers.values()
        if container.path == ("runs", "r-bot") and container.owner == "mallory"
    )
    with pytest.raises(NotAllowed, match="mallory's"):
        scene.receive(forge(8, 0, value("complete", parent=new, key="status")), bot.who)


def test_an_agent_can_not_take_a_run_by_writing_at_the_same_time(scene: Scene) -> None:
    bot, mallory = (scene.client(participant(who, role="agent")) for who in ("bot", "mallory"))
    bot.write(lambda d: d.runs.start("r", agent="bot", started_at=AT))

    with pytest.raises(NotAllowed, match="runs/r:"):
        mallory.write(lambda d: d.runs.start("r", agent="mallory", started_at=AT))


def test_a_token_that_lies_of_where_it_goes_on_is_judged(scene: Scene) -> None:
    eve = scene.client(EVE)
    mine, theirs = letters_of(scene, "m-eve"), letters_of(scene, "m-bob")
    scene.receive(forge(LIAR, 0, string("a", left=mine)), eve.who)
    scene.receive(forge(LIAR, 1, string("b", left=(LIAR, 0))), eve.who)

    for item in (
        string("c", left=(LIAR, 1), right=theirs),
        string("c", left=theirs),
        string("c", left=theirs, right=(LIAR, 1)),
    ):
        with pytest.raises((NotAllowed, MalformedFrame)):
            scene.receive(forge(LIAR, 2, item), eve.who)


def test_a_jump_in_ones_text_takes_no_formatting_along(scene: Scene) -> None:
    send(scene, forge(LIAR, 0, string("a", left=letters_of(scene, "m-eve"))))

    for item in (
        bold(left=(LIAR, 0)),
        embed(left=letters_of(scene, "m-eve"), right=(LIAR, 0)),
        shared(1, left=(LIAR, 0)),
    ):
        with pytest.raises(MalformedFrame, match="text is plain"):
            send(scene, forge(LIAR, 1, item))


def test_the_right_to_make_a_message_ends_with_the_update_that_made_it(scene: Scene) -> None:
    """Also for what goes right on with the text that it ended in."""
    whole = (
        shared(1, parent="messages"),
        value("m-new", parent=(LIAR, 0), key="id"),
        value("user", parent=(LIAR, 0), key="role"),
        shared(0, parent=(LIAR, 0), key="parts"),
        shared(1, parent=(LIAR, 3)),
        value("text", parent=(LIAR, 4), key="type"),
        shared(2, parent=(LIAR, 4), key="text"),
        string("hi", parent=(LIAR, 6)),
    )
    prompter = participant("eve", "prompt")
    scene.receive(forge(LIAR, 0, *whole), prompter)

    with pytest.raises(NotAllowed, match="edit-own"):
        scene.receive(forge(LIAR, 9, string("!", left=(LIAR, 8))), prompter)


def test_nothing_rides_along_with_a_token(scene: Scene) -> None:
    """Neither a deletion nor a second struct, whether the token goes on or jumps."""
    mine, theirs = letters_of(scene, "m-eve"), letters_of(scene, "m-bob")
    send(scene, forge(LIAR, 0, string("a", left=mine)))
    send(scene, forge(LIAR, 1, string("b", left=(LIAR, 0))))

    for left in ((LIAR, 1), mine):
        for update in (
            forge(LIAR, 2, string("c", left=left), deletes=((*theirs, 1),)),
            forge(LIAR, 2, string("c", left=left), string("lie", left=theirs)),
        ):
            with pytest.raises(NotAllowed, match="bob's"):
                send(scene, update)


def test_what_was_staged_by_a_client_that_is_known_leaves_no_trace(scene: Scene) -> None:
    send(scene, forge(LIAR, 0, string("a", parent="text:notes")))
    known = scene.known()

    with pytest.raises(NotAllowed):
        send(
            scene,
            forge(
                LIAR,
                1,
                shared(1, parent="state", key="x"),
                value("y", parent=(LIAR, 1), key="z"),
                value("x", parent="runs", key="x"),
            ),
        )

    assert scene.known() == known


def test_a_member_shows_no_agents_work_and_no_message_is_without_a_name(scene: Scene) -> None:
    for type_ in ("tool-pay", "dynamic-tool", "reasoning", "step-start"):
        with pytest.raises(NotAllowed, match="type"):
            scene.client(EVE).write(
                lambda d, type_=type_: d.messages.shared.append(
                    Map({"id": "m-new", "role": "user", "parts": [{"type": type_}]})
                )
            )
    for id_ in ("", "x" * 2000):
        with pytest.raises(NotAllowed, match="id"):
            scene.client(EVE).write(lambda d, id_=id_: d.messages.shared.append(Map({"id": id_, "role": "user"})))


def test_only_rich_places_hold_rich_types(scene: Scene) -> None:
    data = place_of(scene, "surfaces", "s-bot", "data")

    for kind in (4, 6):
        with pytest.raises(MalformedFrame):
            send(scene, forge(LIAR, 0, shared(kind, parent=data, key="x")))


def test_the_copy_on_which_updates_are_tried_has_all_that_the_session_has(scene: Scene) -> None:
    mine = letters_of(scene, "m-eve")
    for clock, left in enumerate((mine, (LIAR, 0), (LIAR, 1), mine)):
        send(scene, forge(LIAR, clock, string("a", left=left)))

    assert scene.admission._shadow._doc.get_state() == scene.document.doc.get_state()


def test_what_the_library_does_not_read_leaves_no_trace(scene: Scene) -> None:
    send(scene, forge(LIAR, 0, string("a", parent="text:notes")))
    known, wrong = scene.known(), Item(8, b"\x01\x77\x02\xff\xfe", parent="state", key="x")

    with pytest.raises(MalformedFrame):
        send(scene, forge(LIAR, 1, wrong))

    assert scene.known() == known
    send(scene, forge(LIAR, 1, value("fine", parent="state", key="x")))


def test_an_update_that_breaks_the_library_costs_the_shadow_only(scene: Scene) -> None:
    """Found by mutation: yrs panics at it, once it holds content of that client."""
    scene.receive(forge(LIAR, 0, string("🦊🦊", parent="text:notes")), EVE)
    before = scene.document.to_json()

    for update in (
        forge(LIAR, 4, string("x", left=(LIAR, 0), right=(LIAR, 1))),
        forge(LIAR, 4, string("x", left=(LIAR, 3), right=(LIAR, 0))),
        forge(LIAR, 4, deletes=((LIAR, 1, 1),)),
    ):
        try:
            scene.admission.judge(update, read_update_header(update), EVE)
        except MalformedFrame:
            pass
        else:
            scene = Scene(scene.document)

    assert scene.document.to_json() == before
    scene.client(EVE).write(lambda d: say(d, "m-after", "eve"))


def test_two_thousand_million_clocks_are_judged_at_once(scene: Scene) -> None:
    """What was deleted before it was sent may have any length; deleting it once more is nothing."""
    length = 2**31
    first = forge(LIAR, 0, nothing(length, parent="messages"))
    again = forge(LIAR, 0, deletes=((LIAR, 0, length),))
    scene.receive(first, EVE)

    assert touches_of(scene, again) == []
    scene.receive(again, EVE)
    assert scene.admission._caught_up().deleted.has(LIAR, length - 1)


def test_what_a_session_collected_is_known_as_deleted_when_it_is_loaded(scene: Scene) -> None:
    scene.receive(forge(LIAR, 0, nothing(2**31, parent="messages")), EVE)
    loaded = Scene(SessionDocument(Doc()))
    loaded.document.doc.apply_update(scene.document.doc.get_update())

    assert touches_of(loaded, forge(LIAR, 0, deletes=((LIAR, 0, 2**31),))) == []


def test_a_refused_update_leaves_nothing_deleted(scene: Scene) -> None:
    known = scene.known()
    with pytest.raises(NotAllowed):
        send(scene, forge(LIAR, 0, nothing(9, parent="messages"), value("x", parent="runs", key="x")))

    assert scene.known() == known


def test_a_deleted_range_is_judged_per_record_and_not_per_clock(scene: Scene) -> None:
    """Records lie between entries that are none: each is one judgement, and so is each stretch between two."""
    entries = Item(ANY, uint(1000) + b"\x7e" * 1000, parent="messages")
    update = forge(1, vector_of(scene, 1), entries)
    scene.document.doc.apply_update(update)
    scene.admission.applied(update, read_update_header(update))
    end = vector_of(scene, 1)

    found = touches_of(scene, forge(LIAR, 0, deletes=((1, 0, end),)))

    assert len([touch for touch in found if touch.deleted.length > 900]) == 1
    records = [touch.made for touch in found if touch.made is not None and touch.made.node.name == "messages/*"]
    assert len(records) == len(set(records)) == 4
