"""What a live session costs: the delay of fan-out, and frames at saturation."""

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.load import Client, Load, alive, quiet_memory
from benchmarks.peers import LOAD_CORE, SERVER_CORE, Peer
from benchmarks.yframes import TOKEN, Author, client_frame, sized, stamped

SECOND = 1_000_000_000
_TICKS = os.sysconf("SC_CLK_TCK")

_BLOCK_BYTES = 2**16
_FILLING = 64
"""Blocks that are more than the sockets between two processes of one machine hold for a reader that reads nothing."""

Result = dict[str, Any]


class Usage:
    """Who used the two cores meanwhile: the server, the load, and others, who disturb.

    Args:
        peer: the server; None when nothing is known of it.
    """

    def __init__(self, peer: Peer | None) -> None:
        self._peer = peer
        self._began = time.monotonic()
        self._server = peer.cpu() if peer else 0.0
        self._load = time.process_time()
        self._cores = _busy()

    def report(self) -> Result:
        """Percent of one core each, and the load average."""
        seconds = time.monotonic() - self._began
        server = (self._peer.cpu() if self._peer else 0.0) - self._server
        load = time.process_time() - self._load
        cores = [after - before for after, before in zip(_busy(), self._cores, strict=True)]
        return {
            "server_cpu_seconds": round(server, 3),
            "server_cpu": round(100 * server / seconds),
            "load_cpu": round(100 * load / seconds),
            "others_on_server_core": max(0, round(100 * (cores[SERVER_CORE] - server) / seconds)),
            "others_on_load_core": max(0, round(100 * (cores[LOAD_CORE] - load) / seconds)) if len(cores) > 1 else 0,
            "load_average": os.getloadavg()[0],
        }


def _busy() -> list[float]:
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines() if line[:4] != "cpu "]
    return [
        (sum(map(int, fields[1:4])) + int(fields[6]) + int(fields[7])) / _TICKS
        for fields in lines
        if fields[0].startswith("cpu")
    ]


@dataclass
class Crowd:
    """Sessions with one writer and some watchers each, connected.

    Attributes:
        opened_seconds: how long it took until the last had its first sync.
    """

    load: Load
    writers: list[Client]
    authors: list[Author]
    watchers: list[list[Client]]
    opened_seconds: float


_crowds = count(1)


def gather(peer: Peer, sessions: int, watchers: int, query: str = "") -> Crowd:
    """Connect a crowd to sessions of its own: first the writers, then the watchers."""
    load = Load()
    crowd = next(_crowds)
    names = [f"c{crowd}s{number}" for number in range(sessions)]

    def greet(url: str) -> bytes:
        return peer.greeting(url.split("?")[0].rsplit("/", 1)[1])

    began = time.monotonic()
    writers = load.connect([peer.url(name, query) for name in names], greet, peer.is_reply)
    everybody = load.connect([peer.url(name) for name in names for _ in range(watchers)], greet, peer.is_reply)
    opened_seconds = time.monotonic() - began
    load.receive(until=time.monotonic_ns() + 20 * SECOND, silence=0.3)
    load.forget()
    authors = [Author(1000 + number, peer.prefix(name)) for number, name in enumerate(names)]
    groups = [everybody[number * watchers : (number + 1) * watchers] for number in range(sessions)]
    return Crowd(load, writers, authors, groups, opened_seconds)


def beside_frozen(peer: Peer, watchers: int, rate: int, seconds: float) -> Result:
    """What the others feel of one who has stopped reading: the delay of fan-out without and with it.

    Args:
        peer: a server that runs.
        watchers: of one session; one of them freezes.
        rate: tokens a second.
        seconds: how long each of the two is measured.
    """
    calm = fan_out(peer, 1, watchers, rate, seconds, frozen=0)
    beside = fan_out(peer, 1, watchers, rate, seconds, frozen=1)
    times = round(beside["p99_ms"] / calm["p99_ms"], 2) if calm["p99_ms"] and beside["p99_ms"] else None
    return beside | {"p99_without_ms": calm["p99_ms"], "p99_times": times}


def _freeze(crowd: Crowd, frozen: int) -> None:
    """Stop reading on some watchers of each session, and send so much that their sockets are full."""
    for session, watchers in enumerate(crowd.watchers):
        for watcher in watchers[:frozen]:
            crowd.load.freeze(watcher)
        crowd.watchers[session] = watchers[frozen:]
        author = crowd.authors[session]
        for _ in range(_FILLING):
            block = author.prefix + b"\x00\x02" + sized(author.update(b"." * _BLOCK_BYTES))
            crowd.writers[session].send(client_frame(block))
    crowd.load.receive(until=time.monotonic_ns() + 20 * SECOND, silence=1.0)
    crowd.load.forget()


