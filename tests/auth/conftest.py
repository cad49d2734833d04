"""What the tests of identity share: keys of every kind, and tokens made by hand."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey

from cosession.auth.keys import signing_key
from cosession.auth.tokens import mint

SECRET = "a secret of a test, longer than any guess".replace(" ", "-")
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Pair:
    """A key pair: its PEM files, its algorithm, and how it signs."""

    algorithm: str
    private: str
    public: str

    def sign(self, **claims: Any) -> str:
        """Make a token that is good for an hour, unless told otherwise."""
        return mint(good(**claims), signing_key(self.private, "the test's key"))

    def jwk(self, kid: str, **more: Any) -> dict[str, Any]:
        """The public key as an entry of a key set."""
        kind = {"RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}[self.algorithm]
        return {**kind.import_key(self.public).as_dict(private=False), "kid": kid, **more}


def make_pair(algorithm: str) -> Pair:
    """Make a key pair for RS256, ES256 or EdDSA."""
    key: Any
    if algorithm == "RS256":
        key = generate_rsa(65537, 2048)
    elif algorithm == "ES256":
        key = generate_ec(SECP256R1())
    else:
        key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Pair(algorithm, private, public)


def good(now: float | None = None, **claims: Any) -> dict[str, Any]:
    """Claims that let a member into every session for an hour; a claim that is None is left out."""
    at = time.time() if now is None else now
    usual = {"sub": "ada", "exp": int(at) + 3600, "sessions": ["*"], "role": "member"}
    return {name: value for name, value in {**usual, **claims}.items() if value is not None}


def b64(data: bytes | dict[str, Any]) -> str:
    """Base64url without padding, of bytes or of JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def pairs() -> dict[str, Pair]:
    """One key pair for each algorithm."""
    return {algorithm: make_pair(algorithm) for algorithm in ("RS256", "ES256", "EdDSA")}
