"""The Python SDK: what an agent needs to work in a session.

    async with connect("http://localhost:8765", session="trip", participant="planner") as session:
        async for prompt in session.prompts():
            async with session.run(reply_to=prompt) as run:
                async for token in model(session.messages):
                    run.text(token)

Stands on `document` and `protocol`; never imports the server, its rooms or its storage.
"""

from cosession.errors import (
    ClaimHeld,
    ClaimLost,
    Conflict,
    CosessionError,
    Disconnected,
    Gone,
    InvalidValue,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Refusal,
    RunCancelled,
    RunLost,
    TimedOut,
    ToolFailed,
    Unavailable,
    WriteRefused,
)

from .checkpoints import CheckpointStore
from .claims import Claim
from .connect import connect
from .credential import Token
from .delegation import Delegation
from .edits import Edit, Edits
from .http import SessionInfo, create_session, find_session, list_sessions
from .human_input import Decision
from .offers import OfferedTool
from .part_handle import PartHandle
from .people import Me, Person, Who
from .presence import Presence
from .prompts import Prompts
from .request import Outcome, Request
from .run import AgentRun, Steer
from .session import Session
from .state import SharedState, StateChange, StateChanges
from .steps import Step
from .tool import ToolCall
from .types import Event, Kind, Off, Status
from .worker import Handler, RawHandler, Worker

__all__ = [
    "AgentRun",
    "CheckpointStore",
    "Claim",
    "ClaimHeld",
    "ClaimLost",
    "Conflict",
    "CosessionError",
    "Decision",
    "Delegation",
    "Disconnected",
    "Edit",
    "Edits",
    "Event",
    "Gone",
    "Handler",
    "InvalidValue",
    "Kind",
    "Me",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "Off",
    "OfferedTool",
    "Outcome",
    "PartHandle",
    "Person",
    "Presence",
    "Prompts",
    "RawHandler",
    "Refusal",
    "Request",
    "RunCancelled",
    "RunLost",
    "Session",
    "SessionInfo",
    "SharedState",
    "StateChange",
    "StateChanges",
    "Status",
    "Steer",
    "Step",
    "TimedOut",
    "Token",
    "ToolCall",
    "ToolFailed",
    "Unavailable",
    "Who",
    "Worker",
    "WriteRefused",
    "connect",
    "create_session",
    "find_session",
    "list_sessions",
]
