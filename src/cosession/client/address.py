"""A server's address, taken apart: what a person typed, checked once for sockets and requests alike. No I/O."""

from urllib.parse import SplitResult, urlsplit

_SCHEMES = ("http", "https", "ws", "wss")


def split_address(url: str) -> SplitResult:
    """Return the parts of a server's address.

    Raises:
        ValueError: it is not one.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port beyond all ports
        valid, parts = False, None
    if parts is None or not valid:
        raise ValueError(f"{url!r} is not a server's address; give one like http://localhost:8765.")
    return parts
