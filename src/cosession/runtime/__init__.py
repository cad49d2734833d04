"""Live sessions: one pure `Room` each, and the asyncio shell around it. See README.md."""

from cosession.admission import STRUCT_BYTES, check_message
from cosession.room.decisions import Job, checked_vote, is_own_run
from cosession.room.sync_reply import SharedFrame

from .connection.channel import DirectChannel, Write, refuse
from .connection.rate_limit import RateLimit
from .connection.ticker import Ticker
from .connection.token_expiry import Grants
from .hub import Hub
from .room_runtime import RoomRuntime

__all__ = [
    "STRUCT_BYTES",
    "DirectChannel",
    "Grants",
    "Hub",
    "Job",
    "RateLimit",
    "RoomRuntime",
    "SharedFrame",
    "Ticker",
    "Write",
    "check_message",
    "checked_vote",
    "is_own_run",
    "refuse",
]
