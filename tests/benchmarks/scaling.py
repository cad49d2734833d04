"""How the cost of an operation grows with the session, from 100 to 100,000 messages, participants, runs, deletions.

    python tests/benchmarks/scaling.py                      # a few minutes
    python tests/benchmarks/scaling.py --sizes 100 1000 10000 --only vote claim

One room without sockets or disk: a frame goes in, effects come out. CPU time, best of several.
"""

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, cast

from pycrdt import Array, Doc, Map, get_state

from cosession.auth import ROLES, Capabilities, Participant
from cosession.document import SessionDocument
from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    SyncStep1,
    SyncUpdate,
    decode_state_vector,
    encode_awareness,
    encode_frame,
)
from cosession.protocol.lib0 import buffer, uint
from cosession.room.effects import AnswerSync
from cosession.room.peer import Peer
from cosession.room.room import Room
from cosession.settings import Settings

AT = "2026-01-01T00:00:00.000Z"
SIZES = (100, 1_000, 10_000, 100_000)
GROWING = frozenset({"first sync", "whole GET"})
"""What may grow with the session: it gives all of it."""

WALKING = frozenset({"yrs alone"})
"""What appends to a list: yrs walks it from its start, deleted entries too, to append and to tell of it."""

CAPABILITIES = (*ROLES["operator"], "prompt", "run")
"""Of a participant whose writes are judged, and who may do all of this."""


WRITERS = 100
"""Yjs client ids. yrs goes through all of them in every transaction, and a client's state vector names each."""


def session(size: int, writers: int = WRITERS) -> bytes:
    """A session in which so much has happened of everything, by the hands of so many.

    Its bytes are written here: yrs walks a list from its start to append to it, which takes an hour for the largest.
    """
    doc: Doc[Any] = Doc(client_id=1)
    SessionDocument(doc).initialise(created_at=AT, title="Trip")
    structs = _Structs(doc.get_update())
    last = None
    for number in range(size):
        last = _message(structs, number, last)
    for number in range(size):
        of = structs.shared(root("runs", f"old-{number}"), MAP)
        structs.values(of, id=f"old-{number}", agent="bot", status="complete", started_at=AT)
        of = structs.shared(root("approvals", f"old-{number}"), MAP)
        structs.values(of, question="?", run=f"old-{number}", decision={"decision": "approved"})
        structs.shared(key(of, "votes"), MAP)
        of = structs.shared(root("participants", f"p{number}"), MAP)
        structs.values(of, name="Ann", kind="human", online=False, since=AT)
    kept, last = structs.clock, None
    for name in ("requests", "claims", "state"):
        for number in range(size):
            structs.value(root(name, f"old-{number}"), number)
    for number in range(size):
        last = structs.entry("queue", last)
        structs.values(last, id=f"q{number}")
    doc.apply_update(structs.update(kept))
    doc.apply_update(_writers(writers))
    return doc.get_update()


MAP, ARRAY, TEXT = b"\x01", b"\x00", b"\x02"


def root(name: str, key: str) -> bytes:
    """The place of a key in a root."""
    return b"\x01" + buffer(name.encode()) + buffer(key.encode())


def key(parent: int, name: str) -> bytes:
    """The place of a key in the Map of a clock."""
    return b"\x00\x01" + uint(parent) + buffer(name.encode())


class _Structs:
    """What client 1 writes besides what it has written; see the update format of Yjs.

    Attributes:
        clock: the clock that it has reached.
    """

    def __init__(self, written: bytes) -> None:
        self._first = self.clock = decode_state_vector(get_state(written))[1]
        self._written: list[bytes] = []

    def value(self, place: bytes, value: object) -> None:
        """Write a value under a key."""
        self._write(b"\x28" + place + b"\x01" + _any(value))

    def values(self, parent: int, **fields: object) -> None:
        """Write some into the Map of a clock."""
        for name, value in fields.items():
            self.value(key(parent, name), value)

    def shared(self, place: bytes, kind: bytes) -> int:
        """Write a shared type under a key; its clock."""
        return self._write(b"\x27" + place + kind)

    def entry(self, name: str, last: int | None) -> int:
        """Write a Map into a root, behind the last entry; its clock."""
        if last is None:
            return self._write(b"\x07\x01" + buffer(name.encode()) + MAP)
        return self._write(b"\x87\x01" + uint(last) + MAP)

    def first(self, parent: int) -> int:
        """Write a Map into an empty Array; its clock."""
        return self._write(b"\x07\x00\x01" + uint(parent) + MAP)

    def text(self, parent: int, text: str) -> None:
        """Write into an empty Text."""
        self._write(b"\x04\x00\x01" + uint(parent) + buffer(text.encode()))
        self.clock += len(text) - 1

    def update(self, kept: int) -> bytes:
        """All of it; what came from a clock on is deleted."""
        head = uint(1) + uint(len(self._written)) + uint(1) + uint(self._first)
        deleted = uint(1) + uint(1) + uint(1) + uint(kept) + uint(self.clock - kept)
        return b"".join((head, *self._written, deleted))

    def _write(self, struct: bytes) -> int:
        self._written.append(struct)
        self.clock += 1
        return self.clock - 1


