"""Server decisions: changes that need one winner, written by the server after a client's change or a timer.

To add one: a module named after its subject (`runs`), and its line in a table: in `handlers` for a touched root or a
timer, in `requests` for a request of a participant. All of it is pure: no loop, no I/O; the time is an argument.
"""

from .approvals import checked_vote
from .context import DecisionContext, Memory, Promotion
from .handlers import DECIDED_ON, arrived, begin, completed, decide, promoted, remind
from .jobs import Job, reserve
from .leases import Leases
from .prompt_lanes import ANYBODY, is_half, outline
from .prompts import UNHEARD, OpenPrompts
from .runs import is_own_run

__all__ = [
    "ANYBODY",
    "DECIDED_ON",
    "UNHEARD",
    "DecisionContext",
    "Job",
    "Leases",
    "Memory",
    "OpenPrompts",
    "Promotion",
    "arrived",
    "begin",
    "checked_vote",
    "completed",
    "decide",
    "is_half",
    "is_own_run",
    "outline",
    "promoted",
    "remind",
    "reserve",
]
