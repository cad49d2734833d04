"""The parts of a run's answer: several that grow at a time, parts that change, metadata, usage, and a new attempt."""

from typing import Any

import pytest
from client.hub import Hub, until
from pycrdt import TransactionEvent

from cosession.client import AgentRun, PartHandle, Session, connect
from cosession.errors import Conflict, InvalidValue, RunCancelled, TooLarge

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


def parts(run: AgentRun) -> list[dict[str, Any]]:
    """The parts of the answer as they are, without the ends of texts."""
    assert run.message is not None
    return run.message.to_json()["parts"]


def shown(run: AgentRun) -> list[tuple[str, str]]:
    return [(part["text"], part["state"]) for part in parts(run)]


async def test_texts_of_several_ids_grow_side_by_side(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run(batch_ms=0) as run:
            run.reasoning("Hm", id="1")
            run.text("To Lis", id="1")
            assert shown(run) == [("Hm", "done"), ("To Lis", "streaming")]
            run.text("By tr", id="2")
            run.text("bon", id="1")
            run.text("ain", id="2")
            run.reasoning(".", id="1")
            assert shown(run) == [("Hm.", "streaming"), ("To Lisbon", "streaming"), ("By train", "streaming")]
            assert run.edits() == []
            run.text("New")
            assert [state for _, state in shown(run)] == ["done", "done", "done", "streaming"]
            assert run.edits() == []
        await session.wait_saved()
    [answer] = hub.document.messages
    assert [(part.get("text"), part.state) for part in answer.parts] == [
        ("Hm.", "done"),
        ("To Lisbon", "done"),
        ("By train", "done"),
        ("New", "done"),
    ]


async def test_texts_of_several_ids_are_written_in_one_transaction(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="planner") as session,
        session.run(batch_ms=60_000) as run,
    ):
        run.text("a", id="1")
        run.text("b", id="2")
        run.text("c", id="1")
        run.text("d", id="2")
        changes: list[TransactionEvent] = []
        subscription = session.document.doc.observe(changes.append)
        assert run.edits() == []
        session.document.doc.unobserve(subscription)
        assert len(changes) == 1
        assert [text for text, _ in shown(run)] == ["ac", "bd"]


