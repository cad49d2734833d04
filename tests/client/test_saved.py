"""What is called saved is at the server, and what isn't is said: whatever throws, panics or is cancelled."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

import pytest
from client.hub import Hub, until
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Text, create_sync_message, create_update_message, handle_sync_message

from cosession.client import Refusal, Session, connect
from cosession.client import credential as credential_module
from cosession.client import transport as transport_module
from cosession.client.presence import Presence
from cosession.client.replica import DocumentBroken, Replica
from cosession.client.watched import WatchedDoc
from cosession.document import SessionDocument
from cosession.errors import Disconnected, is_crdt_error
from cosession.protocol import Granted, Limits, read_update_header

pytestmark = pytest.mark.anyio


def texts(session: Session) -> list[str]:
    return [message.text for message in session.messages]


def say(document: SessionDocument, text: str) -> None:
    document.messages.append("user", [{"type": "text", "text": text}], id=f"id-{text}", author="ann", created_at="t")


class Fault:
    """An observer that fails once, in one of the ways in which Python code can."""

    def __init__(self, kind: str, doc: "Doc[Any]") -> None:
        self.kind = kind
        self.doc = doc
        self.armed = False

    def __call__(self, *_: object) -> None:
        if not self.armed:
            return
        self.armed = False
        match self.kind:
            case "raises":
                raise ValueError("the disk is full")
            case "is cancelled":
                raise asyncio.CancelledError
            case "is interrupted":
                raise KeyboardInterrupt
            case _:
                self.doc.get_state()  # pycrdt panics: nothing may begin a transaction in here


EXPECTED = (ExceptionGroup, SystemError)
"""How pycrdt says that an observer failed; where it was interrupted, that comes out as well, somewhere."""

FAULTS = ["raises", "is cancelled", "is interrupted", "panics"]


def watch(session: Session, where: str, fault: Fault) -> None:
    match where:
        case "document":
            session.document.doc.observe(fault)
        case "type":
            session.document.messages.shared.observe(fault)
        case _:
            session.document.messages.shared.observe_deep(fault)


def attempt(act: Callable[[], Any]) -> None:
    """Do something whose observers may fail, as an application that goes on does."""
    try:
        act()
    except BaseException as error:
        if not isinstance(error, (*EXPECTED, asyncio.CancelledError, KeyboardInterrupt)) and not is_crdt_error(error):
            raise


@pytest.mark.parametrize("where", ["document", "type", "deep"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_what_is_written_while_an_observer_fails_is_sent_and_not_called_saved_before(
    hub: Hub, kind: str, where: str
):
    async with connect(hub.url, session="trip", participant="ann") as session:
        fault = Fault(kind, session.document.doc)
        watch(session, where, fault)
        await session.wait_saved()
        hub.holding = True
        fault.armed = True
        attempt(lambda: say(session.document, "one"))
        assert not fault.armed
        assert not session.saved
        await until(lambda: hub.held)
        await hub.release()
        await asyncio.wait_for(session.wait_saved(), 60)
        assert [message.id for message in hub.document.messages] == ["id-one"]
        fault.armed = True
        attempt(lambda: session.document.messages.shared.clear())
        assert not session.saved
        await asyncio.wait_for(session.wait_saved(), 60)
        assert len(hub.document.messages.shared) == 0
        say(session.document, "two")
        await asyncio.wait_for(session.wait_saved(), 60)
        assert [message.id for message in hub.document.messages] == ["id-two"]


@pytest.mark.parametrize("where", ["document", "type", "deep"])
@pytest.mark.parametrize("kind", ["raises", "is cancelled", "panics"])
async def test_what_others_write_while_an_observer_fails_is_seen_and_sending_goes_on(hub: Hub, kind: str, where: str):
    told: list[Refusal] = []
    async with connect(hub.url, session="trip", participant="ann") as session:
        session.on("refused", told.append)
        await session.send("before", id="m0")
        await session.wait_saved()
        fault = Fault(kind, session.document.doc)
        watch(session, where, fault)
        fault.armed = True
        before = session.document
        say(hub.document, "of ben")
        await until(lambda: texts(session) == ["before", "of ben"] and not fault.armed)
        if kind == "panics" and where != "document":  # the document can't be trusted any more, and is replaced
            await until(lambda: session.document is not before)
        await session.send("after")
        await asyncio.wait_for(session.wait_saved(), 60)
        assert [message.text for message in hub.document.messages] == ["before", "of ben", "after"]
        assert told == []


@pytest.mark.parametrize("last", ["raises", "is cancelled", "panics"])
@pytest.mark.parametrize("first", ["raises", "is cancelled"])
async def test_observers_that_fail_one_after_another_lose_nothing(hub: Hub, first: str, last: str):
    async with connect(hub.url, session="trip", participant="ann") as session:
        session.on("refused", print)
        say(hub.document, "before")
        await until(lambda: texts(session) == ["before"])
        await session.wait_saved()
        faults = [Fault(first, session.document.doc), Fault(last, session.document.doc)]
        for fault, where in zip(faults, ["deep", "document"], strict=True):
            watch(session, where, fault)
        for number in range(8):  # pycrdt calls the observers of a document in any order
            for fault in faults:
                fault.armed = True
            attempt(lambda number=number: say(session.document, f"word {number}"))
            session.document.doc.get_state()
            assert not session.saved
            await asyncio.wait_for(session.wait_saved(), 60)
        assert len(hub.document.messages.shared) == 9
        for fault in faults:
            fault.armed = True
        say(hub.document, "of ben")
        await until(lambda: "of ben" in texts(session))
        say(hub.document, "of ben again")
        await session.send("after")
        await asyncio.wait_for(session.wait_saved(), 60)
        await until(lambda: "of ben again" in texts(session))
        assert session.status == "online"


@pytest.mark.parametrize("kind", ["raises", "is cancelled", "panics"])
def test_a_commit_is_told_of_when_an_observer_fails(kind: str):
    doc, told = WatchedDoc(1), list[int]()
    text = doc.get("text", type=Text)
    doc.on_failed_commit = lambda: told.append(len(text))
    fault = Fault(kind, doc)
    doc.observe(fault)
    fault.armed = True
    attempt(lambda: text.insert(0, "one"))
    assert told == [3]
    text.insert(0, "two")
    assert told == [3]


async def test_an_observer_that_breaks_every_document_ends_the_session_with_its_error(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transport_module, "retry_delay", lambda _: 0.0)
    with pytest.raises(Disconnected, match="fresh one"):  # noqa: PT012 - the block's end raises, too
        async with connect(hub.url, session="trip", participant="ann") as session:
            seen: list[object] = []
            while session.status != "closed":
                document = session.document
                seen.append(document)
                fault = Fault("panics", document.doc)
                fault.armed = True
                watch(session, "deep", fault)
                say(hub.document, f"m{len(seen)}")
                await until(lambda before=document: session.document is not before or session.status == "closed")
            await session.send("more")
    assert len(seen) == 9


async def test_a_refusal_whose_listener_is_cancelled_ends_nothing(hub: Hub):
    def listen(_: Refusal) -> None:
        raise asyncio.CancelledError

    hub.forbidden = lambda document: any("forbidden" in message.text for message in document.messages)
    async with connect(hub.url, session="trip", participant="ann") as session:
        session.on("refused", listen)
        before = session.document
        await session.send("forbidden")
        await until(lambda: session.document is not before)
        await session.send("fine")
        await asyncio.wait_for(session.wait_saved(), 60)
    assert [message.text for message in hub.document.messages] == ["fine"]


@pytest.mark.parametrize("how", ["is cancelled", "raises", "never ends"])
async def test_a_token_function_that_fails_at_a_reconnect_is_asked_again(
    hub: Hub, how: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(credential_module, "TOKEN_SECONDS", 0.1)
    fails = False
    calls = 0

    async def token() -> str:
        nonlocal fails, calls
        calls += 1
        if fails:
            fails = False
            if how == "is cancelled":
                raise asyncio.CancelledError
            if how == "raises":
                raise OSError("no identity provider")
            await asyncio.Event().wait()
        return "token"

    async with connect(hub.url, session="trip", participant="ann", token=token) as session:
        fails = True
        hub.cut()
        await session.send("after the break")
        await asyncio.wait_for(session.wait_saved(), 60)
    assert calls == 3
    assert [message.text for message in hub.document.messages] == ["after the break"]


async def test_what_a_transaction_writes_is_not_waited_for_inside_of_it(hub: Hub):
    async with connect(hub.url, session="trip", participant="ann") as session:
        with session.document.transaction():
            session.state.set("a", 1)
            with pytest.raises(RuntimeError, match="leave its `with` block"):
                await session.wait_saved()
        await session.wait_saved()
        assert hub.document.state.get("a") == 1


@pytest.mark.parametrize("code", [4410, 4401, 4404])
async def test_what_is_written_after_the_end_is_not_called_saved_and_leaving_raises(hub: Hub, code: int):
    with pytest.raises(Disconnected, match="It is over") as unsaved:  # noqa: PT012 - the block's end raises
        async with connect(hub.url, session="trip", participant="ann") as session:
            await session.send("one")
            await session.wait_saved()
            hub.refusal = (code, "It is over.")
            hub.cut()
            await asyncio.wait_for(session.wait_closed(), 60)
            assert session.saved
            await session.wait_saved()
            with pytest.raises(Disconnected):
                session.state.set("a", 1)
            with pytest.raises(Disconnected):
                session.state.delete("a")
            say(session.document, "two")
            assert not session.saved
            with pytest.raises(Disconnected):
                await session.wait_saved()
    assert unsaved.value.close == code
    assert unsaved.value.lost == ("two",)
    assert not session.saved


async def test_every_way_to_write_raises_after_the_end_and_writes_nothing(hub: Hub):
    async with connect(hub.url, session="trip", participant="ann") as session:
        await session.send("one", id="m1")
        session.enqueue("later")
        take_back = session.offer_tool("t", print)
        text, queued, selections = session.text("notes"), session.queue, session.selections
        (prompt,) = queued
        await session.wait_saved()
        hub.refusal = (4410, "It is over.")
        hub.cut()
        await asyncio.wait_for(session.wait_closed(), 60)
        before = session.document.to_json(), session.presence.everybody()
        ways: list[Callable[[], Any]] = [
            lambda: session.send("two"),
            lambda: session.enqueue("two"),
            lambda: session.edit("m1", "two"),
            lambda: session.remove("m1"),
            lambda: session.count("likes"),
            lambda: session.counters.add("likes", "ann"),
            lambda: session.set_title("two"),
            lambda: session.cancel("r1"),
            lambda: session.steer("r1", "two"),
            lambda: session.vote("a1", "approved"),
            lambda: session.set_policy("queue"),
            lambda: session.claim("inbox").__aenter__(),
            lambda: session.run().__aenter__(),
            lambda: session.presence.set("cursor", 1),
            lambda: session.offer_tool("u", print),
            lambda: selections.set("ann", "cell", 1),
            lambda: selections.clear("ann", "cell"),
            lambda: queued.move(prompt.id, 0),
            lambda: queued.remove(prompt.id),
            lambda: queued.append("two", id="q", author="ann", created_at="2026-01-01T00:00:00Z"),
            lambda: text.append("two"),
            lambda: text.insert(0, "two"),
            lambda: text.set("two"),
        ]
        for number, way in enumerate(ways):
            with pytest.raises(Disconnected):  # noqa: PT012 - plain or async
                made = way()
                if isawaitable(made):
                    await made
                pytest.fail(f"The way {number} doesn't raise.")
        take_back()
        assert (session.document.to_json(), session.presence.everybody()) == before
        assert session.saved


async def test_what_is_written_after_the_block_is_not_called_saved(hub: Hub):
    async with connect(hub.url, session="trip", participant="ann") as session:
        await session.send("one")
    assert session.saved
    session.document.messages.shared.clear()
    assert not session.saved


async def test_the_error_that_ends_a_session_says_which_words_nobody_has(hub: Hub):
    with pytest.raises(Disconnected) as raised:  # noqa: PT012 - what is raised in the block comes out as it is
        async with connect(hub.url, session="trip", participant="ann") as session:
            hub.holding = True
            await session.send("unsaved words")
            await until(lambda: hub.held)
            hub.refusal = (4410, "It was deleted.")
            hub.cut()
            ended = await asyncio.wait_for(session.wait_closed(), 60)
            assert ended.lost == ("unsaved words",)
            await session.send("more")
    assert raised.value is ended


def content(doc: "Doc[Any]") -> tuple[bytes, bytes]:
    return doc.get_state(), doc.get_update(doc.get_state())


def make() -> Replica:
    doc = WatchedDoc(1)
    presence = Presence(1, {"id": "p1"}, wake=lambda: None, changed=lambda: None)
    return Replica(doc, presence, wake=lambda: None)


def talk(replica: Replica, server: "Doc[Any]", frames: list[bytes]) -> None:
    for data in frames:
        if data[0] == 0:
            reply = handle_sync_message(data[1:], server)
            if reply is not None:
                replica.receive(reply)
        elif data[0] == 102:
            replica.receive(data)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "delete", "large", "theirs", "send", "ask", "cut"]),
            st.sampled_from(["", "", "", *FAULTS]),
        ),
        max_size=30,
    )
)
def test_whenever_all_is_called_saved_the_server_has_the_same(actions: list[tuple[str, str]]):
    replica, server = make(), Doc[Any](client_id=2)
    replica.grant = Granted("p1", "P1", "agent", (), None, Limits(4096, 2048))
    text, theirs = replica.doc.get("text", type=Text), server.get("text", type=Text)
    fault = Fault("", replica.doc)
    text.observe_deep(fault)

    def act(action: str) -> None:
        match action:
            case "write":
                text.insert(0, "abc")
            case "large":
                text.insert(0, "🌊" * 3000)
            case "delete":
                del text[0:1]
            case "theirs":
                before = server.get_state()
                theirs.insert(0, "xyz")
                replica.receive(create_update_message(server.get_update(before)))
            case "send":
                talk(replica, server, replica.take())
            case "ask":
                replica.receive(create_sync_message(server))
            case _:
                replica.open()
                talk(replica, server, [create_sync_message(server)])
                replica.receive(create_sync_message(server))

    act("cut")
    for action, kind in actions:
        if action == "delete" and not str(text).startswith(("abc", "xyz")):
            continue
        fault.kind, fault.armed = kind, bool(kind) and action in ("write", "delete", "large")
        attempt(lambda action=action: act(action))
        fault.armed = False
        if replica.saved:
            assert content(server) == content(replica.doc) or set_of(replica.doc) <= set_of(server)
    for _ in range(400):
        if replica.saved:
            break
        act("send")
    assert replica.saved
    assert str(text) == str(theirs)


def set_of(doc: "Doc[Any]") -> set[tuple[int, int]]:
    """The clocks that a document has, and, negative, those that are deleted in it."""
    header = read_update_header(doc.get_update())
    brought = {(span.client, clock) for span in header.brings for clock in range(span.clock, span.end)}
    return brought | {(-span.client, clock) for span in header.deletes for clock in range(span.clock, span.end)}


def test_a_fence_from_before_the_server_asked_again_stands_for_nothing():
    replica, server = make(), Doc[Any](client_id=2)
    replica.open()
    replica.receive(create_sync_message(server))
    talk(replica, server, replica.take())
    text = replica.doc.get("text", type=Text)
    text.insert(0, "lost on the way")
    fence = next(data for data in replica.take() if data[0] == 102)
    replica.receive(create_sync_message(server))

    replica.receive(fence)

    assert not replica.saved
    talk(replica, server, replica.take())
    assert replica.saved
    assert str(server.get("text", type=Text)) == "lost on the way"


def test_a_document_that_panics_when_it_is_read_is_said_to_be_broken(monkeypatch: pytest.MonkeyPatch):
    class PanicException(BaseException):
        pass

    def panic() -> bytes:
        raise PanicException

    replica, server = make(), Doc[Any](client_id=2)
    replica.open()
    monkeypatch.setattr(replica.doc, "get_state", panic)
    with pytest.raises(DocumentBroken):
        replica.receive(create_sync_message(server))
