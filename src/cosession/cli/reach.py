"""A check that a server can be reached, made before a command connects: it reports the cause at once."""

import asyncio
import os
import ssl
from typing import Final
from urllib.parse import SplitResult

from cosession.client.address import split_address
from cosession.errors import CosessionError, Disconnected

SECONDS = 10.0
"""How long to wait for the server: a person waits for it at a prompt."""

_HTTP: Final = b"HTTP/1.1 "


async def reach(url: str) -> None:
    """Check that an HTTP server listens at an address, with a certificate that is trusted.

    Raises:
        CosessionError: the URL is no server's address.
        Disconnected: the server can't be reached; the message says why.
    """
    try:
        parts = split_address(url)
    except ValueError as error:
        raise CosessionError(str(error)) from None
    secure = parts.scheme in ("https", "wss")
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if secure else 80),
                ssl=ssl.create_default_context() if secure else None,
            )
            is_http = await _speaks_http(reader, writer, parts)
    except ssl.SSLCertVerificationError as error:
        raise Disconnected(
            f"The certificate of {url} isn't trusted: {error.verify_message}. SSL_CERT_FILE can name the authority "
            "that signed it."
        ) from None
    except ssl.SSLError as error:
        raise Disconnected(
            f"What listens at {url} speaks no TLS ({error.reason}); an address without TLS begins with http://."
        ) from None
    except TimeoutError:
        raise Disconnected(f"Nothing answers at {url} within {SECONDS:.0f} s; look at the address.") from None
    except OSError as error:
        # asyncio replaces the system's message of a failed connect, and joins the errors of several addresses.
        why = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else str(error)
        raise Disconnected(f"No server answers at {url}: {why}. Start one with: cosession serve") from None
    if not is_http:
        hint = "look at the address" if secure else "with TLS the address begins with https://; else look at its port"
        raise Disconnected(f"What listens at {url} is no session server: it doesn't speak HTTP; {hint}.")


async def _speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: SplitResult) -> bool:
    """Return whether a request gets an HTTP/1.1 answer; older versions carry no WebSocket."""
    path = f"{parts.path.rstrip('/')}/healthz"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
    try:
        return await reader.readexactly(len(_HTTP)) == _HTTP
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    finally:
        writer.transport.abort()
