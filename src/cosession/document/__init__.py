"""The session document: typed views over a pycrdt document, schema version 1.

No I/O, no clock, no randomness. Knows nothing of the wire, rooms or servers; may be imported by all of them.
Reads return plain JSON and never raise; writes are checked first, with one error, `BadDocument`.
"""

from .approvals import Approval, Approvals
from .claims import Claims, prompt_key, tool_key
from .conversation import conversation
from .counters import Counters
from .json_schema import misfit
from .message import MESSAGE_STATUSES, Message
from .messages import ROLES, Messages
from .meta import MAX_TITLE, SCHEMA, Meta
from .observe import Change, Subscription
from .part_schema import TOOL_STATES
from .parts import Part
from .people import AGENT_STATUSES, Agent, Agents, ParticipantRecord, Participants
from .policy import DOUBLE_TEXTING, Policy, checked_policy
from .queue import Queue, QueuedPrompt
from .requests import MAX_REASON, RequestRecord, Requests
from .run import Run
from .run_states import ENDED, RUN_STATUSES, may_become
from .runs import Runs
from .selections import Selections
from .session import SessionDocument
from .surfaces import Surface, Surfaces
from .text import Position, SharedText
from .times import later, seconds_until
from .tree import State, Tree
from .values import JsonObject, checked, checked_text, join_key, plain, split_key

__all__ = [
    "AGENT_STATUSES",
    "DOUBLE_TEXTING",
    "ENDED",
    "MAX_REASON",
    "MAX_TITLE",
    "MESSAGE_STATUSES",
    "ROLES",
    "RUN_STATUSES",
    "SCHEMA",
    "TOOL_STATES",
    "Agent",
    "Agents",
    "Approval",
    "Approvals",
    "Change",
    "Claims",
    "Counters",
    "JsonObject",
    "Message",
    "Messages",
    "Meta",
    "Part",
    "ParticipantRecord",
    "Participants",
    "Policy",
    "Position",
    "Queue",
    "QueuedPrompt",
    "RequestRecord",
    "Requests",
    "Run",
    "Runs",
    "Selections",
    "SessionDocument",
    "SharedText",
    "State",
    "Subscription",
    "Surface",
    "Surfaces",
    "Tree",
    "checked",
    "checked_policy",
    "checked_text",
    "conversation",
    "join_key",
    "later",
    "may_become",
    "misfit",
    "plain",
    "prompt_key",
    "seconds_until",
    "split_key",
    "tool_key",
]
