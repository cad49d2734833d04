"""Participants, and how one names itself in development. Pure: mappings in, values out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from cosession.errors import NotAuthenticated

Kind: TypeAlias = Literal["human", "agent", "operator", "server"]

_MAX_ID = 128
"""An id is part of keys in the document, in every request and claim: it must stay short."""


@dataclass(frozen=True, slots=True)
class Participant:
    """An identity: a person, an agent, an operator, or the server itself.

    Attributes:
        id: stable, at most 128 characters.
        name: what people read.
        kind: what it is.
    """

    id: str
    name: str
    kind: Kind = "human"


ANONYMOUS = Participant("anonymous", "Anonymous")
"""Who connects without a word about themselves, as a stock y-websocket client does."""

SERVER = Participant("server", "Server", "server")
"""The server's own hand in a document."""


def identify(parameters: Mapping[str, str]) -> Participant:
    """Take a participant's word for who it is (development only).

    Args:
        parameters: `user` (id), `name` and `kind` (`human`, `agent` or `operator`), each optional.

    Raises:
        NotAuthenticated: one of them can't be.
    """
    user = parameters.get("user", "").strip()
    if not user:
        return ANONYMOUS
    if len(user) > _MAX_ID or not user.isprintable():
        raise NotAuthenticated(f"The participant id must be printable and at most {_MAX_ID} characters long.")
    if user in (SERVER.id, ANONYMOUS.id):
        raise NotAuthenticated(f"The participant id {user!r} is the server's own; choose another.")
    kind = parameters.get("kind", "human")
    if kind not in get_args(Kind) or kind == SERVER.kind:
        raise NotAuthenticated(f"The kind {kind!r} is unknown; use human, agent or operator.")
    return Participant(user, parameters.get("name", "").strip()[:_MAX_ID] or user, cast("Kind", kind))
