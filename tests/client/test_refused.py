"""A refused edit: the session goes on with the server's document, and says what was lost, with the text."""

import asyncio

import pytest
from client.hub import Hub, until
from hypothesis import given, settings
from hypothesis import strategies as st

from cosession.client import Refusal, Session, connect
from cosession.client.unsaved_text import lost_texts
from cosession.document import SessionDocument
from cosession.errors import Disconnected, WriteRefused

pytestmark = pytest.mark.anyio


@pytest.fixture
async def strict(hub: Hub) -> Hub:
    """A server that refuses every message that says "forbidden"."""
    hub.forbidden = lambda document: any("forbidden" in message.text for message in document.messages)
    return hub


def texts(session: Session) -> list[str]:
    return [message.text for message in session.messages]


async def test_a_refused_message_is_told_as_lost_and_the_session_goes_on(strict: Hub):
    told: list[Refusal] = []
    async with connect(strict.url, session="trip", participant="ann") as session:
        session.on("refused", told.append)
        strict.document.messages.append(
            "user", [{"type": "text", "text": "of another"}], id="m0", author="ben", created_at="t"
        )
        await until(lambda: texts(session) == ["of another"])
        await session.send("fine 🌊")
        await session.wait_saved()
        before = session.document
        await session.send("forbidden 🦑 words")
        assert texts(session)[-1] == "forbidden 🦑 words"
        await until(lambda: told)

        assert [(each.close, each.code, each.reason, each.touched, each.lost) for each in told] == [
            (4403, "auth.forbidden", "You may not write this.", "messages/*", ("forbidden 🦑 words",))
        ]
        assert session.document is not before
        assert session.document.doc.client_id != before.doc.client_id
        assert texts(session) == ["of another", "fine 🌊"]
        assert session.status == "online"
        await session.send("and on")
        await session.wait_saved()
    assert [message.text for message in strict.document.messages] == ["of another", "fine 🌊", "and on"]


async def test_everything_unsaved_is_lost_with_it_and_nothing_that_was_saved_or_taken_back(strict: Hub):
    told: list[Refusal] = []
    async with connect(strict.url, session="trip", participant="ann") as session:
        session.on("refused", told.append)
        await session.send("kept", id="m1")
        await session.wait_saved()
        with session.document.transaction():
            session.edit("m1", "kept, and forbidden")
            await session.send("written behind it")
            session.state.set("trip/city", "Lisbon")
            session.set_title("A title")
            session.steer("r1", "by train")
            await session.send("taken back", id="m2")
            session.remove("m2")
        await until(lambda: told)
        assert sorted(told[0].lost) == sorted(
            [", and forbidden", "written behind it", "Lisbon", "A title", "by train"]
        )
        assert texts(session) == ["kept"]


async def test_a_value_that_its_writer_set_back_is_not_lost(strict: Hub):
    told: list[Refusal] = []
    async with connect(strict.url, session="trip", participant="ann") as session:
        session.on("refused", told.append)
        session.state.set("trip", {"city": "Faro", "day": "Monday"})
        session.set_title("A trip")
        await session.wait_saved()
        with session.document.transaction():
            await session.send("forbidden")
            for city, day, title in [("Lisbon", "Friday", "Another"), ("Faro", "Sunday", "A trip")]:
                session.state.set(("trip", "city"), city)
                session.state.set(("trip", "day"), day)
                session.set_title(title)
        await until(lambda: told)
        assert sorted(told[0].lost) == ["Sunday", "forbidden"]


async def test_who_waits_for_the_refused_edit_to_be_saved_is_told(strict: Hub):
    async with connect(strict.url, session="trip", participant="ann") as session:
        session.on("refused", lambda _: None)
        await session.send("forbidden")
        with pytest.raises(WriteRefused, match="may not write this") as refused:
            await session.wait_saved()
        assert refused.value.refusal.lost == ("forbidden",)
        await session.wait_saved()


async def test_a_refusal_that_nothing_has_read_is_raised_when_the_block_is_left(strict: Hub):
    with pytest.raises(WriteRefused, match="may not write this") as refused:  # noqa: PT012 - the block's end raises
        async with connect(strict.url, session="trip", participant="ann") as session:
            await session.send("saved")
            await session.wait_saved()
            await session.send("forbidden")
            await until(lambda: texts(session) == ["saved"])
            await session.send("and on")
    assert refused.value.refusal.close == 4403
    assert refused.value.refusal.lost == ("forbidden",)
    assert [message.text for message in strict.document.messages] == ["saved", "and on"]


