"""What a session costs to open, to join, to keep open, and to store."""

import time
from pathlib import Path

from benchmarks.joining import join_and_leave
from benchmarks.live import SECOND, Result, Usage, gather, percentiles
from benchmarks.load import Client, Load, alive, quiet_memory
from benchmarks.peers import Peer
from benchmarks.yframes import Author, uint

CHUNK = 200
"""Tokens that are sent between two looks at what came back, so that no server has to drop us for not reading."""


class Greeting:
    """The frames that open a session, by its URL.

    Args:
        peer: whose dialect.
        vector: the state vector that is sent.
    """

    def __init__(self, peer: Peer, vector: bytes = b"\x00") -> None:
        self._peer = peer
        self._vector = vector

    def __call__(self, url: str) -> bytes:
        """The frames for a session."""
        return self._peer.greeting(url.split("?")[0].rsplit("/", 1)[1], self._vector)


def write_chat(peer: Peer, session: str, messages: int, tokens: int) -> tuple[Author, int]:
    """Write a chat token by token, as agents do; returns its author and how many bytes of text it has.

    Args:
        peer: a server that runs.
        session: its name.
        messages: how many.
        tokens: in all of them together.
    """
    load = Load()
    writer, watcher = load.connect([peer.url(session)] * 2, Greeting(peer), peer.is_reply, 1)
    author = Author(77, peer.prefix(session))
    text = 0
    found = False

    def heard(client: Client, data: bytes) -> None:
        nonlocal found
        found = found or (client is watcher and b"~@" in data)

    for number in range(tokens):
        if not number % max(1, tokens // messages):
            author.begin()
        last = number == tokens - 1
        word = b"~@%08x" % tokens if last else b"w%03d " % (number % 997)
        writer.send(author.frame(word))
        text += len(word)
        if number % CHUNK == CHUNK - 1:
            load.receive(until=time.monotonic_ns() + SECOND // 200, heard=heard)
            load.forget()
    end = time.monotonic_ns() + 60 * SECOND
    while time.monotonic_ns() < end and not found:
        load.receive(until=time.monotonic_ns() + SECOND // 5, heard=heard, silence=0.2)
        if writer.unsent:
            writer.flush()
    load.close()
    if not found:
        raise RuntimeError(f"{peer.name} did not take in {tokens} tokens within a minute")
    return author, text


def _time_to_reply(peer: Peer, session: str, vector: bytes = b"\x00") -> tuple[float, float, int]:
    """Open one connection; milliseconds from the first packet, and from sync step 1, to the reply, and its bytes."""
    load = Load()
    began = time.monotonic_ns()
    asked = 0

    def greet(url: str) -> bytes:
        nonlocal asked
        asked = time.monotonic_ns()
        return Greeting(peer, vector)(url)

    (client,) = load.connect([peer.url(session)], greet, peer.is_reply)
    came = list(client.frames())
    last = next(number for number, (_, payload) in enumerate(came) if peer.is_reply(payload))
    at = came[last][0]
    size = sum(len(payload) for _, payload in came[: last + 1])  # a large answer may come in several frames
    load.close()
    return (at - began) / 1e6, (at - asked) / 1e6, size


def open_chat(peer: Peer, messages: int = 200, tokens: int = 100_000, seconds: float = 4.0) -> Result:
    """A long chat: opened in a process that never saw it, joined while it is open, and its size on the disk.

    Args:
        peer: a server that runs; it is stopped and started again.
        messages: of the chat.
        tokens: of the chat.
        seconds: how long joins are counted.
    """
    author, text = write_chat(peer, "chat", messages, tokens)
    time.sleep(3.0)  # hocuspocus stores two seconds after the last change
    peer.stop()
    peer.start(keep=True, unload_after_seconds=0.5)
    _time_to_reply(peer, "chat")
    time.sleep(5.0)  # nobody is there any more: we compact
    peer.stop()
    after_stop = _disk(peer)
    peer.start(keep=True)
    _time_to_reply(peer, "warmup")
    first, cold_sync, size = _time_to_reply(peer, "chat")
    survived = size > text // 2
    result: Result = {
        "text_kb": round(text / 1000),
        "reply_kb": round(size / 1000),
        "cold_open_ms": round(first, 1) if survived else None,
        "cold_sync_ms": round(cold_sync, 1) if survived else None,
        "disk_kb": round(after_stop / 1000),
        "disk_per_text": round(after_stop / text, 2) if survived else None,
    }
    if not survived:
        return result
    anchor = Load()  # someone is there, so the session stays open
    anchor.connect([peer.url("chat")], Greeting(peer), peer.is_reply)
    current = b"\x01" + b"\x4d" + uint(author.clock)
    for name, vector, share in (("new", b"\x00", 0.5), ("returning", current, 1.0)):
        usage = Usage(peer)
        url = peer.url("chat")
        rate, taken = join_and_leave(url, Greeting(peer, vector)(url), peer.is_reply, seconds * share)
        cpu = usage.report()
        result |= {
            f"joins_{name}_per_second": round(rate),
            f"joins_{name}_p99_ms": percentiles(taken, 0.01)["p99_ms"],
        }
    anchor.close()
    return result | cpu


def many_sessions(peer: Peer, sessions: int = 5_000, seconds: float = 4.0) -> Result:
    """Memory of open sessions with one connection each, and what they cost while nothing happens.

    Args:
        peer: a server that runs.
        sessions: how many.
        seconds: how long the idle server is watched.
    """
    _time_to_reply(peer, "warmup")
    before = peer.memory()
    crowd = gather(peer, sessions, 0)
    after = peer.memory()
    with quiet_memory():
        usage = Usage(peer)
        idle_from = peer.cpu()
        crowd.load.receive(until=time.monotonic_ns() + int(seconds * SECOND))
        report = usage.report()
        idle = peer.cpu() - idle_from
    result: Result = {
        "sessions": sessions,
        "open_per_second": round(sessions / crowd.opened_seconds),
        "kb_per_session": round((after - before) / sessions / 1000, 1),
        "idle_cpu_percent": round(100 * idle / seconds, 2),
        "connections_lost": len(crowd.load.clients) - alive(crowd.load.clients),
    }
    crowd.load.close()
    return result | report


def _disk(peer: Peer) -> int:
    return sum(
        path.stat().st_size for path in Path(peer.folder).rglob("*") if path.suffix != ".log" and path.is_file()
    )
