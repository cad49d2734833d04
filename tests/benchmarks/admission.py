"""What admission costs: the room's part of the way of an update, of full write and of restricted participants.

    python tests/benchmarks/admission.py

One process, no network: an agent writes into a session that has a past, each kind of edit a thousand times. With full
write admission is told of an update and judges nothing; a token behind one's last is judged the short way, all else
from scratch, and is tried on the shadow. Times are CPU of `Room.receive`, the best of some rounds.
"""

import gc
import time
from collections.abc import Callable
from random import Random

from pycrdt import Doc, TransactionEvent

from cosession.admission import Admission, AdmissionLimits
from cosession.auth import EVERYTHING, Capabilities, Participant
from cosession.document import SessionDocument, SharedText
from cosession.protocol import SyncUpdate, encode_frame, read_update_header
from cosession.room.room import Peer, Room
from cosession.settings import Settings

AT = "2026-01-01T00:00:00.000Z"
PAST, EDITS, ROUNDS = 200, 1000, 9
LIMITS = AdmissionLimits(2**30, 64)
FULL = Participant("bot", "Bot", "agent", EVERYTHING)
RESTRICTED = Participant("bot", "Bot", "agent", Capabilities.of("agent"))


def past() -> SessionDocument:
    """A session of many messages, and an answer that streams."""
    document = SessionDocument(Doc())
    document.initialise(created_at=AT)
    for number in range(PAST):
        part = {"type": "text", "text": "what was said " * 20}
        message = document.messages.append("user", [part], id=f"m{number}", author="ada", created_at=AT)
        message.set_stamp(by="ada", at=AT, seq=number)
    document.runs.start("r", agent="bot", started_at=AT)
    answer = document.messages.append(
        "assistant", [{"type": "text", "text": "so"}], id="a", author="bot", created_at=AT, run="r"
    )
    answer.set_stamp(by="bot", at=AT, seq=PAST)
    return document


def answer_of(document: SessionDocument) -> SharedText:
    """The text that streams."""
    message = document.messages.get("a")
    assert message is not None
    text = message.parts[0].text
    assert text is not None
    return text


def go_on(document: SessionDocument, number: int, random: Random) -> None:
    """Write behind what was written last."""
    answer_of(document).append(f"token{number % 10} ")


def jump(document: SessionDocument, number: int, random: Random) -> None:
    """Write elsewhere in the text each time."""
    text = answer_of(document)
    text.insert(random.randrange(len(str(text)) + 1), f"token{number % 10} ")


def delete(document: SessionDocument, number: int, random: Random) -> None:
    """Delete a few characters; the text is long enough for all of them."""
    text = answer_of(document)
    start = random.randrange(len(str(text)) - 3)
    text.delete(start, start + 3)


def set_key(document: SessionDocument, number: int, random: Random) -> None:
    """Set a key that is there."""
    document.state.set("progress", number)


def say(document: SessionDocument, number: int, random: Random) -> None:
    """Add a message."""
    part = {"type": "text", "text": "done", "state": "done"}
    document.messages.append("assistant", [part], id=f"new{number}", author="bot", created_at=AT, run="r")


EDITED: dict[str, Callable[[SessionDocument, int, Random], None]] = {
    "a token behind the last": go_on,
    "a token anywhere in the text": jump,
    "a few characters deleted": delete,
    "a key set": set_key,
    "a message": say,
}


def updates(live: SessionDocument, edit: Callable[[SessionDocument, int, Random], None]) -> list[bytes]:
    """What a client sends that edits so; the first one makes room for the others."""
    replica = SessionDocument(Doc())
    replica.doc.apply_update(live.doc.get_update())
    found: list[bytes] = []

    def note(event: TransactionEvent) -> None:
        found.append(event.update)

    watch = replica.doc.observe(note)
    random = Random(1)
    answer_of(replica).append("what there is to delete " * 200)
    for number in range(EDITS):
        with replica.transaction():
            edit(replica, number, random)
    replica.doc.unobserve(watch)
    return found


def room_part(live: SessionDocument, found: list[bytes], who: Participant) -> float:
    """The room's part of an edit's way, in microseconds of CPU."""
    room = Room(Settings(), [live.doc.get_update()], 1)
    room.join(0, Peer(who, extended=True), AT)
    first, *frames = (encode_frame(SyncUpdate(update)) for update in found)
    room.receive(0, first, AT)
    gc.collect()
    began = time.process_time()
    for frame in frames:
        room.receive(0, frame, AT)
    return (time.process_time() - began) / len(frames) * 1e6


def built(live: SessionDocument, update: bytes) -> float:
    """Making index and shadow, once for a room, when the first restricted participant writes."""
    header = read_update_header(update)
    began = time.process_time()
    Admission(live, LIMITS).judge(update, header, RESTRICTED)
    return (time.process_time() - began) * 1e6


def main() -> None:
    """Measure and print."""
    live = past()
    print("| the room's part of | full write, µs | restricted, µs | times |\n|---|---:|---:|---:|")
    for what, edit in EDITED.items():
        found = updates(live, edit)
        rounds = [[room_part(live, found, who) for who in (FULL, RESTRICTED)] for _ in range(ROUNDS)]
        full, restricted = map(min, zip(*rounds, strict=True))
        print(f"| {what} | {full:.1f} | {restricted:.1f} | {restricted / full:.2f} |")
    update = updates(live, go_on)[0]
    once = min(built(live, update) for _ in range(ROUNDS))
    print(f"\nOnce for a room of {PAST} messages, to make index and shadow: {once / 1000:.0f} ms.")


if __name__ == "__main__":
    main()
