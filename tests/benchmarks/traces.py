"""CPU for what editors send, ours beside a peer's: keystrokes in one text, and many small sessions.

    python tests/benchmarks/traces.py                                # a made-up trace, and 200 and 500 sessions
    python tests/benchmarks/traces.py --trace automerge-paper.json.gz    # one of github.com/josephg/editing-traces
    python tests/benchmarks/traces.py --peers cosession hocuspocus y-websocket --keystrokes 50000

All servers run at their default settings with their stores on. CPU time is compared, not the time on the clock: ours
reads a connection more slowly from 2,000 frames a second on, and must not close it.
"""

import argparse
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import live
from benchmarks.live import SECOND, Result, gather
from benchmarks.load import alive
from benchmarks.peers import LOAD_CORE, PEERS, Peer
from benchmarks.yframes import client_frame, sized
from pycrdt import Doc, Text, TransactionEvent

ROOT = "text:trace"
LAST = "~@ffffffff"
"""What is written at the end, to be looked for among what the watcher gets."""

STORED_SECONDS = 3.0
"""How long is waited for the peers that store what has come to rest; that is CPU time as well."""

PATIENCE_SECONDS = 600.0

Patch = tuple[int, int, str]
"""One keystroke: where, how many characters go, and what comes."""


def made_up(count: int, seed: int = 1) -> Iterator[Patch]:
    """Keystrokes as of a person that writes: runs of letters, some taken back, now and then at another place."""
    rng = random.Random(seed)
    length = at = 0
    while count > 0:
        if rng.random() < 0.3:
            at = rng.randrange(length + 1)
        typed = min(count, rng.randint(5, 60))
        for _ in range(typed):
            yield at, 0, rng.choice("etaoin shrdlu")
            at, length = at + 1, length + 1
        count -= typed
        taken_back = min(count, at, rng.choice((0, 0, 1, 3, 20)))
        for _ in range(taken_back):
            yield at - 1, 1, ""
            at, length = at - 1, length - 1
        count -= taken_back


def recorded(path: Path) -> Iterator[Patch]:
    """Keystrokes of a recorded trace of ASCII text."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for transaction in json.loads(data)["txns"]:
        for at, gone, text in transaction["patches"]:
            assert text.isascii(), f"{path} isn't ASCII: places would be counted in other units."
            yield at, gone, text


def updates_of(patches: Iterable[Patch]) -> list[bytes]:
    """Write keystrokes into a document, and return an update for each."""
    doc, updates = Doc[Text](), list[bytes]()
    text = doc.get(ROOT, type=Text)

    def note(event: TransactionEvent) -> None:
        updates.append(event.update)

    doc.observe(note)
    for at, gone, come in (*patches, (0, 0, LAST)):
        with doc.transaction():
            if gone:
                del text[at : at + gone]
            if come:
                text.insert(at, come)
    return updates


def replay(peer: Peer, updates: list[bytes]) -> Result:
    """Send the updates of one text as fast as a server takes them, beside one watcher."""
    crowd = gather(peer, 1, 1)
    load, [writer], [[watcher]] = crowd.load, crowd.writers, crowd.watchers
    prefix = crowd.authors[0].prefix
    began, cpu = time.monotonic(), peer.cpu()
    for at, update in enumerate(updates):
        writer.send(client_frame(prefix + b"\x00\x02" + sized(update)))
        if at % 100 == 0:
            load.receive(until=time.monotonic_ns() + SECOND // 1000)
    has_all = False
    while not (has_all or writer.closed or watcher.closed) and time.monotonic() < began + PATIENCE_SECONDS:
        writer.flush()
        load.receive(until=time.monotonic_ns() + SECOND // 10)
        has_all = any(LAST.encode() in chunk for chunk in watcher.chunks[-20:])
    seconds = time.monotonic() - began
    load.receive(until=time.monotonic_ns() + int(STORED_SECONDS * SECOND))
    result = {"server_cpu_seconds": round(peer.cpu() - cpu, 2), "seconds": round(seconds, 1), "arrived": has_all}
    result["connections_lost"] = len(load.clients) - alive(load.clients)
    load.close()
    return result


def many_small(peer: Peer, sessions: int, seconds: float) -> Result:
    """Sessions with two watchers and ten updates a second each."""
    row = live.fan_out(peer, sessions, 2, 10, seconds)
    columns = ("server_cpu_seconds", "p50_ms", "p99_ms", "tokens", "delivered", "connections_lost")
    return {column: row[column] for column in columns}


def main() -> None:
    """Measure each shape on each peer in turn, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["cosession", "hocuspocus"])
    parser.add_argument("--trace", type=Path, help="a recorded trace instead of a made-up one")
    parser.add_argument("--keystrokes", type=int, default=20_000, help="of the made-up trace")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the small sessions are measured")
    parser.add_argument("--sessions", type=int, nargs="+", default=[200, 500], help="how many small ones there are")
    options = parser.parse_args()
    updates = updates_of(recorded(options.trace) if options.trace else made_up(options.keystrokes))
    if LOAD_CORE in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {LOAD_CORE})
    shapes: dict[str, Callable[[Peer], Result]] = {
        f"{len(updates):,} keystrokes in one text": partial(replay, updates=updates)
    }
    for count in options.sessions:
        shapes[f"{count} sessions × 2 watchers × 10 a second"] = partial(
            many_small, sessions=count, seconds=options.seconds
        )
    for shape, measure in shapes.items():
        print(f"\n{shape}")
        ours: float | None = None
        for name in options.peers:
            peer = PEERS[name]
            try:
                peer.start()
                result = measure(peer)
            finally:
                peer.remove()
            ours = ours or result["server_cpu_seconds"]
            share = round(ours / max(result["server_cpu_seconds"], 0.01), 2)
            print(f"  {name}: {result} (ours ÷ theirs: {share})", flush=True)


if __name__ == "__main__":
    main()
