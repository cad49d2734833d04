"""The issuer: signs tokens that a server with the same secret accepts. Time comes in as an argument."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cosession.settings import Settings

from .keys import VerificationKey, secret_keys
from .tokens import check_claims, mint


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs tokens.

    Attributes:
        key: a secret, or a private key.
        name: the issuer named in tokens (`iss`), where servers require one.
        audience: the audience of tokens (`aud`), where servers require one.
    """

    key: VerificationKey
    name: str | None
    audience: str | None

    @classmethod
    def of(cls, settings: Settings) -> "Issuer | None":
        """Return the issuer with the settings' secret; None without a secret, as public keys can't sign.

        Raises:
            BadKey: the secret can't be used.
        """
        if settings.auth_secret is None:
            return None
        return cls(
            secret_keys(settings.auth_secret.get_secret_value())[0], settings.auth_issuer, settings.auth_audience
        )

    def issue(self, claims: Mapping[str, Any], *, now: float, expires_at: float) -> str:
        """Sign a token.

        Args:
            claims: the claims about its holder; claims of None are left out.
            now: the time, in seconds since 1970.
            expires_at: the end of its validity.

        Raises:
            NotAllowed: the token would give access to nothing.
            NotAuthenticated: a server would refuse the token.
        """
        usual = {"iss": self.name, "aud": self.audience, "iat": int(now), "exp": int(expires_at)}
        said = {claim: value for claim, value in {**usual, **claims}.items() if value is not None}
        check_claims(said)
        return mint(said, self.key)
