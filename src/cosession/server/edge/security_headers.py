"""Security headers of every answer, and the content security policy of pages.

A page runs only the scripts in its own files: neither text that an agent wrote into it, nor scripts of another site.
It loads and sends nothing elsewhere. A header that the application set itself stays as it is.
"""

import base64
import hashlib
from collections.abc import Iterable
from html.parser import HTMLParser

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "connect-src": "'self'",  # includes WebSockets to the same host
    "manifest-src": "'self'",
    "worker-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

_UNUSED = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")


def page_policy(scripts: Iterable[str] = (), *, inline_styles: bool = False) -> str:
    """Return the content security policy of a page.

    Args:
        scripts: the texts of the inline scripts that may run; no other inline script may.
        inline_styles: whether elements may have a `style`; only for pages that contain no text of participants.
    """
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    own = "".join(f" 'sha256-{each}'" for each in hashes)
    more = {"script-src": own, "style-src": " 'unsafe-inline'" if inline_styles else ""}
    return "; ".join(f"{name} {sources}{more.get(name, '')}" for name, sources in _POLICY.items())


SECURITY_HEADERS = {
    "content-security-policy": page_policy(),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": ", ".join(f"{feature}=()" for feature in _UNUSED),
    "referrer-policy": "no-referrer",  # an address may hold a token
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer, unless it sets them itself."""

OF_NOW = {"cache-control": "no-store"}
"""Headers of an answer that is no file: it is current only now, and for one participant."""


class SecurityHeaders:
    """ASGI middleware that adds the security headers.

    Args:
        app: the wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            # "Not modified" changes the headers of a browser's cached answer: they must stay as they were sent.
            if message["type"] == "http.response.start" and message["status"] != 304:
                headers = MutableHeaders(scope=message)
                for name, value in (SECURITY_HEADERS | OF_NOW).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, answer)


class InlineScripts(HTMLParser):
    """Finds the inline scripts of a page.

    Attributes:
        texts: their texts, as the browser hashes them.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.texts: list[str] = []
        self._inside = False
        self.feed(page.replace("\r\n", "\n"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Start a text at an inline script."""
        self._inside = tag == "script" and "src" not in dict(attrs)
        if self._inside:
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        """End the text."""
        self._inside = False

    def handle_data(self, data: str) -> None:
        """Add to the text of the open script."""
        if self._inside:
            self.texts[-1] += data
