"""Participants: who somebody is, once it is known. Pure values."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .capabilities import EVERYTHING, Capabilities

Kind: TypeAlias = Literal["human", "agent", "operator", "server"]

MAX_ID: Final = 128
"""An id is part of keys in the document, in every request and claim: it must stay short."""


@dataclass(frozen=True, slots=True)
class Participant:
    """An identity in one session: a person, an agent, an operator, or the server itself.

    Attributes:
        id: stable, at most 128 characters.
        name: what people read.
        kind: what it is.
        capabilities: what it may do in this session.
        token_id: the `jti` of the token that says so, if it has one.
        expires_at: when this ends, in seconds since 1970; None is never.
    """

    id: str
    name: str
    kind: Kind = "human"
    capabilities: Capabilities = EVERYTHING
    token_id: str | None = None
    expires_at: float | None = None

    def is_admin(self, session: str | None) -> bool:  # noqa: ARG002 - of the one session that it is in
        """Whether the capabilities include `admin`."""
        return self.capabilities.may("admin")


ANONYMOUS: Final = Participant("anonymous", "Anonymous")
"""Who connects without a word about themselves, as a stock y-websocket client does."""

SERVER: Final = Participant("server", "Server", "server")
"""The server's own hand in a document."""
