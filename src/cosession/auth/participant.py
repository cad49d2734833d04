"""Participants: authenticated identities. Pure values."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .capabilities import EVERYTHING, Capabilities

Kind: TypeAlias = Literal["human", "agent", "operator", "server"]

MAX_ID: Final = 128
"""The characters of a participant id that are allowed: ids are parts of keys, requests and claims in the document."""


@dataclass(frozen=True, slots=True)
class Participant:
    """An identity in one session: a person, an agent, an operator, or the server itself.

    Attributes:
        id: stable, at most 128 characters.
        name: the name that people see.
        kind: the kind of participant.
        capabilities: its capabilities in this session.
        token_id: the `jti` of its token, if it has one.
        expires_at: the end of its access, in seconds since 1970; None is never.
    """

    id: str
    name: str
    kind: Kind = "human"
    capabilities: Capabilities = EVERYTHING
    token_id: str | None = None
    expires_at: float | None = None

    def is_admin(self, session: str | None) -> bool:  # noqa: ARG002 - of the one session that it is in
        """Return whether the capabilities include `admin`."""
        return self.capabilities.may("admin")


ANONYMOUS: Final = Participant("anonymous", "Anonymous")
"""A participant that connects without declaring an identity, as a stock y-websocket client does."""

SERVER: Final = Participant("server", "Server", "server")
"""The author of the server's own writes in a document."""
