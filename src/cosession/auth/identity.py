"""Authentication: from the credentials of a request to a `Grant`.

With a key, a token is required. Without one (development) participants declare their own identity, and may do
everything unless they request less, so such a server listens on loopback only.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from cosession.errors import BadKey, NotAuthenticated
from cosession.settings import Settings

from .capabilities import EVERYTHING, Capabilities
from .grant import Grant, Scope
from .issuer import Issuer
from .jwks import RemoteKeys
from .keys import FixedKeys, KeySource, VerificationKey, pem_keys, secret_keys
from .participant import ANONYMOUS
from .tokens import TokenRules, check_id, check_kind, clean_name, verify

TOKEN_PROTOCOL: Final = "cosession.token."  # noqa: S105 - it is public
"""The prefix of a subprotocol with a token: browsers let a page set no other header of a WebSocket handshake."""


class Identities:
    """Authenticates the requests of a server. Made by `Identities.open`.

    Attributes:
        verified: whether tokens are required; else participants declare their own identity.
        issuer: the issuer that signs tokens here; None where there is no signing key.
    """

    def __init__(
        self, keys: KeySource | None, rules: TokenRules, clock: Callable[[], float], issuer: Issuer | None = None
    ) -> None:
        self.verified = keys is not None
        self.issuer = issuer
        self._keys = keys
        self._rules = rules
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, clock: Callable[[], float] = time.time) -> "AsyncGenerator[Identities]":
        """Load the keys that the settings name, and hold them until the block ends.

        Args:
            settings: the keys, and the claims that tokens must have.
            clock: returns the time, in seconds since 1970.

        Raises:
            BadKey: a key can't be used, or the settings contradict each other.
        """
        rules = TokenRules(settings.auth_issuer, settings.auth_audience, settings.auth_leeway_seconds)
        check_one_source(settings)
        if settings.auth_jwks_url is None:
            keys = fixed_keys(settings)
            yield cls(FixedKeys(keys) if keys else None, rules, clock, Issuer.of(settings))
            return
        max_age = settings.auth_jwks_max_age_seconds
        async with RemoteKeys.open(settings.auth_jwks_url, time.monotonic, max_age_seconds=max_age) as remote:
            yield cls(remote, rules, clock)

    async def identify(self, headers: Mapping[str, str], parameters: Mapping[str, str]) -> Grant:
        """Return the grant of a request's sender.

        Args:
            headers: the request's headers, with names in lower case; `authorization` or a subprotocol has the token.
            parameters: the query parameters; `token` is another place for it.

        Raises:
            KeysUnavailable: the keys can't be fetched now.
            NotAllowed: a valid token gives access to nothing.
            NotAuthenticated: the sender can't be authenticated.
        """
        if self._keys is None:
            return name_oneself(parameters)
        return await verify(_token(headers, parameters), self._keys, self._rules, self._clock())


def name_oneself(parameters: Mapping[str, str]) -> Grant:
    """Return the grant of a self-declared identity, unverified (development only).

    Args:
        parameters: `user` (id), `name` and `kind` (`human`, `agent` or `operator`), `role`, and `capabilities` with
            commas between them; each optional. Without the last two, everything is allowed.

    Raises:
        NotAuthenticated: one of them is invalid.
    """
    role, written = parameters.get("role"), parameters.get("capabilities")
    capabilities = EVERYTHING
    if role is not None or written is not None:
        capabilities = Capabilities.parse(one for one in (written or "").split(",") if one)
        capabilities |= Capabilities.of(role) if role is not None else Capabilities()
    kind = check_kind(parameters.get("kind", ANONYMOUS.kind))
    scopes = (Scope("*", capabilities),)
    user = parameters.get("user", "").strip()
    if not user:
        return Grant(ANONYMOUS.id, ANONYMOUS.name, ANONYMOUS.kind, scopes)
    check_id(user, "The participant id")
    return Grant(user, clean_name(parameters.get("name", "")) or user, kind, scopes)


def check_one_source(settings: Settings) -> None:
    """Check that the settings name at most one source of keys, and all that it needs.

    Raises:
        BadKey: they name several, or a needed setting is missing.
    """
    if sum(map(bool, (settings.auth_secret, settings.auth_key_file, settings.auth_jwks_url))) > 1:
        raise BadKey(
            "Set only one of COSESSION_AUTH_SECRET, COSESSION_AUTH_KEY_FILE and COSESSION_AUTH_JWKS_URL: tokens are "
            "verified in one way."
        )
    if settings.auth_jwks_url is None:
        return
    if not settings.auth_jwks_url.startswith(("https://", "http://")):
        raise BadKey("COSESSION_AUTH_JWKS_URL must be a URL, like https://issuer.example/.well-known/jwks.json.")
    if settings.auth_audience is None:
        raise BadKey(
            "COSESSION_AUTH_JWKS_URL needs COSESSION_AUTH_AUDIENCE: an issuer signs tokens for other programs too, "
            "and theirs must not open sessions here."
        )


def fixed_keys(settings: Settings) -> list[VerificationKey]:
    """Read the keys of a secret or a file; return none where the settings name neither.

    Raises:
        BadKey: the keys can't be used.
    """
    if settings.auth_secret is not None:
        return secret_keys(settings.auth_secret.get_secret_value())
    if settings.auth_key_file is not None:
        return pem_keys(read_key_file(settings.auth_key_file), str(settings.auth_key_file))
    return []


def read_key_file(path: Path) -> str:
    """Read a PEM file.

    Raises:
        BadKey: it can't be read.
    """
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeError) as error:
        raise BadKey(f"The key file {path} can't be read: {error}.") from error


def _token(headers: Mapping[str, str], parameters: Mapping[str, str]) -> str:
    """Return the credential of a request.

    Raises:
        NotAuthenticated: there is none.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if token := parameters.get("token", ""):
        return token
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if (name := offered.strip()).startswith(TOKEN_PROTOCOL):
            return name.removeprefix(TOKEN_PROTOCOL)
    raise NotAuthenticated(
        "A token is needed: send it as `Authorization: Bearer TOKEN`, in the query as `token=TOKEN`, or as the "
        f"WebSocket's subprotocol `{TOKEN_PROTOCOL}TOKEN`."
    )
