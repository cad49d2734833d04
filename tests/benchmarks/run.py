"""Measure our server beside its peers, in one run on one machine.

    python tests/benchmarks/run.py                       everything
    python tests/benchmarks/run.py fan-out durable       some scenarios
    python tests/benchmarks/run.py fan-out --peers cosession hocuspocus --seconds 10
    python tests/benchmarks/run.py --readme              everything, and into the project's README

The peers are installed on first use. Results go to test-results/benchmarks/. See README.md for how to read them.
"""

import argparse
import atexit
import contextlib
import os
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import growth, live, opening, readme, stored
from benchmarks.live import Result
from benchmarks.peers import LOAD_CORE, PEERS, Peer
from benchmarks.report import OUR_NAME, Book, kept


@dataclass(frozen=True)
class Case:
    """One measurement: for each peer a fresh server.

    Attributes:
        name: what tables call it.
        run: measures a server that runs, for about so many seconds.
        columns: what the table shows.
        ratio: the column by which peers are compared.
        peers: which; None is all.
    """

    name: str
    run: Callable[[Peer, float], Result]
    columns: tuple[str, ...]
    ratio: str
    peers: tuple[str, ...] | None = None
    settings: tuple[tuple[str, object], ...] = ()


UNHURRIED = (("max_frames_per_second", 1e9),)
"""For ours, where one writer fills a session faster than any person or model: not to be taken for a flood."""

DELAY = ("tokens", "delivered", "p50_ms", "p99_ms", "max_ms", "frames", "load_late_p99_ms")
RATES = ("frames_per_second", "tokens_per_second", "frames_per_cpu_second", "tokens_per_cpu_second")
FROZEN = ("tokens", "delivered", "p99_without_ms", "p99_ms", "p99_times", "load_late_p99_ms")
PACED = ("offered_per_second", "durable_per_second", "fences", "fences_answered", "p50_ms", "p99_ms", "max_ms")


def _fan_out(sessions: int, watchers: int, rate: int) -> Case:
    return Case(
        f"{sessions} × {watchers} × {rate}",
        lambda peer, seconds: live.fan_out(peer, sessions, watchers, rate, seconds),
        DELAY,
        "p99_ms",
    )


def _frames(window: int) -> Case:
    return Case(
        f"1,000 watchers, {window} under way",
        lambda peer, seconds: live.frames_at_saturation(peer, 1000, window, seconds),
        RATES,
        "frames_per_cpu_second",
    )


def _paced(sessions: int, rate: int, fence_every: int) -> Case:
    return Case(
        f"{rate:,}/s from {sessions} sessions, a fence after each {fence_every}",
        lambda peer, seconds: stored.paced(peer, sessions, rate, fence_every, seconds),
        (*PACED, "survived_kill", "connections_lost"),
        "p99_ms",
        (OUR_NAME,),
    )


OPENED = ("text_kb", "reply_kb", "cold_open_ms", "cold_sync_ms", "disk_kb", "disk_per_text")
JOINED = ("joins_new_per_second", "joins_new_p99_ms", "joins_returning_per_second", "joins_returning_p99_ms")
KEPT = ("sessions", "open_per_second", "kb_per_session", "idle_cpu_percent")


def _chat(messages: int, tokens: int) -> Case:
    return Case(
        f"{messages} messages, {tokens:,} tokens",
        lambda peer, seconds: opening.open_chat(peer, messages, tokens, seconds),
        (*OPENED, *JOINED),
        "cold_sync_ms",
        settings=UNHURRIED,
    )


def _memory(sessions: int) -> Case:
    return Case(
        f"{sessions:,} sessions, one connection each",
        lambda peer, seconds: opening.many_sessions(peer, sessions, seconds),
        (*KEPT, "connections_lost"),
        "kb_per_session",
    )


