"""Keys: which are taken, and which are refused at start with a sentence that says what to do."""

from pathlib import Path
from typing import Any

import pytest
from auth.conftest import SECRET, Pair
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from cosession.auth import Identities
from cosession.auth.keys import jwk_key, pem_keys, secret_keys, signing_key
from cosession.errors import BadKey
from cosession.settings import Settings


def public_pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("secret", ["", "  ", "short", "é" * 15, f"{SECRET} short"])
def test_a_secret_that_could_be_guessed_is_refused(secret: str):
    with pytest.raises(BadKey, match="openssl rand -hex 32"):
        secret_keys(secret)


def test_a_key_in_the_place_of_a_secret_is_refused(pairs: dict[str, Pair]):
    with pytest.raises(BadKey, match="COSESSION_AUTH_KEY_FILE"):
        secret_keys(pairs["RS256"].public)


def test_several_secrets_verify_each(pairs: dict[str, Pair]):
    assert [key.algorithms for key in secret_keys(f"{SECRET}\n{'b' * 32}")] == [("HS256",), ("HS256",)]


def test_what_is_no_public_key_of_ours_is_refused(pairs: dict[str, Pair]):
    encrypted = load_pem_private_key(pairs["EdDSA"].private.encode(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")
    )
    refused = {
        "": "holds no PEM key",
        pairs["ES256"].private: "private key, which a server doesn't need",
        public_pem(generate_rsa(65537, 1024)): "1024 bits",
        public_pem(generate_ec(SECP384R1())): "use an RSA, a P-256 or an Ed25519",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----": "no key that can be used",
        "-----BEGIN PUBLIC KEY-----": "no key that can be used",
    }
    for text, said in refused.items():
        with pytest.raises(BadKey, match=said):
            pem_keys(text, "keys.pem")
    with pytest.raises(BadKey, match="no private key"):
        signing_key(pairs["ES256"].public, "key.pem")
    with pytest.raises(BadKey, match="passphrase"):
        signing_key(encrypted.decode(), "key.pem")


def test_of_a_key_set_only_what_verifies_signatures_is_taken(pairs: dict[str, Pair]):
    good = pairs["RS256"].jwk("a")
    taken = jwk_key(good)
    assert taken is not None
    assert (taken.kid, taken.algorithms) == ("a", ("RS256",))
    for algorithm, pair in pairs.items():
        assert (key := jwk_key(pair.jwk("a", alg=algorithm, use="sig"))) is not None
        assert algorithm in key.algorithms
    for other in (
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I", "kid": "a"},
        {**good, "use": "enc"},
        {**good, "alg": "RS512"},
        {**good, "alg": "HS256"},
        {**good, "kid": 7},
        {**good, "n": "AQAB"},
        {"kty": "RSA"},
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
        {"kty": "AKP"},
        {"kty": ["RSA"]},
        {},
    ):
        assert jwk_key(other) is None, other


def test_nothing_shows_a_secret(pairs: dict[str, Pair]):
    (key,) = secret_keys(SECRET)
    settings = Settings(auth_secret=SECRET)  # type: ignore[arg-type]
    for shown in (repr(key), str(key), repr(settings), str(settings), repr(settings.model_dump())):
        assert SECRET not in shown
    private = signing_key(pairs["EdDSA"].private, "key.pem")
    assert "PRIVATE" not in repr(private)


@pytest.mark.anyio
async def test_settings_that_do_not_fit_together_are_refused(tmp_path: Path):
    missing = tmp_path / "missing.pem"
    refused: dict[str, dict[str, Any]] = {
        "Set only one of": {"auth_secret": SECRET, "auth_jwks_url": "https://a.example", "auth_audience": "us"},
        "needs COSESSION_AUTH_AUDIENCE": {"auth_jwks_url": "https://a.example/keys"},
        "must be a URL": {"auth_jwks_url": "file:///etc/passwd", "auth_audience": "us"},
        "can't be read": {"auth_key_file": missing},
    }
    for said, settings in refused.items():
        with pytest.raises(BadKey, match=said):
            async with Identities.open(Settings(**settings)):
                pass
