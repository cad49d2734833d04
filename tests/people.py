"""The people of a test, by their tokens, for servers that know people by tokens."""

import time

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint

SECRET = "a-secret-of-a-test-longer-than-any-guess"


def token(who: str, role: str) -> str:
    """What somebody of this role shows at the door of every session."""
    claims = {"sub": who, "role": role, "sessions": ["*"], "exp": int(time.time()) + 3600}
    return mint({**claims, "kind": "agent" if role == "agent" else "human"}, secret_keys(SECRET)[0])