SCENARIOS: dict[str, tuple[Case, ...]] = {
    "fan-out": (_fan_out(1, 10, 50), _fan_out(10, 100, 50), _fan_out(10, 100, 200), _fan_out(20, 100, 300)),
    "frozen": (
        Case(
            "1 × 100 × 50, one of the watchers frozen",
            lambda peer, seconds: live.beside_frozen(peer, 100, 50, seconds),
            FROZEN,
            "p99_times",
            settings=UNHURRIED,
        ),
    ),
    "frames": (_frames(1), _frames(8)),
    "durable": (
        _paced(50, 1_000, 1),
        _paced(400, 20_000, 20),
        Case(
            "as fast as it goes, 200 sessions",
            lambda peer, seconds: stored.most(peer, 200, 20, seconds),
            ("applied_per_second", "stored_per_second", "durable"),
            "applied_per_second",
        ),
    ),
    "opening": (_chat(25, 12_500), _chat(200, 100_000)),
    "memory": (_memory(1_000), _memory(9_000)),
    "flood": (
        Case(
            "10 × 10 × 50 beside a flood",
            lambda peer, seconds: live.flooded(peer, 10, 10, 50, seconds),
            ("tokens", "delivered", "calm_p50_ms", "p50_ms", "calm_p99_ms", "p99_ms", "p99_ratio", "flood_connects"),
            "p99_ms",
            (OUR_NAME,),
            (("unlimited_addresses", '["127.0.0.1/32"]'),),
        ),
    ),
    "growth": (
        Case(
            "watchers, sessions, length",
            lambda peer, seconds: growth.growth(peer, min(seconds, 2.0)),
            ("watchers", "sessions", "length"),
            "",
            ("cosession", "hocuspocus", "y-websocket"),
            UNHURRIED,
        ),
    ),
}


def main() -> int:
    """Run the scenarios that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help=f"any of {', '.join(SCENARIOS)}; none is all")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each measurement takes")
    parser.add_argument("--repeat", type=int, default=1, help="measure so often, in turns, and keep the median")
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--readme", action="store_true", help="write the last results of all into the README")
    parser.add_argument("--nice", type=int, default=0, help="the priority of servers and load, e.g. -10")
    options = parser.parse_args()
    unknown = set(options.scenarios) - SCENARIOS.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    if options.nice:
        _set_priority(options.nice)
    if LOAD_CORE in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {LOAD_CORE})
    book, tables = Book(), []
    for scenario in options.scenarios or SCENARIOS:
        for case in SCENARIOS[scenario]:
            if options.case not in case.name:
                continue
            peers = [name for name in options.peers if case.peers is None or name in case.peers]
            rounds = [
                {name: _measure(PEERS[name], case, options.seconds) for name in peers} for _ in range(options.repeat)
            ]
            for name in peers:
                book.add(scenario, case.name, name, _median([results[name] for results in rounds], case.ratio))
            tables.append(book.table(scenario, case.name, case.columns, case.ratio))
            print(tables[-1], flush=True)
    print(f"Written to {book.save(tables)}")
    if options.readme:
        readme.write(kept())
    return 0


def _set_priority(nice: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    group = Path("/proc/self/autogroup")  # where there is one, priorities hold only within it
    if group.exists():
        group.write_text(str(nice))
        atexit.register(group.write_text, "0")


def _median(results: list[Result], column: str) -> Result:
    whole = sorted((row for row in results if row.get(column) is not None), key=lambda row: row[column])
    return whole[(len(whole) - 1) // 2] | {"rounds": len(whole)} if whole else results[0]


def _measure(peer: Peer, case: Case, seconds: float) -> Result:
    try:
        with _running(peer, **dict(case.settings)):
            return case.run(peer, seconds)
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


@contextlib.contextmanager
def _running(peer: Peer, **settings: object) -> Iterator[None]:
    try:
        peer.start(**settings)
        yield
    finally:
        peer.remove()


if __name__ == "__main__":
    raise SystemExit(main())
