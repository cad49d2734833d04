"""Messages and their parts: whole, growing in place, merging, and the same as JSON."""

from typing import Any

import pytest
from document.samples import AT, EVERY_PART, INPUT, TOOL_FIELDS, copy_of, exchange, keys, said, texts, values
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Map, Text

from cosession.document import TOOL_STATES, SessionDocument
from cosession.errors import BadDocument


def assistant(document: SessionDocument, *parts: dict[str, Any], id: str = "m2") -> Any:  # noqa: A002
    return document.messages.append("assistant", parts, id=id, author="agent", created_at=AT, status="streaming")


def test_a_message_reads_as_it_was_written(session: SessionDocument) -> None:
    session.messages.append(
        "user", [{"type": "text", "text": "Hallo 😀"}], id="m1", author="ada", created_at=AT, run="r1", parent="m0"
    )
    message = copy_of(session).messages[0]
    assert (message.id, message.role, message.text, message.status) == ("m1", "user", "Hallo 😀", "complete")
    assert (message.author, message.created_at, message.run, message.parent) == ("ada", AT, "r1", "m0")
    assert message.to_json()["parts"] == [{"type": "text", "text": "Hallo 😀", "state": "done"}]


def test_a_message_asks_a_few_agents_and_never_thousands(session: SessionDocument) -> None:
    many = [f"agent-{number}" for number in range(1000)]
    words = [{"type": "text", "text": "all of you"}]
    with pytest.raises(BadDocument, match="32"):
        session.messages.append("user", words, id="m1", author="ada", created_at=AT, to=many)
    with pytest.raises(BadDocument, match="32"):
        session.queue.append("all of you", id="q1", author="ada", created_at=AT, to=many)
    for metadata in ({"to": many}, Map({"to": many}), Map({"to": Array(many)})):
        fields = {"id": "m1", "role": "user", "metadata": metadata, "parts": Array([])}
        session.messages.shared.append(Map(fields))
        assert session.messages[-1].to == tuple(many[:32])
    session.queue.append("x", id="q2", author="ada", created_at=AT).shared["to"] = many
    assert session.queue.get("q2").to == tuple(many[:32])


def test_a_message_is_found_by_its_id_wherever_it_is(session: SessionDocument) -> None:
    for number in range(200):
        session.messages.append(
            "user", [{"type": "text", "text": "😀"}], id=f"m{number // 2}", author="ada", created_at=AT
        )
        if number % 7 == 0:
            session.messages.shared.append(Text("no message"))
    for number in range(100):
        found = session.messages.get(f"m{number}")
        assert found is not None
        found.shared["mark"] = number
    marked = [message.shared.get("mark") for message in session.messages]
    assert marked == [mark for number in range(100) for mark in (None, number)], "the newest of two"
    assert session.messages.get("m100") is None


def test_a_message_arrives_whole(session: SessionDocument) -> None:
    seen: list[int] = []
    session.doc.observe(lambda event: seen.append(len(event.update)))
    assistant(session, *EVERY_PART)
    assert len(seen) == 1


def test_every_type_of_part_comes_back_as_it_was_written(session: SessionDocument) -> None:
    assistant(session, *EVERY_PART)
    assert copy_of(session).messages[0].to_json()["parts"] == EVERY_PART


parts = st.sampled_from(EVERY_PART) | st.builds(lambda data: {"type": "data-x", "data": data}, values)


@given(
    st.builds(
        lambda id, role, metadata, status, parts: {  # noqa: A006
            "id": id,
            "role": role,
            "metadata": {**metadata, "status": status},
            "parts": parts,
        },
        keys.filter(bool),
        st.sampled_from(["user", "assistant", "system"]),
        st.dictionaries(keys, values, max_size=3),
        st.sampled_from(["streaming", "complete", "cancelled", "error"]),
        st.lists(parts, min_size=1, max_size=4),
    )
)
def test_a_message_survives_the_way_through_the_document_and_back(message: dict[str, Any]) -> None:
    first, second = SessionDocument(), SessionDocument()
    first.messages.append_json(message)
    shown = copy_of(first).messages.to_json()
    assert shown == [message]
    second.messages.append_json(shown[0])
    assert second.messages.to_json() == shown


def test_a_text_grows_in_place(session: SessionDocument) -> None:
    message = assistant(session)
    part = message.append_part({"type": "text", "state": "streaming"})
    for token in ("Grüß", "e ", "", "👩‍👩‍👧"):
        part.grow(token)
    assert part.state == "streaming"
    part.finish()
    replica = copy_of(session).messages[0]
    assert replica.to_json()["parts"] == [{"type": "text", "text": "Grüße 👩‍👩‍👧", "state": "done"}]
    assert isinstance(replica.parts[0].shared["text"], Text)


