"""Live sessions: one pure `Room` each, and the asyncio shell around it. See README.md."""

from .connection import Write, refuse
from .hub import Hub, check_session_id
from .live import LiveRoom

__all__ = ["Hub", "LiveRoom", "Write", "check_session_id", "refuse"]
