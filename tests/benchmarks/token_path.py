"""What each stop of one token costs, in microseconds of CPU: frame in → room → log → fan-out.

    python tests/benchmarks/token_path.py

One process, no network but a socket pair: for comparing a change with what was before it, not servers.
"""

import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from pycrdt import Doc, Text

from cosession.auth import Participant
from cosession.protocol import SyncStep1, SyncUpdate, decode_frame, encode_frame, read_update_header
from cosession.room.effects import Broadcast, Update
from cosession.room.room import Peer, Room
from cosession.runtime.fanout import FanOut
from cosession.server.edge.websocket_protocol import pack
from cosession.settings import Settings

AT = "2026-01-01T00:00:00.000Z"
MESSAGES, TOKENS, WATCHERS = 40, 500, 1000
"""An answer of 500 tokens, forty times: a token costs more in a longer text."""


def answer() -> list[bytes]:
    """The updates of one answer, as they stream."""
    updates: list[bytes] = []
    doc: Doc[Any] = Doc()
    text = doc.get("text:answer", type=Text)
    watch = doc.observe(lambda event: updates.append(event.update))
    for number in range(TOKENS):
        text += f"token{number % 10} "
    doc.unobserve(watch)
    return updates


def room() -> Room:
    """A room with one synced connection that asked for fences."""
    live = Room(Settings(), [], 0)
    live.join(0, Peer(Participant("ada", "Ada"), extended=True), AT)
    live.receive(0, encode_frame(SyncStep1(b"\x00")), AT)
    return live


class Watcher:
    """A connection that can be written to, and whose socket costs nothing."""

    pack = staticmethod(pack)

    def write(self, _: bytes) -> None:
        """Take it."""


def fan_out(frames: list[bytes]) -> float:
    """Microseconds of CPU for handing a token over to one of many watchers."""
    watchers: Any = {number: Watcher() for number in range(WATCHERS)}
    synced = set(watchers)
    out = FanOut(max_merged=256)

    def send(frame: bytes) -> None:
        out.put(Broadcast(Update(frame, frame, ()), None))
        out.send_out(watchers, synced)

    return cost(send, frames) / WATCHERS


def cost(act: Callable[[Any], object], items: Iterable[Any]) -> float:
    """Microseconds of CPU per item."""
    items = list(items)
    began = time.process_time()
    for item in items:
        act(item)
    return (time.process_time() - began) / len(items) * 1e6


def main() -> None:
    """Measure and print."""
    answers = [answer() for _ in range(MESSAGES)]
    frames = [[encode_frame(SyncUpdate(update)) for update in updates] for updates in answers]
    flat = [frame for each in frames for frame in each]
    updates = [update for each in answers for update in each]
    headers = [read_update_header(update) for update in updates]
    docs = [(doc, update) for each in answers for doc in [Doc[Any]()] for update in each]
    rooms = [(live, frame) for each in frames for live in [room()] for frame in each]
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    sent = pack(flat[:1])

    def send(_: object) -> None:
        ours.send(sent)
        theirs.recv(65536)

    print("| stop | µs of CPU |\n|---|---:|")
    for stop, microseconds in (
        ("decode the frame", cost(decode_frame, flat)),
        ("read the update's header", cost(read_update_header, updates)),
        ("does it fit?", cost(lambda header: header.fits({}), headers)),
        ("apply it to the document", cost(lambda pair: pair[0].apply_update(pair[1]), docs)),
        ("the room, all of it", cost(lambda pair: pair[0].receive(0, pair[1], AT), rooms)),
        ("encode it for the sockets, once", cost(lambda frame: pack([frame]), flat)),
        ("hand it over to a watcher", fan_out(flat[:TOKENS])),
        ("send it to a watcher (and receive it there)", cost(send, flat)),
    ):
        print(f"| {stop} | {microseconds:.1f} |")


if __name__ == "__main__":
    main()
