"""The address of a server: parsing, validation, and the URLs built from it. No I/O."""

from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from cosession.errors import InvalidValue

MAX_ROLLUP_MS = 1000
"""The longest time for which a server gathers what it sends."""

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


def sync_url(url: str, session: str, *, participant: str, name: str, kind: str, rollup_ms: int = 0) -> str:
    """Return the WebSocket address of a session.

    Args:
        url: the server's address, `http(s)` or `ws(s)`.
        session: the session's id.
        participant: the participant's id.
        name: the name that people see.
        kind: `human`, `agent` or `operator`.
        rollup_ms: how long the server gathers what it sends, in milliseconds; 0 is not at all.

    Raises:
        InvalidValue: `url` is not such an address, or `rollup_ms` isn't 0 to 1000.
    """
    if not 0 <= rollup_ms <= MAX_ROLLUP_MS:
        raise InvalidValue(f"`rollup_ms` is 0 to {MAX_ROLLUP_MS}, not {rollup_ms!r}.", path="rollup_ms")
    parts = split_address(url)
    scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
    path = f"{parts.path.rstrip('/')}/sync/{encoded(session)}"
    fields = {"ext": "1", "user": participant, "name": name, "kind": kind}
    query = urlencode({**fields, "rollup": str(rollup_ms)} if rollup_ms else fields)
    return urlunsplit((scheme, parts.netloc, path, query, ""))
