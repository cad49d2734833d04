"""A session on a real socket: sync, breaks, saving, prompts, and what is left afterwards."""

import asyncio
import json

import pytest
from client.hub import Hub, until
from pycrdt import Doc, Map
from websockets.asyncio.server import ServerConnection

from cosession.client import connect
from cosession.client import session_link as link_module
from cosession.client import transport as transport_module
from cosession.client.transport import MERGE_SECONDS
from cosession.document import Change
from cosession.document.policy import Policy
from cosession.errors import Disconnected, InvalidValue, TimedOut
from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    Fence,
    Granted,
    Limits,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    encode_frame,
)

pytestmark = pytest.mark.anyio


def ask(hub: Hub, name: str, text: str = "Hello?", *, status: str = "complete") -> None:
    hub.document.messages.append(
        "user",
        [{"type": "text", "text": text, "state": "done"}],
        id=name,
        author="ben",
        created_at="2026-01-01T00:00:00Z",
        status=status,
    )


def ids(hub: Hub) -> list[str]:
    return [message.id for message in hub.document.messages]


async def test_the_document_is_here_when_the_block_is_entered(hub: Hub):
    ask(hub, "m1")
    async with connect(hub.url, session="trip", participant="planner") as session:
        assert session.id == "trip"
        assert session.status == "online"
        assert [message.text for message in session.messages] == ["Hello?"]