def _any(value: object) -> bytes:
    match value:
        case bool():
            return b"\x78" if value else b"\x79"
        case str():
            return b"\x77" + buffer(value.encode())
        case int():
            return b"\x7d" + (bytes((value,)) if value < 64 else bytes((value & 63 | 128,)) + uint(value >> 6))
        case dict():
            fields = cast("dict[str, object]", value)
            return b"\x76" + uint(len(fields)) + b"".join(buffer(k.encode()) + _any(v) for k, v in fields.items())
        case _:
            raise TypeError(f"No {type(value).__name__} is written here.")


def _message(structs: _Structs, number: int, last: int | None) -> int:
    message = structs.entry("messages", last)
    structs.values(message, id=f"m{number}", role="assistant", stamp={"by": "ada", "at": AT, "seq": number})
    structs.values(structs.shared(key(message, "metadata"), MAP), author="ada", status="complete", created_at=AT)
    part = structs.first(structs.shared(key(message, "parts"), ARRAY))
    structs.values(part, type="text", state="done")
    structs.text(structs.shared(key(part, "text"), TEXT), "some words of a message")
    return message


def _writers(size: int) -> bytes:
    """Each of so many has written once, under a Yjs client id of its own."""
    clients = [
        uint(1)
        + uint(10_000_000 + number)
        + uint(0)
        + b"\x28\x01"
        + buffer(b"selections")
        + buffer(f"p{number}/at".encode())
        + b"\x01\x77"
        + buffer(b"somewhere")
        for number in range(size)
    ]
    return uint(size) + b"".join(clients) + b"\x00"


class Scene:
    """A room, and one participant in it, whose operations are measured."""

    def __init__(self, update: bytes, restricted: bool) -> None:
        self.room = Room(Settings(max_document_bytes=2**34), [update], 1)  # the largest is beyond the default
        self.room.begin(AT)
        self.who = (
            Participant("ada", "Ada", capabilities=Capabilities.parse(CAPABILITIES))
            if restricted
            else Participant("ada", "Ada")
        )
        self.numbers = count(1)
        self.connection = self.join()
        self.room.receive(self.connection, encode_frame(SyncStep1(self.room.document.doc.get_state())), AT)
        self.doc: Doc[Any] = Doc(client_id=7, skip_gc=True)
        self.doc.apply_update(self.room.document.doc.get_update())
        self.document = SessionDocument(self.doc)
        self.present = self.doc.client_id
        self.clock = count(1)
        self.show()
        self.oldest = self.document.messages[0]
        self.part = self.oldest.parts[0]
        self._alone: Array[Any] | None = None

    def alone(self) -> Array[Any]:
        """The list of messages in a document of its own."""
        if self._alone is None:
            doc: Doc[Any] = Doc()
            doc.apply_update(self.doc.get_update())
            self._alone = doc.get("messages", type=Array)
        return self._alone

    def join(self) -> int:
        connection = next(self.numbers)
        self.room.join(connection, Peer(self.who, extended=True), AT)
        return connection

    def show(self) -> None:
        entry = AwarenessEntry(self.present, next(self.clock), '{"user":{}}')
        self.room.receive(self.connection, encode_frame(Awareness(encode_awareness([entry]))), AT)

    def change(self, act: Callable[[SessionDocument], object]) -> bytes:
        """The frame of what a client does that has heard of everything before."""
        self.doc.apply_update(self.room.document.doc.get_update(self.doc.get_state()))
        updates: list[bytes] = []
        watch = self.doc.observe(lambda event: updates.append(event.update))
        with self.doc.transaction():
            act(self.document)
        self.doc.unobserve(watch)
        [update] = updates
        return encode_frame(SyncUpdate(update))

    def send(self, act: Callable[[SessionDocument], object]) -> Callable[[], object]:
        frame = self.change(act)

        def receive() -> None:
            effects = self.room.receive(self.connection, frame, AT)
            self.room.committed(self.room.version)
            del effects

        return receive


