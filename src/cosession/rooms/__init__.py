"""Live sessions: one pure `Room` each, and the asyncio shell around it. See README.md."""

from .connection import refuse
from .hub import Hub, check_session_id
from .live import LiveRoom

__all__ = ["Hub", "LiveRoom", "check_session_id", "refuse"]
