"""A new record that comes in one frame is taken as one, however long it is: judged, offered and sent as a whole."""

from collections.abc import Callable
from typing import Any

import pytest
from pycrdt import Array, Map, Text, UndoManager
from room.decisions.stage import Stage
from room.scene import AT

from cosession.auth import Capabilities, Participant
from cosession.document import SessionDocument
from cosession.errors import BadDocument, TooLarge
from cosession.protocol import SyncStep1, SyncStep2, SyncUpdate, encode_frame
from cosession.room.peer import Peer

ANN = Participant("ann", "Ann", capabilities=Capabilities.of("member"))
FULL = Participant("ann", "Ann")
BOT = Participant("bot", "Bot", "agent", Capabilities.of("agent"))
PEOPLE = pytest.mark.parametrize("who", [FULL, ANN], ids=["full write", "judged"])
EVERYBODY = pytest.mark.parametrize("is_full", [True, False], ids=["full write", "judged"])


class Writer:
    """A client of which each long frame is taken in steps.

    Attributes:
        seen: called after each step.
    """

    def __init__(self, stage: Stage, who: Participant, seen: Callable[[], object] = lambda: None) -> None:
        self.stage = stage
        self.seen = seen
        self.document = SessionDocument()
        self.connection = stage.next_connection()
        stage.do(stage.room.join(self.connection, Peer(who, extended=True), AT))
        stage.receive(self.connection, SyncStep1(b"\x00"))
        stage.receive(self.connection, SyncStep2(b"\x00\x00"))

    def write(self, change: Callable[[SessionDocument], object]) -> None:
        """Write something in one transaction, and send it."""
        before = self.document.doc.get_state()
        with self.document.transaction():
            change(self.document)
        self.send(before)

    def send(self, before: bytes) -> None:
        frame = encode_frame(SyncUpdate(self.document.doc.get_update(before)))
        for step in self.stage.room.receive_in_steps(self.connection, frame):
            if step is not None:
                self.stage.do(step(AT))
                self.seen()

    @property
    def refusal(self) -> Exception | None:
        """Why something was not taken."""
        return self.stage.room.peers[self.connection].ending


def says(size: int, count: int = 1) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "w" * size, "state": "done"}] * count


@PEOPLE
@pytest.mark.parametrize("size", [300_000, 600_000, 3_000_000])
def test_a_queued_prompt_becomes_a_message_with_all_its_words(stage: Stage, who: Participant, size: int):
    writer = Writer(stage, who)
    writer.write(lambda document: document.queue.append("w" * size, id="q", author="ann", created_at=AT))
    assert writer.refusal is None
    assert [message.text for message in stage.document.messages] == ["w" * size]
    assert not len(stage.document.queue)


@pytest.mark.parametrize("size", [250, 600])
@EVERYBODY
def test_a_question_with_a_long_schema_is_asked_as_it_was_meant(stage: Stage, is_full: bool, size: int):
    shapes: list[Callable[[], None]] = [
        lambda: check({"type": "string", "enum": [f"AP{number}" for number in range(size)]}),
        lambda: check({"type": "string", "allOf": [{"pattern": f"a{number}"} for number in range(size)]}),
    ]

    def check(schema: dict[str, Any]) -> None:
        def ask(document: SessionDocument) -> None:
            document.approvals.ask(
                f"a{len(asked)}", question="ok?", created_at=AT, schema=schema, quorum=2, who=["ann", "bob"]
            )

        whole = [set[str]()]
        writer = Writer(
            stage,
            Participant("bot", "Bot", "agent") if is_full else BOT,
            lambda: whole.append(keys(f"a{len(asked)}")),
        )
        writer.write(ask)
        assert writer.refusal is None
        asked.append(stage.document.to_json()["approvals"][f"a{len(asked)}"])
        assert asked[-1] | {"schema": schema, "quorum": 2, "who": ["ann", "bob"]} == asked[-1]
        assert all({"schema", "quorum", "who"} <= each for each in whole if each), "at no moment less"

    def keys(id_: str) -> set[str]:
        return set(stage.document.to_json()["approvals"].get(id_, {}))

    asked: list[dict[str, Any]] = []
    for shape in shapes:
        shape()


