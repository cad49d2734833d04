"""Joins without end: some connections are always on their way to their first sync reply, and leave when it came."""

import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from benchmarks.load import frames_of, handshake, open_socket

READ_BYTES = 1 << 20
_LOOK_BYTES = 64
"""How much of a payload is looked at; longer ones are only counted, so that the load isn't the bottleneck."""
_STALLED_SECONDS = 30.0


@dataclass
class _Joining:
    """A connection on its way.

    Attributes:
        began: when it was opened, in ns.
        stream: what came; the answer to the handshake is taken away once it is whole.
        at: where the first frame begins that isn't whole yet.
    """

    sock: socket.socket
    began: int
    stream: bytearray = field(default_factory=bytearray)
    at: int = 0
    greeted: bool = False


def join_and_leave(
    url: str, greeting: bytes, is_reply: Callable[[bytes], bool], seconds: float, at_once: int = 8
) -> tuple[float, Counter[int]]:
    """Join a session and leave it, over and over; joins a second, and how often a join took so many 10 µs.

    Args:
        url: of the session.
        greeting: the frames that a client sends after the handshake.
        is_reply: whether a payload (its beginning) is the first sync reply, which counts once it is whole.
        seconds: how long.
        at_once: how many are on their way at any time.

    Raises:
        ConnectionError: when the server refuses a connection, or closes it before its reply.
        TimeoutError: when no reply comes any more.
    """
    taken: Counter[int] = Counter()
    began = time.monotonic()
    with ExitStack() as stack:
        epoll = stack.enter_context(closing(select.epoll()))
        joining: dict[int, _Joining] = {}
        stack.callback(lambda: [one.sock.close() for one in joining.values()])

        def begin() -> None:
            one = _Joining(open_socket(url), time.monotonic_ns())
            one.sock.sendall(handshake(url))
            joining[one.sock.fileno()] = one
            epoll.register(one.sock.fileno(), select.EPOLLIN)

        for _ in range(at_once):
            begin()
        while (now := time.monotonic()) < began + seconds:
            ready = epoll.poll(_STALLED_SECONDS)
            if not ready:
                raise TimeoutError(f"{url} sent nothing for {time.monotonic() - now:.0f} s")
            for number, _ in ready:
                one = joining[number]
                if _is_there(one, url, greeting, is_reply):
                    taken[(time.monotonic_ns() - one.began) // 10_000] += 1
                    epoll.unregister(number)
                    joining.pop(number).sock.close()
                    begin()
    return sum(taken.values()) / (time.monotonic() - began), taken


def _is_there(one: _Joining, url: str, greeting: bytes, is_reply: Callable[[bytes], bool]) -> bool:
    """Take one read; whether the whole first sync reply has come with it."""
    data = one.sock.recv(READ_BYTES)
    if not data:
        raise ConnectionError(f"{url} was closed before its first sync reply: {bytes(one.stream[:200])!r}")
    one.stream += data
    if not one.greeted:
        head, end, rest = one.stream.partition(b"\r\n\r\n")
        if not end:
            return False
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(f"{url} is no WebSocket: {bytes(head)!r}")
        one.stream, one.greeted = rest, True
        one.sock.sendall(greeting)
    for opcode, start, size in frames_of(one.stream, one.at):
        one.at = start + size
        if opcode == 2 and is_reply(bytes(one.stream[start : min(start + size, start + _LOOK_BYTES)])):
            return True
    return False
