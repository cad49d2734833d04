"""The wire: bytes to frames, updates, awareness states. No I/O. README.md lists the modules.

Knows nothing of documents, rooms or sockets; may be imported by everything above it. All malformed input raises one
error, `MalformedFrame`.
"""

from .awareness import AwarenessEntry, decode_awareness, encode_awareness
from .deletions import KnownDeletions
from .frames import (
    EMPTY_UPDATE,
    EMPTY_VECTOR,
    KEEP_ALIVE,
    Awareness,
    Fence,
    Foreign,
    Frame,
    Granted,
    Limits,
    Notice,
    PermissionDenied,
    QueryAwareness,
    Renewal,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_frame,
    encode_frame,
)
from .header import ClockRange, UpdateHeader, decode_state_vector, encode_state_vector, read_update_header
from .kept_values import Encoded, KeptValues
from .pieces import split_update
from .surrogates import SurrogatePairs, delete_pairs, find_left, move_ahead, replace_pairs, write_replacements

__all__ = [
    "EMPTY_UPDATE",
    "EMPTY_VECTOR",
    "KEEP_ALIVE",
    "Awareness",
    "AwarenessEntry",
    "ClockRange",
    "Encoded",
    "Fence",
    "Foreign",
    "Frame",
    "Granted",
    "KeptValues",
    "KnownDeletions",
    "Limits",
    "Notice",
    "PermissionDenied",
    "QueryAwareness",
    "Renewal",
    "SurrogatePairs",
    "SyncStep1",
    "SyncStep2",
    "SyncUpdate",
    "UpdateHeader",
    "decode_awareness",
    "decode_frame",
    "decode_state_vector",
    "delete_pairs",
    "encode_awareness",
    "encode_frame",
    "encode_state_vector",
    "find_left",
    "move_ahead",
    "read_update_header",
    "replace_pairs",
    "split_update",
    "write_replacements",
]
