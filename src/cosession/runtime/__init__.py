"""Live sessions: one pure `Room` each, and the asyncio shell around it. See README.md."""

from .connection.channel import DirectChannel, Write, refuse
from .connection.rate_limit import RateLimit
from .connection.ticker import Ticker
from .connection.token_expiry import Grants
from .hub import Hub
from .room_runtime import RoomRuntime

__all__ = [
    "DirectChannel",
    "Grants",
    "Hub",
    "RateLimit",
    "RoomRuntime",
    "Ticker",
    "Write",
    "refuse",
]