Operation = Callable[[Scene, int], Callable[[], object]]
"""Prepares an operation of a number and returns what is measured."""

OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    def add(act: Operation) -> Operation:
        OPERATIONS[name] = act
        return act

    return add


def _text(number: int) -> list[dict[str, Any]]:
    return [{"type": "text", "text": f"words {number}", "state": "done"}]


@operation("join")
def _join(scene: Scene, _: int) -> Callable[[], object]:
    return scene.join


@operation("leave")
def _leave(scene: Scene, _: int) -> Callable[[], object]:
    connection = scene.join()
    return lambda: scene.room.leave(connection, AT)


@operation("rejoin")
def _rejoin(scene: Scene, _: int) -> Callable[[], object]:
    vector = scene.room.document.doc.get_state()

    def rejoin() -> None:
        scene.room.receive(scene.join(), encode_frame(SyncStep1(vector)), AT)

    return rejoin


@operation("token")
def _token(scene: Scene, number: int) -> Callable[[], object]:
    return scene.send(lambda document: document.text("notes").append("word "))


@operation("message")
def _message_sent(scene: Scene, number: int) -> Callable[[], object]:
    return scene.send(
        lambda document: document.messages.append(
            "user", _text(number), id=f"new{number}", author="ada", created_at=AT
        )
    )


@operation("edit")
def _edit(scene: Scene, number: int) -> Callable[[], object]:
    return scene.send(lambda _: scene.oldest.edit(f"other words {number}", at=AT, by="ada"))


@operation("state")
def _state(scene: Scene, number: int) -> Callable[[], object]:
    return scene.send(lambda document: document.state.set(f"new{number}", number))


@operation("post")
def _post(scene: Scene, number: int) -> Callable[[], object]:
    def append(document: SessionDocument) -> None:
        document.messages.append("user", _text(number), id=f"posted{number}", author="ada", created_at=AT)

    def post() -> None:
        assert scene.room.document.messages.get(f"posted{number}") is None
        scene.room.append(append, AT, scene.who, 500)
        assert scene.room.document.messages.get(f"posted{number}") is not None

    return post


@operation("claim")
def _claim(scene: Scene, number: int) -> Callable[[], object]:
    return scene.send(lambda document: document.requests.ask_claim(f"k{number}", scene.present, "ada"))


@operation("release")
def _release(scene: Scene, number: int) -> Callable[[], object]:
    scene.send(lambda document: document.requests.ask_claim(f"r{number}", scene.present, "ada"))()
    return scene.send(lambda document: document.requests.ask_release(f"r{number}", scene.present, "ada"))


@operation("vote")
def _vote(scene: Scene, number: int) -> Callable[[], object]:
    scene.send(lambda document: document.approvals.ask(f"new{number}", question="?", created_at=AT, quorum=3))()
    return scene.send(lambda document: document.requests.ask_vote(f"new{number}", "ada", "approved"))


@operation("run begins")
def _begin(scene: Scene, number: int) -> Callable[[], object]:
    return scene.send(
        lambda document: document.runs.start(
            f"begun{number}", agent="ada", started_at=AT, reply_to=f"m{number}", client=scene.present
        )
    )


def _begun(scene: Scene, id_: str, number: int) -> Any:
    started: list[Any] = []

    def start(document: SessionDocument) -> None:
        run = document.runs.start(id_, agent="ada", started_at=AT, client=scene.present)
        run.add_message(f"{id_}.m")
        started.append(run)
        document.messages.append(
            "assistant", _text(number), id=f"{id_}.m", author="ada", created_at=AT, status="streaming", run=id_
        )

    scene.send(start)()
    return started[0]


@operation("run ends")
def _end(scene: Scene, number: int) -> Callable[[], object]:
    run = _begun(scene, f"ended{number}", number)
    return scene.send(lambda _: run.end("complete", at=AT))


