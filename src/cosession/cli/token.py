"""`cosession token`: issue a token, for development and for deployments without an issuer of their own."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import typer

from cosession.auth import Issuer
from cosession.auth.identity import check_one_source, read_key_file
from cosession.auth.keys import signing_key
from cosession.errors import BadKey, BadRequest
from cosession.settings import Settings

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def print_token(
    settings: Settings,
    subject: str,
    *,
    sessions: Sequence[str],
    role: str | None,
    capabilities: Sequence[str],
    name: str | None,
    kind: str,
    ttl: str,
    key: Path | None,
) -> None:
    """Print a token, and nothing else, so that it can be piped.

    Args:
        settings: the secret, and the issuer and audience that the server requires.
        subject: the participant's id.
        sessions: patterns of the sessions that it gives access to.
        role: the role in these sessions; None is no role.
        capabilities: capabilities besides those of the role.
        name: the displayed name; None shows the id.
        kind: `human`, `agent` or `operator`.
        ttl: the validity, e.g. `15m`, `1h`, `7d`.
        key: PEM file with the private key to sign with; None uses the secret.

    Raises:
        BadKey: there is no key to sign with.
        BadRequest: the `ttl` is invalid.
        NotAuthenticated: a server would not accept the token.
    """
    issuer = _issuer(settings, key)
    now = time.time()
    claims = {
        "sub": subject,
        "name": name,
        "kind": kind,
        "sessions": list(sessions),
        "role": role,
        "capabilities": list(capabilities) or None,
        "jti": uuid4().hex,
    }
    typer.echo(issuer.issue(claims, now=now, expires_at=now + _seconds(ttl)))


def _issuer(settings: Settings, key: Path | None) -> Issuer:
    if key is not None:
        return Issuer(signing_key(read_key_file(key), str(key)), settings.auth_issuer, settings.auth_audience)
    check_one_source(settings)
    issuer = Issuer.of(settings)
    if issuer is None:
        raise BadKey(
            "There is no key to sign with: set COSESSION_AUTH_SECRET to the server's secret (make one with: openssl "
            "rand -hex 32), or name a private key with --key."
        )
    return issuer


def _seconds(ttl: str) -> int:
    read = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", ttl)
    if read is None:
        raise BadRequest(f"--ttl can't be {ttl!r}; write a number and s, m, h or d, e.g. 15m or 7d.")
    return int(read[1]) * _UNITS[read[2]]
