"""Live sessions: one pure `Room` each, and the asyncio shell around it. See README.md."""

from cosession.admission import STRUCT_BYTES, check_message
from cosession.room.decisions import Job, checked_vote, is_own_run
from cosession.room.sync_reply import SharedFrame

from .connection.channel import DirectChannel, Write, refuse
from .connection.rate_limit import Pace
from .connection.ticker import Pulse
from .connection.token_expiry import Grants
from .hub import Hub
from .room_runtime import LiveRoom

__all__ = [
    "STRUCT_BYTES",
    "DirectChannel",
    "Grants",
    "Hub",
    "Job",
    "LiveRoom",
    "Pace",
    "Pulse",
    "SharedFrame",
    "Write",
    "check_message",
    "checked_vote",
    "is_own_run",
    "refuse",
]