def test_a_tool_call_goes_through_its_states(session: SessionDocument) -> None:
    part = assistant(session).append_part({"type": "tool-hotel", "toolCallId": "c1", "state": "input-streaming"})
    part.grow('{"city": ')
    part.grow('"Zürich"}')
    assert str(part.text) == '{"city": "Zürich"}'
    part.update(state="input-available", input=INPUT)
    assert "rawInput" not in part.to_json()
    assert isinstance(part.shared["input"], Map)
    part.update(state="approval-requested", approval={"id": "a1"})
    part.update(state="approval-responded", approval={"id": "a1", "approved": True})
    part.update(state="output-available", output={"price": 120.0}, preliminary=True)
    part.update(state="output-error", errorText="It burned down.")
    assert part.to_json() == {
        "type": "tool-hotel",
        "toolCallId": "c1",
        "state": "output-error",
        "input": INPUT,
        "approval": {"id": "a1", "approved": True},
        "errorText": "It burned down.",
    }
    part.update(state="output-available", output=1, preliminary=True)
    part.update(preliminary=None)
    assert "preliminary" not in part.to_json()


def test_every_state_of_a_tool_call_is_in_the_samples() -> None:
    assert set(TOOL_STATES) == set(TOOL_FIELDS)


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"type": "video"},
        {"type": "tool-"},
        {"type": "text", "text": 3},
        {"type": "text", "text": "x", "state": "halfway"},
        {"type": "text", "text": "\ud83d"},
        {"type": "file", "url": "x"},
        {"type": "data-x"},
        {"type": "data-x", "data": float("nan")},
        {"type": "data-x", "data": 2**60},
        {"type": "data-x", "data": {1, 2}},
        {"type": "steering-message", "id": "m"},
        {"type": "tool-x", "state": "input-available", "input": {}},
        {"type": "tool-x", "toolCallId": "c", "state": "thinking"},
        {"type": "tool-x", "toolCallId": "c", "state": "input-available"},
        {"type": "tool-x", "toolCallId": "c", "state": "input-available", "input": {}, "output": 1},
        {"type": "tool-x", "toolCallId": "c", "state": "output-error", "errorText": 1},
        {"type": "tool-x", "toolCallId": "c", "state": "output-denied", "input": {}, "approval": {"id": "a"}},
        {"type": "tool-x", "toolCallId": "c", "state": "approval-requested", "input": {}, "approval": "yes"},
        {"type": "dynamic-tool", "toolCallId": "c", "state": "input-available", "input": {}},
    ],
)
def test_a_part_that_does_not_fit_is_refused_and_changes_nothing(
    session: SessionDocument, part: dict[str, Any]
) -> None:
    before = session.to_json()
    with pytest.raises(BadDocument):
        assistant(session, {"type": "text", "text": "fine"}, part)
    assert session.to_json() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": 7},
        {"role": "robot"},
        {"parts": []},
        {"parts": "hello"},
        {"metadata": {"status": "fine"}},
        {"metadata": 3},
    ],
)
def test_a_message_that_does_not_fit_is_refused(session: SessionDocument, wrong: dict[str, Any]) -> None:
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "x"}], **wrong}
    with pytest.raises(BadDocument):
        session.messages.append_json(message)
    assert len(session.messages) == 0


def test_wrong_changes_of_a_part_are_refused(session: SessionDocument) -> None:
    message = assistant(session, {"type": "text", "text": "x"}, {"type": "step-start"}, {"type": "data-a", "data": 1})
    text, step, data = message.parts
    for change in (
        lambda: text.update(type="reasoning"),
        lambda: text.update(state="gone"),
        lambda: step.grow("x"),
        lambda: step.finish(),
        lambda: data.update(data=float("inf")),
        lambda: message.set_status("nearly"),
    ):
        with pytest.raises(BadDocument):
            change()
    data.update(data=None)
    assert data.to_json() == {"type": "data-a", "data": None}


def test_edits_of_one_message_merge(session: SessionDocument) -> None:
    said(session, "A flight to Zürich 🛫 on Monday")
    other = copy_of(session)
    session.messages[0].edit("A train to Zürich 🛫 on Monday", at=AT, by="ada")
    other.messages[0].edit("A flight to Zürich 🛫 on Tuesday", at=AT, by="ada")
    exchange(session, other)
    assert session.messages[0].text == other.messages[0].text == "A train to Zürich 🛫 on Tuesday"
    assert session.messages[0].edited_at == AT


@given(st.lists(texts, min_size=1, max_size=4), texts)
def test_an_edit_makes_the_text_what_it_shall_be(pieces: list[str], wanted: str) -> None:
    session = SessionDocument()
    message = assistant(session, *({"type": "text", "text": piece} for piece in pieces))
    message.edit(wanted, at=AT, by="ada")
    assert message.text == copy_of(session).messages[0].text == wanted
    assert len(message.parts) == len(pieces)


def test_editing_a_message_without_text_gives_it_one(session: SessionDocument) -> None:
    message = assistant(session, {"type": "step-start"})
    message.edit("hello", at=AT, by="ada")
    assert message.text == "hello"


def test_a_deleted_message_is_empty_and_still_a_message(session: SessionDocument) -> None:
    message = said(session, "secret")
    message.delete(at=AT)
    message.delete(at=AT)
    replica = copy_of(session).messages[0]
    assert (replica.deleted, replica.text, replica.parts) == (True, "", [])
    assert replica.to_json()["parts"] == [{"type": "text", "text": "", "state": "done"}]
    assert "secret" not in str(session.to_json())


