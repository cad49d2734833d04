"""Tokens: JSON Web Tokens (RFC 7519) verified into grants, and minted for development.

The checks are in this order: size, form, key, signature, and only then the claims, so that a sender without a key
learns only that the signature is wrong. The key determines the algorithm, never the token. Time is an argument.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError

from cosession.errors import NotAllowed, NotAuthenticated
from cosession.protocol.json_text import FORBIDDEN_KEY

from .capabilities import Capabilities
from .grant import Grant, Scope, check_patterns
from .keys import KeySource, VerificationKey
from .participant import ANONYMOUS, MAX_ID, SERVER, Kind

MAX_TOKEN_BYTES: Final = 8 * 2**10
"""The largest size of a token; a longer one fits no request header, and is refused without being parsed."""

_LAST_SECOND: Final = 2.0**53
"""The last representable second; later times are clamped, as floats aren't exact beyond."""

_UNVERIFIED: Final = (
    "The token can't be verified: no key of this server fits its signature. Get a new one from its issuer."
)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The claims that a token must have, besides a valid signature.

    Attributes:
        issuer: the required `iss`; None accepts any.
        audience: the value that `aud` must be or include; None accepts only tokens without `aud`.
        leeway_seconds: the accepted difference between clocks.
    """

    issuer: str | None = None
    audience: str | None = None
    leeway_seconds: float = 30.0


async def verify(token: str, keys: KeySource, rules: TokenRules, now: float) -> Grant:
    """Verify a token and return its grant.

    Args:
        token: the token as received.
        keys: the keys that may have signed it.
        rules: the claims that it must have.
        now: the time, in seconds since 1970.

    Raises:
        NotAllowed: the token is valid, but gives access to nothing.
        NotAuthenticated: the token is invalid.
    """
    claims = await _signed_claims(token, keys)
    leeway = rules.leeway_seconds
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise NotAuthenticated("The token never expires, which isn't taken; it needs the claim `exp`.")
    if now >= expires_at + leeway:
        raise NotAuthenticated("The token has expired; get a new one.")
    if now < (_time(claims, "nbf") or 0.0) - leeway:
        raise NotAuthenticated("The token isn't valid yet; wait, or look whether the clocks are right.")
    if rules.issuer is not None and claims.get("iss") != rules.issuer:
        raise NotAuthenticated("The token is from another issuer than this server takes tokens from.")
    _check_audience(claims.get("aud"), rules.audience)
    return _grant(claims, expires_at + leeway)


def mint(claims: Mapping[str, Any], key: VerificationKey) -> str:
    """Sign claims.

    Args:
        claims: the claims of the token, `exp` included.
        key: a secret, or a private key.
    """
    algorithm = key.algorithms[0]
    header = {"alg": algorithm, "typ": "JWT"}
    return jws.serialize_compact(header, json.dumps(claims), key.key, registry=_Pinned((algorithm,)))


def check_claims(claims: Mapping[str, Any]) -> None:
    """Check that a server would accept a token with these claims, apart from times, issuer and audience.

    Raises:
        NotAllowed: the token would give access to nothing.
        NotAuthenticated: the token would be refused.
    """
    _grant(claims, 0.0)


class _Pinned(jws.JWSRegistry):
    """The algorithms of one key. A list of our own, as the library warns of `EdDSA`, which most issuers still use."""

    max_header_length = MAX_TOKEN_BYTES
    max_signature_length = MAX_TOKEN_BYTES

    def __init__(self, algorithms: tuple[str, ...]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)
        self._algorithms = algorithms

    def get_alg(self, name: str) -> Any:
        if name not in self._algorithms:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class _Strict(json.JSONDecoder):
    """A decoder that rejects duplicate names, of which two readers of one token could see different values."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name comes twice")
    return read


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


async def _signed_claims(token: str, keys: KeySource) -> Mapping[str, Any]:
    """Return the claims of a token that is signed with one of the keys.

    Raises:
        NotAuthenticated: the signature is invalid, or this is no token.
    """
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise NotAuthenticated(f"A token has at most {MAX_TOKEN_BYTES} bytes of ASCII; this is none.")
    try:
        signed = jws.extract_compact(token.encode(), registry=_Pinned(()))
        header = cast("Mapping[str, Any]", signed.headers())
        algorithm, kid = header.get("alg"), header.get("kid")
        # `crit` names extensions that a reader must understand, such as `b64`; a JWT needs none.
        fits = (
            isinstance(algorithm, str) and (kid is None or isinstance(kid, str)) and not {"crit", "b64"} & set(header)
        )
    except (JoseError, ValueError, TypeError, RecursionError):
        fits, signed, algorithm, kid = False, None, None, None
    if not fits or signed is None:
        raise NotAuthenticated("What came as a token is none; send a JSON Web Token in its compact form, unchanged.")
    for key in await keys.find(kid):
        if algorithm in key.algorithms and _is_signed(signed, key):
            break
    else:
        raise NotAuthenticated(_UNVERIFIED)
    try:
        claims: Any = json.loads(signed.payload or b"", cls=_Strict)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise NotAuthenticated("The token's claims must be one JSON object in which each name comes once.")
    return cast("dict[str, Any]", claims)


