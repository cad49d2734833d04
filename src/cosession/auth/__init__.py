"""Authentication and authorization: from a request to a `Grant`, and in a session to a `Participant`."""

from .capabilities import CAPABILITIES, EVERYTHING, ROLES, SCOPED, Capabilities
from .grant import Grant, Scope
from .identity import TOKEN_PROTOCOL, Identities, name_oneself
from .issuer import Issuer
from .participant import ANONYMOUS, SERVER, Kind, Participant
from .session_ids import MAX_SESSION_BYTES, check_session_id
from .tokens import grant_of

__all__ = [
    "ANONYMOUS",
    "CAPABILITIES",
    "EVERYTHING",
    "MAX_SESSION_BYTES",
    "ROLES",
    "SCOPED",
    "SERVER",
    "TOKEN_PROTOCOL",
    "Capabilities",
    "Grant",
    "Identities",
    "Issuer",
    "Kind",
    "Participant",
    "Scope",
    "check_session_id",
    "grant_of",
    "name_oneself",
]