RECORDS: dict[str, tuple[Participant, str, Callable[[SessionDocument], object]]] = {
    "an approval's value": (
        BOT,
        "approvals",
        lambda document: document.approvals.ask(
            "a", question="ok?", created_at=AT, value={"lines": [{"a": 1, "b": 2, "c": 3}] * 200}
        ),
    ),
    "a surface": (
        BOT,
        "surfaces",
        lambda document: document.surfaces.create(
            "s",
            catalog_id="c",
            agent="bot",
            components=[{"id": f"c{one}", "component": {"Text": {"text": "x"}}} for one in range(300)],
            data={"rows": [{"a": 1}] * 300},
        ),
    ),
    "a message of many parts": (
        ANN,
        "messages",
        lambda document: document.messages.append("user", says(3, 700), id="m", author="ann", created_at=AT),
    ),
    "a message with much data": (
        ANN,
        "messages",
        lambda document: document.messages.append(
            "user",
            [*says(3), {"type": "data-x", "data": {"rows": [{"a": 1, "b": 2}] * 300}}],
            id="m",
            author="ann",
            created_at=AT,
        ),
    ),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_long_record_that_may_be_made_is_taken_and_is_never_less_than_whole(stage: Stage, kind: str):
    who, root, change = RECORDS[kind]
    seen: list[Any] = []
    writer = Writer(stage, who, lambda: seen.append(sizes(stage.document.to_json()[root])))
    writer.write(change)
    assert writer.refusal is None
    written = sizes(writer.document.to_json()[root])
    assert seen[-1] == written
    assert all(each in (written, sizes(type(writer.document.to_json()[root])())) for each in seen)


def sizes(value: Any) -> Any:
    """A record without the words of its values, and without what the server writes on it."""
    server = ("stamp", "asked_by")
    if isinstance(value, dict):
        return {key: sizes(one) for key, one in value.items() if key not in server}
    return [sizes(one) for one in value] if isinstance(value, list) else value


def test_a_long_message_comes_back_whole_when_its_deletion_is_undone(stage: Stage):
    writer = Writer(stage, ANN)
    writer.write(lambda document: document.messages.append("user", says(3, 300), id="m", author="ann", created_at=AT))
    writer.document.doc.apply_update(stage.room.diff(writer.document.doc.get_state()))
    messages = writer.document.doc.get("messages", type=Array)
    undo = UndoManager(scopes=[messages], capture_timeout_millis=0)
    writer.write(lambda document: document.messages.shared.clear())
    assert not len(stage.document.messages)
    before = writer.document.doc.get_state()
    undo.undo()
    writer.send(before)
    assert writer.refusal is None
    [message] = stage.document.messages
    assert (message.id, len(message.to_json()["parts"])) == ("m", 300)


@PEOPLE
@pytest.mark.parametrize(("count", "size"), [(150, 10), (250, 10), (1_000, 10), (1, 3_000_000)])
def test_an_agent_is_offered_a_long_prompt_when_it_has_all_of_it(
    stage: Stage, who: Participant, count: int, size: int
):
    offered: list[tuple[int, int]] = []

    def note() -> None:
        if "bot" in stage.told.takeable:
            [message] = stage.document.messages
            offered.append((len(message.to_json()["parts"]), len(message.text)))

    agent = stage.actor("bot", "agent")
    agent.write(lambda document: document.agents.declare("bot", name="bot"))
    writer = Writer(stage, who, note)
    writer.write(
        lambda document: document.messages.append(
            "user", says(size, count), id="m", author="ann", created_at=AT, to=["bot"]
        )
    )
    assert writer.refusal is None
    assert set(offered) == {(count, count * size)}


def test_a_record_beyond_all_measure_is_refused_as_one_and_costs_nothing_else(stage: Stage):
    writer = Writer(stage, ANN)

    def write(document: SessionDocument) -> None:
        for id_, count in (("m1", 1), ("m2", 2_500), ("m3", 1)):
            document.messages.append("user", says(3, count), id=id_, author="ann", created_at=AT)

    writer.write(write)
    assert isinstance(writer.refusal, TooLarge)
    assert "12508 structs" in str(writer.refusal)
    assert [message.id for message in stage.document.messages] == ["m1", "m3"]
    writer.document.doc.apply_update(stage.room.diff(b"\x00"))
    assert [message.id for message in writer.document.messages] == ["m1", "m3"], "it is gone where it was written too"


def test_a_question_beyond_all_measure_leaves_nothing_to_vote_on(stage: Stage):
    writer = Writer(stage, BOT)
    value = {"lines": [{"a": 1, "b": 2, "c": 3}] * 3_000}
    writer.write(lambda document: document.approvals.ask("a", question="ok?", created_at=AT, value=value, quorum=2))
    assert isinstance(writer.refusal, TooLarge)
    assert not stage.document.to_json()["approvals"]


def test_a_record_that_is_there_is_not_too_large_when_it_is_told_again(stage: Stage):
    writer = Writer(stage, FULL)
    writer.write(
        lambda document: document.messages.append("user", says(3, 2_500), id="m", author="ann", created_at=AT)
    )
    again = Writer(stage, ANN)
    again.document.doc.apply_update(writer.document.doc.get_update())
    again.write(lambda document: document.messages.append("user", says(3), id="n", author="ann", created_at=AT))
    before = stage.room.version
    again.send(b"\x00")
    assert (again.refusal, stage.room.version) == (None, before)
    assert [len(message.parts) for message in stage.document.messages] == [2_500, 1]


def test_an_applications_list_of_long_maps_is_not_refused(stage: Stage):
    writer = Writer(stage, Participant("ann", "Ann", capabilities=Capabilities.of("operator")))
    count = 12_000

    def write(document: SessionDocument) -> None:
        items = document.doc.get("items", type=Array)
        items.append({})
        items.append(Map({f"k{number}": number for number in range(count)}))

    writer.write(write)
    assert writer.refusal is None
    assert len(stage.document.doc.get("items", type=Array)[1]) == count


@PEOPLE
def test_a_prompt_that_is_too_long_to_be_copied_stays_and_others_go_before_it(stage: Stage, who: Participant):
    writer = Writer(stage, who)
    entry = {"id": "long", "author": "ann", "created_at": AT, "place": 1}
    writer.write(lambda document: document.queue.shared.append(Map({**entry, "text": Text("w" * 4_200_000)})))
    writer.write(lambda document: document.queue.append("short", id="q", author="ann", created_at=AT))
    assert writer.refusal is None
    assert [message.text for message in stage.document.messages] == ["short"]
    assert [waiting.id for waiting in stage.document.queue] == ["long"]


def test_a_prompt_that_would_stay_in_the_queue_is_not_written_there():
    document = SessionDocument()
    with pytest.raises(BadDocument, match="send it as a message"):
        document.queue.append("w" * 4_200_000, id="q", author="ann", created_at=AT)
    assert not len(document.queue)


def test_a_huge_record_that_nobody_judges_is_seen_before_it_is_whole(stage: Stage):
    heard: list[bool] = []
    writer = Writer(stage, FULL, lambda: heard.append(stage.document.surfaces.get("s") is not None))
    components = [{"id": f"c{number}", "text": "hello"} for number in range(60_000)]
    writer.write(lambda document: document.surfaces.create("s", catalog_id="c", components=components))
    assert writer.refusal is None
    assert sum(heard) > 2
    assert len(stage.document.surfaces.get("s").to_json()["components"]) == 60_000
