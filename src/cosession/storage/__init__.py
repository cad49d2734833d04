"""Where sessions are kept: one small interface, its implementations, and care for what they keep.

Carries bytes, never sees a document.

Rooms and the server import from here; this package imports `errors` only.
"""

from .interface import NO_WORK, LoadedSession, LoggedUpdate, Snapshot, Storage, StoredSession, Thin
from .repair.backup import back_up
from .repair.check import Inspection, Remains, inspect
from .repair.repair import Mended, Repaired, repair
from .revocations import Revocation, Revocations
from .sqlite import SqliteStorage

__all__ = [
    "NO_WORK",
    "Inspection",
    "LoadedSession",
    "LoggedUpdate",
    "Mended",
    "Remains",
    "Repaired",
    "Revocation",
    "Revocations",
    "Snapshot",
    "SqliteStorage",
    "Storage",
    "StoredSession",
    "Thin",
    "back_up",
    "inspect",
    "repair",
]
