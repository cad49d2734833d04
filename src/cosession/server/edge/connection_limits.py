"""The lobby: every open socket, counted from its first packet, before anything is known of who it is.

There are two limits, on all sockets and on those of one address. Beyond a limit there is a margin: who is in it is
heard and told to come back (see `refusal`). Beyond the margin a socket is dropped unheard, because each that is open
costs a file descriptor and memory, also when it never says a word or stops in the middle of a TLS handshake.

Sockets are let in a few at a time, so that a flood of them takes turns with those who are in. What waits meanwhile,
waits in the kernel.
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
"""How many beyond a limit are heard: enough for one reload of a page, and for an operator's look."""

_BURST = 1024
_PER_SECOND = 64
"""What an address may open at once, and then on and on: who comes only to be refused must not take our time."""

_REMEMBERED = 4096
"""Addresses whose pace is known; the one that came first goes first."""

_TURN = 32
_ACCEPT = 8
_DROP = 1
"""A turn of the loop lets in 4 sockets or drops 32: each costs others a fraction of a millisecond."""


class Tally:
    """How much each address has of something.

    An IPv6 network of 64 bits counts as one address: that is what one customer gets.

    Args:
        most: the limit.
        exempt: networks that are not counted.
    """

    def __init__(self, most: int, exempt: Iterable[Network]) -> None:
        self.most = most
        self._exempt = tuple(exempt)
        self._counts: Counter[str] = Counter()
        self._key = lru_cache(maxsize=4096)(self._find_key)  # a flood asks for few, and often

    def add(self, address: str) -> None:
        """One more."""
        if key := self._key(address):
            self._counts[key] += 1

    def remove(self, address: str) -> None:
        """One less."""
        if key := self._key(address):
            self._counts[key] -= 1
            if self._counts[key] <= 0:
                del self._counts[key]

    def excess(self, address: str) -> int:
        """How many an address has beyond the limit; zero or less when it keeps to it."""
        key = self._key(address)
        return self._counts[key] - self.most if key else -self.most

    def key(self, address: str) -> str | None:
        """What counts as this address; None when it is exempt."""
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
    """The networks that the limit of connections per address is not for: behind a proxy are many."""
    return (*settings.unlimited_addresses, *settings.trusted_proxies)


class ConnectionLimits:
    """The open sockets of a server.

    Args:
        most: how many there may be in all.
        tally: how many an address may have.
    """

    def __init__(self, most: int, tally: Tally) -> None:
        self.most = most
        self.open = 0
        self._tally = tally
        self._paces: dict[str, tuple[float, float]] = {}

    def enter(self, address: str, now: float) -> bool:
        """Count a socket; False, and it isn't, when there is no room or no time to hear it."""
        full = self.open >= self.most + _MARGIN or self._tally.excess(address) >= _MARGIN_OF_ADDRESS
        if full or not self._in_time(address, now):
            return False
        self.open += 1
        self._tally.add(address)
        return True

    def _in_time(self, address: str, now: float) -> bool:
        """Whether an address keeps to its pace, which this one counts for."""
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
        """A socket has been closed."""
        self.open -= 1
        self._tally.remove(address)

    def refusal(self, address: str) -> CosessionError | None:
        """Why the socket that was counted last may not stay."""
        if self._tally.excess(address) > 0:
            return too_many_connections(self._tally.most)
        if self.open > self.most:
            return ServerFull(f"The server has its limit of {self.most} connections; come back in a moment.")
        return None


def too_many_connections(most: int) -> TooManyConnections:
    """The error for an address that has its share."""
    return TooManyConnections(f"Your address has its limit of {most} connections; close some, then come back.")


class ListeningSocket(socket.socket):
    """A listening socket that counts those it accepts; asyncio takes it for any other.

    Args:
        lobby: where they are counted.
        arguments: of a socket: family, kind, protocol.
    """

    def __init__(self, lobby: ConnectionLimits, *arguments: int) -> None:
        super().__init__(*arguments)
        self._lobby = lobby
        self._turn = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a socket.

        Raises:
            BlockingIOError: nobody waits, or those who do have to wait for the next turn of the loop.
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
    """A socket that says when it is closed.

    Args:
        accepted: the socket that it becomes.
        on_close: called once.
    """

    def __init__(self, accepted: socket.socket, on_close: Callable[[], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._on_close: Callable[[], None] | None = on_close

    def close(self) -> None:
        """Close it."""
        super().close()
        if self._on_close is not None:
            self._on_close()
            self._on_close = None
