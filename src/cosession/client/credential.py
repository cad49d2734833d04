"""The credential: a token, or a function that returns a fresh one for each connection."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeAlias, cast

from cosession.errors import Disconnected

Token: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A token, or a sync or async function that returns a fresh one: at each connection, and before the last expires."""

TOKEN_SECONDS = 30.0
"""The time that the function may take; after it the connection fails with an error, instead of silently waiting."""


class Credential:
    """The token that a connection authenticates with.

    Args:
        token: the token or its source; None on a development server.
        participant: the participant that the token should be for; None accepts the token of any.

    Attributes:
        renewable: whether a fresh token can follow an expired one.
        failure: the last error of the function; empty when it succeeded.
    """

    def __init__(self, token: Token | None, participant: str | None) -> None:
        self.renewable = callable(token)
        self.failure = ""
        self._token = token
        self._participant = participant

    def replace(self, token: Token) -> None:
        """Use another token from the next connection on."""
        self.renewable = callable(token)
        self._token = token

    async def headers(self) -> dict[str, str] | None:
        """Return the headers of the next connection.

        Raises:
            Disconnected: the token is for another participant, or can't be sent; a retry won't help.
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
        if subject is not None and self._participant is not None and subject != self._participant:
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
    """The token function failed; it may succeed later."""


def bearer(token: str) -> dict[str, str]:
    """Return the header for a token, without white space around it, such as the newline at the end of a file.

    Raises:
        Disconnected: the token contains characters that a header can't.
    """
    token = token.strip()
    if not token.isprintable() or " " in token:
        raise Disconnected("The token holds white space or control characters, so it can't be sent; look at its end.")
    return {"Authorization": f"Bearer {token}"}


def subject_of(token: str) -> str | None:
    """Return the subject that a token names, unverified; None where it names none or can't be decoded."""
    try:
        payload = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return None
    subject = cast("dict[str, Any]", claims).get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else None
