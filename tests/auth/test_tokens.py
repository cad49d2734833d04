"""Tokens: what a good one gives, and that no other is taken, whatever was done to it."""

import base64
import json
from typing import Any

import pytest
from auth.conftest import NOW, SECRET, Pair, b64, good
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey

from cosession.auth import Grant
from cosession.auth.keys import FixedKeys, VerificationKey, pem_keys, secret_keys
from cosession.auth.tokens import MAX_TOKEN_BYTES, TokenRules, mint, verify
from cosession.errors import CosessionError, NotAllowed, NotAuthenticated

pytestmark = pytest.mark.anyio

CLAIMS = ["sub", "exp", "nbf", "aud", "iss", "jti", "name", "kind", "role", "sessions", "capabilities", "grants"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)

(KEY,) = secret_keys(SECRET)
KEYS = FixedKeys([KEY])


async def taken(token: str, rules: TokenRules | None = None, keys: FixedKeys = KEYS, now: float = NOW) -> Grant:
    return await verify(token, keys, rules or TokenRules(), now)


def signed(**claims: Any) -> str:
    return mint(good(NOW, **claims), KEY)


def signed_raw(payload: bytes, **header: Any) -> str:
    """Sign any bytes with the secret, under any header."""
    head = {"alg": "HS256", **header}
    segments = f"{b64(head)}.{b64(payload)}"
    proper = jws.serialize_compact({"alg": "HS256"}, payload, KEY.key, algorithms=["HS256"])
    if not header:
        return proper
    from cryptography.hazmat.primitives import hashes, hmac

    code = hmac.HMAC(SECRET.encode(), hashes.SHA256())
    code.update(segments.encode())
    return f"{segments}.{b64(code.finalize())}"


async def test_a_good_token_gives_what_it_says():
    grant = await taken(signed(name="Ada L.", kind="agent", jti="t-1", sessions=["trip-*"], role="agent"))
    assert (grant.id, grant.name, grant.kind, grant.token_id) == ("ada", "Ada L.", "agent", "t-1")
    assert grant.expires_at == NOW + 3600 + 30
    participant = grant.participant("trip-7")
    assert participant.capabilities.may("run")
    assert participant.expires_at == grant.expires_at
    with pytest.raises(NotAllowed, match="doesn't include this session"):
        grant.participant("trip")


async def test_without_a_name_the_id_is_shown_and_what_cannot_be_seen_is_not():
    assert (await taken(signed())).name == "ada"
    assert (await taken(signed(name="A\u202ed\ud800a\n👩‍🚀"))).name == "Ada👩‍🚀"


async def test_the_longest_pattern_decides_alone():
    grants = {"trip-7": {"role": "viewer"}, "trip-*": {"capabilities": ["read", "prompt"]}}
    grant = await taken(signed(sessions=["*", "trip-7*"], role="admin", grants=grants))
    assert grant.participant("other").capabilities.may("admin")
    assert grant.participant("trip-70").capabilities.may("admin")
    assert not grant.participant("trip-7").capabilities.may("prompt")
    assert grant.participant("trip-8").capabilities.names == {"read", "prompt"}
    assert grant.everywhere().may("admin")


async def test_a_role_and_capabilities_add_up():
    grant = await taken(signed(role="agent", capabilities=["prompt", "state:trip"]))
    assert grant.participant("a").capabilities.may("prompt")
    assert grant.participant("a").capabilities.may("run")


