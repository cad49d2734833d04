"""A flood from strangers: connections that nobody asked for, as many as one process can open.

    python tests/benchmarks/flood.py HOST PORT SECONDS

Silent sockets, half handshakes, garbage, half requests, and whole handshakes that are refused, in turn. Prints how
many it opened. `live.flooded` measures what others feel of it.
"""

import contextlib
import os
import socket
import sys
import time
from collections import deque

HANDSHAKE = (
    b"GET /sync/-nobody- HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
)
OPENINGS = (b"", HANDSHAKE, bytes(range(128, 256)), b"GET / HTTP/1.1\r\nX: ", HANDSHAKE + b"\r\n")
"""A word for each kind of stranger; the last asks for what no session is called, and is let in only to hear so."""

HELD = 2000
"""How many it keeps open; of more, the oldest go."""

STRANGER = "127.0.0.2"
"""The flood's address, so that a server can tell it from others on one machine."""


def flood(host: str, port: int, seconds: float) -> int:
    """Open connections as fast as it goes; returns how many."""
    held: deque[socket.socket] = deque()
    opened, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        one = socket.socket()
        one.settimeout(1)
        with contextlib.suppress(OSError):  # the server hung up, or takes no more for now
            one.bind((STRANGER, 0))
            one.connect((host, port))
            opened += 1
            one.send(OPENINGS[opened % len(OPENINGS)])
        held.append(one)
        if len(held) > HELD:
            held.popleft().close()
    return opened


if __name__ == "__main__":
    os.nice(5)  # those who are measured come first on the core that they share
    print(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