def _is_signed(signed: jws.CompactSignature, key: VerificationKey) -> bool:
    try:
        return jws.validate_compact(signed, key.key, registry=_Pinned(key.algorithms))
    except (JoseError, ValueError, TypeError):
        return False


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(min(value, _LAST_SECOND)):
        raise NotAuthenticated(f"The token's `{name}` must be a number of seconds since 1970.")
    return float(max(min(value, _LAST_SECOND), -_LAST_SECOND))


def _check_audience(said: object, wanted: str | None) -> None:
    audiences = cast("list[object]", said) if isinstance(said, list) else [] if said is None else [said]
    if wanted is None and audiences:
        raise NotAuthenticated(
            "The token is for an audience, and this server has no name of its own; its operator can give it one in "
            "COSESSION_AUTH_AUDIENCE."
        )
    if wanted is not None and wanted not in audiences:
        raise NotAuthenticated("The token is for another audience than this server.")


def _grant(claims: Mapping[str, Any], expires_at: float) -> Grant:
    subject = check_id(claims.get("sub"), "The token's `sub`")
    kind = check_kind(claims.get("kind", "human"))
    name = clean_name(claims["name"]) if isinstance(claims.get("name"), str) else ""
    token_id = claims.get("jti")
    if token_id is not None and not isinstance(token_id, str):
        raise NotAuthenticated("The token's `jti` must be a text.")
    scopes = _scopes(claims)
    if not scopes:
        raise NotAllowed(
            'The token names no sessions; it needs the claim `sessions`, e.g. ["trip-*"], with `role` or '
            "`capabilities`, or `grants`."
        )
    return Grant(subject, name or subject, kind, scopes, token_id, expires_at)


def grant_of(
    participant: str,
    name: str,
    kind: str,
    capabilities: Capabilities,
    sessions: Sequence[str],
    expires_at: float | None,
) -> Grant:
    """Return a grant that no token bears: what a program vouches for, checked as the claims of a token are.

    Raises:
        NotAllowed: it names no sessions.
        NotAuthenticated: a part of it is not valid.
    """
    check_id(participant, "The participant id")
    check_patterns(sessions)
    if not sessions:
        raise NotAllowed("The grant names no sessions; look at its `sessions`.")
    scopes = tuple(Scope(pattern, capabilities) for pattern in sessions)
    return Grant(participant, clean_name(name) or participant, check_kind(kind), scopes, None, expires_at)


def _scopes(claims: Mapping[str, Any]) -> tuple[Scope, ...]:
    """Read `sessions` with `role` and `capabilities`, and `grants`, which overrides them at the same pattern."""
    sessions = _texts(claims.get("sessions", []), "sessions")
    scopes: dict[str, Capabilities] = dict.fromkeys(sessions, _capabilities(claims)) if sessions else {}
    grants = claims.get("grants", {})
    if not isinstance(grants, dict):
        raise NotAuthenticated("The token's `grants` must be an object: session pattern to role and capabilities.")
    for pattern, given in cast("dict[str, Any]", grants).items():
        if not isinstance(given, dict):
            raise NotAuthenticated("Each of the token's `grants` must be an object with `role` or `capabilities`.")
        scopes[pattern] = _capabilities(cast("dict[str, Any]", given))
    check_patterns(list(scopes))
    return tuple(Scope(pattern, capabilities) for pattern, capabilities in scopes.items())


def _capabilities(given: Mapping[str, Any]) -> Capabilities:
    """Return the union of `role` and `capabilities`; empty without both."""
    role = given.get("role")
    if role is not None and not isinstance(role, str):
        raise NotAuthenticated("The token's `role` must be a text.")
    written = Capabilities.parse(_texts(given.get("capabilities", []), "capabilities"))
    return written | Capabilities.of(role) if role is not None else written


def _texts(value: object, name: str) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else None
    texts = [item for item in items if isinstance(item, str)] if items is not None else []
    if items is None or len(texts) != len(items):
        raise NotAuthenticated(f"The token's `{name}` must be an array of texts.")
    return texts


def check_id(value: object, what: str) -> str:
    """Return the value if it is a valid participant id.

    Raises:
        NotAuthenticated: the value is invalid.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_ID or not value.isprintable():
        raise NotAuthenticated(f"{what} must be a printable text of at most {MAX_ID} characters.")
    if value in (SERVER.id, ANONYMOUS.id):
        raise NotAuthenticated(f"{what} is {value!r}, which is the server's own; choose another.")
    if value == FORBIDDEN_KEY:
        raise NotAuthenticated(f"{what} is {value!r}, which can't be a key in a browser; choose another.")
    return value


def check_kind(value: object) -> Kind:
    """Return the value if it is a kind that a participant may declare.

    Raises:
        NotAuthenticated: the value is another one.
    """
    if value not in get_args(Kind) or value == SERVER.kind:
        raise NotAuthenticated(f"The kind {str(value)[:64]!r} is unknown; use human, agent or operator.")
    return cast("Kind", value)


def clean_name(name: str) -> str:
    """Return a name for display: without invisible characters, and truncated."""
    kept = (character for character in name if character.isprintable() or character == "\N{ZERO WIDTH JOINER}")
    return "".join(kept).strip()[:MAX_ID]
