"""A server's address, taken apart and extended: what a person typed, checked once for both. No I/O."""

from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

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


def encoded(name: str) -> str:
    """Return a name as one segment of a path: names of dots alone, which clients take for folders, as well."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def sync_url(url: str, session: str, *, participant: str, name: str, kind: str) -> str:
    """Return the WebSocket address of a session.

    Args:
        url: the server's address, `http(s)` or `ws(s)`.
        session: the session's id.
        participant: who connects.
        name: what people see.
        kind: `human`, `agent` or `operator`.

    Raises:
        ValueError: `url` is not such an address.
    """
    parts = split_address(url)
    scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
    path = f"{parts.path.rstrip('/')}/sync/{encoded(session)}"
    query = urlencode({"ext": "1", "user": participant, "name": name, "kind": kind})
    return urlunsplit((scheme, parts.netloc, path, query, ""))
