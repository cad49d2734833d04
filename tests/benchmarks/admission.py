"""What admission costs for one token, in microseconds of CPU, beside the room's own part of the way.

    python tests/benchmarks/admission.py

One process, no network: an agent streams answers into a session that has a past. "Full write" tells admission of the
update and judges nothing; "goes on" is the token behind one's last, in one's own text; "elsewhere" is a caret that
jumps at every token: each is judged from scratch and tried on the shadow.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from pycrdt import Doc

from cosession.auth import Capabilities, Participant
from cosession.document import SessionDocument
from cosession.protocol import SyncUpdate, encode_frame, read_update_header
from cosession.rooms.admission import Admission, Limits
from cosession.rooms.room import Peer, Room
from cosession.settings import Settings

AT = "2026-01-01T00:00:00.000Z"
PAST, TOKENS = 200, 2000
LIMITS = Limits(2**30, 64)
BOT = Participant("bot", "Bot", "agent", Capabilities.of("agent"))


def past() -> SessionDocument:
    """A session of many messages."""
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


def tokens(live: SessionDocument, *, at_end: bool) -> list[bytes]:
    """The updates of an answer that streams, each behind the last or all at the start."""
    replica = SessionDocument(Doc())
    replica.doc.apply_update(live.doc.get_update())
    updates: list[bytes] = []
    watch = replica.doc.observe(lambda event: updates.append(event.update))
    message = replica.messages.get("a")
    assert message is not None
    text = message.parts[0].text
    assert text is not None
    for number in range(TOKENS):
        text.shared.insert(len(text.shared) if at_end else 0, f"token{number % 10} ")
    replica.doc.unobserve(watch)
    return updates


def cost(act: Callable[[Any], object], items: Iterable[Any]) -> float:
    """Microseconds of CPU per item."""
    items = list(items)
    began = time.process_time()
    for item in items:
        act(item)
    return (time.process_time() - began) / len(items) * 1e6


def room_part() -> float:
    """The room's own part of the way of one token."""
    live = past()
    room = Room(Settings(), [live.doc.get_update()], 1)
    room.join(0, Peer(Participant("bot", "Bot"), extended=True), AT)
    frames = [encode_frame(SyncUpdate(update)) for update in tokens(live, at_end=True)]
    return cost(lambda frame: room.receive(0, frame, AT), frames)


def judged(*, at_end: bool) -> float:
    """Judging a token, without the reading of its header, which the room does anyway."""
    live = past()
    admission = Admission(live, LIMITS)
    updates = tokens(live, at_end=at_end)
    pairs = [(update, read_update_header(update)) for update in updates]
    admission.judge(*pairs[0], BOT)
    return cost(lambda pair: admission.judge(*pair, BOT), pairs[1:])


def told() -> float:
    """Telling of a token that nobody judges."""
    live = past()
    admission = Admission(live, LIMITS)
    return cost(admission.applied, tokens(live, at_end=True))


def built() -> float:
    """Making index and shadow, once for a room, when the first restricted participant writes."""
    live = past()
    update = tokens(live, at_end=True)[0]
    header = read_update_header(update)
    return cost(lambda _: Admission(live, LIMITS).judge(update, header, BOT), range(3))


def main() -> None:
    """Measure and print."""
    print("| a token | µs of CPU |\n|---|---:|")
    for what, microseconds in (
        ("the room's own part", room_part()),
        ("admission: full write", told()),
        ("admission: restricted, goes on", judged(at_end=True)),
        ("admission: restricted, elsewhere", judged(at_end=False)),
        (f"once for a room of {PAST} messages: index and shadow are made", built()),
    ):
        print(f"| {what} | {microseconds:.1f} |")


if __name__ == "__main__":
    main()
