"""The Python SDK: what an agent needs to work in a session.

    async with connect("http://localhost:8765", session="trip", participant="planner") as session:
        async for prompt in session.prompts():
            async with session.run(reply_to=prompt) as run:
                async for token in model(session.messages):
                    run.text(token)

Stands on `document` and `protocol`; never imports the server, its rooms or its storage.
"""

from .credential import Token
from .http import SessionInfo, create_session, find_session, list_sessions
from .people import Who
from .presence import Presence
from .prompts import Prompts
from .run import AgentRun, Steer, ToolCall
from .session import Session, connect
from .transport import Status

__all__ = [
    "AgentRun",
    "Presence",
    "Prompts",
    "Session",
    "SessionInfo",
    "Status",
    "Steer",
    "Token",
    "ToolCall",
    "Who",
    "connect",
    "create_session",
    "find_session",
    "list_sessions",
]
