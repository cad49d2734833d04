"""The address of a server: parsing, validation, and the URLs built from it. No I/O."""

from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from cosession.errors import InvalidValue

_SCHEMES = ("http", "https", "ws", "wss")


def split_address(url: str) -> SplitResult:
    """Return the parts of a server's address.

    Raises:
        InvalidValue: `url` is not a server's address.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an incomplete IPv6 address, or a port out of range
        valid, parts = False, None
    if parts is None or not valid:
        raise InvalidValue(f"{url!r} is not a server's address; give one like http://localhost:8765.")
    return parts


def encoded(name: str) -> str:
    """Return a name as one path segment; a name of only dots, which clients treat as a folder, is escaped too."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def sync_url(url: str, session: str, *, participant: str, name: str, kind: str) -> str:
    """Return the WebSocket address of a session.

    Args:
        url: the server's address, `http(s)` or `ws(s)`.
        session: the session's id.
        participant: the participant's id.
        name: the name that people see.
        kind: `human`, `agent` or `operator`.

    Raises:
        InvalidValue: `url` is not such an address.
    """
    parts = split_address(url)
    scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
    path = f"{parts.path.rstrip('/')}/sync/{encoded(session)}"
    query = urlencode({"ext": "1", "user": participant, "name": name, "kind": kind})
    return urlunsplit((scheme, parts.netloc, path, query, ""))
