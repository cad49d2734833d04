"""Server decisions: what needs one winner, written by the server's hand where a change asks for it.

To add one: a module for what it is about (`runs`), and its line in the table of `decide` (a root is touched) or of
`requests` (somebody asks). All of it is pure: no loop, no I/O, and the time comes in.
"""

from .decide import DECIDED_ON, decide
from .runs import is_own_run

__all__ = ["DECIDED_ON", "decide", "is_own_run"]
