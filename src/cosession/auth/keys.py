"""Keys that verify tokens, each tied to its algorithms: a token can't choose how it is verified.

A secret verifies HS256 and nothing else, an RSA key RS256, a P-256 key ES256, an Ed25519 key EdDSA (which newer
libraries call Ed25519). So a public key is never used as a secret, and `none` is no algorithm.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from cosession.errors import BadKey

MIN_SECRET_BYTES: Final = 32
"""The least length of a secret: a shorter one can be guessed offline from one token (RFC 7518, section 3.2)."""

MIN_RSA_BITS: Final = 2048
"""The least size of an RSA key: smaller ones have been factored, or will be soon (RFC 7518, section 3.3)."""

_BEGIN, _END = "-----BEGIN ", "-----END "


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the algorithms that it may verify.

    Attributes:
        algorithms: the values of `alg` that it accepts; the first is used to sign.
        kid: its id in a key set; None matches every token.
        key: the key itself.
    """

    algorithms: tuple[str, ...]
    kid: str | None
    key: Key = field(repr=False)


class KeySource(Protocol):
    """A source of verification keys."""

    async def find(self, kid: str | None) -> Sequence[VerificationKey]:
        """Return the keys that may have signed a token of this `kid`; may be empty."""
        ...


class FixedKeys:
    """Keys that don't change while the process runs: from a secret or a file."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = tuple(keys)

    async def find(self, kid: str | None) -> Sequence[VerificationKey]:
        """See `KeySource.find`."""
        return matching(self._keys, kid)


def matching(keys: Iterable[VerificationKey], kid: str | None) -> tuple[VerificationKey, ...]:
    """Return the keys that match a token's `kid`; a token without one matches every key."""
    return tuple(key for key in keys if kid is None or key.kid is None or key.kid == kid)


def secret_keys(secrets: str) -> list[VerificationKey]:
    """Make keys from secrets, separated by white space: each verifies, the first signs.

    Raises:
        BadKey: one is too short, or is a public key.
    """
    keys: list[VerificationKey] = []
    if _BEGIN in secrets:
        raise BadKey("COSESSION_AUTH_SECRET holds a PEM key; name its file in COSESSION_AUTH_KEY_FILE instead.")
    for secret in secrets.split():
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise BadKey(
                f"A secret of COSESSION_AUTH_SECRET has fewer than {MIN_SECRET_BYTES} bytes and could be guessed; "
                "make one with: openssl rand -hex 32 (white space separates secrets)"
            )
        key = _import(lambda secret=secret: OctKey.import_key(secret), "The secret")
        keys.append(VerificationKey(("HS256",), None, key))
    if not keys:
        raise BadKey("COSESSION_AUTH_SECRET is empty; make a secret with: openssl rand -hex 32")
    return keys


def pem_keys(text: str, source: str) -> list[VerificationKey]:
    """Make keys from a PEM file: one or several public keys, each of which verifies.

    Args:
        text: the content of the file.
        source: the name of the file in errors.

    Raises:
        BadKey: the file has no usable public key, or a private one.
    """
    blocks = [_BEGIN + block for block in text.split(_BEGIN)[1:]]
    if not blocks:
        raise BadKey(f"{source} holds no PEM key; a public key begins with a line -----BEGIN PUBLIC KEY-----.")
    if any("PRIVATE KEY" in block for block in blocks):
        raise BadKey(
            f"{source} holds a private key, which a server doesn't need; give it the public one: "
            "openssl pkey -pubout -in PRIVATE.pem"
        )
    return [_pinned(_import_pem(block, source), None, source) for block in blocks]


def signing_key(pem: str, source: str) -> VerificationKey:
    """Make the key to sign tokens with from a PEM file with one private key.

    Raises:
        BadKey: the file has no usable private key.
    """
    if "PRIVATE KEY" not in pem:
        raise BadKey(f"{source} holds no private key; tokens are signed with the private one.")
    return _pinned(_import_pem(pem, source), None, source)


def jwk_key(jwk: Mapping[str, Any]) -> VerificationKey | None:
    """Make a key from an entry of a JWKS; return None for other uses, other algorithms and secrets.

    A secret doesn't belong in a public set, so `oct` is skipped.
    """
    kinds: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    kind = kinds.get(str(jwk.get("kty")))
    kid = jwk.get("kid")
    if kind is None or jwk.get("use", "sig") != "sig" or not (kid is None or isinstance(kid, str)):
        return None
    public = {name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    try:
        key = _pinned(_import(lambda: kind.import_key(cast("Any", public)), "A key"), kid, "A key")
    except BadKey:
        return None
    return key if jwk.get("alg", key.algorithms[0]) in key.algorithms else None


def _import_pem(pem: str, source: str) -> Key:
    if "ENCRYPTED" in pem:
        raise BadKey(f"{source} is encrypted; take the passphrase off first: openssl pkey -in IN.pem -out OUT.pem")
    end = pem.find("-----", pem.find(_END) + len(_END))
    block = pem[: end + 5].encode()
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return _import(lambda kind=kind: kind.import_key(block), source)
        except BadKey:
            continue
    raise BadKey(f"{source} holds no key that can be used; use an RSA, a P-256 or an Ed25519 key in PEM.")


def _pinned(key: Key, kid: str | None, source: str) -> VerificationKey:
    """Tie a key to its algorithms.

    Raises:
        BadKey: the key is too short, or of another kind.
    """
    # An explicit type: the union of all keys has no common public key.
    public: object = None if isinstance(key, OctKey) else key.public_key
    match public:
        case RSAPublicKey() if public.key_size >= MIN_RSA_BITS:
            return VerificationKey(("RS256",), kid, key)
        case RSAPublicKey():
            raise BadKey(f"{source} has {public.key_size} bits and could be broken; use {MIN_RSA_BITS} or more.")
        case EllipticCurvePublicKey() if isinstance(public.curve, SECP256R1):
            return VerificationKey(("ES256",), kid, key)
        case Ed25519PublicKey():
            return VerificationKey(("EdDSA", "Ed25519"), kid, key)
        case _:
            raise BadKey(f"{source} is of a kind that can't be used; use an RSA, a P-256 or an Ed25519 key.")


def _import(make: Callable[[], Key], source: str) -> Key:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # our own checks refuse such keys
            return make()
    except (JoseError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise BadKey(f"{source} can't be used as a key: {error}.") from error
