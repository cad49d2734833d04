"""What people change in an agent's words, as the whole session tells it."""

import asyncio

import pytest
from client.hub import Hub, until
from hypothesis import given
from hypothesis import strategies as st
from processes import PATIENCE_SECONDS, Server

from cosession.client import Edit, Edits, Session, connect
from cosession.client import session_link as link_module
from cosession.document import Message, SessionDocument
from cosession.errors import Disconnected

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"
TEXTS = st.text("ab 🌊", max_size=6)


async def say(session: Session, text: str) -> Message:
    async with session.run() as run:
        run.text(text)
        assert run.message is not None
        return run.message


async def seen(session: Session, message: Message) -> None:
    await until(lambda: session.messages.get(message.id))


def waiting(edits: Edits) -> list[Edit]:
    return list(edits._waiting.values())  # pyright: ignore[reportPrivateUsage]


async def test_who_changed_which_words_is_told_by_the_word_of_the_server(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        edits = planner.watch("edit")
        said = await say(planner, "To Lisbon 🌊 by train")
        theirs = await anna.send("Nice")
        await seen(anna, said)
        await until(lambda: "anna" in {who.id for who in planner.presence.people()})
        anna.edit(theirs.id, "Very nice")
        anna.edit(said.id, "To Porto 🌊 by train")
        edit = await anext(edits)
        assert (edit.message, edit.by, edit.verified) == (said.id, "anna", True)
        assert (edit.before, edit.after) == ("To Lisbon 🌊 by train", "To Porto 🌊 by train")
        assert (edit.index, edit.removed, edit.inserted) == (3, "Lisbon", "Porto")
        anna.remove(said.id)
        gone = await anext(edits)
        assert (gone.by, gone.before, gone.after) == ("anna", "To Porto 🌊 by train", "")
        assert waiting(edits) == []


async def test_what_the_agent_writes_itself_is_no_edit_in_this_process_or_another(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as one,
        connect(server.url, session="trip", participant="planner") as two,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        edits = one.watch("edit")
        mine = await say(one, "Mine")
        one.edit(mine.id, "Mine, and better")
        async with two.run() as run:
            for word in ("Also ", "the ", "agent's"):
                run.text(word)
                await two.wait_saved()
            assert run.message is not None
            other = run.message
            await seen(anna, other)
            anna.edit(other.id, "Also the agents'")
            edit = await anext(edits)
        assert (edit.message, edit.by, edit.after) == (other.id, "anna", "Also the agents'")
        assert waiting(edits) == []


async def test_words_of_a_process_that_nobody_knows_by_presence_are_told_apart_by_the_run(hub: Hub):
    elsewhere, stranger = SessionDocument(client_id=77), SessionDocument(client_id=78)

    def meet(document: SessionDocument) -> None:
        hub.doc.apply_update(document.doc.get_update(hub.doc.get_state()))
        document.doc.apply_update(hub.doc.get_update(document.doc.get_state()))

    async with connect(hub.url, session="trip", participant="planner") as planner:
        edits = planner.watch("edit")
        meet(elsewhere)
        elsewhere.runs.start("r", agent="planner", started_at=AT, client=77)
        part = {"type": "text", "text": "To ", "state": "streaming"}
        said = elsewhere.messages.append("assistant", [part], id="m", author="planner", created_at=AT, run="r")
        meet(elsewhere)
        said.parts[0].grow("Lisbon")
        meet(elsewhere)
        meet(stranger)
        text = stranger.messages[0].parts[0].text
        assert text is not None
        text.set("To Porto")
        meet(stranger)
        edit = await anext(edits)
        assert (edit.by, edit.verified, edit.before, edit.after) == (None, False, "To Lisbon", "To Porto")


async def test_a_slow_reader_gets_one_edit_a_message_without_its_own_words(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="planner") as planner,
        planner.run() as run,
    ):
        edits = planner.watch("edit")
        run.text("To Lisbon")
        assert run.message is not None
        mine = run.message
        await seen(anna, mine)
        for place in ("Faro", "Porto"):
            anna.edit(mine.id, f"To {place}")
            await until(lambda place=place: place in mine.text)
        run.text(", by ")
        await asyncio.sleep(0.04)
        run.text("train")
        run.message.edit("Go to Porto, by train", at=AT, by="planner")
        edit = await anext(edits)
        assert (edit.before, edit.after) == ("Go to Lisbon, by train", "Go to Porto, by train")
        assert waiting(edits) == []


async def test_an_edit_that_was_taken_back_before_anybody_looked_is_none(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="planner") as planner,
    ):
        edits = planner.watch("edit")
        said = await say(planner, "To Lisbon")
        await seen(anna, said)
        anna.edit(said.id, "To Porto")
        await until(lambda: waiting(edits))
        anna.edit(said.id, "To Lisbon")
        await until(lambda: not waiting(edits))


