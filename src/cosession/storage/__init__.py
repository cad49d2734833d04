"""Where sessions are kept: one small interface, and its implementations. Carries bytes, never sees a document.

Rooms and the server import from here; this package imports `errors` only.
"""

from .interface import LoadedSession, LoggedUpdate, Snapshot, Storage, StoredSession
from .sqlite import SqliteStorage

__all__ = ["LoadedSession", "LoggedUpdate", "Snapshot", "SqliteStorage", "Storage", "StoredSession"]
