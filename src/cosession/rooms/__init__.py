"""Live sessions: one pure `Room` each, and the asyncio shell around it. See README.md."""

from .admission import STRUCT_BYTES, check_message
from .channel import DirectChannel, Write, refuse
from .decisions import Job, checked_vote, is_own_run
from .hub import Hub
from .lease import Grants
from .live import LiveRoom
from .pace import Pace
from .pulse import Pulse
from .reply import SharedFrame

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
