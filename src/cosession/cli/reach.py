"""Whether a server can be reached: asked before a command connects, so that the cause is told at once."""

import asyncio
import os
import ssl

from cosession.client.address import split_address
from cosession.errors import CosessionError, Disconnected

SECONDS = 10.0
"""How long to wait for the server: a person waits for it at a prompt."""


async def reach(url: str) -> None:
    """Go on only if something listens at a server's address, with a certificate that is trusted.

    Raises:
        CosessionError: it is no address.
        Disconnected: it can't be reached; the sentence says why.
    """
    try:
        parts = split_address(url)
    except ValueError as error:
        raise CosessionError(str(error)) from None
    secure = parts.scheme in ("https", "wss")
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if secure else 80),
                ssl=ssl.create_default_context() if secure else None,
            )
            writer.close()
    except ssl.SSLCertVerificationError as error:
        raise Disconnected(
            f"The certificate of {url} isn't trusted: {error.verify_message}. SSL_CERT_FILE can name the authority "
            "that signed it."
        ) from None
    except TimeoutError:
        raise Disconnected(f"Nothing answers at {url} within {SECONDS:.0f} s; look at the address.") from None
    except OSError as error:
        # Of several addresses each has its own error; asyncio writes its own words over the system's.
        why = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else str(error)
        raise Disconnected(f"No server answers at {url}: {why}. Start one with: cosession serve") from None
