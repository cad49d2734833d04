"""A session that nobody uses becomes small on the disk, loads from a snapshot, and keeps its history."""

import asyncio
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from pydoc_data import topics
from typing import Any
from uuid import UUID

import pytest
from pycrdt import Doc, Text, TransactionEvent
from rooms.channels import connected, open_hub
from rooms.test_hub import until

from cosession.document import SessionDocument
from cosession.errors import StorageError
from cosession.protocol import Fence, SyncUpdate
from cosession.rooms import Hub
from cosession.rooms.thinning import thin
from cosession.settings import Settings
from cosession.storage import LoggedUpdate, Snapshot, SqliteStorage

pytestmark = pytest.mark.anyio

MESSAGES = 200
TOKENS = 12_500
PAGE = 4096
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def english() -> list[str]:
    """Tokens of real prose: the reference manual that Python carries, in pieces of words as models make them."""
    prose = " ".join(" ".join(topics.topics[name].split()) for name in sorted(topics.topics))
    return re.findall(r" ?\w{1,10}| ?[^\w\s]+| ", prose)


def chat() -> tuple[list[LoggedUpdate], Doc[Any], int]:
    """A chat of a person and an agent, streamed token by token: its log, its document, and the bytes of its text."""
    dice = random.Random(1)
    tokens = iter(english())
    log: list[LoggedUpdate] = []
    second = 0.0

    def write(doc: Doc[Any], who: str, message: int, seen: int) -> None:
        nonlocal second
        for row in log[seen:]:
            doc.apply_update(row.update)

        def note(event: TransactionEvent) -> None:
            version = len(log) + 1
            at = (BEGAN + timedelta(seconds=second)).isoformat(timespec="milliseconds")
            log.append(LoggedUpdate("chat", version, at, who, doc.client_id, event.update))

        watch = doc.observe(note)
        session = SessionDocument(doc)
        run = str(UUID(int=dice.getrandbits(128))) if who == "agent" else None
        if run:
            session.runs.start(run, agent=who, started_at="2026-01-01T00:00:00Z")
        written = session.messages.append(
            "assistant" if run else "user",
            [{"type": "text", "text": "", "state": "streaming"}],
            id=str(UUID(int=dice.getrandbits(128))),
            author=who,
            created_at="2026-01-01T00:00:00Z",
            run=run,
        )
        text = written.shared["parts"][0]["text"]
        for _ in range(TOKENS // MESSAGES + message % 2):
            second += 0.02
            text += next(tokens)
        written.shared["parts"][0]["state"] = "done"
        doc.unobserve(watch)

    person: Doc[Any] = Doc()
    known = 0
    for message in range(MESSAGES):
        second += dice.uniform(5, 40)
        if message % 2:
            write(Doc(), "agent", message, 0)
        else:
            write(person, "ada", message, known)
            known = len(log)
    whole: Doc[Any] = Doc()
    for row in log:
        whole.apply_update(row.update)
    texts = (part["text"] for message in SessionDocument(whole).messages.to_json() for part in message["parts"])
    return log, whole, sum(len(text.encode()) for text in texts)


def size(path: Path) -> int:
    """The bytes of a closed database."""
    assert not path.with_name(f"{path.name}-wal").exists()
    return path.stat().st_size


async def test_a_compacted_chat_takes_one_and_a_half_times_its_text_with_its_history(tmp_path: Path) -> None:
    log, whole, text = chat()
    assert len(log) > TOKENS
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
    assert before * PAGE > 18 * text
    assert size(path) - free * PAGE - size(empty) <= 1.5 * text
    assert free <= before // 100, "the rest went back to the file system"
    assert loaded is not None
    assert loaded.snapshot == Snapshot("chat", len(log), whole.get_update())
    assert loaded.updates == ()
    assert len(history) <= 2 * MESSAGES
    assert history[-1].version == len(log)
    assert {(row.participant, row.client) for row in history} == {(row.participant, row.client) for row in log}
    replayed: Doc[Any] = Doc()
    for row in history:
        replayed.apply_update(row.update)
    assert replayed.get_update() == whole.get_update()


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
    async with asyncio.timeout(5):
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
