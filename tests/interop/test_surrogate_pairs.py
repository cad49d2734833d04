"""Text that is edited by UTF-16 units, halves of emoji included, is the same for every reader."""

import base64
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from processes import TESTS, node_program
from pycrdt import Doc, Text, merge_updates
from room.scene import Scene

from cosession.client.presence import Presence
from cosession.client.replica import Replica
from cosession.document import SessionDocument
from cosession.protocol import EMPTY_VECTOR, SyncStep2, SyncUpdate, encode_frame
from cosession.settings import Settings

HISTORIES = 200
CLIENTS = (11, 5, 170_000_001)
READER, SLOW_READER = 8, 9

Ask = Callable[..., Any]


@contextmanager
def pages() -> Iterator[Ask]:
    """A Node process with replicas of Yjs; see tests/node/halves.mjs for what it can be asked."""
    with subprocess.Popen(
        [node_program(), TESTS / "node" / "halves.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(**told: Any) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


def text_of(doc: Doc[Any]) -> str:
    return str(doc.get("text:n", type=Text))


def opened(scene: Scene) -> Replica:
    """A replica of the Python client that has had its first sync."""

    def do_nothing() -> None:
        """There is no connection to wake."""

    doc = SessionDocument().doc
    replica = Replica(doc, Presence(doc.client_id, {}, wake=do_nothing, changed=do_nothing), wake=do_nothing)
    replica.open()
    replica.receive(encode_frame(SyncStep2(scene.room.diff(EMPTY_VECTOR))))
    return replica


def news(scene: Scene, connection: int) -> list[bytes]:
    """The updates that a connection was sent since the last time."""
    return [frame.update for frame in scene.taken(connection) if isinstance(frame, SyncUpdate)]


def encoded(updates: list[bytes]) -> list[str]:
    return [base64.b64encode(update).decode() for update in updates]


def write(ask: Ask, scene: Scene, replica: int, told: Any) -> None:
    for update in told["updates"]:
        scene.receive(replica, SyncUpdate(base64.b64decode(update)))


@pytest.mark.parametrize("in_turn", [True, False], ids=["edits that follow each other", "edits at the same time"])
def test_every_reader_has_the_same_text_whatever_is_cut(in_turn: bool) -> None:
    with pages() as ask:
        for seed in range(HISTORIES):
            dice = random.Random(seed)
            scene = Scene(Settings())
            for number in (*range(len(CLIENTS)), READER, SLOW_READER):
                scene.join(number, f"p{number}", extended=True)
            whole = encoded([scene.room.diff(EMPTY_VECTOR)])
            ask(replicas=CLIENTS)
            for number in range(len(CLIENTS)):
                ask(replica=number, hear=whole)
            replica, slow = opened(scene), opened(scene)
            for _ in range(8 if in_turn else 14):
                number = dice.randrange(len(CLIENTS))
                hear = encoded(news(scene, number)) if in_turn or dice.random() < 0.7 else []
                told = ask(replica=number, hear=hear, seed=dice.randrange(1, 2**31 - 1))
                write(ask, scene, number, told)
                for update in news(scene, READER):
                    replica.receive(encode_frame(SyncUpdate(update)))
            end = text_of(scene.room.document.doc)

            for number in range(len(CLIENTS)):
                told = ask(replica=number, hear=encoded(news(scene, number)))
                assert (told["text"], told["pending"]) == (end, False), seed
            whole = encoded([scene.room.diff(EMPTY_VECTOR)])
            assert ask(replicas=[1], hear=whole)["text"] == end, seed
            late: Doc[Any] = Doc()
            late.apply_update(scene.room.diff(EMPTY_VECTOR))
            assert text_of(late) == end, seed
            reloaded = Scene(Settings(), [row.update for row in scene.rows], scene.room.version)
            assert text_of(reloaded.room.document.doc) == end, seed
            assert text_of(opened(scene).doc) == end, seed
            slow.receive(encode_frame(SyncUpdate(merge_updates(*news(scene, SLOW_READER)))))
            if in_turn:  # a replica of yrs puts what is written at once beside a half beside the pair
                assert text_of(replica.doc) == end, seed
                assert text_of(slow.doc) == end, seed
