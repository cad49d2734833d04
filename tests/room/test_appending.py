"""Messages that are appended to a long list: no walk over it, and all is as with one."""

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, TransactionEvent
from room.scene import AT, Scene

from cosession.auth import EVERYTHING, Capabilities, Participant
from cosession.document import Policy, SessionDocument, list_index
from cosession.document.list_index import SHORT
from cosession.protocol import SyncUpdate, encode_frame
from cosession.room import appending, changes
from cosession.room.room import Peer
from cosession.settings import Settings

WHO = {
    1: Participant("ada", "Ada", "human", EVERYTHING),
    2: Participant("bo", "Bo", "human", Capabilities.of("member")),
    3: Participant("cy", "Cy", "human", Capabilities.of("member")),
}
MOST = 3


def past() -> bytes:
    """A list that is just long enough for an index."""
    document = SessionDocument(Doc())
    document.initialise(created_at=AT)
    for number in range(SHORT + 1):
        say(document, f"old{number}", "ada").set_stamp(by="ada", at=AT, seq=number)
    return document.doc.get_update()


def say(document: SessionDocument, id_: str, author: str) -> Any:
    parts = [{"type": "text", "text": "hello", "state": "done"}]
    return document.messages.append("user", parts, id=id_, author=author, created_at=AT)


PAST = past()


@pytest.fixture(autouse=True)
def every_list_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "LONG", 1)


class Client:
    """A participant's replica, which hears what was logged only when it is told to."""

    def __init__(self, scene: Scene, connection: int) -> None:
        self.connection = connection
        self.scene = scene
        self.document = SessionDocument(Doc())
        self.document.doc.apply_update(PAST)
        self.heard = 0

    def hear(self) -> None:
        for row in self.scene.rows[self.heard :]:
            self.document.doc.apply_update(row.update)
        self.heard = len(self.scene.rows)

    def act(self, *what: Any) -> None:
        for frame in self.frames(*what):
            self.scene.do(self.scene.room.receive(self.connection, frame, AT))

    def frames(self, *what: Any) -> list[bytes]:
        updates: list[bytes] = []

        def note(event: TransactionEvent) -> None:
            updates.append(event.update)

        subscription = self.document.doc.observe(note)
        with self.document.transaction():
            for one in what:
                one(self.document)
        self.document.doc.unobserve(subscription)
        return [encode_frame(SyncUpdate(update)) for update in updates]


def room(settings: Settings) -> tuple[Scene, dict[int, Client]]:
    scene = Scene(settings, [PAST], 1)
    scene.room.begin(AT)
    for connection, who in WHO.items():
        scene.do(scene.room.join(connection, Peer(who, extended=True), AT))
    return scene, {connection: Client(scene, connection) for connection in WHO}


steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("say", "say", "say", "say twice", "post", "delete", "edit", "empty", "note"),
                *("queue", "enqueue", "enqueue", "enqueue", "withdraw", "run", "run", "end"),
            ]
        ),
        st.integers(1, MOST),
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=25,
)


def take(scene: Scene, client: Client, step: Any, number: int) -> None:
    what, _, _, place = step
    who = WHO[client.connection]
    author, new = who.id, f"new{number}"
    match what:
        case "say":
            client.act(lambda document: say(document, new, author))
        case "say twice":
            client.act(lambda document: say(document, new, author), lambda document: say(document, f"{new}b", author))
        case "post":
            scene.do(scene.room.append(lambda document: say(document, new, author), AT, who, 100))
        case "queue":
            scene.do(scene.room.edit(lambda document: add_entry(document, new), AT))
        case "enqueue":
            client.act(lambda document: add_entry(document, new, "ada", author))
        case "withdraw":
            client.act(lambda document: withdraw(document, place))
        case "end":
            client.act(end_runs)
        case "delete":
            scene.do(scene.room.edit(lambda document: remove(document, place), AT))
        case "edit":
            client.act(lambda document: document.messages[-1 - place].shared.__setitem__("note", number))
        case "empty":
            client.act(
                lambda document: document.messages.shared.append(Map()),
                lambda document: document.messages[place].shared.__setitem__(f"fresh{number}", 1),
            )
        case "note":
            client.act(lambda document: document.doc.get("notes", type=Array).append(Map({"id": new})))
        case "run":
            client.act(
                lambda document: document.runs.start(new, agent=author, started_at=AT, client=document.doc.client_id),
                lambda document: say(document, f"{new}.m", author),
            )
        case _:
            pass


