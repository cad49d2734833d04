"""The credential: a token, or a function that gives a fresh one for each connection."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeAlias, cast

from cosession.errors import Disconnected

Token: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A token, or a function, plain or async, that gives a fresh one: at each connection, and before the last expires."""

TOKEN_SECONDS = 30.0
"""How long the function may take: without a token there is no connection, and nothing would say so."""


class Credential:
    """What a connection shows at the door.

    Args:
        token: the token or its source; None on a development server.
        participant: whose it should be.

    Attributes:
        renewable: whether there can be a fresh one when this one has expired.
        failure: what the function failed with last; empty when it didn't.
    """

    def __init__(self, token: Token | None, participant: str) -> None:
        self.renewable = callable(token)
        self.failure = ""
        self._token = token
        self._participant = participant

    async def headers(self) -> dict[str, str] | None:
        """Return the headers of the next connection.

        Raises:
            Disconnected: the token is somebody else's, or can't be sent, and always will be.
            TokenFailed: the function failed; it may succeed later.
        """
        token = await self.fresh()
        return bearer(token) if token else None

    async def fresh(self) -> str | None:
        """Return a token; raises as `headers` does."""
        self.failure = ""
        try:
            token = await self._current()
        except TokenFailed as error:
            self.failure = str(error)
            raise
        token = token and token.strip()
        if not token:
            return None
        bearer(token)
        subject = subject_of(token)
        if subject is not None and subject != self._participant:
            raise Disconnected(
                f"The token is for {subject!r}, and `participant` is {self._participant!r}: what is written would be "
                "refused. Give the token's `sub` as `participant`."
            )
        return token

    async def _current(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                given = self._token()
                token = await given if isawaitable(given) else given
        except TimeoutError as error:
            raise TokenFailed(f"The function that gives the token gave none in {TOKEN_SECONDS:g} s.") from error
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise TokenFailed("The function that gives the token was cancelled.") from error
        except Exception as error:
            raise TokenFailed(f"The function that gives the token failed: {error!r}.") from error
        if not isinstance(token, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TokenFailed(f"The function that gives the token gave {type(token).__name__}, not a text.")
        return token


class TokenFailed(Exception):
    """There is no token now."""


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token. White space around it, such as the end of a line in a file, is no part.

    Raises:
        Disconnected: it holds characters that no header may.
    """
    token = token.strip()
    if not token.isprintable() or " " in token:
        raise Disconnected("The token holds white space or control characters, so it can't be sent; look at its end.")
    return {"Authorization": f"Bearer {token}"}


def subject_of(token: str) -> str | None:
    """Return whose a token says it is, unverified; None where it doesn't say, or isn't one that can be read."""
    try:
        payload = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return None
    subject = cast("dict[str, Any]", claims).get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else None