async def test_a_cancelled_wait_loses_no_edit_and_every_listener_gets_each(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="planner") as planner,
    ):
        said = await say(planner, "To Lisbon")
        first, second = planner.watch("edit"), planner.watch("edit")
        await seen(anna, said)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(first)
        anna.edit(said.id, "To Porto")
        assert (await anext(first)).after == (await anext(second)).after == "To Porto"


async def test_who_listens_again_is_told_what_changes_from_then_on(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="planner") as planner,
    ):
        said = await say(planner, "To Lisbon")
        await seen(anna, said)
        for place in ("Faro", "Porto"):
            edits = planner.watch("edit")
            before = said.text
            anna.edit(said.id, f"To {place}")
            edit = await anext(edits)
            assert (edit.before, edit.after) == (before, f"To {place}")
            del edits
            anna.edit(said.id, "Nowhere")
            await until(lambda: said.text == "Nowhere")


async def test_a_message_that_is_taken_out_of_the_list_is_told(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="planner") as planner,
    ):
        edits = planner.watch("edit")
        said = await say(planner, "To Lisbon")
        id_ = said.id
        await seen(anna, said)
        del anna.messages.shared[0]
        edit = await anext(edits)
        assert (edit.message, edit.by, edit.before, edit.after) == (id_, None, "To Lisbon", "")


async def test_what_was_changed_while_the_agent_was_away_says_who_says_so(server: Server):
    async with (
        connect(server.url, session="trip", participant="anna", kind="human") as anna,
        connect(server.url, session="trip", participant="planner") as planner,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        edits = planner.watch("edit")
        said = await say(planner, "To Lisbon")
        await planner.wait_saved()
        await seen(anna, said)
        server.kill()
        await until(lambda: (planner.status, anna.status) == ("offline", "offline"))
        anna.edit(said.id, "To Porto")
        server.start()
        edit = await anext(edits)
        assert (edit.by, edit.before, edit.after) == ("anna", "To Lisbon", "To Porto")


async def test_what_a_refusal_cost_the_agent_is_nobodys_edit(hub: Hub):
    hub.forbidden = lambda document: "secret" in document.state
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="planner") as planner,
    ):
        planner.on("refused", lambda _: None)
        edits = planner.watch("edit")
        said = await say(planner, "To Lisbon")
        await planner.wait_saved()
        old = planner.document
        with planner.document.transaction():
            said.parts[0].grow(" by train")
            planner.state.set("secret", 1)
        await until(lambda: planner.document is not old)
        assert waiting(edits) == []
        anna.edit(said.id, "To Porto")
        edit = await anext(edits)
        assert (edit.before, edit.after) == ("To Lisbon", "To Porto")


async def test_the_iteration_ends_with_the_session(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link_module, "FLUSH_SECONDS", 0.1)
    async with connect(hub.url, session="trip", participant="planner") as planner:
        listening = asyncio.ensure_future(anext(planner.watch("edit")))
        await asyncio.sleep(0)
    with pytest.raises(Disconnected):
        await listening
    with pytest.raises(Disconnected):
        planner.watch("edit")


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_own_words_are_never_told_as_anothers_where_they_stand_apart(start: str, end: str, theirs: str, mine: str):
    told = Edits.__new__(Edits)
    told._waiting = {}  # pyright: ignore[reportPrivateUsage]
    told.add(Edit("m", "anna", f"{start}|X|{end}", f"{start}|{theirs}|{end}"))
    told.carry("m", f"{start}|{theirs}|{end}", f"{start}|{theirs}|{end}{mine}")
    told.carry("m", f"{start}|{theirs}|{end}{mine}", f"{mine}{start}|{theirs}|{end}{mine}")
    [edit] = waiting(told)
    assert (edit.before, edit.after) == (f"{mine}{start}|X|{end}{mine}", f"{mine}{start}|{theirs}|{end}{mine}")