async def test_the_address_carries_the_identity_and_the_header_the_token(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner", name="Planner", token="secret") as session:
        address = f"/sync/trip?ext=1&user=planner&name=Planner&kind=agent&client={session.document.doc.client_id}"
        assert hub.paths == [address]
        assert hub.headers == ["Bearer secret"]


async def test_a_message_that_is_sent_is_whole_and_saved_when_the_block_is_left(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna", kind="human") as session:
        sent = await session.send("Find a hotel", id="m1")
        assert sent.id == "m1"

    message = hub.document.messages.get("m1")
    assert message is not None
    assert (message.role, message.text, message.author, message.status) == (
        "user",
        "Find a hotel",
        "anna",
        "complete",
    )


async def test_what_another_task_writes_while_the_block_is_left_is_saved_as_well(hub: Hub):
    async def write_late() -> None:
        await until(lambda: hub.held)
        await session.send("Late", id="m2")
        await hub.release()

    async with connect(hub.url, session="trip", participant="anna") as session:
        hub.holding = True
        await session.send("Hello", id="m1")
        writing = asyncio.create_task(write_late())
    await writing
    assert session.saved
    assert ids(hub) == ["m1", "m2"]


async def test_wait_saved_ends_after_the_fence_and_not_before(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        assert session.saved
        hub.holding = True
        await session.send("Hello", id="m1")
        assert not session.saved
        saving = asyncio.ensure_future(session.wait_saved())
        await until(lambda: hub.held)
        assert "m1" in ids(hub)
        assert not saving.done()

        await hub.release()
        await asyncio.wait_for(saving, 60)
        assert session.saved


async def test_what_is_written_during_a_break_and_what_is_missed_both_arrive_once(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        await session.send("one", id="m1")
        await session.wait_saved()
        await hub.stop()
        await until(lambda: session.status == "offline")
        await session.send("two", id="m2")
        ask(hub, "m3", "three")
        assert not session.saved

        await hub.start()
        await session.wait_saved()

        assert session.status == "online"
        assert sorted(ids(hub)) == ["m1", "m2", "m3"]
        assert [message.id for message in session.messages] == ids(hub)


async def test_a_reconnect_sends_what_is_missing_and_not_the_whole_document(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        await session.send("x" * 10_000)
        await session.wait_saved()
        hub.frames.clear()
        hub.cut()
        await until(lambda: hub.count(SyncStep2))

    answers = [frame.update for frame in hub.frames if isinstance(frame, SyncStep2)]
    assert len(answers[0]) < 200


async def test_edits_go_on_through_many_breaks_with_no_gap_and_no_repeat(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        for number in range(30):
            await session.send(str(number), id=f"mine-{number}")
            ask(hub, f"theirs-{number}")
            if number % 7 == 3:
                hub.cut()
            await asyncio.sleep(0)
        await session.wait_saved()
        await until(lambda: len(session.messages) == 60)

        assert sorted(ids(hub)) == sorted({*ids(hub)})
        assert [message.id for message in session.messages] == ids(hub)


async def test_a_burst_of_edits_leaves_in_few_frames(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        for number in range(300):
            session.state.set(["n"], number)
        await session.wait_saved()

        assert hub.count(SyncUpdate) <= 3
        assert hub.count(Fence) <= 3
        assert hub.document.state.get("n") == 299


async def test_edits_in_quick_succession_share_frames(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        began = asyncio.get_running_loop().time()
        for number in range(200):
            session.state.set("n", number)
            await asyncio.sleep(0.001)
        seconds = asyncio.get_running_loop().time() - began
        await session.wait_saved()

        assert hub.count(SyncUpdate) <= seconds / MERGE_SECONDS + 2


@pytest.mark.parametrize(("steady_seconds", "last"), [(0.0, 0), (60.0, 3)])
async def test_pauses_grow_and_begin_anew_only_after_a_connection_that_lasted(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, steady_seconds: float, last: int
):
    monkeypatch.setattr(transport_module, "STEADY_SECONDS", steady_seconds)
    attempts: list[int] = []

    def note(attempt: int) -> float:
        attempts.append(attempt)
        if len(attempts) == 3:
            hub.refusal = None
        return 0.0

    monkeypatch.setattr(transport_module, "retry_delay", note)
    hub.refusal = (4503, "Shutting down.")
    async with connect(hub.url, session="trip", participant="anna") as session:
        assert attempts == [0, 1, 2]
        hub.cut()
        await until(lambda: len(attempts) == 4 and session.status == "online")

    assert attempts == [0, 1, 2, last]


async def test_a_server_that_cannot_be_read_is_left_after_growing_pauses_and_a_few_tries(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    attempts: list[int] = []
    monkeypatch.setattr(transport_module, "retry_delay", lambda attempt: attempts.append(attempt) or 0.0)
    with pytest.raises(Disconnected, match="can't be read") as ended:  # noqa: PT012 - the block's end raises, too
        async with connect(hub.url, session="trip", participant="anna") as session:
            hub.holding = True
            await session.send("unsaved words")
            hub.greeting = b"\x00\x02\x7f"
            hub.cut()
            await asyncio.wait_for(session.wait_closed(), 60)
            assert session.status == "closed"
            await session.send("more")

    assert attempts == list(range(transport_module.MOST_UNREADABLE))
    assert ended.value.lost == ("unsaved words",)


async def test_a_final_close_code_is_raised_from_whatever_waits(hub: Hub):
    with pytest.raises(Disconnected, match="may not be saved: You may not write"):  # noqa: PT012 - leaving says it, too
        async with connect(hub.url, session="trip", participant="anna") as session:
            hub.holding = True
            await session.send("Hello")
            saving = asyncio.ensure_future(session.wait_saved())
            await until(lambda: hub.held)
            prompting = asyncio.ensure_future(anext(session.prompts()))

            hub.refusal = (4403, "You may not write here.")
            hub.cut()

            with pytest.raises(Disconnected, match="You may not write here") as refused:
                await asyncio.wait_for(saving, 60)
            assert refused.value.close == 4403
            with pytest.raises(Disconnected):
                await asyncio.wait_for(prompting, 60)
            with pytest.raises(Disconnected):
                await session.send("more")
            assert session.status == "closed"


async def test_a_refusal_at_the_door_is_raised_at_once_and_is_not_tried_again(hub: Hub):
    hub.refusal = (4401, "The token has expired.")

    with pytest.raises(Disconnected, match="expired") as refused:
        async with connect(hub.url, session="trip", participant="anna"):
            pytest.fail("the block must not be entered")

    assert refused.value.close == 4401
    assert len(hub.paths) == 1


async def test_any_other_close_code_is_tried_again(hub: Hub):
    hub.refusal = (4503, "Shutting down.")
    joining = asyncio.ensure_future(_join_and_leave(hub.url))
    await until(lambda: len(hub.paths) >= 2)

    hub.refusal = None
    await asyncio.wait_for(joining, 60)


async def _join_and_leave(url: str) -> None:
    async with connect(url, session="trip", participant="anna"):
        pass


async def test_a_server_that_is_not_there_is_an_error_that_says_so():
    with pytest.raises(TimedOut, match="is the server running"):
        async with connect("http://127.0.0.1:9", session="trip", participant="anna", wait_seconds=0.3):
            pytest.fail("the block must not be entered")


class InPieces(Hub):
    """A server whose document comes in ten pieces, one every quarter of a second, or stops in the middle."""

    pieces = 10

    async def _answer(self, socket: ServerConnection, data: bytes, spoken: dict[int, int]) -> None:
        if isinstance(decode_frame(data), SyncStep1):
            for number in range(self.pieces):
                await socket.send(encode_frame(SyncUpdate(Doc(client_id=number + 1).get_update())))
                await asyncio.sleep(0.25)
            if self.pieces < 10:
                await socket.wait_closed()
        await super()._answer(socket, data, spoken)


async def test_a_document_whose_pieces_go_on_coming_is_waited_for():
    hub = InPieces()
    await hub.start()
    try:
        async with connect(hub.url, session="trip", participant="anna", wait_seconds=1) as anna:
            assert anna.id == "trip"
        hub.pieces = 6
        with pytest.raises(TimedOut, match="No session came"):
            async with connect(hub.url, session="trip", participant="anna", wait_seconds=1):
                pytest.fail("the block must not be entered")
    finally:
        await hub.close()


async def test_an_exception_of_the_block_comes_out_as_it_is(hub: Hub):
    with pytest.raises(ZeroDivisionError):
        async with connect(hub.url, session="trip", participant="anna"):
            raise ZeroDivisionError


async def test_no_task_is_left_after_the_block(hub: Hub):
    before = asyncio.all_tasks()
    async with connect(hub.url, session="trip", participant="anna") as session:
        ask(hub, "m1")
        await anext(session.prompts())
        ours = {task.get_name() for task in asyncio.all_tasks() - before}
        assert "cosession trip" in ours
    await until(lambda: not hub.sockets)

    left = {task for task in asyncio.all_tasks() - before if "cosession/client" in str(task.get_coro())}
    assert not left


async def test_cancelling_the_block_saves_what_was_written_and_leaves_nothing(hub: Hub):
    entered = asyncio.Event()

    async def agent() -> None:
        async with connect(hub.url, session="trip", participant="anna") as session:
            await session.send("last words", id="m1")
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(agent())
    await asyncio.wait_for(entered.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ids(hub) == ["m1"]


async def test_leaving_does_not_wait_for_ever_for_a_server_that_does_not_save_and_says_so(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(link_module, "FLUSH_SECONDS", 0.05)
    hub.holding = True

    async with asyncio.timeout(60):
        with pytest.raises(Disconnected, match="may not be saved: nothing came back"):
            async with connect(hub.url, session="trip", participant="anna") as session:
                await session.send("Hello")


async def test_leaving_while_the_server_restarts_waits_for_it_and_saves(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport_module, "FIRST_DELAY_SECONDS", 600.0)  # leaving doesn't wait for a pause to end
    monkeypatch.setattr(transport_module, "MAX_DELAY_SECONDS", 600.0)
    async with asyncio.timeout(60):
        async with connect(hub.url, session="trip", participant="anna") as session:
            await hub.stop()
            await until(lambda: session.status == "offline")
            await session.send("two", id="m2")
            await hub.start()

    assert ids(hub) == ["m2"]


async def test_an_exception_of_the_block_comes_out_as_it_is_also_when_nothing_is_saved(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(link_module, "FLUSH_SECONDS", 0.05)
    hub.holding = True

    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block's border is what is tested
        async with connect(hub.url, session="trip", participant="anna") as session:
            await session.send("Hello")
            raise ZeroDivisionError


async def test_a_session_that_was_ended_before_all_was_saved_says_why_when_it_is_left(hub: Hub):
    with pytest.raises(Disconnected, match="may not be saved: The session was deleted") as unsaved:  # noqa: PT012
        async with connect(hub.url, session="trip", participant="anna") as session:
            hub.refusal = (4410, "The session was deleted.")
            hub.cut()
            await session.send("Hello")
            await until(lambda: session.status == "closed")

    assert unsaved.value.close == 4410


async def test_a_closed_session_says_that_it_is(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        pass

    assert session.status == "closed"
    with pytest.raises(Disconnected, match="block has ended"):
        await anext(session.prompts())


async def test_prompts_are_those_that_wait_and_those_that_come_each_once(hub: Hub):
    ask(hub, "old")
    ask(hub, "half", status="streaming")
    hub.document.messages.append(
        "system", [{"type": "text", "text": "Be brief."}], id="sys", author="x", created_at="2026-01-01T00:00:00Z"
    )
    ask(hub, "answered")
    hub.document.runs.start("r1", agent="other", started_at="2026-01-01T00:00:00Z", reply_to="answered")

    async with connect(hub.url, session="trip", participant="planner") as session:
        async with asyncio.timeout(60):
            assert (await anext(session.prompts())).id == "old"
            coming = asyncio.ensure_future(anext(session.prompts()))
            await asyncio.sleep(0)
            ask(hub, "new")
            assert (await coming).id == "new"

            half = hub.document.messages.get("half")
            assert half is not None
            half.set_status("complete")
            assert (await anext(session.prompts())).id == "half"


async def test_a_prompt_is_not_given_again_after_a_reconnect(hub: Hub):
    ask(hub, "m1")
    async with connect(hub.url, session="trip", participant="planner") as session:
        prompts = session.prompts()
        assert (await anext(prompts)).id == "m1"
        hub.cut()
        await until(lambda: len(hub.paths) == 2 and session.status == "online")
        ask(hub, "m2")

        assert (await asyncio.wait_for(anext(prompts), 60)).id == "m2"


async def test_an_agent_that_is_not_the_one_asked_is_told_who_is(hub: Hub, caplog: pytest.LogCaptureFixture):
    hub.document.meta.set_policy(Policy(("planner",)))
    async with connect(hub.url, session="trip", participant="planner") as planner:
        planner.prompts()
        assert not caplog.records
        async with connect(hub.url, session="trip", participant="echo") as echo:
            echo.prompts()
            assert "Prompts that name no agent go to 'planner' here; 'echo' gets those" in caplog.text


async def test_an_agent_that_is_not_alone_is_told_that_the_first_one_answers(
    hub: Hub, caplog: pytest.LogCaptureFixture
):
    async with (
        connect(hub.url, session="trip", participant="planner"),
        connect(hub.url, session="trip", participant="echo") as echo,
    ):
        await until(lambda: echo.presence.others())
        echo.prompts()
        assert "besides 'echo' there is 'planner'" in caplog.text


async def test_a_deleted_prompt_is_not_given(hub: Hub):
    ask(hub, "m1")
    message = hub.document.messages.get("m1")
    assert message is not None
    message.delete(at="2026-01-01T00:00:01Z")
    ask(hub, "m2")

    async with connect(hub.url, session="trip", participant="planner") as session:
        assert (await asyncio.wait_for(anext(session.prompts()), 60)).id == "m2"


async def test_a_prompt_answered_by_another_before_it_is_taken_is_not_given(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        ask(hub, "m1")
        prompts = session.prompts()
        assert (await asyncio.wait_for(anext(prompts), 60)).id == "m1"
        ask(hub, "m2")
        hub.document.runs.start("r2", agent="other", started_at="2026-01-01T00:00:00Z", reply_to="m2")
        ask(hub, "m3")
        await until(lambda: len(session.messages) == 3)

        assert (await asyncio.wait_for(anext(prompts), 60)).id == "m3"


async def test_a_message_that_another_client_fills_in_bit_by_bit_becomes_a_prompt(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        coming = asyncio.ensure_future(anext(session.prompts()))
        await asyncio.sleep(0)
        slow: Map[object] = Map()
        hub.document.messages.shared.append(slow)
        slow["role"] = "user"
        slow["metadata"] = Map({"status": "streaming"})
        slow["id"] = "slow"
        await until(lambda: session.messages.get("slow"))
        assert not coming.done()
        slow["metadata"]["status"] = "complete"

        assert (await asyncio.wait_for(coming, 60)).id == "slow"


async def test_two_loops_over_prompts_share_them(hub: Hub):
    async with connect(hub.url, session="trip", participant="planner") as session:
        waiting = [asyncio.ensure_future(anext(session.prompts())) for _ in range(2)]
        await asyncio.sleep(0)
        ask(hub, "m1")
        ask(hub, "m2")

        assert {(await asyncio.wait_for(task, 60)).id for task in waiting} == {"m1", "m2"}


async def test_presence_is_seen_by_others_and_again_after_a_break(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="ben") as ben,
    ):
        anna.presence.set("cursor", {"at": 4})
        await until(lambda: {"at": 4} in [state.get("cursor") for state in ben.presence.others().values()])

        hub.cut()
        await until(lambda: ben.presence.others() == {})
        await until(lambda: {"at": 4} in [state.get("cursor") for state in ben.presence.others().values()])


async def test_presence_is_renewed_with_a_growing_clock(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport_module, "RENEW_SECONDS", 0.01)
    async with connect(hub.url, session="trip", participant="anna"):
        await until(lambda: hub.count(Awareness) >= 4)

    clocks = [decode_awareness(frame.payload)[0].clock for frame in hub.frames if isinstance(frame, Awareness)]
    assert clocks == sorted(set(clocks))


async def test_cancelling_the_entry_leaves_nothing(hub: Hub):
    hub.refusal = (4503, "Shutting down.")
    before = asyncio.all_tasks()
    joining = asyncio.ensure_future(_join_and_leave(hub.url))
    await until(lambda: len(hub.paths) >= 2)

    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining

    await until(lambda: not {task for task in asyncio.all_tasks() - before if task.get_name() == "cosession trip"})


async def test_an_observer_of_the_application_that_fails_does_not_break_the_sync(hub: Hub):
    def fail(changes: list[Change]) -> None:
        raise ZeroDivisionError

    async with connect(hub.url, session="trip", participant="anna") as session:
        with session.document.observe(fail, "messages"):
            ask(hub, "m1")
            await until(lambda: len(session.messages) == 1)
        ask(hub, "m2")
        await until(lambda: len(session.messages) == 2)

        assert len(hub.paths) == 1


async def test_cancel_and_steer_are_asked_for_under_a_key_of_ones_own(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna/1") as session:
        session.cancel("r1", "changed my mind")
        steer = session.steer("r1", "cheaper, please")
        await session.wait_saved()

    asked = {request.kind: request for request in hub.document.requests.items()}
    assert asked["cancel"].participant == asked["steer"].participant == "anna/1"
    assert asked["cancel"].subject == ("r1",)
    assert asked["cancel"].value == {"reason": "changed my mind"}
    assert asked["steer"].subject == ("r1", steer.id)
    assert asked["steer"].value == {"text": "cheaper, please"}


async def test_what_all_devices_count_at_once_adds_up(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna/1") as phone,
        connect(hub.url, session="trip", participant="anna/1") as laptop,
    ):
        for session in (phone, laptop, phone):
            session.count("likes")
        laptop.count("likes", -0.5)
        await until(lambda: phone.counters.value("likes") == laptop.counters.value("likes") == 2.5)
        with pytest.raises(InvalidValue, match="numbers"):
            phone.count("likes", "many")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [object(), "half \ud83d", float("nan"), {"deep": {1, 2}}], ids=repr)
async def test_presence_takes_json_only_and_says_so_at_once(hub: Hub, value: object):
    async with connect(hub.url, session="trip", participant="anna") as session:
        with pytest.raises(InvalidValue):
            session.presence.set("cursor", value)
        session.presence.set("cursor", {"at": 4})
        with pytest.raises(InvalidValue, match="connect"):
            session.presence.set("user", {"id": "ben"})
        await session.send("Still here")
        await session.wait_saved()


async def test_what_presence_holds_does_not_change_with_the_value_that_was_given(hub: Hub):
    async with (
        connect(hub.url, session="trip", participant="anna") as anna,
        connect(hub.url, session="trip", participant="ben") as ben,
    ):
        cursor = {"at": 4}
        anna.presence.set("cursor", cursor)
        cursor["at"] = 5
        await until(lambda: {"at": 4} in [state.get("cursor") for state in ben.presence.others().values()])


async def test_who_somebody_is_is_read_from_all_that_the_session_says(hub: Hub):
    said = [
        {"id": "ben", "name": "Ben", "kind": "human"},
        {"id": "ben"},
        {"id": 7},
        "ben",
        None,
        {"id": "x", "name": []},
    ]
    hub.said = {
        client: AwarenessEntry(client, 1, json.dumps({"user": user})) for client, user in enumerate(said, start=1)
    }
    hub.document.participants.set("carl", name="Carl", kind="operator")
    hub.document.agents.declare("finder", name="Finder")
    hub.document.participants.shared["odd"] = "not a Map"

    async with connect(hub.url, session="trip", participant="anna", name="Anna", kind="human") as session:
        await until(lambda: session.presence.others())
        assert [(who.id, who.name) for who in session.presence.people()] == [("ben", "Ben"), ("x", "x")]
        known = [session.who(id_) for id_ in ("ben", "carl", "finder", "anna", "odd", None)]
        assert [(who.id, who.name, who.kind) for who in known] == [
            ("ben", "Ben", "human"),
            ("carl", "Carl", "operator"),
            ("finder", "Finder", "agent"),
            ("anna", "Anna", "human"),
            ("odd", "odd", "human"),
            ("", "Someone", "human"),
        ]


async def test_a_message_is_edited_and_removed_by_its_id(hub: Hub):
    async with connect(hub.url, session="trip", participant="anna") as session:
        await session.send("Helo", id="m1")
        session.edit("m1", "Hello")
        session.set_title("Lisbon")
        session.text("notes").append("Pack.")
        await session.wait_saved()
        message = hub.document.messages.get("m1")
        assert message is not None
        assert (message.text, message.edited_at is not None) == ("Hello", True)
        assert (session.title, hub.document.meta.title) == ("Lisbon", "Lisbon")
        assert str(hub.document.text("notes")) == "Pack."

        session.remove("m1")
        with pytest.raises(InvalidValue, match="deleted"):
            session.edit("m1", "Back again")
        with pytest.raises(InvalidValue, match="no message 'm2'"):
            session.edit("m2", "Nobody")
        await session.wait_saved()
        assert message.deleted


async def test_what_is_written_is_in_the_name_that_the_server_knows_us_by(hub: Hub):
    hub.grant = Granted("ann", "Ann", "human", ("admin",), None, Limits())
    async with connect(hub.url, session="trip", participant=" ann ") as session:
        await until(lambda: session.me.capabilities)
        assert session.me.id == "ann"
        await session.send("mine")
        session.count("likes")
        session.cancel("r1")
        await session.wait_saved()
        assert hub.document.messages[0].author == "ann"
        assert all("%20" not in key for key in hub.document.counters.shared)
        assert [request.participant for request in hub.document.requests.items()] == ["ann"]
