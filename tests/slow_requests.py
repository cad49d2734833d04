"""A request of which the last byte comes late."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from processes import PATIENCE_SECONDS


class SlowRequest:
    """A request on a connection of its own, whole but for the last byte of its body."""

    def __init__(self, sock: socket.socket, last: bytes) -> None:
        self._socket = sock
        self._last = last

    @classmethod
    @contextmanager
    def open(cls, port: int, method: str, path: str, body: bytes, token: str) -> "Iterator[SlowRequest]":
        """Send all but the last byte."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as sock:
            sock.sendall(head.encode() + body[:-1])
            yield cls(sock, body[-1:])

    def waits(self) -> bool:
        """Whether the server has not answered within a moment: it waits for the rest."""
        return not select.select([self._socket], [], [], 0.1)[0]

    def finish(self) -> int:
        """Send the rest, and return the status of the answer."""
        self._socket.sendall(self._last)
        return int(self._socket.recv(65536).split()[1])