async def test_an_emoji_that_is_cut_in_two_is_put_together_in_its_own_text(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:
        run.text("\ud83c", id="1")
        run.text("sun", id="2")
        run.text("\udf0a", id="1")
        run.check()
        await until(lambda: [text for text, _ in shown(run)] == ["sun", "🌊"])


async def test_others_changes_are_told_where_several_texts_grow(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna", kind="human") as anna,
        connect(hub.url, session="trip", participant="planner") as session,
        session.run(batch_ms=0) as run,
    ):
        run.text("To Lisbon. ", id="1")
        run.text("By train", id="2")
        assert run.message is not None
        mine = run.message.id
        await until(lambda: anna.messages.get(mine) is not None and anna.messages[0].text == "To Lisbon. By train")
        anna.edit(mine, "To Porto. By train")
        await until(lambda: run.message is not None and run.message.text == "To Porto. By train")
        [edit] = run.edits()
        assert (edit.before, edit.after) == ("To Lisbon. By train", "To Porto. By train")
        run.text("Soon. ", id="1")
        assert run.message.text == "To Porto. Soon. By train"
        assert run.edits() == []


async def test_a_part_is_changed_by_its_handle_or_by_its_id(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run() as run:
            weather = run.data("weather", {"sun": 1}, id="w")
            assert isinstance(weather, PartHandle)
            assert weather.id == "w"
            run.text("It is sunny")
            weather.update(data={"sun": 2})
            assert run.data("weather", {"sun": 3}, id="w").id == "w"
            run.data("weather", {"sun": 8}, id="other")
            assert run.part({"type": "data-weather", "id": "other", "data": {"sun": 9}}).id == "other"
            source = run.part({"type": "source-url", "sourceId": "s", "url": "https://example.org"})
            source.update(title="Example")
            source.update(title=None)
            run.part({"type": "text", "text": "Whole. "}, id="t").update(text="Whole text. ")
            run.file({"type": "file", "mediaType": "image/png", "url": "https://example.org/a.png"})
            assert run.edits() == []
        await session.wait_saved()
    [answer] = hub.document.messages
    assert [part.to_json() for part in answer.parts] == [
        {"type": "data-weather", "id": "w", "data": {"sun": 3}},
        {"type": "text", "text": "It is sunny", "state": "done"},
        {"type": "data-weather", "id": "other", "data": {"sun": 9}},
        {"type": "source-url", "sourceId": "s", "url": "https://example.org"},
        {"type": "text", "text": "Whole text. ", "state": "done"},
        {"type": "file", "mediaType": "image/png", "url": "https://example.org/a.png"},
    ]


async def test_a_part_that_is_none_is_refused_before_anything_is_written(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session, session.run() as run:
        for wrong in ({"type": "nonsense"}, {"type": "file"}, {}):
            with pytest.raises(InvalidValue):
                run.part(wrong)
        with pytest.raises(InvalidValue, match="type 'file'"):
            run.file({"type": "text"})
        with pytest.raises(InvalidValue):
            run.data("weather", object())
        with pytest.raises(TooLarge):
            run.data("weather", "x" * 2**27)
        assert run.message is None
        handle = run.data("weather", 1)
        with pytest.raises(InvalidValue):
            handle.update(type="text")
        assert parts(run) == [{"type": "data-weather", "data": 1}]


async def test_a_part_of_a_step_that_is_tried_again_is_made_anew(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run() as run:
            run.data("plan", 0, id="p")

            async def look(step: Any) -> None:
                run.data("found", step.attempt, id="f")
                run.data("plan", step.attempt, id="p")
                run.text(f"attempt {step.attempt}", id="t")
                if step.attempt == 1:
                    raise OSError

            await run.step("look", look, attempts=2, pause_seconds=0)
        await session.wait_saved()
    [answer] = hub.document.messages
    assert [part.to_json() for part in answer.parts] == [
        {"type": "data-plan", "id": "p", "data": 2},
        {"type": "data-found", "id": "f", "data": 2},
        {"type": "text", "text": "attempt 2", "state": "done"},
    ]


async def test_a_process_that_resumes_an_answer_changes_its_data(hub: Hub):
    record = hub.document.runs.start("r1", agent="planner", started_at=AT, reply_to="m1", client=7)
    hub.document.messages.append("user", [{"type": "text", "text": "?"}], id="m1", author="anna", created_at=AT)
    begun = [{"type": "data-plan", "id": "p", "data": 1}, {"type": "text", "text": "To "}]
    hub.document.messages.append("assistant", begun, id="a1", author="planner", created_at=AT, run="r1")
    record.add_message("a1")
    record.set_status("lost")
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run(reply_to=await anext(session.prompts())) as run:
            assert run.resume() == "To "
            run.data("plan", 2, id="p")
        await session.wait_saved()
    assert hub.document.messages[1].to_json()["parts"] == [
        {"type": "data-plan", "id": "p", "data": 2},
        {"type": "text", "text": "To ", "state": "done"},
    ]


async def test_metadata_comes_with_the_first_content_and_changes_later(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run() as run:
            run.metadata(model="small", trace={"id": 1})
            assert run.message is None
            run.text("To Lisbon")
            run.metadata(model="large")
            with pytest.raises(InvalidValue, match="author, to"):
                run.metadata(author="anna", to=["anna"])
        await session.wait_saved()
    about = hub.document.messages[0].metadata
    assert (about["model"], about["trace"], about["author"]) == ("large", {"id": 1}, "planner")


async def test_the_usage_of_several_calls_adds_up(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run() as run:
            run.usage(input_tokens=10, output_tokens=5, requests=1, model="small", cost={"USD": 0.5})
            run.usage(input_tokens=2, cached_tokens=1, requests=1, model="large", cost={"USD": 0.25, "EUR": 1})
        await session.wait_saved()
    [record] = hub.document.runs
    assert record.usage == {
        "input_tokens": 12,
        "output_tokens": 5,
        "cached_tokens": 1,
        "requests": 2,
        "model": "large",
        "cost": {"USD": 0.75, "EUR": 1},
    }


async def test_an_answer_is_cut_back_to_the_last_step_start(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run() as run:
            run.truncate()
            run.text("To Lisbon. ")
            run.part({"type": "step-start"})
            run.text("Wrong", id="1")
            run.data("plan", 1, id="p")
            run.tool("search", {"q": "hotels"})
            run.truncate()
            assert run.edits() == []
            assert [part["type"] for part in parts(run)] == ["text", "step-start"]
            run.text("Right", id="1")
            run.data("plan", 2, id="p")
            assert run.edits() == []
        await session.wait_saved()
        async with session.run() as run:
            run.text("Wrong")
            run.truncate()
            assert run.message is not None
            assert run.message.text == ""
    assert hub.document.messages[0].to_json()["parts"] == [
        {"type": "text", "text": "To Lisbon. ", "state": "done"},
        {"type": "step-start"},
        {"type": "text", "text": "Right", "state": "done"},
        {"type": "data-plan", "id": "p", "data": 2},
    ]
    assert hub.document.messages[1].to_json()["parts"] == []


async def test_a_run_has_the_id_that_it_is_given_once(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run(id="nightly-1") as run:
            assert run.id == "nightly-1"
        with pytest.raises(Conflict, match="already"):
            async with session.run(id="nightly-1"):
                pytest.fail("the block must not be entered")


async def test_an_end_is_written_after_a_cancel_only_where_it_is_wanted(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        async with session.run() as run:
            run.text("To Lisbon", after_cancel=True)
            record = session.runs.get(run.id)
            assert record is not None
            record.record_cancel(by="anna", at=AT)
            with pytest.raises(RunCancelled):
                run.text(" and back")
            run.text(" … no.", after_cancel=True)
        with pytest.raises(RuntimeError, match="async with"):
            run.text("late", after_cancel=True)
        await session.wait_saved()
    assert [(message.text, message.status) for message in hub.document.messages] == [("To Lisbon … no.", "cancelled")]


def conversation(run: AgentRun, attributed: bool = False) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in run.history(attributed=attributed)]


async def said(session: Session, text: str, **more: Any) -> str:
    return (await session.send(text, **more)).id


async def test_the_history_is_the_conversation_up_to_the_prompt(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna", name="Anna", kind="human") as anna,
        connect(hub.url, session="trip", participant="hotels", name="Hotels") as hotels,
        connect(hub.url, session="trip", participant="planner", name="Planner") as planner,
    ):
        await said(anna, "To Lisbon")
        await until(lambda: len(planner.messages) == 1)
        async with planner.run() as run:
            run.text("When?")
            run.delegate("hotels", "Rooms in Lisbon", key="rooms")
        await planner.wait_saved()
        await until(lambda: len(anna.messages) == 3)
        deleted = await said(anna, "Nonsense")
        anna.remove(deleted)
        await said(anna, "In May")
        await until(lambda: len(hotels.messages) == 5)
        async with hotels.run() as other:
            other.text("Ritz")
        await hotels.wait_saved()
        async with hotels.run() as other:
            other.text("Still looking")
            await until(lambda: len(anna.messages) == 7)
            prompt = await said(anna, "Book it")
            await said(anna, "And a car")
            await until(lambda: len(planner.messages) == 9)
            async with planner.run(reply_to=prompt) as run:
                assert run.prompt is not None
                assert (run.prompt.text, run.session) == ("Book it", planner)
                assert conversation(run) == [
                    ("user", "To Lisbon"),
                    ("assistant", "When?"),
                    ("user", "In May"),
                    ("assistant", "Ritz"),
                    ("user", "Book it"),
                ]
                told = run.history(attributed=True)
                assert [message.text for message in told] == [
                    "Anna: To Lisbon",
                    "When?",
                    "Anna: In May",
                    "Hotels: Ritz",
                    "Anna: Book it",
                ]
                assert told[0].to_json(dialect="ai-sdk")["parts"] == [
                    {"type": "text", "text": "Anna: To Lisbon", "state": "done"}
                ]
                anna.edit(anna.messages[0].id, "To Porto")
                await until(lambda: planner.messages[0].text == "To Porto")
                assert told[0].text == "Anna: To Lisbon"
            async with hotels.run(reply_to=f"{planner.messages[2].id}") as asked:
                assert conversation(asked)[-1] == ("user", "Rooms in Lisbon")


async def test_the_history_without_a_prompt_is_all_of_it(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as planner:
        file = {"type": "file", "mediaType": "image/png", "url": "https://example.org/a.png"}
        hub.document.messages.append("user", [file], id="m1", author="anna", created_at=AT)
        await until(lambda: len(planner.messages) == 1)
        async with planner.run() as run:
            assert run.prompt is None
            assert run.history()[0].to_json(dialect="ai-sdk")["parts"] == [file]
            assert run.history(attributed=True)[0].to_json()["parts"] == [
                {"type": "text", "text": "anna:", "state": "done"},
                file,
            ]
