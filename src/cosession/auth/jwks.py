"""Keys from a JWKS URL (RFC 7517): fetched when needed, and again when the issuer has changed them.

A set is used for `max_age_seconds`, then fetched again; a token with an unknown `kid` triggers a fetch at once, at
most every `retry_seconds`, so that forged tokens can't cause many requests. When a fetch fails the old set stays in
use: an issuer that is down doesn't lock out holders of its tokens. One task fetches at a time; meanwhile the others
use the old set, and wait only if it has no matching key.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import httpx

from cosession.errors import KeysUnavailable
from cosession.logs import get_logger

from .keys import VerificationKey, jwk_key, matching

MAX_BYTES: Final = 256 * 2**10
"""The largest size of a key set; a set of a hundred keys with their certificates is smaller."""

MAX_KEYS: Final = 100
"""The number of keys of a set that are used; a token without a `kid` is tried with each of them."""

TIMEOUT_SECONDS: Final = 5.0
"""The time that a whole fetch may take, as a client waits for it to connect."""

log = get_logger(__name__)


class RemoteKeys:
    """The keys behind a URL; made by `RemoteKeys.open`."""

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        clock: Callable[[], float],
        *,
        max_age_seconds: float,
        retry_seconds: float,
    ) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._max_age = max_age_seconds
        self._retry = retry_seconds
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at = -float("inf")
        self._tried_at = -float("inf")
        self._failing = False
        self._fetching = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, clock: Callable[[], float], *, max_age_seconds: float = 600.0, retry_seconds: float = 10.0
    ) -> "AsyncGenerator[RemoteKeys]":
        """Hold the keys of a URL until the block ends; nothing is fetched yet.

        Args:
            url: the URL of the key set; redirects are not followed.
            clock: a monotonic clock, in seconds.
            max_age_seconds: how long a set is used before it is fetched again.
            retry_seconds: the least time from one fetch to the next.
        """
        # Made on a thread, because it reads the certificates of all authorities; without TLS it reads none.
        verify = not url.startswith("http:")
        client = await asyncio.to_thread(httpx.AsyncClient, timeout=TIMEOUT_SECONDS, verify=verify)
        async with client:
            yield cls(url, client, clock, max_age_seconds=max_age_seconds, retry_seconds=retry_seconds)

    async def find(self, kid: str | None) -> Sequence[VerificationKey]:
        """See `KeySource.find`.

        Raises:
            KeysUnavailable: no key is known, and the set can't be fetched.
        """
        known = matching(self._keys, kid)
        if known and (self._fresh() or self._fetching.locked()):
            return known
        async with self._fetching:
            # A task that waited for the lock finds the keys that the task before it has fetched.
            known = matching(self._keys, kid)
            due = self._clock() - self._tried_at >= self._retry
            if due and not (known and self._fresh()):
                await self._fetch()
        known = matching(self._keys, kid)
        if self._failing and not known:
            raise KeysUnavailable("The keys that tokens are verified with can't be had now; try again in a moment.")
        return known

    def _fresh(self) -> bool:
        return self._clock() - self._fetched_at < self._max_age

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                self._keys = _keys_of(await self._load())
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError) as error:
            self._failing = True
            reason = str(error) or type(error).__name__
            log.warning("keys.not_fetched", url=self._url, reason=reason, kept=len(self._keys))
        else:
            self._failing = False
            self._fetched_at = self._clock()
            log.info("keys.fetched", url=self._url, keys=len(self._keys))

    async def _load(self) -> bytes:
        # Uncompressed, so that the limit bounds the memory.
        headers = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}
        data = bytearray()
        async with self._client.stream("GET", self._url, headers=headers) as response:
            response.raise_for_status()
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > MAX_BYTES:
                    raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        return bytes(data)


def _keys_of(data: bytes) -> tuple[VerificationKey, ...]:
    """Parse a key set; keys for other purposes are skipped.

    Raises:
        ValueError: the data is no key set, or has no usable key.
    """
    said: Any = json.loads(data)
    entries = cast("dict[str, Any]", said).get("keys") if isinstance(said, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no key set: there is no array `keys`")  # noqa: TRY004
    usable = [cast("dict[str, Any]", entry) for entry in cast("list[Any]", entries) if isinstance(entry, dict)]
    keys = tuple(key for entry in usable[:MAX_KEYS] if (key := jwk_key(entry)))
    if not keys:
        raise ValueError("it has no RSA, P-256 or Ed25519 key for signatures")
    return keys
