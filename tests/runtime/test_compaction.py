"""A session that nobody uses becomes small on the disk, loads from a snapshot, and keeps its history."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc, Text
from room.chats import TOKENS, Chat, one_at_a_time, two_at_once
from runtime.channels import connected, open_hub, until

from cosession.document import SessionDocument
from cosession.errors import StorageError
from cosession.protocol import Fence, SyncUpdate, decode_state_vector
from cosession.runtime import Hub
from cosession.runtime.thinning import thin
from cosession.settings import Settings
from cosession.storage import LoggedUpdate, Snapshot, SqliteStorage

pytestmark = pytest.mark.anyio

PAGE = 4096


def size(path: Path) -> int:
    """The bytes of a closed database."""
    assert not path.with_name(f"{path.name}-wal").exists()
    return path.stat().st_size


@pytest.mark.parametrize("written", [one_at_a_time, two_at_once])
async def test_a_compacted_chat_takes_one_and_a_half_times_its_text_with_its_history(
    tmp_path: Path, written: Callable[[], Chat]
) -> None:
    chat = written()
    log, whole = chat.log, chat.document()
    messages = SessionDocument(whole).messages.to_json()
    text = sum(len(part["text"].encode()) for message in messages for part in message["parts"])
    path, empty = tmp_path / "chat.sqlite3", tmp_path / "empty.sqlite3"
    async with SqliteStorage.open(empty) as storage:
        await storage.create("chat", title="", at=log[0].at)
    async with SqliteStorage.open(path) as storage:
        await storage.create("chat", title="", at=log[0].at)
        await storage.append(log)
        await storage.save_snapshot(Snapshot("chat", len(log), whole.get_update()))
        before = await storage._writer.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await storage.compact("chat", partial(thin, grain_seconds=60))
        (free,) = await storage._writer.run(lambda db: db.execute("PRAGMA freelist_count").fetchone())
        loaded = await storage.load("chat")
        history = await storage.history("chat", limit=TOKENS)
    assert before * PAGE > 15 * text
    assert size(path) - free * PAGE - size(empty) <= 1.5 * text
    assert free <= before // 100, "the rest went back to the file system"
    assert loaded is not None
    assert loaded.snapshot == Snapshot("chat", len(log), whole.get_update())
    assert loaded.updates == ()
    assert len(history) <= 2 * len(messages)
    assert history[-1].version == len(log)
    assert {(row.participant, row.client) for row in history} == {(row.participant, row.client) for row in log}
    replayed = Chat([*history]).document()
    assert SessionDocument(replayed).to_json() == SessionDocument(whole).to_json()
    assert decode_state_vector(replayed.get_state()) == decode_state_vector(whole.get_state())


async def say(hub: Hub, session: str, words: Sequence[str]) -> None:
    """Write words, one to an update, and leave when they are on the disk."""
    async with connected(hub, session) as client:
        for word in words:
            client.write(word)
        client.channel.say(Fence(b""))
        await client.channel.hear(Fence)


async def rows(hub: Hub, session: str) -> Sequence[LoggedUpdate]:
    return await hub.storage.history(session, limit=100_000)


async def until_thinned(hub: Hub, session: str) -> None:
    async with asyncio.timeout(60):
        while (loaded := await hub.storage.load(session)) is None or not loaded.thinned:
            pass


async def test_a_room_that_is_unloaded_is_compacted_and_comes_back_whole(tmp_path: Path, settings: Settings) -> None:
    words = [f"{number} " for number in range(200)]
    async with open_hub(tmp_path, settings) as hub:
        await say(hub, "trip", words)
        await until_thinned(hub, "trip")
        thinned = await rows(hub, "trip")
        assert thinned[-1].version > 200
        assert len(thinned) < 20
        await say(hub, "trip", ["more ", "words"])
        async with connected(hub, "trip") as client:
            assert str(client.doc.get("text:notes", type=Text)) == "".join(words) + "more words"


async def test_a_room_that_is_never_left_is_compacted_while_it_lives(tmp_path: Path) -> None:
    settings = Settings(snapshot_after_updates=70, compact_after_seconds=0)
    async with open_hub(tmp_path, settings) as hub, connected(hub, "trip") as client:
        for number in range(300):
            client.write(f"{number} ")
            client.channel.say(Fence(b""))
            await client.channel.hear(Fence)
        await until_thinned(hub, "trip")
        replayed: Doc[Any] = Doc()
        for row in await rows(hub, "trip"):
            replayed.apply_update(row.update)
        assert str(replayed.get("text:notes", type=Text)) == str(client.doc.get("text:notes", type=Text))


@pytest.mark.parametrize("error", [StorageError("The disk is full."), TypeError("a defect of ours")], ids=repr)
async def test_a_compaction_that_fails_costs_nobody_anything_and_is_tried_the_next_time(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with open_hub(tmp_path, settings) as hub:
        tries: list[str] = []

        async def fail(session: str, _: object) -> None:
            tries.append(session)
            raise error

        monkeypatch.setattr(hub.storage, "compact", fail)
        await say(hub, "trip", ["word "] * 100)
        await until(lambda: bool(tries))
        monkeypatch.undo()
        await say(hub, "trip", ["word "])
        await until_thinned(hub, "trip")
        async with connected(hub, "trip") as client:
            assert str(client.doc.get("text:notes", type=Text)) == "word " * 101


async def test_a_session_that_another_server_wrote_to_is_loaded_again_and_its_clients_bring_what_they_have(
    tmp_path: Path,
) -> None:
    stranger: Doc[Any] = Doc()
    stranger.get("text:theirs", type=Text).insert(0, "theirs")
    async with open_hub(tmp_path, Settings(unload_after_seconds=0)) as hub:
        async with connected(hub, "trip") as ada:
            ada.write("before ")
            ada.channel.say(Fence(b""))
            await ada.channel.hear(Fence)
            stored = await hub.storage.load("trip")
            assert stored is not None
            foreign = LoggedUpdate("trip", stored.info.version + 1, "2026", "bo", None, stranger.get_update())
            await hub.storage.append([foreign])
            ada.write("during")
            assert (await ada.channel.closed)[0] == 4503, "come back"
            doc = ada.doc
        async with connected(hub, "trip") as again:
            assert str(again.doc.get("text:theirs", type=Text)) == "theirs"
            assert str(again.doc.get("text:notes", type=Text)) == "before "
            again.channel.say(SyncUpdate(doc.get_update()))
            again.channel.say(Fence(b""))
            await again.channel.hear(Fence)
        await until(lambda: not hub._slots)
        replayed: Doc[Any] = Doc()
        for row in await rows(hub, "trip"):
            replayed.apply_update(row.update)
        assert str(replayed.get("text:notes", type=Text)) == "before during"
        assert str(replayed.get("text:theirs", type=Text)) == "theirs"
