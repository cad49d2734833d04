"""A read that fails costs its reader the answer, and nobody else anything."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Array, Doc, Map, Text
from room.scene import AT
from runtime.channels import MemoryChannel, connected, open_hub
from runtime.test_long_frames import calls_of_each
from starlette.responses import JSONResponse

from cosession.document import SessionDocument
from cosession.errors import RoomBroken, Unreadable
from cosession.protocol import Fence, Notice, SyncStep1, SyncUpdate
from cosession.protocol.steps import finish
from cosession.room.room import Room, read_copy
from cosession.runtime import Hub
from cosession.runtime.room_runtime import RoomRuntime
from cosession.server.edge.encoding import encode_in_steps
from cosession.settings import Settings

pytestmark = pytest.mark.anyio


class PanicException(BaseException):
    """What the CRDT library raises where its Rust core panics."""


def failing(error: BaseException) -> Callable[..., bytes]:
    """A read that fails, as no document is known to make one fail any more."""

    def fail(*_: object) -> bytes:
        raise error

    return fail


async def look(hub: Hub, read: Callable[[RoomRuntime], Awaitable[object]]) -> None:
    async with hub.room("trip") as live:
        await read(live)


async def test_a_document_that_cannot_be_shown_keeps_its_connections(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        with monkeypatch.context() as patch:
            patch.setattr(SessionDocument, "to_json_in_steps", failing(TypeError("a sum of None and 1")))
            with pytest.raises(Unreadable):
                await look(hub, RoomRuntime.read)
        await look(hub, RoomRuntime.read)
        ada.channel.say(Fence(b"still here"))
        await ada.channel.hear(Fence)


async def test_a_first_sync_that_fails_ends_its_connection_and_no_other(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        channel = MemoryChannel("trip")
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.serve(channel, extended=True))
            with monkeypatch.context() as patch:
                patch.setattr(Room, "lacks", failing(Unreadable("It can't be told.")))
                channel.say(SyncStep1(b"\x01\x05\x01"))
                notice = await channel.hear(Notice)
            assert isinstance(notice, Notice)
            assert notice.code == "session.unreadable"
            assert (await channel.closed)[0] == 1011
        ada.channel.say(Fence(b"still here"))
        await ada.channel.hear(Fence)


async def test_a_read_in_which_the_library_panics_ends_the_room(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        monkeypatch.setattr(SessionDocument, "to_json_in_steps", failing(PanicException()))
        with pytest.raises(RoomBroken):
            await look(hub, RoomRuntime.read)
        assert (await ada.channel.closed)[0] == 4503


def long_session(size: int) -> bytes:
    """So many messages and keys of the state."""
    document = SessionDocument(Doc(client_id=9))
    with document.transaction():
        for number in range(size):
            document.messages.append(
                "user", [{"type": "text", "text": "hello"}], id=f"m{number}", author="ada", created_at=AT
            )
            document.state.set(f"k{number}", {"n": number})
            document.counters.shared[f"c{number}/ada"] = 1
        document.state.shared["deep"] = Map({f"k{number}": [number] for number in range(size)})
    return document.doc.get_update()


def test_a_session_is_read_in_steps_whose_work_does_not_grow_with_it() -> None:
    worst: list[list[int]] = []
    for size in (1_000, 3_000):
        update = long_session(size)
        room = Room(Settings(), [update], 1)
        list(room.prepare())
        whole = room.document.to_json()
        works = (room.document.to_json_in_steps(), read_copy(update), encode_in_steps(whole))
        worst.append([max(calls_of_each(work)) for work in works])
        assert finish(room.document.to_json_in_steps()) == finish(read_copy(update)) == whole
        assert json.loads(finish(encode_in_steps(whole))) == whole
    assert all(after <= 1.5 * before for before, after in zip(*worst, strict=True)), worst
    assert max(worst[1]) < 20_000, worst


def many_values(where: str, size: int) -> bytes:
    """A document with so many values in one list or root."""
    doc: Doc[Any] = Doc(client_id=9)
    values: list[Any] = [{"n": number} for number in range(size)]
    with doc.transaction():
        match where:
            case "an own list" | "messages that are none":
                name = "mine" if where == "an own list" else "messages"
                doc.get(name, type=Array).extend(values)
            case "an own map":
                doc.get("mine", type=Map).update({f"k{number}": value for number, value in enumerate(values)})
            case "a list in the state":
                doc.get("state", type=Map)["list"] = Array(values)
            case "a list in a map in the state":
                doc.get("state", type=Map)["map"] = Map({"list": Array(values)})
            case "a plain list in the state":
                doc.get("state", type=Map)["list"] = values
            case "parts of a message":
                message = {"id": "m1", "role": "user", "parts": Array(values)}
                doc.get("messages", type=Array).append(Map(message))
            case _:
                for number in range(size):
                    SessionDocument(doc).queue.shared.append(Map({"id": f"q{number}", "place": number}))
    return doc.get_update()


@pytest.mark.parametrize(
    "where",
    [
        *("an own list", "an own map", "a list in the state", "a list in a map in the state"),
        *("a plain list in the state", "parts of a message", "messages that are none", "queue"),
    ],
)
def test_many_values_in_one_place_are_read_in_steps(where: str) -> None:
    worst: list[list[int]] = []
    for size in (4_000, 6_000):
        update = many_values(where, size)
        room = Room(Settings(), [update], 1)
        list(room.prepare())
        whole = room.document.to_json()
        worst.append([max(calls_of_each(work)) for work in (room.document.to_json_in_steps(), read_copy(update))])
        assert finish(room.document.to_json_in_steps()) == finish(read_copy(update)) == whole
    assert all(after <= 1.2 * before for before, after in zip(*worst, strict=True)), worst
    assert max(worst[1]) < 70_000, worst


@pytest.mark.parametrize("size", [0, 3, 300])
def test_what_is_read_in_steps_is_what_is_read_at_once(size: int) -> None:
    doc: Doc[Any] = Doc(client_id=9)
    doc.apply_update(long_session(size))
    odd = {
        "long": "é" * 300_000 + '"',
        "nan": float("nan"),
        "bytes": b"ab",
        "whole": 2.0,
        "big": 2.0**70,
        "plain": {"a": [None, True]},
        "e": {},
    }
    odd["long"] = "é" * 300_000 + '"'
    with doc.transaction():
        for root in ("state", "runs", "meta", "approvals", "selections", "claims", "requests", "own"):
            doc.get(root, type=Map).update(odd)
        doc.get("messages", type=Array).extend([5, {"id": "plain", "role": "user"}, Map({"id": 7})])
        doc.get("text:notes", type=Text).insert(0, "words")
    update = doc.get_update()
    room = Room(Settings(), [update], 1)
    list(room.prepare())
    whole = room.document.to_json()
    for read in (room.document.to_json_in_steps(), read_copy(update)):
        assert json.dumps(finish(read), sort_keys=True) == json.dumps(whole, sort_keys=True)
    assert finish(encode_in_steps(whole)) == JSONResponse(whole).body


async def test_a_session_that_changes_while_it_is_read_is_read_as_it_was_at_one_version(tmp_path: Path) -> None:
    async with open_hub(tmp_path, Settings()) as hub, connected(hub, "trip") as ada:
        ada.channel.say(SyncUpdate(long_session(1_000)))
        ada.channel.say(Fence(b"1"))
        await ada.channel.hear(Fence)
        async with hub.room("trip") as live:
            before = live.room.version
            reading = asyncio.create_task(live.read())
            count = 0
            while not reading.done():
                await asyncio.sleep(0)
                count += 1
                live.edit(lambda document, count=count: document.meta.shared.update({"n": count}))
                live.edit(lambda document, count=count: document.state.set("n", count))
            document, version = await reading
        meta, state = document["meta"]["n"], document["state"]["n"]
        assert before < version < live.room.version
        assert version - before == meta + state
        assert len(document["messages"]) == 1_000


async def test_a_snapshot_holds_the_document_at_the_version_that_comes_with_it(tmp_path: Path) -> None:
    async with open_hub(tmp_path, Settings()) as hub, connected(hub, "trip"):
        written = list[int]()
        async with hub.room("trip") as live:
            reading = asyncio.create_task(live.snapshot())
            while not reading.done():
                await asyncio.sleep(0)
                live.edit(lambda document: document.meta.shared.update({"n": len(written)}))
                written.append(live.room.version)
            update, version = await reading
        doc: Doc[Any] = Doc()
        doc.apply_update(update)
        held = int(SessionDocument(doc).to_json()["meta"]["n"])
        assert written[held] <= version < written[held + 1]


async def test_a_room_that_breaks_while_it_is_read_gives_no_snapshot(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as ada:
        async with hub.room("trip") as live:
            reading = asyncio.create_task(live.snapshot())
            await asyncio.sleep(0)
            monkeypatch.setattr(SessionDocument, "to_json_in_steps", failing(PanicException()))
            with pytest.raises(RoomBroken):
                await live.read()
            with pytest.raises(RoomBroken):
                await reading
        assert (await ada.channel.closed)[0] == 4503
