"""The issuer: signs tokens that a server with the same secret takes. Time comes in as an argument."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cosession.settings import Settings

from .keys import VerificationKey, secret_keys
from .tokens import check_claims, mint


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens.

    Attributes:
        key: a secret, or a private key.
        name: what tokens say of who signed them (`iss`), where servers ask for that.
        audience: whom they are for (`aud`), where servers ask for that.
    """

    key: VerificationKey
    name: str | None
    audience: str | None

    @classmethod
    def of(cls, settings: Settings) -> "Issuer | None":
        """Return the issuer that the settings' secret makes of us; None without one: public keys sign nothing.

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
            claims: what it says of who holds it; None is left out.
            now: the time, in seconds since 1970.
            expires_at: until when it is good.

        Raises:
            NotAllowed: it would give no access to anything.
            NotAuthenticated: a server would refuse it.
        """
        usual = {"iss": self.name, "aud": self.audience, "iat": int(now), "exp": int(expires_at)}
        said = {claim: value for claim, value in {**usual, **claims}.items() if value is not None}
        check_claims(said)
        return mint(said, self.key)
