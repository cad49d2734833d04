"""Storage of sessions: one small interface, and its implementations; `repair` checks and repairs a database.

Carries bytes, never sees a document.

The runtime and the server import from here; this package imports `errors` only.
"""

from .interface import NO_WORK, LoadedSession, LoggedUpdate, Place, Snapshot, Storage, StoredSession, Thin, in_order
from .revocations import Revocation, Revocations
from .sqlite import SqliteStorage

__all__ = [
    "NO_WORK",
    "LoadedSession",
    "LoggedUpdate",
    "Place",
    "Revocation",
    "Revocations",
    "Snapshot",
    "SqliteStorage",
    "Storage",
    "StoredSession",
    "Thin",
    "in_order",
]