def fan_out(
    peer: Peer,
    sessions: int = 10,
    watchers: int = 100,
    rate: int = 50,
    seconds: float = 6.0,
    warmup: float = 1.0,
    frozen: int | None = None,
) -> Result:
    """The delay of every token from its writer to each watcher, at a steady rate.

    Args:
        peer: a server that runs.
        sessions: how many.
        watchers: in each session.
        rate: tokens a second in each session.
        seconds: how long it is measured.
        warmup: how long before that.
        frozen: how many watchers of each session have stopped reading, megabytes ago; None: no megabytes either.
    """
    crowd = gather(peer, sessions, watchers)
    load = crowd.load
    if frozen is not None:
        _freeze(crowd, frozen)
    total = int(sessions * rate * (seconds + warmup))
    frames = [stamped(crowd.authors[number % sessions]) for number in range(total)]
    sent: list[list[bytes]] = [[] for _ in range(sessions)]
    interval = SECOND / (sessions * rate)
    start = load.start = time.monotonic_ns() + SECOND // 10
    late: list[int] = []
    position = 0

    def act(now: int) -> int | None:
        nonlocal position
        frame, place = frames[position]
        session = position % sessions
        stamp = b"%08x" % ((time.monotonic_ns() - start) // 1000)
        frame[place : place + 8] = stamp
        crowd.writers[session].send(frame)
        sent[session].append(b"~@" + stamp)
        late.append(now - start - int(position * interval))
        position += 1
        return start + int(position * interval) if position < total else None

    with quiet_memory():
        usage = Usage(peer)
        load.receive(until=start + int((seconds + warmup) * SECOND), due=start, act=act)
        report = usage.report()
        load.receive(until=time.monotonic_ns() + 10 * SECOND, silence=1.5)
    result = _delays(crowd, sent, int(warmup * 1e6))
    late.sort()
    result |= {"load_late_p99_ms": late[len(late) * 99 // 100] / 1e6} | report
    result |= {"sessions": sessions, "watchers": watchers, "rate": rate, "seconds": seconds}
    result["connections_lost"] = len(load.clients) - alive(load.clients)
    load.close()
    return result


def _delays(crowd: Crowd, sent: list[list[bytes]], warmup_us: int) -> Result:
    """Take apart what the watchers received."""
    start = crowd.load.start
    delays: Counter[int] = Counter()
    expected = delivered = repeated = frames = 0
    for session, watchers in enumerate(crowd.watchers):
        times = {token: int(token[2:], 16) for token in sent[session]}
        for watcher in watchers:
            expected += len(times)
            missing = dict.fromkeys(times)
            for at, payload in watcher.frames():
                tokens = TOKEN.findall(payload)
                frames += bool(tokens)
                received = (at - start) // 1000
                for token in tokens:
                    if token not in missing:
                        repeated += 1
                        continue
                    del missing[token]
                    moment = times[token]
                    if moment >= warmup_us:
                        delays[(received - moment) // 10] += 1
            delivered += len(times) - len(missing)
    return {
        "tokens": expected,
        "delivered": delivered,
        "repeated": repeated,
        "frames": frames,
        **percentiles(delays, 0.01),
    }


def percentiles(counts: Counter[int], unit: float) -> Result:
    """p50, p99 and the most of what was counted, in ms."""
    total = sum(counts.values())
    ordered = sorted(counts.items())
    result: Result = {"p50_ms": None, "p99_ms": None, "max_ms": None}
    if not total:
        return result
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        seen = 0
        for value, number in ordered:
            seen += number
            if seen >= total * share:
                result[name] = round(value * unit, 2)
                break
    result["max_ms"] = round(ordered[-1][0] * unit, 2)
    return result


def flooded(peer: Peer, sessions: int, watchers: int, rate: int, seconds: float) -> Result:
    """The delay of every token in peace, and then while strangers open connections as fast as they can.

    Args:
        peer: a server that runs.
        sessions: how many.
        watchers: in each session.
        rate: tokens a second in each session.
        seconds: how long each is measured.
    """
    calm = fan_out(peer, sessions, watchers, rate, seconds)
    script = str(Path(__file__).with_name("flood.py"))
    command = [sys.executable, script, "127.0.0.1", str(peer.port), str(seconds + 4)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as strangers:
        stormy = fan_out(peer, sessions, watchers, rate, seconds)
        connects = int(strangers.communicate()[0])
    peace = {f"calm_{name}": calm[name] for name in ("p50_ms", "p99_ms", "load_late_p99_ms")}
    ratio = round(stormy["p99_ms"] / calm["p99_ms"], 2)
    return stormy | peace | {"flood_connects": connects, "p99_ratio": ratio}


def frames_at_saturation(peer: Peer, watchers: int = 1000, window: int = 1, seconds: float = 5.0) -> Result:
    """Deliveries a second when the next token is sent as soon as the last ones are everywhere.

    With a window of one nothing can be merged: at most one update waits for any reader.

    Args:
        peer: a server that runs.
        watchers: of the one session.
        window: how many tokens may be under way.
        seconds: how long.
    """
    crowd = gather(peer, 1, watchers)
    load, writer, author = crowd.load, crowd.writers[0], crowd.authors[0]
    watching = {id(client) for client in crowd.watchers[0]}
    outstanding = 0
    number = 0
    start = time.monotonic_ns()
    end = start + int(seconds * SECOND)

    def heard(client: Client, data: bytes) -> None:
        nonlocal outstanding, number
        if id(client) not in watching:
            return
        outstanding -= data.count(b"~@")
        while outstanding <= (window - 1) * watchers and time.monotonic_ns() < end:
            number += 1
            outstanding += watchers
            writer.send(author.frame(b"~@%08x" % number))

    with quiet_memory():
        usage = Usage(peer)
        for _ in range(window):
            number += 1
            outstanding += watchers
            writer.send(author.frame(b"~@%08x" % number))
        load.receive(until=end, heard=heard)
        elapsed = (time.monotonic_ns() - start) / SECOND
        cpu = usage.report()
        load.receive(until=time.monotonic_ns() + 10 * SECOND, silence=0.5)
    frames = tokens = 0
    for client in crowd.watchers[0]:
        for at, payload in client.frames():
            if at < end and b"~@" in payload:
                frames += 1
                tokens += payload.count(b"~@")
    load.close()
    busy = max(cpu["server_cpu"], 1) / 100
    return {
        "watchers": watchers,
        "window": window,
        "frames_per_second": round(frames / elapsed),
        "tokens_per_second": round(tokens / elapsed),
        "frames_per_cpu_second": round(frames / elapsed / busy),
        "tokens_per_cpu_second": round(tokens / elapsed / busy),
    } | cpu
