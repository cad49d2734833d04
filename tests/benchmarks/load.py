"""The load: raw sockets on one epoll loop, which does nothing but stamp, send, receive and note the time.

What arrives is kept as it came, with the time of each read, and is taken apart when the run is over: so the load
is far from its limit when a server reaches its own. `Load.cpu` tells whether that was so.
"""

import gc
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.yframes import client_frame

READ_BYTES = 65536
_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_HANDSHAKE_SECONDS = 60.0
_PING = b"\x89\x00"


@dataclass
class Client:
    """One WebSocket connection, and all that it received since `forget`.

    Attributes:
        chunks: what each read returned.
        times: when each read returned, in ns.
    """

    url: str
    sock: socket.socket
    chunks: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    unsent: bytearray = field(default_factory=bytearray)
    closed: bool = False

    def send(self, data: bytes | bytearray) -> None:
        """Send without waiting; what the socket doesn't take is kept and goes before anything later."""
        if self.unsent:
            self.unsent += data
            self.flush()
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.unsent += data[sent:]

    def flush(self) -> None:
        """Send what is kept, as far as the socket takes it."""
        while self.unsent:
            try:
                sent = self.sock.send(self.unsent)
            except BlockingIOError:
                return
            del self.unsent[:sent]

    def forget(self) -> None:
        """Drop what was received, up to the last whole frame."""
        stream = b"".join(self.chunks)
        end = 0
        for _, start, size in frames_of(stream):
            end = start + size
        self.chunks = [stream[end:]] if end < len(stream) else []
        self.times = self.times[-1:] if self.chunks else []

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Every whole data frame: when its last byte came, and its payload."""
        stream = b"".join(self.chunks)
        index, reached = -1, 0
        for opcode, start, size in frames_of(stream):
            while reached < start + size:
                index += 1
                reached += len(self.chunks[index])
            if opcode == 2:
                yield self.times[index], stream[start : start + size]


def frames_of(stream: bytes | bytearray, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """The whole frames of a server's byte stream, from a place on: opcode, start and size of the payload."""
    length = len(stream)
    while at + 2 <= length:
        size, start = stream[at + 1], at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(stream[start : start + width], "big"), start + width
        if start + size > length:
            return
        yield stream[at] & 15, start, size
        at = start + size


class Load:
    """Many clients on one loop.

    Attributes:
        start: the zero of the tokens' times, in ns.
    """

    def __init__(self) -> None:
        self.start = time.monotonic_ns()
        self.clients: list[Client] = []
        self._epoll = select.epoll()
        self._by_fd: dict[int, Client] = {}

    def connect(
        self,
        urls: Sequence[str],
        greet: Callable[[str], bytes],
        is_ready: Callable[[bytes], bool],
        at_once: int = 40,
    ) -> list[Client]:
        """Open connections, some at a time, each until its first sync reply is there.

        Args:
            urls: one for each connection.
            greet: gives the frames that a client of this URL sends after the handshake.
            is_ready: whether a payload is the first sync reply.
            at_once: how many at a time.
        """
        made: list[Client] = []
        for first in range(0, len(urls), at_once):
            batch = [Client(url, open_socket(url)) for url in urls[first : first + at_once]]
            for client in batch:
                client.sock.sendall(handshake(client.url))
            for client in batch:
                _read_handshake(client)
                client.sock.sendall(greet(client.url))
            for client in batch:
                while not any(is_ready(payload) for _, payload in client.frames()):
                    _read_blocking(client)
            for client in batch:
                client.sock.setblocking(False)
                _answer_pings(client, b"".join(client.chunks))
                self._epoll.register(client.sock.fileno(), select.EPOLLIN)
                self._by_fd[client.sock.fileno()] = client
            made += batch
            self.receive(until=time.monotonic_ns() + 1_000_000)  # who doesn't answer pings is taken to be gone
        self.clients += made
        return made

    def close(self) -> None:
        """Close every connection."""
        for client in self.clients:
            client.sock.close()
        self._epoll.close()

    def freeze(self, client: Client) -> None:
        """Read nothing more from a connection; little of what is sent to it fits into its socket."""
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._epoll.unregister(client.sock.fileno())

    def microseconds(self) -> int:
        """The time as tokens carry it."""
        return (time.monotonic_ns() - self.start) // 1000

    def receive(
        self,
        *,
        until: int,
        due: int | None = None,
        act: Callable[[int], int | None] | None = None,
        heard: Callable[[Client, bytes], None] | None = None,
        silence: float | None = None,
    ) -> None:
        """Receive until a time, acting whenever something is due.

        Args:
            until: when to stop, in ns.
            due: when `act` is first due, in ns.
            act: called when it is due; returns when it is due next, None for never.
            heard: called with each read.
            silence: stop after so many seconds without a read of anything but pings.
        """
        poll, read, clock, by_fd = self._epoll.poll, os.read, time.monotonic_ns, self._by_fd
        now = last = clock()
        patience = int((silence or 1e6) * 1e9)
        while now < until and now - last < patience:
            wake = until if due is None else min(due, until)
            for fd, _ in poll(min(max(0.0, (wake - now) / 1e9), silence or 1.0)):
                client = by_fd[fd]
                try:
                    data = read(fd, READ_BYTES)
                except OSError:
                    data = b""
                now = clock()
                if len(data) != len(_PING):
                    last = now
                if not data:
                    client.closed = True
                    self._epoll.unregister(fd)
                    continue
                client.chunks.append(data)
                client.times.append(now)
                _answer_pings(client, data)
                if heard is not None:
                    heard(client, data)
                while due is not None and now >= due and act is not None:
                    due = act(now)
                    now = clock()
            now = clock()
            while due is not None and now >= due and act is not None:
                due = act(now)
                now = clock()

    def forget(self) -> None:
        """Drop what every client received so far."""
        for client in self.clients:
            client.forget()


class quiet_memory:  # noqa: N801 - a context manager that reads as a statement
    """Keep the garbage collector out of a measurement."""

    def __enter__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
        gc.unfreeze()


def alive(clients: Iterable[Client]) -> int:
    """How many of the clients were not closed by the server."""
    return sum(not client.closed for client in clients)


def open_socket(url: str) -> socket.socket:
    """A connection to the server of a URL, nothing sent yet."""
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname, parts.port), timeout=_HANDSHAKE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def handshake(url: str) -> bytes:
    """The request that makes a connection a WebSocket."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return (
        b"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ) % (target.encode(), parts.netloc.encode(), _KEY)


def _read_handshake(client: Client) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        data = client.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError(f"{client.url} closed in the handshake: {received!r}")
        received += data
    head, rest = received.split(b"\r\n\r\n", 1)
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise ConnectionError(f"{client.url} is no WebSocket: {head!r}")
    if rest:
        client.chunks.append(rest)
        client.times.append(time.monotonic_ns())


def _answer_pings(client: Client, data: bytes) -> None:
    """Answer a ping among the frames of a read: who doesn't is taken to be gone. One answer too many does no harm."""
    with suppress(OSError):  # who is gone already is noticed by the next read
        if data[0] == 0x89 and 0 < data[1] < 126:
            client.send(client_frame(data[2 : 2 + data[1]], 10))
        elif _PING in data:
            client.send(client_frame(b"", 10))


def _read_blocking(client: Client) -> None:
    data = client.sock.recv(READ_BYTES)
    if not data:
        raise ConnectionError(f"{client.url} was closed before its first sync reply")
    client.chunks.append(data)
    client.times.append(time.monotonic_ns())
