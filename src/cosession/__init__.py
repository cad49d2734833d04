# ruff: noqa: F405 - the names below are those of the SDK; a test compares the two lists
"""cosession: an AI session is one Yjs document that people, their devices and agents edit together.

This module is the public API: its exports are stable. Its import is cheap: the SDK behind it, with its Yjs documents
and sockets, is loaded when one of the names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "AgentRun",
    "CheckpointStore",
    "Claim",
    "ClaimHeld",
    "ClaimLost",
    "Conflict",
    "CosessionError",
    "Decision",
    "Delegation",
    "Disconnected",
    "Edit",
    "Edits",
    "Event",
    "Gone",
    "Handler",
    "InvalidValue",
    "Kind",
    "Me",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "Off",
    "OfferedTool",
    "Outcome",
    "PartHandle",
    "Person",
    "Presence",
    "Prompts",
    "RawHandler",
    "Refusal",
    "Request",
    "RunCancelled",
    "RunLost",
    "Session",
    "SessionInfo",
    "SharedState",
    "StateChange",
    "StateChanges",
    "Status",
    "Steer",
    "Step",
    "TimedOut",
    "Token",
    "ToolCall",
    "ToolFailed",
    "Unavailable",
    "Who",
    "Worker",
    "WriteRefused",
    "connect",
    "create_session",
    "find_session",
    "list_sessions",
]

if TYPE_CHECKING:
    from cosession.client import *  # noqa: F403 - its `__all__` is the one above
else:  # for type checkers a module with this function has every name

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(".client", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
