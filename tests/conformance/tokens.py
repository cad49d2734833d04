"""Tokens as an application's own server would make them, by hand: JSON, Base64 and an HMAC."""

import base64
import hashlib
import hmac
import json
import time


def token(secret: str, who: str, *, seconds: int = 600, **claims: object) -> str:
    """Make a token (HS256) of a member of every session.

    Args:
        secret: what the server verifies it with.
        who: the participant's id.
        seconds: how long it is good.
        claims: others, or other values of these.
    """
    usual = {"sub": who, "exp": int(time.time()) + seconds, "sessions": ["*"], "role": "member"}
    signed = b".".join(
        _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, usual | claims)
    )
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return b".".join((signed, _base64(signature))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