@operation("cancel")
def _cancel(scene: Scene, number: int) -> Callable[[], object]:
    _begun(scene, f"cancelled{number}", number)
    return scene.send(lambda document: document.requests.ask_cancel(f"cancelled{number}", "ada"))


@operation("cancel of nothing")
def _cancel_nothing(scene: Scene, number: int) -> Callable[[], object]:
    return scene.send(lambda document: document.requests.ask_cancel(f"nothing{number}", "ada"))


@operation("steer")
def _steer(scene: Scene, number: int) -> Callable[[], object]:
    _begun(scene, f"steered{number}", number)
    return scene.send(lambda document: document.requests.ask_steer(f"steered{number}", "s", "ada", "shorter"))


@operation("queue")
def _queue(scene: Scene, number: int) -> Callable[[], object]:
    return _queued(scene, f"queued{number}", to=f"idle{number}")


@operation("queue waits")
def _queue_waits(scene: Scene, number: int) -> Callable[[], object]:
    return _queued(scene, f"waiting{number}", to="bot")


def _queued(scene: Scene, id_: str, to: str) -> Callable[[], object]:
    return scene.send(lambda document: document.queue.append("later", id=id_, author="ada", created_at=AT, to=[to]))


@operation("yrs alone")
def _append_alone(scene: Scene, number: int) -> Callable[[], object]:
    messages = scene.alone()

    def append() -> None:
        watch = messages.observe(lambda event: event.delta)
        messages.append(Map({"id": f"alone{number}"}))
        messages.unobserve(watch)

    return append


@operation("presence")
def _presence(scene: Scene, _: int) -> Callable[[], object]:
    return scene.show


@operation("first sync")
def _first(scene: Scene, number: int) -> Callable[[], object]:
    connection = scene.join()
    scene.send(lambda document: document.state.set(f"changed{number}", number))()

    def sync() -> None:
        for effect in scene.room.receive(connection, encode_frame(SyncStep1(b"\x00")), AT):
            if isinstance(effect, AnswerSync):
                list(effect.reply)

    return sync


@operation("whole GET")
def _get(scene: Scene, _: int) -> Callable[[], object]:
    return scene.room.document.to_json


def measure(scene: Scene, name: str, repeats: int) -> float:
    """Microseconds of CPU of one operation, the median."""
    times: list[float] = []
    for number in range(repeats):
        act = OPERATIONS[name](scene, number)
        gc.collect() if number == 0 else None
        gc.disable()
        began = time.process_time_ns()
        act()
        times.append((time.process_time_ns() - began) / 1000)
        gc.enable()
    return statistics.median(times)


def table(
    sizes: list[int], names: list[str], repeats: int, writers: int, restricted: bool, show: Callable[[str], object]
) -> Iterator[str]:
    """The lines of a table of one participant; each figure is shown as it comes."""
    rows: dict[str, list[float]] = {name: [] for name in names}
    for size in sizes:
        began = time.process_time()
        scene = Scene(session(size, writers), restricted)
        show(f"{size:,}: made and loaded in {time.process_time() - began:.1f} s of CPU")
        for name in names:
            if name not in GROWING or size <= 10_000:
                rows[name].append(measure(scene, name, 3 if name in GROWING else repeats))
                show(f"{size:,}: {name} {rows[name][-1]:,.0f} µs")
    yield f"{'µs of CPU':18}" + "".join(f"{size:>12,}" for size in sizes) + "   from 1,000"
    base = sizes.index(1000) if 1000 in sizes else 0
    for name, costs in rows.items():
        ratio = costs[-1] / costs[min(base, len(costs) - 1)]
        grows = "  yrs walks the list" if name in WALKING else "  grows"
        mark = "" if ratio <= 2 or name in GROWING else grows
        yield f"{name:18}" + "".join(f"{cost:12,.0f}" for cost in costs) + f"   × {ratio:.1f}{mark}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--only", nargs="+", choices=list(OPERATIONS), default=list(OPERATIONS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--writers", type=int, default=WRITERS, help="how many Yjs clients have written")
    parser.add_argument("--restricted", action="store_true", help="a member, whose writes are judged")
    options = parser.parse_args()
    show = partial(print, file=sys.stderr, flush=True)
    for line in table(options.sizes, options.only, options.repeats, options.writers, options.restricted, show):
        print(line, flush=True)


if __name__ == "__main__":
    main()