def add_entry(document: SessionDocument, id_: str, agent: str = "bot", author: str = "ada") -> None:
    document.queue.append("later", id=id_, author=author, created_at=AT, to=[agent])


def withdraw(document: SessionDocument, place: int) -> None:
    if place < len(document.queue.shared):
        del document.queue.shared[place]


def end_runs(document: SessionDocument) -> None:
    for run in document.runs:
        if not run.ended:
            run.end("complete", at=AT)


def remove(document: SessionDocument, place: int) -> None:
    del document.messages.shared[len(document.messages.shared) - 1 - place]


@examples(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_whatever_is_done_the_index_has_the_list_and_the_log_the_document(settings: Settings, taken: Any) -> None:
    scene, clients = room(settings)
    for number, step in enumerate(taken):
        client = clients[1 if step[0] in {"empty", "note", "run", "end"} else step[1]]
        if step[2]:
            client.hear()
        take(scene, client, step, number)
        messages = scene.room.document.messages
        assert messages.index is not None
        event("the last is known" if messages.index.last else "the last is not known")
        listed: list[Any] = messages.shared.to_py() or []
        assert [None if item is None else item.to_py() for item in messages.index] == listed
        queue = scene.room.document.queue
        waiting: list[Any] = queue.shared.to_py() or []
        event(f"{len(waiting)} wait")
        if queue.index is not None:
            event("the last in the queue is known" if queue.index.last else "the last in the queue is not known")
            assert [None if item is None else item.to_py() for item in queue.index] == waiting
        named = [item for item in listed if "id" in item]
        assert all("stamp" in item for item in named)
        assert len({item["id"] for item in named}) == len(named)
        for item in named[-4:]:
            found = messages.get(item["id"])
            assert found is not None
            assert found.shared.to_py() == item
        if not any(what in {"withdraw", "delete"} for what, *_ in taken):
            there = [item["id"] for item in named + waiting]
            entered = [
                f"new{place}" for place, (what, *_) in enumerate(taken[: number + 1]) if what in {"queue", "enqueue"}
            ]
            assert [there.count(id_) for id_ in entered] == [1] * len(entered)
    replica = Doc[Any]()
    replica.apply_update(PAST)
    for row in scene.rows:
        replica.apply_update(row.update)
    assert SessionDocument(replica).messages.to_json() == scene.room.document.messages.to_json()


def listed_and_indexed(scene: Scene) -> tuple[Any, Any]:
    messages = scene.room.document.messages
    assert messages.index is not None
    return messages.shared.to_py(), [None if item is None else item.to_py() for item in messages.index]


@pytest.mark.parametrize("place", [0, SHORT, SHORT + 1])
def test_an_empty_entry_beside_a_new_key_of_another_is_itself(settings: Settings, place: int) -> None:
    scene, clients = room(settings)
    ada = clients[1]
    ada.act(lambda document: say(document, "first", "ada"))
    ada.act(
        lambda document: document.messages.shared.append(Map()),
        lambda document: document.messages.shared[place].__setitem__("fresh", 1),
    )
    ada.act(lambda document: document.messages.shared[SHORT + 2].__setitem__("id", "late"))
    listed, indexed = listed_and_indexed(scene)
    assert indexed == listed
    assert scene.room.document.messages.get("late") is not None
    ada.hear()
    ada.act(lambda document: document.messages.shared.__delitem__(0))
    listed, indexed = listed_and_indexed(scene)
    assert indexed == listed


def test_an_entry_of_a_list_of_an_application_is_never_taken_for_the_last_message(settings: Settings) -> None:
    scene, clients = room(settings)
    ada = clients[1]
    ada.act(lambda document: document.messages.shared.append(Map({"id": "half"})))
    known = ada.document.doc.get_state()
    ada.act(lambda document: document.doc.get("notes", type=Array).append(Map({"id": "n0"})))
    clients[2].hear()
    clients[2].act(lambda document: say(document, "first", "bo"))
    with ada.document.transaction():
        ada.document.doc.get("notes", type=Array).append(Map({"id": "n1"}))
    again = encode_frame(SyncUpdate(ada.document.doc.get_update(known)))
    scene.do(scene.room.receive(ada.connection, again, AT))
    scene.do(scene.room.append(lambda document: say(document, "posted", "ada"), AT, WHO[1], 100))
    assert [item["id"] for item in scene.room.document.doc.get("notes", type=Array).to_py()] == ["n0", "n1"]
    listed, indexed = listed_and_indexed(scene)
    assert indexed == listed
    assert listed[-1]["id"] == "posted"
    assert "stamp" in listed[-1]


def test_a_whole_message_is_not_taken_for_one_of_which_the_rest_came_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, clients = room(settings)
    ada = clients[1]
    ada.act(lambda document: document.messages.shared.append(Map({"id": "half"})))
    ada.act(lambda document: say(document, "first", "ada"))
    completed: list[Any] = []
    monkeypatch.setattr(changes, "completed", lambda _, messages: completed.extend(messages))
    ada.act(lambda document: say(document, "second", "ada"))
    assert completed == []
    ada.act(lambda document: document.messages.shared[SHORT + 1].__setitem__("role", "user"))
    assert [message.id for message in completed] == ["half"]


def fail(*_: object) -> None:
    raise AssertionError("the library was asked what changed in the list: it walks the list for that")


@pytest.mark.parametrize("who", WHO)
def test_a_message_behind_the_last_takes_no_walk_over_the_list(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, who: int
) -> None:
    scene, clients = room(settings)
    clients[who].act(lambda document: say(document, "first", WHO[who].id))
    monkeypatch.setattr(list_index, "ArrayEvent", fail)
    of_one = Array.__getitem__  # such as the parts of the messages here
    monkeypatch.setattr(Array, "__getitem__", lambda self, at: fail() if len(self) > 1 else of_one(self, at))
    for number in range(3):
        clients[who].act(lambda document, number=number: say(document, f"m{number}", WHO[who].id))
    for client in clients.values():
        client.hear()
    other = who % MOST + 1
    clients[other].act(lambda document: say(document, "other", WHO[other].id))
    found = scene.room.document.messages.get("other")
    assert found is not None
    assert (found.stamp or {}).get("by") == WHO[other].id


def test_a_message_that_the_server_appends_takes_no_walk_over_the_list(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, clients = room(settings)
    clients[1].act(lambda document: say(document, "first", "ada"))
    monkeypatch.setattr(list_index, "ArrayEvent", fail)
    index = scene.room.document.messages.index
    for number in range(3):
        scene.do(scene.room.append(lambda document, n=number: say(document, f"m{n}", "ada"), AT, WHO[1], 100))
        assert index is not None
        assert index.last is not None
    posted = scene.room.document.messages.get("m2")
    assert posted is not None
    assert posted.stamp == {"by": "ada", "at": AT, "seq": scene.room.version - 1}
    assert posted.text == "hello"


def test_a_prompt_that_leaves_the_queue_takes_no_walk_over_a_list(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, clients = room(settings)
    ada = clients[1]
    ada.act(lambda document: say(document, "first", "ada"))
    scene.do(scene.room.edit(lambda document: document.meta.set_policy(Policy((), "parallel")), AT))
    ada.act(lambda document: add_entry(document, "q0"))
    frames = [ada.frames(lambda document, n=number: add_entry(document, f"q{n}")) for number in range(1, 5)]
    scene.do(scene.room.receive(1, *frames[0], AT))
    for name in ("__delitem__", "__iter__", "to_py"):
        monkeypatch.setattr(Array, name, fail)
    of_one = Array.__getitem__  # such as the parts of the messages here
    monkeypatch.setattr(Array, "__getitem__", lambda self, at: fail() if len(self) > 1 else of_one(self, at))
    monkeypatch.setattr(list_index, "ArrayEvent", fail)
    for frame in frames[1:]:
        scene.do(scene.room.receive(1, *frame, AT))
    monkeypatch.undo()
    assert scene.room.document.queue.to_json() == []
    said = [message.id for message in scene.room.document.messages]
    assert said[-6:] == ["first", "q0", "q1", "q2", "q3", "q4"]


def test_an_entry_of_another_list_is_not_taken_for_a_message() -> None:
    doc: Doc[Any] = Doc()
    messages, queue = (doc.get(name, type=Array) for name in ("messages", "queue"))
    index = list_index.ListIndex(messages)
    messages.append(Map({"id": "a"}))
    index.append((doc.client_id, 99), lambda: queue.append(Map()), lambda: queue[0].update({"id": "b"}))
    assert [None if item is None else item["id"] for item in index] == ["a"]
    assert index.last is None


def test_a_message_that_cannot_be_read_leaves_all_as_it_was(settings: Settings) -> None:
    scene, clients = room(settings)
    clients[1].act(lambda document: say(document, "first", "ada"))
    before = scene.room.document.doc.get_state()
    with pytest.raises(Exception, match="role"):
        scene.room.append(
            lambda document: document.messages.append_json({"id": "m", "role": "nobody", "parts": []}), AT, WHO[1], 1
        )
    assert scene.room.document.doc.get_state() == before