async def test_a_token_that_names_no_sessions_opens_none():
    with pytest.raises(NotAllowed, match="names no sessions"):
        await taken(signed(sessions=None))
    grant = await taken(signed(sessions=["a"], role=None))
    assert not grant.may("read", "a")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": NOW - 31}, "has expired"),
        ({"exp": None}, "never expires"),
        ({"exp": "tomorrow"}, "`exp` must be a number"),
        ({"exp": True}, "`exp` must be a number"),
        ({"nbf": NOW + 31}, "isn't valid yet"),
        ({"nbf": "now"}, "`nbf` must be a number"),
        ({"sub": None}, "`sub` must be"),
        ({"sub": 7}, "`sub` must be"),
        ({"sub": ["ada"]}, "`sub` must be"),
        ({"sub": ""}, "`sub` must be"),
        ({"sub": "a" * 129}, "`sub` must be"),
        ({"sub": "a\nb"}, "`sub` must be"),
        ({"sub": "\ud800"}, "`sub` must be"),
        ({"sub": "server"}, "the server's own"),
        ({"sub": "anonymous"}, "the server's own"),
        ({"sub": "__proto__"}, "can't be a key"),
        ({"kind": "server"}, "kind 'server' is unknown"),
        ({"kind": 7}, "kind '7' is unknown"),
        ({"kind": []}, "is unknown"),
        ({"role": "owner"}, "role 'owner' is unknown"),
        ({"role": 7}, "`role` must be"),
        ({"capabilities": "read"}, "`capabilities` must be"),
        ({"capabilities": ["fly"]}, "capability 'fly' is unknown"),
        ({"sessions": "trip"}, "`sessions` must be"),
        ({"sessions": ["a", 7]}, "`sessions` must be"),
        ({"sessions": ["a*b"]}, "can't name sessions"),
        ({"sessions": [""]}, "can't name sessions"),
        ({"grants": []}, "`grants` must be"),
        ({"grants": {"a": "viewer"}}, "`grants` must be"),
        ({"jti": 7}, "`jti` must be"),
        ({"aud": "elsewhere"}, "COSESSION_AUTH_AUDIENCE"),
    ],
    ids=str,
)
async def test_a_signed_token_that_does_not_fit_is_refused_with_the_reason(claims: dict[str, Any], said: str):
    with pytest.raises(NotAuthenticated, match=said):
        await taken(signed(**claims))


async def test_times_are_taken_with_the_leeway():
    assert await taken(signed(exp=NOW - 29, nbf=NOW + 29))
    assert await taken(signed(exp=NOW + 0.5), TokenRules(leeway_seconds=0))
    with pytest.raises(NotAuthenticated, match="expired"):
        await taken(signed(exp=NOW), TokenRules(leeway_seconds=0))
    assert (await taken(signed(exp=10**400))).expires_at is not None


async def test_issuer_and_audience_are_what_the_server_wants():
    rules = TokenRules(issuer="https://issuer.example", audience="cosession")
    assert await taken(signed(iss="https://issuer.example", aud=["other", "cosession"]), rules)
    assert await taken(signed(iss="https://issuer.example", aud="cosession"), rules)
    for wrong in ({"aud": "other"}, {"aud": None}, {"aud": 7}, {"aud": ["cosession2"]}, {"aud": {"cosession": 1}}):
        with pytest.raises(NotAuthenticated, match="another audience"):
            await taken(signed(**{"iss": "https://issuer.example", **wrong}), rules)
    for wrong in ("https://issuer.example/", None, ["https://issuer.example"]):
        with pytest.raises(NotAuthenticated, match="another issuer"):
            await taken(signed(iss=wrong, aud="cosession"), rules)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_verifies_what_its_private_key_signed(pairs: dict[str, Pair], algorithm: str):
    pair = pairs[algorithm]
    keys = FixedKeys(pem_keys(pair.public, "the file"))
    assert (await taken(pair.sign(now=NOW), keys=keys)).id == "ada"
    for other in pairs.values():
        if other is not pair:
            with pytest.raises(NotAuthenticated, match="can't be verified"):
                await taken(other.sign(now=NOW), keys=keys)


async def test_a_file_may_hold_several_keys(pairs: dict[str, Pair]):
    keys = FixedKeys(pem_keys("\n".join(pair.public for pair in pairs.values()), "the file"))
    for pair in pairs.values():
        assert await taken(pair.sign(now=NOW), keys=keys)


async def test_the_name_that_newer_libraries_give_to_eddsa_is_taken(pairs: dict[str, Pair]):
    (key,) = pem_keys(pairs["EdDSA"].public, "the file")
    from cosession.auth.keys import signing_key

    private = signing_key(pairs["EdDSA"].private, "the file")
    token = mint(good(NOW), VerificationKey(("Ed25519",), None, private.key))
    assert await taken(token, keys=FixedKeys([key]))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_is_never_taken_for_a_secret(pairs: dict[str, Pair], algorithm: str):
    from cryptography.hazmat.primitives import hashes, hmac

    public = pairs[algorithm].public
    keys = FixedKeys(pem_keys(public, "the file"))
    for secret in (public, public.strip(), public.rstrip("\n")):
        for name in ("HS256", "HS384", "HS512"):
            segments = f"{b64({'alg': name})}.{b64(good(NOW))}"
            code = hmac.HMAC(secret.encode(), hashes.SHA256())
            code.update(segments.encode())
            with pytest.raises(NotAuthenticated, match="can't be verified"):
                await taken(f"{segments}.{b64(code.finalize())}", keys=keys)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "dir", "", None, 7, []]
)
async def test_a_token_cannot_choose_how_it_is_verified(algorithm: object):
    _, payload, signature = signed().split(".")
    for kept in ("", signature):
        with pytest.raises(NotAuthenticated):
            await taken(f"{b64({'alg': algorithm})}.{payload}.{kept}")


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"crit": []}, {"kid": 7}]
)
async def test_headers_that_change_the_meaning_are_refused_although_signed(header: dict[str, Any]):
    with pytest.raises(NotAuthenticated):
        await taken(signed_raw(json.dumps(good(NOW)).encode(), **header))


