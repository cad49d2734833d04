"""Server decisions: what needs one winner, written by the server's hand where a change asks for it, or time.

To add one: a module for what it is about (`runs`), and its line in a table: of `decide` where a root is touched or a
timer rings, of `requests` where somebody asks. All of it is pure: no loop, no I/O, and the time comes in.
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
