"""Limits of connections: every open socket is counted from its accept, before any authentication.

There are two limits, on all sockets and on those of one address. Beyond a limit there is a margin: a socket in it is
read, and refused with an error (see `refusal`). Beyond the margin a socket is closed unread, because each open one
costs a file descriptor and memory, even if it never sends a byte or stops in the middle of a TLS handshake.

A few sockets are accepted at a time, so that a flood of them takes turns with open connections. The others wait in
the kernel's queue.
"""

import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeAlias

from cosession.errors import CosessionError, ServerFull, TooManyConnections
from cosession.settings import Settings

Network: TypeAlias = IPv4Network | IPv6Network

_MARGIN = 256
_MARGIN_OF_ADDRESS = 16
"""Sockets beyond a limit that are still read: enough for one reload of a page, and for an operator's check."""

_BURST = 1024
_PER_SECOND = 64
"""Connections that an address may open at once, and then per second: connections that are only refused must not take
the server's time."""

_REMEMBERED = 4096
"""Addresses with a remembered rate; beyond it the oldest is forgotten."""

_TURN = 32
_ACCEPT = 8
_DROP = 1
"""A turn of the loop accepts 4 sockets or drops 32: each delays other connections by a fraction of a millisecond."""


class Tally:
    """Counts something per address, against a limit.

    An IPv6 network of 64 bits counts as one address, because providers give one to each customer.

    Args:
        most: the limit.
        exempt: networks that are not counted.
    """

    def __init__(self, most: int, exempt: Iterable[Network]) -> None:
        self.most = most
        self._exempt = tuple(exempt)
        self._counts: Counter[str] = Counter()
        self._key = lru_cache(maxsize=4096)(self._find_key)  # a flood repeats few addresses

    def add(self, address: str) -> None:
        """Count one more."""
        if key := self._key(address):
            self._counts[key] += 1

    def remove(self, address: str) -> None:
        """Count one less."""
        if key := self._key(address):
            self._counts[key] -= 1
            if self._counts[key] <= 0:
                del self._counts[key]

    def excess(self, address: str) -> int:
        """Return the count of an address beyond the limit; zero or less when it is within it."""
        key = self._key(address)
        return self._counts[key] - self.most if key else -self.most

    def key(self, address: str) -> str | None:
        """Return the key that an address counts as; None when it is exempt."""
        return self._key(address)

    def _find_key(self, address: str) -> str | None:
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address  # a proxy may name its client as it likes
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        if any(ip in network for network in self._exempt):
            return None
        return str(ip) if ip.version == 4 else ip.exploded[:19]


def exempt_addresses(settings: Settings) -> tuple[Network, ...]:
    """Return the networks without a limit per address: many clients share a proxy's address."""
    return (*settings.unlimited_addresses, *settings.trusted_proxies)


class ConnectionLimits:
    """The open sockets of a server.

    Args:
        most: the limit on all sockets.
        tally: the count and the limit per address.
    """

    def __init__(self, most: int, tally: Tally) -> None:
        self.most = most
        self.open = 0
        self._tally = tally
        self._paces: dict[str, tuple[float, float]] = {}

    def enter(self, address: str, now: float) -> bool:
        """Count a socket; return False, without counting it, when it is beyond the margin or the rate."""
        full = self.open >= self.most + _MARGIN or self._tally.excess(address) >= _MARGIN_OF_ADDRESS
        if full or not self._in_time(address, now):
            return False
        self.open += 1
        self._tally.add(address)
        return True

    def _in_time(self, address: str, now: float) -> bool:
        """Count a connection against the rate of its address; return whether it is within it."""
        key = self._tally.key(address)
        if key is None:
            return True
        left, since = self._paces.get(key, (float(_BURST), now))
        left = min(_BURST, left + (now - since) * _PER_SECOND)
        if left < 1:
            return False
        self._paces[key] = (left - 1, now)
        if len(self._paces) > _REMEMBERED:
            del self._paces[next(iter(self._paces))]
        return True

    def leave(self, address: str) -> None:
        """Count a socket as closed."""
        self.open -= 1
        self._tally.remove(address)

    def refusal(self, address: str) -> CosessionError | None:
        """Return the error for the socket that was counted last when it is beyond a limit, else None."""
        if self._tally.excess(address) > 0:
            return too_many_connections(self._tally.most)
        if self.open > self.most:
            return ServerFull(f"The server has its limit of {self.most} connections; come back in a moment.")
        return None


def too_many_connections(most: int) -> TooManyConnections:
    """Return the error for an address that is beyond its limit."""
    return TooManyConnections(f"Your address has its limit of {most} connections; close some, then come back.")


class ListeningSocket(socket.socket):
    """A listening socket that counts the sockets it accepts; asyncio uses it like any other.

    Args:
        lobby: counts the sockets.
        arguments: of `socket.socket`: family, kind, protocol.
    """

    def __init__(self, lobby: ConnectionLimits, *arguments: int) -> None:
        super().__init__(*arguments)
        self._lobby = lobby
        self._turn = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a socket.

        Raises:
            BlockingIOError: no socket waits, or the waiting ones have to wait for the next turn of the loop.
        """
        while self._turn < _TURN:
            try:
                accepted, address = super().accept()
            except OSError:
                self._turn = 0
                raise
            host = address[0]
            if self._lobby.enter(host, time.monotonic()):
                self._turn += _ACCEPT
                return Visitor(accepted, partial(self._lobby.leave, host)), address
            self._turn += _DROP
            with suppress(OSError):
                accepted.close()
        self._turn = 0
        raise BlockingIOError


class Visitor(socket.socket):
    """An accepted socket with a callback for its close.

    Args:
        accepted: the socket that it replaces.
        on_close: called once, at the close.
    """

    def __init__(self, accepted: socket.socket, on_close: Callable[[], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._on_close: Callable[[], None] | None = on_close

    def close(self) -> None:
        """Close the socket."""
        super().close()
        if self._on_close is not None:
            self._on_close()
            self._on_close = None