async def test_headers_that_mean_nothing_to_us_are_passed_over_and_never_followed(pairs: dict[str, Pair]):
    payload = json.dumps(good(NOW)).encode()
    assert await taken(signed_raw(payload, kid="whatever", typ="at+jwt", nonce="x"))
    own = {"jwk": pairs["EdDSA"].jwk("mine"), "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/x"}
    assert await taken(signed_raw(payload, **own))
    _, claims, signature = pairs["EdDSA"].sign(now=NOW).split(".")
    with pytest.raises(NotAuthenticated):
        await taken(f"{b64({'alg': 'EdDSA', **own})}.{claims}.{signature}")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sub":"ada","sub":"eve","exp":1900000000,"sessions":["*"]}',
        b'{"sub":"ada","exp":1900000000,"sessions":["*"],"grants":{"a":{"role":"viewer"},"a":{"role":"admin"}}}',
        b'{"sub":"ada","exp":NaN,"sessions":["*"]}',
        b'{"sub":"ada","exp":Infinity,"sessions":["*"]}',
        b"[]",
        b"7",
        b"",
        b"\xff\xfe",
        b"[" * 2000,
    ],
)
async def test_claims_that_two_readers_would_read_differently_are_refused(payload: bytes):
    with pytest.raises(NotAuthenticated):
        await taken(signed_raw(payload))


async def test_an_infinite_time_is_no_time():
    with pytest.raises(NotAuthenticated):
        await taken(
            signed_raw(b'{"sub":"ada","exp":1e999,"nbf":-1e999,"sessions":["*"],"role":"admin"}'), now=float(2**60)
        )


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a.b.c", "a" * (MAX_TOKEN_BYTES + 1), "é.é.é", "e30.e30.e30", "\x00.\x00.\x00"]
)
async def test_what_is_no_token_is_refused(token: str):
    with pytest.raises(NotAuthenticated):
        await taken(token)


async def test_an_oversized_token_is_refused_although_it_is_signed():
    with pytest.raises(NotAuthenticated, match="at most 8192 bytes"):
        await taken(signed(name="a" * MAX_TOKEN_BYTES))


async def test_another_secret_or_a_part_of_another_token_is_refused():
    other = mint(good(NOW), VerificationKey(("HS256",), None, OctKey.import_key("b" * 40)))
    with pytest.raises(NotAuthenticated, match="can't be verified"):
        await taken(other)
    mine, theirs = signed().split("."), signed(sub="eve", role="admin").split(".")
    for mixed in ((mine[0], theirs[1], mine[2]), (mine[0], mine[1], theirs[2])):
        with pytest.raises(NotAuthenticated, match="can't be verified"):
            await taken(".".join(mixed))


@given(st.data())
async def test_a_token_of_which_anything_was_changed_is_refused(data: st.DataObject):
    token = signed(sub="ada", role="member")
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.sampled_from("ABab01-_.=+/ \n"))
    changed = data.draw(
        st.sampled_from([token[:at] + put + token[at + 1 :], token[:at] + token[at + 1 :], token[:at]])
    )
    if _same(changed, token):
        return
    with pytest.raises(CosessionError):
        await taken(changed)


@given(st.dictionaries(st.sampled_from(CLAIMS), ANYTHING))
async def test_whatever_a_signed_token_says_it_is_taken_or_refused_and_never_breaks_anything(claims: dict[str, Any]):
    try:
        grant = await taken(mint({**good(NOW), **claims}, KEY))
    except (NotAuthenticated, NotAllowed):
        return
    assert grant.id not in ("server", "anonymous")
    assert grant.expires_at is not None


def _same(changed: str, token: str) -> bool:
    """Whether only what base64 doesn't count was changed: the last bits of a segment."""
    parts, originals = changed.split("."), token.split(".")
    return parts[:2] == originals[:2] and len(parts) == 3 and _decoded(parts[2]) == _decoded(originals[2])


def _decoded(segment: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        return None