def test_what_is_written_into_a_deleted_part_is_lost_without_harm(session: SessionDocument) -> None:
    message = assistant(session, {"type": "text", "state": "streaming"}, *EVERY_PART)
    parts, other = message.parts, copy_of(session)
    text, tool = parts[0].text, parts[-1]
    other.messages[0].delete(at=AT)
    exchange(session, other)
    for _ in range(50):
        parts[0].grow("token ")
        text.append("token ")
        text.replace(0, 0, "x")
    parts[0].finish()
    tool.update(state="output-available", output={"a": [1]})
    tool.shared["input"] = Map({"late": Array([Map({"x": 1})])})
    message.set_status("complete")
    assert parts[0].gone
    assert not message.gone
    exchange(session, other)
    assert session.to_json() == other.to_json() == copy_of(other).to_json()
    assert session.messages[0].to_json()["metadata"]["status"] == "complete"
    assert len(session.messages[0].text) == 0


def test_a_message_that_was_removed_whole_is_not_written_to(session: SessionDocument) -> None:
    message = assistant(session, {"type": "text", "text": "hello"})
    other = copy_of(session)
    del other.messages.shared[0]
    exchange(session, other)
    assert message.gone
    before = session.doc.get_update()
    with pytest.raises(BadDocument, match="taken out"):
        message.append_part({"type": "text", "text": "late"})
    with pytest.raises(BadDocument, match="taken out"):
        message.edit("later", at=AT, by="ada")
    message.set_status("complete")
    message.delete(at=AT)
    assert session.doc.get_update() == before
    exchange(session, other)
    assert session.messages.to_json() == other.messages.to_json() == []
    assert session.doc.get_state() == other.doc.get_state()


def test_messages_are_found_by_place_and_by_id(session: SessionDocument) -> None:
    for number in range(5):
        said(session, str(number), f"m{number}")
    found = session.messages.get("m3")
    assert found is not None
    assert found.text == "3"
    assert session.messages.get("m9") is None
    assert [session.messages[index].id for index in (0, 4, -1, -5)] == ["m0", "m4", "m4", "m0"]
    with pytest.raises(IndexError):
        session.messages[5]
    with pytest.raises(IndexError):
        session.messages[-6]


def test_what_the_server_says_of_a_message_is_apart(session: SessionDocument) -> None:
    message = said(session, "hello")
    assert message.stamp is None
    message.set_stamp(by="ada", at=AT, seq=3)
    message.set_metadata(mood="good")
    assert message.stamp == {"by": "ada", "at": AT, "seq": 3}
    assert message.to_json()["stamp"]["seq"] == 3
    assert message.metadata["mood"] == "good"


def test_foreign_messages_are_read_as_far_as_they_go(session: SessionDocument) -> None:
    messages = session.messages.shared
    for foreign in (
        "just a string",
        7,
        None,
        Map({}),
        Map({"id": 5, "role": ["x"], "parts": "none", "metadata": "none"}),
        Map(
            {
                "id": "a",
                "role": "assistant",
                "parts": Array([3, Map({}), Map({"type": 9, "text": 1}), {"type": "text"}]),
            }
        ),
        Map(
            {"id": "b", "role": "user", "parts": [{"type": "text", "text": "plain"}], "metadata": {"status": "error"}}
        ),
        Map({"id": "c", "stamp": "me", "parts": Text("oops"), "metadata": Array([1])}),
        {"id": "d", "role": "user", "parts": []},
    ):
        messages.append(foreign)
    for message in session.messages:
        assert isinstance(message.text, str)
        assert isinstance(message.status, str)
        assert isinstance(message.metadata, dict)
        assert not message.deleted
        assert message.stamp is None
        for part in message.parts:
            assert isinstance(part.type, str)
            assert part.text is None
    shown = session.messages.to_json()
    assert [message["id"] for message in shown] == ["", "", "a", "b", "c", "d"]
    assert shown[3]["parts"] == [{"type": "text", "text": "plain"}]
    found = session.messages.get("b")
    assert found is not None
    assert found.status == "error"
    found.set_status("complete")
    assert found.metadata == {"status": "complete"}
    assert found.text == "plain"
    found.edit("plainly shared", at=AT, by="ada")
    assert found.text == copy_of(session).messages.to_json()[3]["parts"][0]["text"] == "plainly shared"
    found.append_part({"type": "step-start"})
    assert [part.type for part in found.parts] == ["text", "step-start"]


def test_a_stamp_is_not_taken_from_another_session(session: SessionDocument) -> None:
    message = said(session, "hello")
    message.set_stamp(by="ada", at=AT, seq=3)
    other = SessionDocument()
    other.messages.append_json(message.to_json())
    assert other.messages[0].stamp is None


def test_a_deleted_message_is_not_edited(session: SessionDocument) -> None:
    message = said(session, "Hello")
    message.delete(at=AT)
    with pytest.raises(BadDocument, match="is deleted"):
        message.edit("Back again", at=AT, by="ada")
    assert message.parts == []
