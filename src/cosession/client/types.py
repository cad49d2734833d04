"""The closed sets of strings, and other types, in the signatures of the SDK."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from typing_extensions import TypeVar

JsonObject: TypeAlias = dict[str, Any]

Off: TypeAlias = Callable[[], None]
"""Ends what the call that returned it began. May be called twice."""

Kind: TypeAlias = Literal["human", "agent", "operator"]
"""The kind of a participant."""

Status: TypeAlias = Literal["connecting", "online", "offline", "closed"]
"""The state of a session: not yet synced; synced; was synced and reconnects; over."""

Event: TypeAlias = Literal[
    "messages",
    "runs",
    "agents",
    "approvals",
    "queue",
    "claims",
    "state",
    "counters",
    "selections",
    "presence",
    "people",
    "tools",
    "policy",
    "title",
    "me",
    "status",
    "saved",
    "synced",
    "refused",
    "edit",
    "doc",
    "change",
]
"""The events of a session; see `Session.on`."""

S = TypeVar("S", default=JsonObject)
"""The type of a session's shared state."""

P = TypeVar("P", default=JsonObject)
"""The type of the fields in presence."""

M = TypeVar("M", default=JsonObject)
"""The type of the application's metadata of a message."""