async def test_who_is_shut_out_after_a_refused_edit_is_told_what_is_lost(strict: Hub):
    with pytest.raises(Disconnected, match="removed") as ended:  # noqa: PT012 - the block's end raises
        async with connect(strict.url, session="trip", participant="ann") as session:
            session.on("refused", lambda _: None)
            strict.refusal = (4403, "You have been removed.")
            await session.send("forbidden")
            await until(lambda: session.status == "closed")
    assert ended.value.lost == ("forbidden",)


async def test_prompts_and_presence_go_on_and_no_prompt_is_given_twice(strict: Hub):
    told: list[Refusal] = []
    async with (
        connect(strict.url, session="trip", participant="ben", kind="human") as ben,
        connect(strict.url, session="trip", participant="bot") as bot,
    ):
        bot.on("refused", told.append)
        bot.presence.set("mood", "fine")
        prompts = bot.prompts()
        await ben.send("one")
        assert (await anext(prompts)).text == "one"
        await bot.send("forbidden", role="assistant")
        await until(lambda: told)
        await ben.send("two")
        assert (await anext(prompts)).text == "two"
        await until(lambda: [state.get("mood") for state in ben.presence.others().values()] == ["fine"])
        assert list(ben.presence.others()) == [bot.document.doc.client_id]


async def test_a_run_whose_words_are_refused_ends_with_that_and_the_server_s_record_of_it_too(strict: Hub):
    told: list[Refusal] = []
    async with connect(strict.url, session="trip", participant="bot") as bot:
        bot.on("refused", told.append)
        with pytest.raises(WriteRefused):  # noqa: PT012 - the run's border raises
            async with bot.run(batch_ms=0) as run:
                run.text("fine so far, ")
                await bot.wait_saved()
                run.text("forbidden")
                await until(lambda: told)
                run.text("more")
        await bot.wait_saved()
        record = strict.document.runs.get(run.id)
        assert record is not None
        assert record.status == "error"
        assert [message.status for message in strict.document.messages] == ["error"]
        assert told[0].lost == ("forbidden",)
        async with bot.run() as another:
            another.text("again")
        await bot.wait_saved()


async def test_a_program_that_writes_the_same_again_and_again_is_stopped(strict: Hub):
    told: list[Refusal] = []
    with pytest.raises(Disconnected, match="may not write this"):  # noqa: PT012 - the block's end raises
        async with connect(strict.url, session="trip", participant="bot") as bot:
            bot.on("refused", told.append)
            while bot.status != "closed":
                await bot.send("forbidden")
                seen = len(told)
                await until(lambda seen=seen: len(told) > seen or bot.status == "closed")
    assert len(told) == 8


async def test_who_is_here_and_who_looks_is_one_list(hub: Hub):
    hub.document.participants.set("cleo", name="Cleo", kind="human", online=False, last_seen="2026-01-01T00:00:00Z")
    async with (
        connect(hub.url, session="trip", participant="bot", name="Bot") as bot,
        connect(hub.url, session="trip", participant="other") as other,
        asyncio.timeout(60),
    ):
        await until(lambda: len(bot.people) == 3)
        assert [(who.id, who.online, who.devices, who.looking) for who in bot.people] == [
            ("bot", True, 1, True),
            ("other", True, 1, True),
            ("cleo", False, 0, False),
        ]
        assert bot.people[2].last_seen == "2026-01-01T00:00:00Z"
        assert not bot.someone_is_watching
        async with connect(hub.url, session="trip", participant="ann", kind="human") as ann:
            await until(lambda: bot.someone_is_watching)
            ann.presence.set("visible", False)
            await until(lambda: not bot.someone_is_watching)
        assert other.may("prompt")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.text("ab🐙é", min_size=1, max_size=5), st.booleans()), max_size=12))
def test_all_words_that_still_stand_are_found_however_they_were_typed(edits: list[tuple[int, str, bool]]):
    document = SessionDocument()
    text = document.text("notes")
    for at, words, deletes in edits:
        place = min(at, len(str(text)))
        text.replace(place, min(place + deletes, len(str(text))), words)
    found = lost_texts(document.doc.get_update(), document)
    assert sorted("".join(found)) == sorted(str(text))
