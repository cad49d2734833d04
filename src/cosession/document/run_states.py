"""The states of a run: the one table of transitions, by the agent and by the server. Server and SDK both read it.

    (new) ──→ queued ──→ running ⇄ suspended ──→ complete, cancelled, error
                 └──────────┴────────────┴──→ lost ──→ running, with the next epoch

Only the last of several transitions may be seen, because offline writes arrive as one: so an agent's row holds all
states that can be reached, and only `queued` is never reached again. The server reverts a transition that isn't in
the table.
"""

from collections.abc import Mapping
from typing import Final

RUN_STATUSES: Final = ("queued", "running", "suspended", "complete", "cancelled", "error", "lost")

FINAL: Final = frozenset({"complete", "cancelled", "error"})
"""The statuses that no other follows."""

ENDED: Final = (*sorted(FINAL), "lost")
"""The statuses of a run that has ended; a lost one may be adopted and run again."""

_ACTIVE: Final = frozenset({"running", "suspended"})

_BY_AGENT: Final[Mapping[str, frozenset[str]]] = {
    "": _ACTIVE | FINAL | {"queued"},
    "queued": _ACTIVE | FINAL,
    "running": _ACTIVE | FINAL,
    "suspended": _ACTIVE | FINAL,
    "lost": FINAL,  # its last write came late
}

_BY_SERVER: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"cancelled"}),  # another process has the prompt, or has answered it
    "queued": frozenset({"lost", "cancelled"}),
    "running": frozenset({"lost", "cancelled"}),
    "suspended": frozenset({"lost", "cancelled"}),
    "lost": frozenset({"running", "cancelled", "error"}),  # adopted; cancelled meanwhile; lost too often
}


def may_become(before: str, after: str, by_server: bool) -> bool:
    """Return whether a run may go from one status to another.

    Args:
        before: the status that it had; empty for a new run.
        after: the new status.
        by_server: whether the server sets it, and not the run's agent.
    """
    return after in (_BY_SERVER if by_server else _BY_AGENT).get(before, ())
